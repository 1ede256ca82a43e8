"""A rubric of three items, and a server that answers about them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from chat_server import Answer

from inspector_plugin.data.problems import problem_identity
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import (
    Criterion,
    CriterionScore,
    JudgeRequest,
    RubricFile,
    RubricInstance,
    RubricItem,
)

ITEMS = (
    RubricItem("shown", "The steps are shown.", weight=2),
    RubricItem("tone", "The tone is warm.", "principle", anchors={1: "cold", 5: "warm"}),
    RubricItem("slip", "A sum is wrong.", "pitfall"),
)
RUBRIC = Criterion("rubric", items=ITEMS)
REQUEST = JudgeRequest("How many jars?", "4 * 9 = 36", (RUBRIC,))
STATEMENT = re.compile(r"=== statement (\w+)\n(.*?)\n=== end of statement \1", re.DOTALL)
# What the tests' server thinks of each statement.
ANSWERS: dict[str, Any] = {
    "The steps are shown.": "yes",
    "A sum is wrong.": "no",
    "It counts q1": "yes",
}


def statements(body: dict[str, Any]) -> list[str]:
    return [text for _, text in STATEMENT.findall(body["messages"][1]["content"])]


def answer_to(statement: str) -> Any:
    return 4 if statement.startswith("The tone") else ANSWERS.get(statement, "no")


def replying(body: dict[str, Any], number: int = 0) -> Answer:
    """Answer a call about one statement, or about several by their keys."""
    found = statements(body)
    said = [{"answer": answer_to(each), "justification": f"on {each[:9]}"} for each in found]
    keys = re.findall(r'with the key "(\w+)"', body["messages"][1]["content"])
    return Answer(json.dumps(dict(zip(keys, said, strict=True)) if keys else said[0]))


def rubric_path(folder: Path, criterion: Criterion = RUBRIC) -> Path:
    path = folder / "rubric.json"
    path.write_text(RubricFile("mine", criterion).text(".json"), encoding="utf-8")
    return path


def scored(judge: Judge, request: JudgeRequest = REQUEST, **options: Any) -> CriterionScore:
    return judge_all(judge, [request], progress=False, **options)[0].scores["rubric"]


def many(*questions: str) -> Criterion:
    instances = [
        RubricInstance(problem_identity(each), (RubricItem("own", f"It counts {each}"), ITEMS[2]))
        for each in questions
    ]
    return Criterion("rubric", instances=tuple(instances))
