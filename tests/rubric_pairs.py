"""Pairs of responses of which a rubric prefers one, and a judge that follows a rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inspector_plugin.schema import Criterion, JudgeRequest
from inspector_plugin.schema.rubrics import RubricItem
from inspector_plugin.testing import ScriptedJudge

GOOD, BAD = "It names a source.", "It names nothing."
SOURCE = Criterion("rubric", items=(RubricItem("source", "The response names a source."),))
# Better response, worse response, part.
PAIRS = (
    (GOOD + " A", BAD + " A", "natural"),
    (GOOD + " B", GOOD + " B and more", "natural"),
    (BAD + " C", GOOD + " C", "neighbor"),
    (GOOD + " D", BAD + " D", "manual"),
)


class RubricJudge(ScriptedJudge):
    """Scores responses by a rubric as it is told, whatever the items."""

    rubric_form = "scripted"


def pair_rows() -> list[dict[str, Any]]:
    rows = []
    for number, (better, worse, part) in enumerate(PAIRS):
        preferred = number % 2
        responses = [worse, better] if preferred else [better, worse]
        rows.append(
            {
                "id": f"p{number}",
                "subset": part,
                "question": f"Question number {number}?",
                "responses": responses,
                "preferred": preferred,
            }
        )
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rule(request: JudgeRequest, key: str) -> float:
    """No rubric: all alike. A preference: for the first where it names a source. Else: 5 or 1."""
    if key == "overall_quality":
        return 3
    if key == "preference":
        first = request.response.partition("[end of response 1")[0]
        return 1 if "a source" in first else 2
    return 5 if "a source" in request.response else 1
