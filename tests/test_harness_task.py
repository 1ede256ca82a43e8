"""Our tasks in real lm_eval runs, with a model and judges that say what they are told."""

from __future__ import annotations

import json
import math
import random
import re
import statistics
from pathlib import Path

import datasets
import lm_eval
import pytest
from conftest import UseJudges
from harness_runs import Parrot, evaluate, manager, scripted, sure
from lm_eval.loggers import EvaluationTracker
from lm_eval.utils import make_table
from task_data import GSM8K, MATH, write_rows

from inspector_plugin.folders import shipped_folder
from inspector_plugin.harness.documents import processed_once
from inspector_plugin.harness.settings import Settings
from inspector_plugin.schema import BINARY, ROSCOE, JudgeRequest
from inspector_plugin.testing import ScriptedJudge


def test_scores_and_coverage_by_hand(data: Path, use_judges: UseJudges) -> None:
    # Responses "a", "bb", "ccc", ...: logicality is their length; fluency is missing for two.
    answers = ["a", "bb", "ccc", "dddd"]
    fluency = {"a": 2.0, "bb": None, "ccc": 5.0, "dddd": None}

    def script(request: JudgeRequest, key: str) -> float | None:
        return len(request.response) if key == "logicality" else fluency[request.response]

    use_judges(inspector=scripted(script))
    metadata = {"data": str(data), "criteria": "fluency,logicality", "pretrained": "leaks in"}
    run = evaluate("gsm8k_inspector", Parrot(*answers), metadata, limit=4, bootstrap_iters=1)
    row = run["results"]["gsm8k_inspector"]
    assert {key.split(",")[0] for key in row if key.endswith(",inspector")} == {
        *("logicality", "logicality_stderr", "fluency", "fluency_stderr"),
        *("total", "total_stderr", "coverage", "coverage_stderr"),
    }
    assert row["logicality,inspector"] == 2.5
    assert row["logicality_stderr,inspector"] == statistics.stdev([1, 2, 3, 4]) / 2
    assert row["fluency,inspector"] == 3.5
    assert row["fluency_stderr,inspector"] == statistics.stdev([2, 5]) / math.sqrt(2)
    assert row["total,inspector"] == ((1 + 2) + (3 + 5)) / 2
    assert row["coverage,inspector"] == (1 + 0.5 + 1 + 0.5) / 4
    assert row["exact_match,strict-match"] == 0
    table = make_table(run)
    assert "|fluency" in table
    assert "nan" not in table
    assert "stderr_stderr" not in table


@pytest.mark.parametrize(("gold", "told"), [(True, {True, False}), (False, {None})])
def test_judges_are_told_whether_the_answer_is_right_if_that_is_asked_for(
    data: Path, use_judges: UseJudges, gold: bool, told: set[bool | None]
) -> None:
    seen: dict[str, bool | None] = {}

    def script(request: JudgeRequest, key: str) -> float:
        seen[request.response] = request.correct
        return 3.0

    use_judges(inspector=scripted(script))
    rows = [json.loads(line) for line in (data / "gsm8k" / "test.jsonl").read_text().splitlines()]
    right = [f"So it is {row['answer'].split('####')[1].strip()}." for row in rows[:2]]
    metadata = {"data": str(data), "criteria": "fluency", "gold": gold}
    run = evaluate("gsm8k_inspector", Parrot(right[0], "It is 987654."), metadata, limit=2)
    assert seen == {right[0]: True if gold else None, "It is 987654.": False if gold else None}
    assert set(seen.values()) == told
    config = run["configs"]["gsm8k_inspector"]["metadata"]["inspector"]
    assert config["gold"] is gold


def test_the_judge_sees_the_problem_and_the_whole_response(
    data: Path, use_judges: UseJudges
) -> None:
    judges: list[ScriptedJudge] = []

    def factory(labels: str) -> ScriptedJudge:
        judges.append(ScriptedJudge(sure))
        return judges[-1]

    use_judges(inspector=factory)
    model = Parrot("thinking\n\n#### 1", "2")
    run = evaluate("gsm8k_inspector", model, {"data": str(data)}, limit=2)
    assert model.prompts[0].count("Question:") == 6  # 5 examples and the problem
    (judge,) = judges
    assert judge.calls == [
        [
            JudgeRequest(row["question"], answer, ROSCOE, "gsm8k", f"gsm8k_inspector/{n}")
            for n, (row, answer) in enumerate(zip(GSM8K, model.answers, strict=False))
        ]
    ]
    assert run["results"]["gsm8k_inspector"]["exact_match,strict-match"] == 0.5


