"""Problems to tune a generator of rubrics on, and rubrics that are drawn for them."""

from __future__ import annotations

from typing import Any

import pytest

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.rubrics import sampling
from inspector_plugin.rubrics.sampling import Draw
from inspector_plugin.schema import JudgeRequest

# Whoever goes by the first prefers the response with "jars"; by the second, the other one.
RIGHT = "- The response counts jars.\n- The response says it."
WRONG = "- The response counts rows.\n- The response says it."
PROSE = "A good response is good."


def problem(number: int, labels: tuple[float | None, ...] = (1, 0)) -> LabelledProblem:
    question = f"Question number {number}?"
    texts = ("29 jars are left.", "36 rows are left.", "29 jars of 36 rows are left.")
    return LabelledProblem(
        problem_identity(question), str(number), question, texts[: len(labels)], labels
    )


def rule(request: JudgeRequest, key: str) -> float:
    wanted = "jars" if "jars" in request.criteria[0].items[0].text else "rows"
    other = {"jars": "rows", "rows": "jars"}[wanted]
    return 1 + 2 * (wanted in request.response) + 2 * (other not in request.response)


# What is drawn for each problem: one that is learnt from, one with a single rubric, one with no
# difference.
DRAWN = {
    "0": [RIGHT, WRONG, PROSE],
    "1": [PROSE, RIGHT, PROSE],
    "2": [RIGHT, RIGHT + " ", RIGHT],
    "3": [WRONG, RIGHT, WRONG],
}


def draw_written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Draw what is written above; return the problems at which batches began."""
    batches: list[int] = []

    def draw(language_model: Any, prompts: Any, how: Draw, first: int) -> list[list[str]]:
        batches.append(first)
        return [DRAWN[str(first + place)] for place in range(len(prompts))]

    monkeypatch.setattr(sampling, "_draw", draw)
    return batches
