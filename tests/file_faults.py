"""A folder with rows, their scores and a judge of them, for tests that damage its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inspector_plugin.cli.main import main
from inspector_plugin.data.requests import RequestRow
from inspector_plugin.judging.score_file import score_to_file
from inspector_plugin.schema import Judgement
from inspector_plugin.testing import ScriptedJudge

ROWS = [
    {"id": n, "question": f"What is {n}?", "response": f"It is {n}", "usage": {"own": [n]}}
    for n in range(6)
]
MADE_BY = {"input": "x"}


class Described(ScriptedJudge):
    """A scripted judge that can be told apart, and so is cached."""

    def describe(self) -> dict[str, Any]:
        return {"name": "described"}


def by_number() -> Described:
    return Described(lambda request, key: float(1 + int(request.response[-1]) % 5))


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder that holds rows to judge and a file of their scores."""
    monkeypatch.chdir(folder)
    write("in.jsonl", ROWS)
    reference = [{**row, "criterion": "fluency", "score": 1 + n % 5} for n, row in enumerate(ROWS)]
    write("scores.jsonl", reference)
    return folder


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def score(*more: str, out: str = "out.jsonl", judge: str = "recorded:path=scores.jsonl") -> int:
    arguments = ["score", "in.jsonl", "--judge", judge, "--criteria", "fluency", "--out", out]
    return main([*arguments, *more])


def refused(capsys: pytest.CaptureFixture[str], status: int) -> str:
    """The one line that a refused command has printed."""
    error = capsys.readouterr().err
    assert status == 1
    assert error.count("\n") == 1
    assert "Traceback" not in error
    return error


def judged_by_mine(rows: list[RequestRow], judge: ScriptedJudge, out: Path) -> list[Judgement]:
    """Judge rows into a file, and return the judgements in the order they are handed over."""
    judged: list[Judgement] = []
    score_to_file(
        rows, {"mine": judge}, out, MADE_BY, on_row=lambda _, each: judged.append(each["mine"])
    )
    return judged
