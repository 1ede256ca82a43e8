"""Tasks of one's own: any generate_until task of lm_eval, judged by a few lines of YAML."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import yaml
from conftest import UseJudges
from harness_runs import Parrot, scripted
from lm_eval.tasks import TaskManager
from tiny_probes import write_pack

from inspector_plugin.errors import InspectorError
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.schema import ROSCOE, Criterion, JudgeRequest
from inspector_plugin.testing import OTHER_CRITERIA

DOCS = Path(__file__).resolve().parents[1] / "docs" / "own-tasks.md"
CLASS = "class: !function inspector_plugin.harness.task.JudgedTask\n"
PROBLEMS = [
    {
        "body": f"A jar holds {n + 3} pears. {n} are eaten.",
        "question": "How many pears are left?",
        "answer": "3 (pears)",
    }
    for n in range(5)
]
QUESTIONS = [f"{row['body']} {row['question']}" for row in PROBLEMS]
# A whole task, with a data set, prompts and a metric of its own.
WHOLE = """
output_type: generate_until
test_split: train
doc_to_text: "Work it out. {{body}} {{question}}"
doc_to_target: "3"
generation_kwargs: {until: ["\\n\\n"]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
"""
TEMPLATE = 'question: "{{body}} {{question}}"\n'
TASKS = {
    "by_name": "base: asdiv_cot_llama\ndataset: gsm8k\ncriteria: fluency\n" + TEMPLATE,
    "by_path": "base: asdiv/asdiv-cot-llama.yaml\ndataset: mine\nquestion: question\n",
    "whole": WHOLE + "dataset: mine\ncriteria: [mine.yaml, logicality]\n" + TEMPLATE,
    "on_probes": WHOLE + "dataset: mine\ncriteria: mine.yaml\n" + TEMPLATE,
    "without_probes": WHOLE + "dataset: theirs\ncriteria: mine.yaml\n" + TEMPLATE,
    # What cannot be used.
    "unknown_base": "base: asdiv_cot_lama\nquestion: question\n",
    "unknown_path": "base: asdiv/none.yaml\nquestion: question\n",
    "choices": "base: arc_easy\nquestion: question\n",
    "group": "base: mmlu\nquestion: question\n",
    "python": "base: squad_completion\nquestion: question\n",
    "no_question": "base: asdiv_cot_llama\ndataset: gsm8k\n",
    "no_field": "base: asdiv_cot_llama\nquestion: problem\n",
    "no_template_field": 'base: asdiv_cot_llama\nquestion: "{{body}} {{problem}}"\n',
    "no_template": 'base: asdiv_cot_llama\nquestion: "{{body"\n',
    "list_question": "base: asdiv_cot_llama\nquestion: [body]\n",
    "taken_key": WHOLE + TEMPLATE + "criteria: taken.yaml\n",
    "no_criteria": WHOLE + TEMPLATE + "criteria: their.yaml\n",
    "bad_criteria": WHOLE + TEMPLATE + "criteria: {care: 1}\n",
    "bad_benchmark": WHOLE + "benchmark: gsm8\n",
    "no_data": WHOLE.replace("test_split", "dataset_path: json\ntest_split") + TEMPLATE,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tasks as a user has it, whose data set is a file in it."""
    folder = tmp_path_factory.mktemp("tasks")
    data = folder / "problems.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in PROBLEMS), encoding="utf-8")
    for name, text in TASKS.items():
        own_data = "" if name == "no_data" else local_data(data, name)
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{CLASS}{own_data}{text}", "utf-8")
    gone = "dataset_kwargs: {data_files: gone.jsonl}\n"
    with (folder / "no_data.yaml").open("a", encoding="utf-8") as file:
        file.write(gone)
    (folder / "beside.yaml").write_text(
        f"task: beside\n{CLASS}base: parts/part.yaml\nquestion: question\n", encoding="utf-8"
    )
    (folder / "parts").mkdir()
    part = f"{local_data(data, 'whole')}{WHOLE}"
    (folder / "parts" / "part.yaml").write_text(part, encoding="utf-8")
    write_criteria(folder / "mine.yaml", OTHER_CRITERIA)
    write_criteria(folder / "taken.yaml", [Criterion("exact_match", definition="It matches.")])
    return folder


def local_data(path: Path, name: str) -> str:
    """Take a data set from a file: under the splits that the task, or its base, reads."""
    split = "train" if "test_split: train" in TASKS[name] else "validation"
    files = json.dumps({split: str(path)})
    return f"dataset_path: json\ndataset_kwargs: {{data_files: {files}}}\n"


def write_criteria(path: Path, criteria: Any) -> None:
    rows = [{**criterion.to_json(), "anchors": dict(criterion.anchors)} for criterion in criteria]
    content = {"format_version": 1, "name": path.stem, "criteria": rows}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture(scope="module")
def tasks(folder: Path) -> TaskManager:
    """Know lm_eval's tasks, ours by the hook that is installed, and the user's."""
    found = TaskManager(include_path=str(folder))
    assert {"gsm8k_inspector", "gsm8k", "by_name"} <= set(found.all_tasks)
    return found


def judged(tasks: TaskManager, name: str, *answers: str, **options: Any) -> dict[str, Any]:
    given = {"num_fewshot": 0, "bootstrap_iters": 0, **options}
    run = lm_eval.simple_evaluate(model=Parrot(*answers), tasks=[name], task_manager=tasks, **given)
    assert run is not None
    return dict(run)


@pytest.fixture
def asked(use_judges: UseJudges) -> list[JudgeRequest]:
    """What the judge `inspector` is asked; it scores the length of a response."""
    requests: list[JudgeRequest] = []

    def script(request: JudgeRequest, key: str) -> int:
        if key == request.keys[0]:
            requests.append(request)
        return 1 if key == "answered" else min(len(request.response), 5)

    use_judges(inspector=scripted(script, scale=None))
    return requests


def test_a_task_of_lm_eval_by_its_name(tasks: TaskManager, asked: list[JudgeRequest]) -> None:
    run = judged(tasks, "by_name", "The final answer is 3", "no", "oh", num_fewshot=1)
    assert [request.question for request in asked] == QUESTIONS
    assert {(request.keys, request.dataset) for request in asked} == {(("fluency",), "gsm8k")}
    assert [request.id for request in asked] == [f"by_name/{n}" for n in range(5)]
    # Prompts and metrics are those of the base.
    first = run["samples"]["by_name"][0]["arguments"][0][0]
    assert "There are 15 trees in the grove." in first
    assert first.count("reason and give a final answer") == 2
    row = run["results"]["by_name"]
    assert row["exact_match,strict-match"] == 2 / 5
    assert row["fluency,inspector"] == (5 + 2 + 2 + 5 + 2) / 5
    assert row["coverage,inspector"] == 1


def test_a_task_of_lm_eval_by_its_path(tasks: TaskManager, asked: list[JudgeRequest]) -> None:
    run = judged(tasks, "by_path", "3", "no", limit=2)
    assert [request.question for request in asked] == [PROBLEMS[0]["question"]] * 2
    assert {(request.criteria, request.dataset) for request in asked} == {(ROSCOE, "mine")}
    assert run["results"]["by_path"]["factuality,inspector"] == (1 + 2) / 2


def test_a_whole_task_of_ones_own(tasks: TaskManager, asked: list[JudgeRequest]) -> None:
    run = judged(tasks, "whole", "seven of them", "3")
    assert {request.keys for request in asked} == {("care", "answered", "logicality")}
    assert asked[0].criteria == (*OTHER_CRITERIA, ROSCOE[1])
    assert asked[0].question == QUESTIONS[0]
    assert asked[0].dataset == "mine"
    config = run["configs"]["whole"]
    assert config["metadata"]["inspector"]["dataset"] == "mine"
    assert [row["key"] for row in config["metadata"]["inspector"]["criteria"]] == [
        *("care", "answered", "logicality")
    ]
    row = run["results"]["whole"]
    assert row["exact_match,none"] == 2 / 5
    # Scales differ, so that there are no totals.
    assert "total,inspector" not in row
    assert "total" not in config["scores"]["inspector"]
    assert config["scores"]["inspector"]["criteria"]["care"]["scale"] == [1, 7]


def test_a_base_beside_the_file(tasks: TaskManager, asked: list[JudgeRequest]) -> None:
    run = judged(tasks, "beside", "3", limit=3)
    assert [request.question for request in asked] == ["How many pears are left?"] * 3
    assert {request.dataset for request in asked} == {None}
    assert run["samples"]["beside"][0]["arguments"][0][0].startswith("Work it out. A jar holds 3")
    assert run["results"]["beside"]["exact_match,none"] == 1


def test_the_data_set_says_whose_probes_judge(
    tasks: TaskManager, folder: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    root = tmp_path / "probes"
    language_model = load_language_model(str(tiny_lm), "cpu")
    write_pack(root, language_model, "multiclass", "mine", criteria=OTHER_CRITERIA)
    spec = f"inspector:model={tiny_lm},probes={root},device=cpu"
    own = TaskManager(
        include_path=str(folder), include_defaults=False, metadata={"judge": spec, "cache": False}
    )
    run = judged(own, "on_probes", "3 pears are left.", "Pears.")
    row = run["results"]["on_probes"]
    assert row["coverage,inspector"] == 1
    assert 1 <= row["care,inspector"] <= 7
    assert 0 <= row["answered,inspector"] <= 1
    run = judged(own, "without_probes", "3 pears are left.", limit=2)
    assert run["results"]["without_probes"]["coverage,inspector"] == 0
    overall = run["configs"]["without_probes"]["scores"]["inspector"]["overall"]
    ((reason, count),) = overall["unscored"].items()
    assert reason.startswith("there are no probes for the data set 'theirs', only for mine;")
    assert count == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unknown_base", r"no task 'asdiv_cot_lama'; .* Did you mean 'asdiv_cot_llama'\?"),
        ("unknown_path", "there is no asdiv/none.yaml, neither beside the task's YAML file nor in"),
        ("choices", "'choices' has output_type multiple_choice, so there is no response to judge"),
        ("group", "'mmlu' is not a single task; name one of its tasks"),
        ("python", "squad_completion is made by Python code"),
        ("no_question", "'no_question' does not say what its problem is: give question:"),
        ("no_field", "no field 'problem'. A document has the fields answer, body, question"),
        ("no_template_field", "'problem' is undefined. A document has the fields answer, body"),
        ("no_template", "is not a Jinja template"),
        ("list_question", r"question must be text, not \['body'\]"),
        (
            "taken_key",
            "taken_key has a metric 'exact_match' of its own; give the criterion",
        ),
        ("no_criteria", "There is no criteria file their.yaml"),
        ("bad_criteria", "criteria: must be a text or a list of texts, not {'care': 1}"),
        ("bad_benchmark", "Unknown benchmark 'gsm8'; choose from: gpqa, gsm8k, math"),
        ("no_data", "Cannot load the data set json .*gone.jsonl"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    tasks: TaskManager, use_judges: UseJudges, name: str, message: str
) -> None:
    use_judges(inspector=scripted(lambda request, key: 1))
    with pytest.raises(InspectorError, match=message) as error:
        tasks.load([name])
    assert "\n" not in str(error.value)


def test_a_benchmark_with_another_data_set(folder: Path, use_judges: UseJudges) -> None:
    """The probes of another data set may judge; the question is that of the benchmark."""
    use_judges(inspector=scripted(lambda request, key: 1))
    files = json.dumps({"test": str(folder / "problems.jsonl")})
    text = f"dataset_path: json\ndataset_kwargs: {{data_files: {files}}}\n"
    text += "benchmark: gsm8k\ndataset: mine\n" + WHOLE.replace("train", "test")
    task = folder / "another" / "another.yaml"
    task.parent.mkdir()
    task.write_text(f"task: another\n{CLASS}{text}", encoding="utf-8")
    own = TaskManager(include_path=str(task.parent), include_defaults=False)
    config = own.load(["another"])["tasks"]["another"].dump_config()
    assert config["metadata"]["inspector"]["dataset"] == "mine"


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    """The YAML and the command of docs/own-tasks.md, with a local data set and a quick model."""
    text = DOCS.read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(task: .*?)```", text, re.DOTALL)
    (command,) = re.findall(r"```sh\n(lm_eval .*?)```", text, re.DOTALL)
    name = yaml.safe_load(example.replace("!function", ""))["task"]
    data = tmp_path / "problems.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in PROBLEMS), encoding="utf-8")
    folder = tmp_path / "my_tasks"
    folder.mkdir()
    own_data = f"dataset_path: json\ndataset_kwargs: {{data_files: {{validation: {data}}}}}\n"
    (folder / f"{name}.yaml").write_text(example + own_data, encoding="utf-8")
    stored = [
        {"question": question, "response": "lol", "criterion": criterion.key, "score": n + 1}
        for question in QUESTIONS
        for n, criterion in enumerate(ROSCOE)
    ]
    (tmp_path / "stored.jsonl").write_text("".join(json.dumps(row) + "\n" for row in stored))
    arguments = shlex.split(command.replace("\\\n", " "))
    replaced = {"hf": "dummy", "pretrained=MODEL": "", "my_tasks": str(folder)}
    arguments = [replaced.get(argument, argument) for argument in arguments]
    place = arguments.index("--metadata") + 1
    arguments[place] = json.dumps(
        {**json.loads(arguments[place]), "judge": f"recorded:path={tmp_path / 'stored.jsonl'}"}
    )
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    table = [line.split() for line in done.stdout.splitlines()]
    assert ["total", "5-25", "15.00", "0.00", "5/5"] in table
    for n, criterion in enumerate(ROSCOE):
        assert [criterion.key, "1-5", f"{n + 1}.00", "0.00", "5/5"] in table
