"""Outputs that are shared, changed, or the file that is read: one line, and nothing is lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from file_faults import MADE_BY, ROWS, by_number, enter, judged_by_mine, refused, score

from inspector_plugin.cli.main import main
from inspector_plugin.data import files
from inspector_plugin.data.requests import read_requests
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.judging.score_file import score_to_file


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter(tmp_path, monkeypatch)


# --- one process at a time -----------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from inspector_plugin.data.files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def holder(out: str) -> subprocess.Popen[str]:
    """Start a process that writes an output, and wait until it holds the lock."""
    root = str(Path(files.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, out],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.mark.parametrize(
    "command",
    [
        ["score", "in.jsonl", "--judge", "recorded:path=scores.jsonl", "--criteria", "fluency"],
        ["label", "in.jsonl", "--judge", "recorded:path=scores.jsonl", "--criteria", "fluency"],
        ["balance", "scores.jsonl"],
        ["collect", "--dataset", "gsm8k", "--model", "dummy", "--limit", "1"],
    ],
    ids=lambda command: command[0],
)
def test_a_second_process_is_refused_and_a_killed_one_does_not_block(
    command: list[str], capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    os.symlink(folder, "link")
    process = holder("link/out.jsonl")
    try:
        error = refused(capsys, main([*command, "--out", "out.jsonl"]))
        assert "out.jsonl is being written by another process" in error
        assert not Path("out.jsonl").exists()
    finally:
        process.kill()
        process.wait()
    if command[0] != "collect":
        assert main([*command, "--out", "out.jsonl"]) == 0
        assert not list(Path().glob(".*.lock")), "no lock is left behind"


# --- an output that was changed is found, never misjoined ----------------------------------------


def drop(lines: list[str]) -> list[str]:
    return lines[:1] + lines[2:]


def swap(lines: list[str]) -> list[str]:
    return [lines[1], lines[0], *lines[2:]]


def repeat(lines: list[str]) -> list[str]:
    return [lines[0], lines[0], *lines[2:]]


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[list[str]], list[str]]:
    def edited(lines: list[str]) -> list[str]:
        row = json.loads(lines[2])
        change(row)
        return [*lines[:2], json.dumps(row) + "\n", *lines[3:]]

    return edited


def fluency(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = row["judgements"]["mine"]["scores"]["fluency"]
    return found


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (drop, 2),
        (swap, 1),
        (repeat, 2),
        (lambda lines: [lines[0], "\n", *lines[1:]], 3),
        (edit(lambda row: row.update(response="It is 9")), 3),
        (edit(lambda row: row.update(usage=1)), 3),
        (edit(lambda row: row.pop("usage")), 3),
        (edit(lambda row: row.update(more=1)), 3),
        (edit(lambda row: fluency(row).update(fingerprint="0" * 16)), 3),
        (edit(lambda row: fluency(row).update(scale=[0, 1, 2], score=1, label=1)), 3),
        (edit(lambda row: fluency(row).update(score=7)), 3),
        (edit(lambda row: fluency(row).update(score=10**400)), 3),
        (edit(lambda row: fluency(row).update(explanation=7)), 3),
        (edit(lambda row: row["judgements"]["mine"].update(usage={"calls": "many"})), 3),
        (edit(lambda row: row["judgements"]["mine"]["scores"].pop("fluency")), 3),
        (edit(lambda row: row["judgements"].update(other={})), 3),
    ],
)
def test_an_output_whose_lines_were_changed_is_not_resumed(
    damage: Callable[[list[str]], list[str]], line: int
) -> None:
    rows, out = read_requests("in.jsonl"), Path("out.jsonl")
    score_to_file(rows[:5], {"mine": by_number()}, out, MADE_BY)
    out.write_text("".join(damage(out.read_text().splitlines(keepends=True))))
    before = out.read_bytes()
    judge = by_number()
    with pytest.raises(DataError, match=rf"out.jsonl, line {line}: not a line that this run wrote"):
        score_to_file(rows, {"mine": judge}, out, MADE_BY)
    assert judge.calls == []
    assert out.read_bytes() == before


def test_an_output_that_only_lacks_its_end_is_resumed() -> None:
    rows, out = read_requests("in.jsonl"), Path("out.jsonl")
    score_to_file(rows, {"mine": by_number()}, out, MADE_BY)
    whole = out.read_bytes()
    out.write_bytes(whole[: len(whole) // 2])
    judged = judged_by_mine(rows, by_number(), out)
    assert out.read_bytes() == whole
    assert [each.scores["fluency"].score for each in judged] == [1, 2, 3, 4, 5, 1]
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["usage"] for row in written] == [row["usage"] for row in ROWS]


# --- no output replaces what is read -------------------------------------------------------------


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


@pytest.mark.parametrize("how", ["plain", "link", "hard link", "other spelling"])
@pytest.mark.parametrize("file", ["in.jsonl", "scores.jsonl", "mine.yaml"])
@pytest.mark.parametrize("flag", ["--out", "--summary"])
def test_no_output_replaces_an_input(
    file: str, how: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["criteria", "show", "fluency", "--format", "yaml"]) == 0
    Path("mine.yaml").write_text(capsys.readouterr().out)
    name = {"plain": file, "other spelling": f"../{Path.cwd().name}/{file}"}.get(how, "alias")
    if how == "link":
        os.symlink(file, name)
    elif how == "hard link":
        os.link(file, name)
    before = contents()
    arguments = ["score", "in.jsonl", "--judge", "recorded:path=scores.jsonl", "--overwrite"]
    arguments += ["--criteria", "mine.yaml", flag, name]
    assert "the input itself" in refused(capsys, main(arguments))
    assert contents() == before


@pytest.mark.parametrize("command", ["score", "label", "balance"])
def test_what_is_written_beside_an_output_replaces_no_input(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.rename("scores.jsonl", "out.jsonl.run.json")
    before = contents()
    arguments = [command, "out.jsonl.run.json", "--out", "out.jsonl", "--criteria", "fluency"]
    if command != "balance":
        arguments += ["--judge", "recorded:path=out.jsonl.run.json"]
    assert "the input itself" in refused(capsys, main([*arguments, "--overwrite"]))
    assert contents() == before


def test_a_summary_does_not_replace_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    for summary in ("out.jsonl", "out.jsonl.run.json"):
        assert "the input itself" in refused(capsys, score("--summary", summary))


@pytest.mark.parametrize("command", ["score", "label", "balance", "collect"])
@pytest.mark.parametrize("out", ["socket", "pipe", "folder", "loop"])
def test_an_output_is_an_ordinary_file(
    command: str, out: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    os.mkfifo("pipe")
    Path("folder").mkdir()
    os.symlink("loop", "loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    arguments = {
        "balance": ["scores.jsonl"],
        "collect": ["--dataset", "gsm8k"],
    }.get(command, ["in.jsonl", "--judge", "recorded:path=scores.jsonl"])
    error = refused(capsys, main([command, *arguments, "--out", out, "--overwrite"]))
    assert "is not an ordinary file" in error
    assert sorted(path.name for path in folder.glob("*.json")) == []


def test_a_device_is_no_output() -> None:
    """Only asked, never tried: who may write there would replace the device by a file."""
    for name in ("/dev/null", "/dev/full"):
        with pytest.raises(OptionError, match="is not an ordinary file"):
            files.require_output(Path(name), "--out", [])
        with pytest.raises(OSError, match="not an ordinary file"):
            files.require_ordinary(Path(name))


def test_a_library_call_replaces_no_pipe() -> None:
    os.mkfifo("pipe")
    with pytest.raises(DataError, match="not an ordinary file"):
        score_to_file(read_requests("in.jsonl"), {"mine": by_number()}, Path("pipe"), {})
    assert Path("pipe").is_fifo()


def test_a_link_is_written_through(folder: Path) -> None:
    Path("elsewhere").mkdir()
    os.symlink("elsewhere/real.jsonl", "out.jsonl")
    assert score() == score() == 0
    assert Path("out.jsonl").is_symlink()
    assert len(Path("elsewhere/real.jsonl").read_text().splitlines()) == len(ROWS)


def test_balance_refuses_the_output_of_another_run(capsys: pytest.CaptureFixture[str]) -> None:
    balance = ["balance", "scores.jsonl", "--out", "kept.jsonl"]
    assert main(balance) == main(balance) == 0
    kept = Path("kept.jsonl").read_bytes()
    capsys.readouterr()
    assert "other seed" in refused(capsys, main([*balance, "--seed", "1"]))
    assert Path("kept.jsonl").read_bytes() == kept
    assert main([*balance, "--seed", "1", "--overwrite"]) == 0


def test_collect_generates_only_what_is_not_there(
    monkeypatch: pytest.MonkeyPatch, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from inspector_plugin.cli import collect

    sample = {"doc_id": 0, "doc": {"question": "1+1?"}, "resps": [["2"]]}
    asked = []
    monkeypatch.setattr(
        collect, "_generate", lambda options: asked.append(1) or {"gsm8k_inspector": [sample]}
    )
    command = ["collect", "--dataset", "gsm8k", "--data", str(data), "--out", "c.jsonl"]
    assert main(command) == main(command) == 0
    assert len(asked) == 1
    assert json.loads(Path("c.jsonl").read_text())["response"] == "2"
    capsys.readouterr()
    assert "other seed" in refused(capsys, main([*command, "--seed", "3"]))
    train = data / "gsm8k" / "train.jsonl"
    command[-1] = str(train)
    before = train.read_bytes()
    assert "the input itself" in refused(capsys, main([*command, "--overwrite"]))
    assert train.read_bytes() == before