def test_gpqa_options_are_seeded_and_shown_as_in_the_prompt(
    data: Path, use_judges: UseJudges
) -> None:
    asked: list[JudgeRequest] = []

    def script(request: JudgeRequest, key: str) -> int:
        asked.append(request)
        return 3

    def questions(seed: int) -> list[str]:
        asked.clear()
        metadata = {"data": str(data), "aspects": "fluency", "seed": seed}  # the old name
        run = evaluate("gpqa_inspector_main", Parrot("The answer is (A)."), metadata)
        for sample in run["samples"]["gpqa_inspector_main"]:
            options = [sample["doc"][f"choice{n}"] for n in range(1, 5)]
            prompt = sample["arguments"][0][0]
            positions = [
                prompt.index(f"({letter}) {text}")
                for letter, text in zip("ABCD", options, strict=True)
            ]
            assert positions == sorted(positions)
            assert sample["target"] == f"({'ABCD'[options.index('right ' + options[0][6])]})"
            lettered = [f"({letter}) {text}" for letter, text in zip("ABCD", options, strict=True)]
            # As the evaluated model got it, and no instruction that it did not get.
            question = "\n".join([sample["doc"]["Question"], *lettered])
            assert asked[sample["doc_id"]].question == question
            assert asked[sample["doc_id"]].keys == ("fluency",)
        return [request.question for request in asked]

    use_judges(inspector=scripted(script))
    first = questions(seed=0)
    assert first == questions(seed=0)
    assert first != questions(seed=1)


def test_math_reads_the_subject_and_a_group_shares_one_judge(
    data: Path, use_judges: UseJudges
) -> None:
    made: list[ScriptedJudge] = []

    def factory(labels: str) -> ScriptedJudge:
        made.append(ScriptedJudge(sure))
        return made[-1]

    use_judges(inspector=factory)
    tasks = ["math_inspector_algebra", "math_inspector_counting_and_prob"]
    metadata = {"data": str(data)}
    run = lm_eval.simple_evaluate(
        model=Parrot("$0$", "$1$", "$2$"),
        tasks=tasks,
        task_manager=manager(**metadata),
        num_fewshot=0,
    )
    assert [[request.question for request in call] for call in made[0].calls] == [
        ["Find 0.", "Find 2."],
        ["Find 1."],
    ]
    assert len(made) == 1
    assert run["results"][tasks[0]]["exact_match,none"] == 0.5
    assert run["results"][tasks[1]]["exact_match,none"] == 0


def test_groups_weigh_their_tasks_by_size(data: Path, use_judges: UseJudges) -> None:
    missing = {"type": "Geometry", "problem": "Find it.", "solution": "$\\boxed{7}$"}
    kinds = ("Geometry", "Intermediate Algebra", "Prealgebra", "Precalculus")
    rows = [*MATH, *({**missing, "type": kind} for kind in kinds)]
    for split in ("train", "test"):
        write_rows(data / f"math/{split}.jsonl.gz", rows)
    use_judges(inspector=scripted(lambda request, key: 5 if request.id[-2:] == "/1" else 1))
    run = evaluate("math_inspector", Parrot("no"), {"data": str(data)}, num_fewshot=0)
    group = run["groups"]["math_inspector"]
    assert group["fluency,inspector"] == (7 * 1 + 1 * 5) / 8  # algebra alone has a second problem
    assert group["coverage,inspector"] == 1
    assert "math_inspector" in make_table(run, "groups")


def test_repeats_are_judged_one_by_one(data: Path, use_judges: UseJudges) -> None:
    use_judges(inspector=scripted(lambda request, key: len(request.response)))
    loaded = manager(data=str(data)).load(["gsm8k_inspector"])
    task = loaded["tasks"]["gsm8k_inspector"]
    task.set_config("repeats", 2)
    task.set_config("num_fewshot", 0)
    run = lm_eval.evaluate(lm=Parrot("a", "bbb", "cc", "dddd"), task_dict=loaded, limit=2)
    assert run["results"]["gsm8k_inspector"]["fluency,inspector"] == (2 + 3) / 2
    samples = [s for s in run["samples"]["gsm8k_inspector"] if s["filter"] == "inspector"]
    assert [
        [json.loads(text)["scores"]["fluency"]["score"] for text in sample["filtered_resps"][0]]
        for sample in samples
    ] == [
        [1, 3],
        [2, 4],
    ]


def test_padding_of_several_processes_is_not_judged(data: Path, use_judges: UseJudges) -> None:
    judge = ScriptedJudge(sure)
    use_judges(inspector=lambda labels: judge)
    task = manager(data=str(data)).load(["gsm8k_inspector"])["tasks"]["gsm8k_inspector"]
    task.set_config("num_fewshot", 0)
    task.build_all_requests(limit=1)
    task.instances[0].resps = ["one", "padding"]
    task.apply_filters()
    assert [request.response for request in judge.calls[0]] == ["one"]


