"""Runs of `inspector score` with a plugin's judge that scores by a digit."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_plugin import plugin_folder, write_plugin

from inspector_plugin.cli.main import main
from inspector_plugin.judging.score_file import ROWS_PER_CHUNK

# Scores by the digit that the response ends with; DELAY makes it slow enough to interrupt. It is
# written for version 0.1 of this package.
DIGIT = r"""
import os, time
from pathlib import Path
from inspector_plugin.schema import Usage

class Digit(Judge):
    def judge(self, requests):
        time.sleep(float(os.environ.get("DELAY", 0)) * len(requests))
        return [
            Judgement({key: self.score(r.response) for key in r.aspects}, Usage(calls=1))
            for r in requests
        ]
    def score(self, response):
        digit = response[-1:]
        if digit in "13" and Path("no connection").exists():
            return AspectScore(None, reason="no connection", flags=("passing",))
        if not digit.isdigit():
            return unscored("\x1b[31mno digit in [red]" + response)
        label = min(max(int(digit), 1), 5)
        return AspectScore(float(label), label, {k: float(k == label) for k in range(1, 6)})

@hookimpl
def register_judges(register):
    register(Backend("digit", "the last digit", make, (
        Option("device", ""), Option("batch_size", "", default="auto", choices=("auto", "7")),
    )))

def make(device, batch_size):
    return Digit()
"""
ROWS = [
    {"id": n, "question": f"What is {n}?", "prediction": f"It is {n}", "extra": [n, "π\u2028"]}
    for n in range(3 * ROWS_PER_CHUNK + 5)
]


# A shell's background job ignores SIGINT, and so would its children.
START = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from inspector_plugin.cli.main import main; sys.exit(main())"
)
INSPECTOR = (sys.executable, "-c", START)


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """The environment of a process that has the judge `digit`."""
    root = str(Path(__file__).parent.parent)
    return os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{root}"} | variables


@contextmanager
def digit_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Go to a folder that holds rows and an installed plugin with the judge `digit`."""
    write_plugin(folder, "digit-judge", DIGIT)
    monkeypatch.chdir(folder)
    write("in.jsonl", ROWS)
    with plugin_folder(folder):
        yield


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read(path: str = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().split("\n")[:-1]]


def score(
    *arguments: str, file: str = "in.jsonl", out: str = "out.jsonl", summary: str | None = None
) -> int:
    judge = () if "--judge" in arguments else ("--judge", "digit")
    more = () if summary is None else ("--summary", summary)
    return main(["score", file, "--out", out, *judge, *arguments, *more])


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str, **files: str) -> str:
    capsys.readouterr()
    assert score(*arguments, **files) == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1, "an error is one line"
    assert printed.err.startswith("inspector score: error: ")
    return printed.err
