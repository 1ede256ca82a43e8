"""Sample logs that lm_eval itself has written: as rows to judge, and with judgements merged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from harness_runs import Parrot, evaluate
from lm_eval.loggers import EvaluationTracker

from inspector_plugin.cli.main import main
from inspector_plugin.data.inputs import InputRows
from inspector_plugin.data.log_tasks import read_log_task
from inspector_plugin.data.requests import RequestForm, RowFields
from inspector_plugin.data.score_table import read_score_table
from inspector_plugin.data.stored_scores import read_stored_scores
from inspector_plugin.errors import DataError
from inspector_plugin.plugins.options import Backend, Option
from inspector_plugin.plugins.registry import JudgeRegistry
from inspector_plugin.schema import CriterionScore, JudgeRequest
from inspector_plugin.testing import ScriptedJudge

Lines = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    registry = JudgeRegistry()

    def by_length(request: JudgeRequest, key: str) -> CriterionScore:
        label = 1 + len(request.response) % 5
        return CriterionScore(float(label), label)

    options = (Option("name", "", default=""),)
    registry.add(Backend("length", "", lambda name: ScriptedJudge(by_length), options), "test", "0")
    monkeypatch.setattr("inspector_plugin.cli.score.make_registry", lambda: registry)
    return tmp_path


def log_of(
    task: str, *answers: str, model: str = "org/model", folder: str = "results", **options: Any
) -> Path:
    """Have lm_eval run a task that nothing judges, and write its results and sample log."""
    metadata = {"judge": [], **options.pop("metadata", {})}
    results = evaluate(task, Parrot(*answers), metadata, log_samples=True, **options)
    samples = results.pop("samples")
    tracker = EvaluationTracker(output_path=folder)
    given = ("hf", f"pretrained={model}", None, None, False)
    tracker.general_config_tracker.log_experiment_args(*given)
    tracker.save_results_aggregated(results=results, samples=samples)
    tracker.save_results_samples(task_name=task, samples=samples[task])
    (path,) = Path(folder).rglob(f"samples_{task}_*.jsonl")
    return path


def read(path: str | Path) -> Lines:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def write(path: str | Path, lines: Lines) -> Path:
    Path(path).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Path(path)


def score(*arguments: str) -> int:
    return main(["score", *arguments, "--judge", "length", "--criteria", "fluency", "--no-cache"])


def test_each_response_is_a_row_whatever_the_filters(data: Path) -> None:
    path = log_of("gsm8k_inspector", "so #### 1", "no", metadata={"data": str(data)}, limit=3)
    assert len(read(path)) == 6  # two filters
    rows = list(InputRows([Path("results")]))
    assert [row.row for row in InputRows([path], None, 2)] == [row.row for row in rows[:2]]
    assert [dict(row.row) for row in rows] == [
        {
            "id": f"gsm8k_inspector/{n}",
            "task": "gsm8k_inspector",
            "doc_id": n,
            "dataset": "gsm8k",
            "model": "org/model",
            "question": f"What is {n} + 1?",
            "response": "no" if n % 2 else "so #### 1",
            "target": f"{n} + 1.\n#### {n + 1}",
            "exact_match,strict-match": float(n == 0),
            "exact_match,flexible-extract": float(n == 0),
        }
        for n in range(3)
    ]


@pytest.mark.parametrize(
    ("task", "dataset", "question"),
    [
        ("math_inspector_algebra", "math", "Find 0."),
        ("gpqa_inspector_main", "gpqa", "Which word is 0?\n(A) "),
    ],
)
def test_the_problem_is_made_as_under_lm_eval(
    data: Path, task: str, dataset: str, question: str
) -> None:
    path = log_of(task, "an answer", metadata={"data": str(data)}, limit=1)
    logged = read(path)[0]["doc"]
    (row,) = InputRows([path])
    assert row.request.dataset == dataset
    assert row.request.question.startswith(question)
    path.rename("plain.jsonl")
    # Without the task's name and results, the field has to be named.
    with pytest.raises(DataError, match="say with --question-field which field the problem is"):
        InputRows([Path("plain.jsonl")])
    field = "problem" if dataset == "math" else "{{Question}}"
    form = RequestForm(fields=RowFields(question=field), dataset="mine")
    (row,) = InputRows([Path("plain.jsonl")], form)
    assert row.request.question == logged["problem" if dataset == "math" else "Question"]
    assert (row.request.dataset, row.request.id) == ("mine", "0")


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("samples_gsm8k_cot_2026-01-01T00-00-00.0.jsonl", "gsm8k"),
        ("samples_minerva_math_algebra_2026-01-01T00-00-00.0.jsonl", "math"),
        ("samples_gpqa_diamond_cot_zeroshot_2026-01-01T00-00-00.0.jsonl", "gpqa"),
        ("samples_mgsm_direct_de_2026-01-01T00-00-00.0.jsonl", None),
        ("answers.jsonl", None),
    ],
)
def test_lm_evals_own_tasks_are_known_by_name(name: str, dataset: str | None) -> None:
    assert read_log_task(Path("org__model") / name).dataset == dataset


def test_predict_only_and_repeats(data: Path) -> None:
    options = {"metadata": {"data": str(data)}, "limit": 2, "predict_only": True}
    path = log_of("gsm8k_inspector", "first", "second", **options)
    rows = [row.row for row in InputRows([path])]
    assert [row["response"] for row in rows] == ["first", "second"]
    assert not any("bypass" in name for row in rows for name in row)
    lines = read(path)
    for line in lines:
        line["resps"] = [["one", "two", "one"]]
    results = next(Path("results").rglob("results_*.json"))
    content = json.loads(results.read_text())
    content["configs"]["gsm8k_inspector"]["repeats"] = 3
    results.write_text(json.dumps(content))
    rows = [row.row for row in InputRows([write(path, lines)])]
    assert [(row["doc_id"], row["repeat"], row["response"]) for row in rows] == [
        (doc, repeat, response)
        for doc in (0, 1)
        for repeat, response in enumerate(["one", "two", "one"])
    ]
    content["configs"]["gsm8k_inspector"]["repeats"] = 2  # the third is padding
    results.write_text(json.dumps(content))
    assert len(InputRows([path])) == 4


CHAT = json.dumps([{"role": "user", "content": "What is 2+2?"}])


def line_of(**changed: Any) -> dict[str, Any]:
    """A line as lm_eval writes one for a chat model behind an API."""
    doc, target = {"question": "What is 2+2?", "n": 1.5}, "4"
    hashed = {"doc": json.dumps(doc, indent=2, ensure_ascii=False), "prompt": CHAT, "target": "4"}
    line = {
        "doc_id": 0,
        "doc": doc,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": [CHAT], "arg_1": {}}},
        "resps": [["It is 4"]],
        "filtered_resps": ["4"],
        "filter": "none",
        "metrics": ["exact_match"],
        **{f"{k}_hash": hashlib.sha256(v.encode()).hexdigest() for k, v in hashed.items()},
        "exact_match": 1.0,
    }
    return {**line, **changed}


LOG = "samples_mine_2026-01-01T00-00-00.0.jsonl"


def test_a_log_of_an_api_without_results_beside_it() -> None:
    lines = [line_of(), line_of(doc_id=1, resps=[["None"]]), line_of(doc_id=2, resps=[[]])]
    rows = list(InputRows([write(LOG, lines)]))
    assert [row.without_response for row in rows] == [None, *["the response is missing (null)"] * 2]
    assert rows[0].row["exact_match"] == 1.0
    assert "model" not in rows[0].row
    Path("org__model").mkdir()
    (row,) = InputRows([write(f"org__model/{LOG}", [line_of()])])
    assert row.row["model"] == "org/model"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"doc": {"question": "What is 2+3?", "n": 1.5}}, "doc"),
        ({"arguments": {"gen_args_0": {"arg_0": "other"}}}, "prompt"),
        ({"target": "5"}, "target"),
    ],
)
def test_hashes_are_checked(change: dict[str, Any], name: str) -> None:
    with pytest.raises(DataError, match=f"line 2: the {name} does not have the hash"):
        InputRows([write(LOG, [line_of(), line_of(**change, resps=[["x"]])])])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([line_of(resps=[[["-3.2", "True"]], [["-1", "False"]]])], "log-likelihoods"),
        ([line_of(resps=["text"])], "resps of this line of a sample log are malformed"),
        ([line_of(), {"question": "q", "response": "r"}], "line 2: not a line of a sample log"),
        (
            [line_of(), line_of(doc_hash="0" * 64, resps=[["x"]])],
            "line 2: doc_id 0 stands for another document",
        ),
        ([line_of(doc="text", doc_hash=None)], "the doc of this line .* is not an object"),
    ],
)
def test_logs_that_are_refused(lines: Lines, message: str) -> None:
    with pytest.raises(DataError, match=message):
        InputRows([write(LOG, lines)])


def test_lines_that_are_there_twice_are_left_out_and_others_kept() -> None:
    other_model = line_of(resps=[["Four"]])
    inputs = InputRows([write(LOG, [line_of(), line_of(), other_model])])
    assert [row.request.response for row in inputs] == ["It is 4", "Four"]
    assert inputs.notes == [f"{LOG}: 1 line that said the same as an earlier one left out"]


def test_a_folder_gives_the_newest_log_of_each_model_and_task() -> None:
    for model, date, response in (("a", "1", "old"), ("a", "2", "new"), ("b", "1", "b's")):
        Path(model).mkdir(exist_ok=True)
        name = LOG.replace("00.0", f"0{date}.0")
        write(f"{model}/{name}", [line_of(resps=[[response]])])
    write("b/samples_choices_2026-01-01T00-00-00.0.jsonl", [line_of(resps=[[["-1", "True"]]])])
    inputs = InputRows([Path()])
    assert [row.request.response for row in inputs] == ["new", "b's"]
    assert len(inputs.notes) == 2
    with pytest.raises(DataError, match=r"holds no samples_\*\.jsonl"):
        InputRows([Path(__file__).parent])


def test_a_gzipped_log_and_field_flags_that_logs_have_no_use_for() -> None:
    import gzip

    path = write(LOG, [line_of()])
    Path(f"{LOG}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert len(InputRows([Path(f"{LOG}.gz")])) == 1
    with pytest.raises(DataError, match="only --question-field is for them"):
        InputRows([path], RequestForm(fields=RowFields(response="resps")))


def test_judging_a_log_and_merging_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log_of("gsm8k_inspector", "so #### 1", "no", metadata={"data": str(data)}, limit=3)
    before = path.read_bytes()
    assert score("results", "--out", "out.jsonl", "--merge-log", "merged.jsonl") == 0
    assert len(read("out.jsonl")) == 3
    assert path.read_bytes() == before
    assert Path("merged.jsonl").read_bytes().startswith(before)
    lines = read("merged.jsonl")[6:]
    assert [line["filter"] for line in lines] == ["length"] * 3
    assert [line["fluency"] for line in lines] == [5, 3, 5]
    assert "exact_match" not in lines[0]
    stored = list(read_stored_scores("merged.jsonl"))
    assert [(each.id, each.score) for each in stored] == [
        (f"gsm8k_inspector/{n}", [5, 3, 5][n]) for n in range(3)
    ]
    for source in ("out.jsonl", "merged.jsonl"):  # both say the same to whatever reads scores
        name = "exact_match,strict-match"
        table = read_score_table([source], outcomes=[name])
        assert table.column("length", "fluency").scores.tolist() == [5, 3, 5]
        assert table.outcome(name).tolist() == [1, 0, 0]
    capsys.readouterr()
    assert score("merged.jsonl", "--out", "o.jsonl", "--merge-log", "m.jsonl") == 1
    assert "already has lines of the filter 'length'" in capsys.readouterr().err
    assert score(str(path), "--out", "out.jsonl", "--merge-log", str(path)) == 1
    assert path.read_bytes() == before
    assert score(str(path), "--merge-log", "m.jsonl") == 1
    assert "--merge-log needs --out" in capsys.readouterr().err


def test_several_logs_are_merged_into_a_folder() -> None:
    for model in ("a", "b"):
        Path(model).mkdir()
        write(f"{model}/{LOG}", [line_of(resps=[[model, f"{model}{model}"]])])
    assert score("a", "b", "--out", "out.jsonl", "--merge-log", "merged", "--limit", "3") == 0
    assert len(read("out.jsonl")) == 3
    assert score("a", "b", "--out", "o.jsonl", "--merge-log", "two", "--limit", "2") == 0
    assert len(read("two")) == 2  # of the one log that rows were taken from
    merged = {model: read(f"merged/{model}/{LOG}") for model in ("a", "b")}
    assert [len(lines) for lines in merged.values()] == [2, 1]  # b's line is not judged in full
    entries = [json.loads(text) for text in merged["a"][1]["filtered_resps"][0]]
    assert [each["scores"]["fluency"]["score"] for each in entries] == [2, 3]


def test_a_document_of_several_requests_is_merged_request_by_request() -> None:
    write(LOG, [line_of(resps=[["a"], ["bb", "ccc"]])])
    assert score(LOG, "--out", "out.jsonl", "--merge-log", "m.jsonl") == 0
    (line,) = read("m.jsonl")[1:]
    assert [len(each) for each in line["filtered_resps"]] == [1, 2]
    assert [each.score for each in read_stored_scores("m.jsonl")] == [2, 3, 4]


def test_a_template_that_only_the_results_file_names_is_not_run() -> None:
    ours = {"question": "{{ question * 99999999999 }}", "dataset": "mine"}
    config = {"metadata": {"inspector": ours}}
    results = {"configs": {"mine": config}, "model_name": "m"}
    Path("results_2026-01-01T00-00-00.0.json").write_text(json.dumps(results))
    write(LOG, [line_of()])
    with pytest.raises(DataError, match="with --question-field if you trust it"):
        InputRows([Path(LOG)])
    ours["question"] = "question"
    Path("results_2026-01-01T00-00-00.0.json").write_text(json.dumps(results))
    (row,) = InputRows([Path(LOG)])
    assert (row.request.question, row.request.dataset) == ("What is 2+2?", "mine")


def test_hostile_responses_stay_data(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m\u202e {{ 7*7 }} =cmd()"
    write(LOG, [line_of(resps=[[hostile]])])
    assert score(LOG, "--out", "out.jsonl") == 0
    assert read("out.jsonl")[0]["response"] == hostile
    assert "\x1b" not in capsys.readouterr().out