def test_every_judge_has_its_rows_and_the_log_holds_all_judgements(
    data: Path, use_judges: UseJudges, tmp_path: Path
) -> None:
    use_judges(
        inspector=scripted(lambda request, key: None if key == "fluency" else 2),
        other=lambda labels: ScriptedJudge(lambda request, key: 1, BINARY),
    )
    tracker = EvaluationTracker(output_path=str(tmp_path))
    metadata = {"data": str(data), "judge": ["inspector", "other:labels=binary"]}
    run = evaluate("gsm8k_inspector", Parrot("yes"), metadata, limit=2, evaluation_tracker=tracker)
    row = run["results"]["gsm8k_inspector"]
    assert (row["logicality,inspector"], row["logicality,other"]) == (2, 1)
    # Nothing scored: no mean and no total, and coverage says so.
    assert not {"fluency,inspector", "total,inspector"} & row.keys()
    assert (row["fluency,other"], row["total,other"]) == (1, 5)
    assert row["coverage,inspector"] == 0.8
    samples = run.pop("samples")
    tracker.save_results_aggregated(results=run, samples=samples)
    tracker.save_results_samples("gsm8k_inspector", samples["gsm8k_inspector"])
    (path,) = tmp_path.glob("**/samples_*.jsonl")
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    logged = [
        json.loads(each["filtered_resps"][0][0]) for each in lines if each["filter"] == "inspector"
    ]
    assert len(logged) == 2
    scores = logged[1].pop("scores")
    assert logged[1] == {
        "id": "gsm8k_inspector/1",
        "dataset": "gsm8k",
        "question": GSM8K[1]["question"],
        "format_version": 2,
    }
    assert list(scores) == [criterion.key for criterion in ROSCOE]
    one_to_five = [1, 2, 3, 4, 5]
    assert scores["logicality"] == {
        "score": 2.0,
        "label": 2,
        "scale": one_to_five,
        "fingerprint": ROSCOE[1].fingerprint,
    }
    assert scores["fluency"] == {
        "score": None,
        "label": None,
        "reason": "the script gives no score",
        "scale": one_to_five,
        "fingerprint": ROSCOE[3].fingerprint,
    }
    config = run["configs"]["gsm8k_inspector"]
    fluency = config["scores"]["inspector"]["criteria"]["fluency"]
    assert fluency["unscored"] == {"the script gives no score": 2}
    assert (fluency["mean"], fluency["asked"], fluency["scored"]) == (None, 2, 0)
    assert config["scores"]["other"]["total"]["mean"] == 5
    assert config["scores"]["other"]["total"]["scale"] == [0, 5]
    assert "agreement" not in config
    inspector = config["metadata"]["inspector"]
    assert inspector["judges"]["other"]["spec"] == "other:labels=binary"
    assert inspector["judges"]["inspector"]["spec"] == "inspector"
    assert inspector["criteria"] == [criterion.to_json() for criterion in ROSCOE]
    assert inspector["data"] == str(data)


def test_predict_only_judges_nothing(data: Path, use_judges: UseJudges) -> None:
    judge = ScriptedJudge(sure)
    use_judges(inspector=lambda labels: judge)
    run = evaluate("gsm8k_inspector", Parrot("a"), {"data": str(data)}, limit=2, predict_only=True)
    assert judge.calls == []
    assert {sample["filter"] for sample in run["samples"]["gsm8k_inspector"]} == {
        "strict-match",
        "flexible-extract",
    }


def test_the_data_folder_may_come_from_the_environment(
    data: Path, use_judges: UseJudges, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_judges(inspector=scripted(sure))
    monkeypatch.setenv("INSPECTOR_DATA", str(data))
    task = manager().load(["gsm8k_inspector"])["tasks"]["gsm8k_inspector"]
    assert task.eval_docs["question"] == [row["question"] for row in GSM8K]


def test_the_demo_runs_on_a_real_model(tiny_lm: Path, use_judges: UseJudges) -> None:
    use_judges(inspector=scripted(sure))
    run = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(tiny_lm), "device": "cpu"},
        tasks=["demo_inspector"],
        task_manager=manager(),
        limit=2,
        num_fewshot=1,
        gen_kwargs="max_gen_toks=8",
        bootstrap_iters=0,
    )
    assert run["results"]["demo_inspector"]["sample_len"] == 2
    assert 1 <= run["results"]["demo_inspector"]["fluency,inspector"] <= 5


def test_the_demo_problems_are_solved_correctly() -> None:
    with (shipped_folder("tasks") / "demo/problems.jsonl").open(encoding="utf-8") as file:
        problems = [json.loads(line) for line in file]
    assert len({problem["question"] for problem in problems}) == 24
    for problem in problems:
        steps, answer = problem["answer"].split("\n#### ")
        for step in steps.splitlines():
            left, right = re.findall(r"(\d[\d+*/ -]*) = (\d+)", step)[0]
            assert eval(left) == float(right), step  # digits and operators only
        assert float(right) == float(answer), problem["question"]


def test_documents_are_processed_once_and_leave_random_as_it_was() -> None:
    calls: list[int] = []

    def shuffle(dataset: datasets.Dataset) -> datasets.Dataset:
        calls.append(random.randrange(10**9))
        return dataset

    process = processed_once(shuffle, seed=3)
    dataset = datasets.Dataset.from_list(GSM8K)
    state = random.getstate()
    assert process(dataset) is process(dataset)
    assert calls == [random.Random(3).randrange(10**9)]
    assert random.getstate() == state


@pytest.mark.parametrize("size", ["auto", "8", 8])
def test_the_batch_size_of_judges_is_read_as_a_number_or_auto(size: str | int) -> None:
    assert Settings.read({"judge_batch_size": size}).defaults == {"batch_size": str(size)}
