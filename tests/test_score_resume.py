"""Runs of `inspector score` that were interrupted or failed, and what is judged again."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from score_runs import INSPECTOR, ROWS, digit_folder, environment, error_of, read, score, write

from inspector_plugin.judging.score_file import ROWS_PER_CHUNK
from inspector_plugin.schema import ROSCOE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with digit_folder(tmp_path, monkeypatch):
        yield tmp_path


@pytest.mark.parametrize("cache", [(), ("--no-cache",)])
def test_what_failed_for_a_transient_reason_is_judged_again(
    folder: Path, cache: tuple[str, ...]
) -> None:
    Path("no connection").touch()
    assert score("--criteria", "fluency,logicality", "--limit", "70", *cache) == 0
    scores = {row["id"]: row["judgements"]["digit"]["scores"]["fluency"] for row in read()}
    failed = [number for number, each in scores.items() if each["score"] is None]
    assert failed == [n for n in range(70) if n % 10 in (1, 3)]
    assert scores[1] == {
        "score": None,
        "label": None,
        "reason": "no connection",
        "scale": [1, 2, 3, 4, 5],
        "fingerprint": ROSCOE[3].fingerprint,
        "transient": True,
    }
    Path("no connection").unlink()
    assert score("--criteria", "fluency,logicality", *cache) == 0
    resumed = read()
    assert score("--criteria", "fluency,logicality", *cache, out="whole.jsonl") == 0
    whole = read("whole.jsonl")
    calls = [row["judgements"]["digit"].pop("usage")["calls"] for row in resumed]
    assert calls[:70] == [2 if n in failed else 1 for n in range(70)]
    for row in whole:
        del row["judgements"]["digit"]["usage"]
    assert resumed == whole


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_an_interrupted_run_resumes(folder: Path, cut: int) -> None:
    assert score() == 0
    whole = Path("out.jsonl").read_bytes()
    Path("out.jsonl").write_bytes(whole[: len(whole) * 2 // 3 - cut])
    assert score() == 0
    assert Path("out.jsonl").read_bytes() == whole


def test_a_finished_part_is_not_judged_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score("--limit", "7") == 0
    first = Path("out.jsonl").read_bytes()
    monkeypatch.setenv("DELAY", "not a number")  # judging anything would fail
    assert score("--limit", "7", "--summary", "summary.json") == 0
    assert Path("out.jsonl").read_bytes() == first
    counted = json.loads(Path("summary.json").read_text())["judges"]["digit"]
    assert counted["overall"]["scored"] == 35
    monkeypatch.setenv("DELAY", "0")
    assert score() == 0
    assert len(read()) == len(ROWS)
    assert "more than the 7 rows asked for" in error_of(capsys, "--limit", "7")


@pytest.mark.usefixtures("folder")
def test_another_run_is_not_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert score("--limit", "2") == 0
    assert "another run (other criteria in" in error_of(capsys, "--criteria", "fluency")
    assert "(other judges in" in error_of(capsys, "--judge", "digit:device=x")
    write("in.jsonl", ROWS[:9])
    assert "(other input_sha256 in" in error_of(capsys)
    assert score("--overwrite") == 0
    assert len(read()) == 9


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("out.jsonl.run.json", None, "no out.jsonl.run.json says what made it"),
        ("out.jsonl.run.json", "{", "Cannot read out.jsonl.run.json"),
        ("out.jsonl", '{"judgements": {"digit": 3}}\n', "line 1: not a line that this run wrote"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_outputs_that_were_tampered_with(
    capsys: pytest.CaptureFixture[str], file: str, content: str | None, message: str
) -> None:
    assert score("--limit", "2") == 0
    if content is None:
        Path(file).unlink()
    else:
        Path(file).write_text(content)
    before = Path("out.jsonl").read_bytes()
    assert message in error_of(capsys, "--limit", "2")
    assert Path("out.jsonl").read_bytes() == before


def test_ctrl_c_loses_at_most_a_chunk(folder: Path) -> None:
    command = [*INSPECTOR, "score", "in.jsonl", "--judge", "digit", "--out", "out.jsonl"]
    run = subprocess.Popen(
        command, env=environment(folder, DELAY="0.05"), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    out = Path("out.jsonl")
    # There is a moment in which the file is there and holds nothing yet.
    while not (out.exists() and out.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    done = len(read())
    assert 0 < done < len(ROWS)
    assert score() == 0
    assert score(out="whole.jsonl") == 0
    assert Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


def test_what_was_judged_before_a_failure_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(ROWS)
    rows[ROWS_PER_CHUNK + 1] = rows[ROWS_PER_CHUNK + 1] | {"prediction": "²"}  # int() raises
    write("in.jsonl", rows)
    assert score() == 1
    error = capsys.readouterr().err
    assert "Judge 'digit' failed in judge(): ValueError: invalid literal" in error
    assert len(read()) == ROWS_PER_CHUNK
