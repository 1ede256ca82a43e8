"""`inspector score`: judging a file of rows, from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_plugin import plugin_folder, write_plugin

from inspector_plugin.cli.main import main
from inspector_plugin.judging.score_file import ROWS_PER_CHUNK
from inspector_plugin.schema import ROSCOE, ROSCOE_KEYS

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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_plugin(tmp_path, "digit-judge", DIGIT)
    monkeypatch.chdir(tmp_path)
    write("in.jsonl", ROWS)
    with plugin_folder(tmp_path):
        yield tmp_path


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


def test_every_output_line_is_the_input_line_and_its_judgements(folder: Path) -> None:
    assert score("--criteria", "fluency,logicality") == 0
    lines = read()
    assert [{k: v for k, v in line.items() if k != "judgements"} for line in lines] == ROWS
    expected = {
        "score": 3.0,
        "label": 3,
        "scale": [1, 2, 3, 4, 5],
        "probabilities": {"1": 0.0, "2": 0.0, "3": 1.0, "4": 0.0, "5": 0.0},
    }
    usage = lines[3]["judgements"]["digit"].pop("usage")
    assert lines[3]["judgements"] == {
        "digit": {
            "format_version": 2,
            "scores": {
                "logicality": {**expected, "fingerprint": ROSCOE[1].fingerprint},
                "fluency": {**expected, "fingerprint": ROSCOE[3].fingerprint},
            },
        }
    }
    assert usage == {
        "calls": 1,
        "prompt_tokens": 0,
        "cached_prompt_tokens": 0,
        "completion_tokens": 0,
        "seconds": 0.0,
        "money": 0.0,
        "reused": 0,
    }


def test_own_columns_survive_and_a_judged_file_is_read_by_recorded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"usage": {"digit": "mine"}, "scores": 3, "digit": "theirs", "format_version": 9}
    write("in.jsonl", [row | own for row in ROWS[:7]])
    assert score() == 0
    assert [{k: row[k] for k in row if k != "judgements"} for row in read()] == [
        row | own for row in ROWS[:7]
    ]
    again = ("--judge", "recorded:path=out.jsonl", "--reference", "digit")
    assert score(*again, out="again.jsonl", file="out.jsonl", summary="again.json") == 0
    for first, second in zip(read(), read("again.jsonl"), strict=True):
        assert second | {"judgements": 0} == first | {"judgements": 0}
        given = {
            name: {key: each["score"] for key, each in second["judgements"][name]["scores"].items()}
            for name in ("digit", "recorded")
        }
        assert given["recorded"] == given["digit"]
        assert set(given["digit"].values()) == {float(min(max(first["id"], 1), 5))}
    overall = json.loads(Path("again.json").read_text())["judges"]["recorded"]["agreement"]
    assert overall["overall"]["accuracy"]["value"] == 1


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


def test_a_flag_that_no_judge_knows_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = error_of(capsys, "--keep", "layers")
    assert "--keep: none of the judges (digit) has such an option" in error
    assert not Path("out.jsonl").exists()


def test_the_batch_size_reaches_a_judge_as_text(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score("--batch-size", "7", "--limit", "1") == 0
    error = error_of(capsys, "--batch-size", "8", out="other.jsonl")
    assert "'batch_size': '8'" in error


@pytest.mark.parametrize("flag", ["--criterion-field", "--aspect-field"])
def test_criterion_field_judges_one_criterion(folder: Path, flag: str) -> None:
    write("in.jsonl", [row | {"kind": ROSCOE_KEYS[row["id"] % 5]} for row in ROWS])
    assert score(flag, "kind", "--limit", "5") == 0
    judged = [line["judgements"]["digit"]["scores"] for line in read()]
    assert [list(scores) for scores in judged] == [[key] for key in ROSCOE_KEYS]


def test_unscored_rows_are_counted_and_hostile_text_is_not_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("in.jsonl", [*ROWS[:2], ROWS[2] | {"prediction": " "}, ROWS[3] | {"prediction": "x"}])
    assert score("--criteria", "fluency", "--summary", "summary.json") == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "[red]x" in printed
    assert "digit, this run: 3 calls" in printed
    summary = json.loads(Path("summary.json").read_text())
    assert summary["judges"]["digit"]["usage"]["calls"] == 3
    assert summary["judges"]["digit"]["criteria"]["fluency"] == {
        "asked": 4,
        "scored": 2,
        "coverage": 0.5,
        "mean": 1.0,
        "stderr": 0.0,
        "scale": [1, 5],
        "unscored": {"the response is empty": 1, "\x1b[31mno digit in [red]x": 1},
        "flags": {},
        "flagged": 0,
    }
    scores = [line["judgements"]["digit"]["scores"]["fluency"] for line in read()]
    assert [each.get("reason") for each in scores[:3]] == [None, None, "the response is empty"]
    assert [each["score"] for each in scores] == [1.0, 1.0, None, None]


def test_agreement_with_a_reference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = [
        {"question": f"What is {n}?", "response": f"It is {n}", "aspect": "fluency", "score": n}
        for n in range(1, 6)
    ]
    write("stored.jsonl", stored)
    options = ("--reference", "recorded:path=stored.jsonl", "--criteria", "fluency")
    assert score(*options, "--summary", "summary.json") == 0
    printed = capsys.readouterr().out
    assert "Agreement of digit with the reference recorded: labels" in printed
    assert "Agreement of digit with the reference recorded: ranks" in printed
    (ranks,) = [line for line in printed.splitlines() if line.split()[:2] == ["fluency", "5"]]
    assert ranks.split() == ["fluency", "5", *["1.00", "[1.00,", "1.00]"] * 2]
    summary = json.loads(Path("summary.json").read_text())
    assert summary["reference"] == "recorded"
    agreement = summary["judges"]["digit"]["agreement"]["fluency"]
    assert agreement["n"] == 5
    assert agreement["scale"] == [1, 2, 3, 4, 5]
    assert agreement["somers_d"]["value"] == pytest.approx(1)
    assert "agreement" not in summary["judges"]["recorded"]
    assert set(read()[2]["judgements"]) == {"digit", "recorded"}


def test_too_few_pairs_are_not_enough(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("stored.jsonl", [ROWS[1] | {"aspect": "fluency", "score": 1}])
    assert score("--reference", "recorded:path=stored.jsonl", "--criteria", "fluency") == 0
    assert capsys.readouterr().out.count("not enough") == 2 * 5  # fluency and overall


def test_judgements_of_an_earlier_file_are_kept(folder: Path) -> None:
    earlier = {"person": {"fluency": {"score": 2}}, "digit": {"old": True}}
    write("in.jsonl", [ROWS[1] | {"judgements": earlier}])
    assert score("--criteria", "fluency") == 0
    [line] = read()
    assert line["judgements"]["person"] == earlier["person"]
    assert line["judgements"]["digit"]["scores"]["fluency"]["score"] == 1.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not a JSON object"),
        ('{"question": "q"}', "line 2: field 'response' or 'prediction' is missing"),
        ('{"response": "r"}', "line 2: field 'question' is missing"),
        ('{"question": 3, "response": "r"}', "line 2: field 'question' must be text, not int"),
        ('{"question": "q", "response": "r", "dataset": 3}', "field 'dataset' must be text"),
        ('{"question": "q", "response": "r", "judgements": 3}', "'judgements' is not an object"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_bad_rows_are_found_before_judging(
    capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    Path("in.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + line + "\n")
    assert message in error_of(capsys)
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--judge", "digits"), "Did you mean 'digit'?"),
        (("--judge", "digit:size=1"), "Judge 'digit': Unknown option 'size'"),
        (("--judge", "digit", "--judge", "digit"), "Judge 'digit' is given twice"),
        (("--criteria", "fluenzy"), "Unknown criteria 'fluenzy'"),
        (("--aspects", "fluenzy"), "Unknown criteria 'fluenzy'"),
        (("--criteria", "mine.yaml"), "There is no criteria file mine.yaml"),
        (
            ("--criteria", "fluency", "--rubric-field", "kind"),
            "--criteria goes with no --rubric-field",
        ),
        (("--criterion-field", "kind"), "line 1: field 'kind' is missing"),
        (("--criterion-field", "question"), "line 1: Unknown criterion 'What is 0?'"),
        (("--reference", "recorded:path=bad.jsonl"), "line 1: the score must be a number, not nan"),
        (("--out", "in.jsonl"), "is the input itself"),
        (("--out", "out.jsonl.gz"), "plain JSONL"),
        (("--out", "in.jsonl/out.jsonl"), "Cannot write"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_bad_arguments(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    write("bad.jsonl", [ROWS[0] | {"aspect": "fluency", "score": float("nan")}])
    assert message in error_of(capsys, *arguments)
    assert not Path("out.jsonl").exists()


@pytest.mark.usefixtures("folder")
def test_files_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.jsonl").write_text("\n")
    assert "holds no rows" in error_of(capsys, file="empty.jsonl")
    assert "Cannot read" in error_of(capsys, file="absent.jsonl")


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
    while not Path("out.jsonl").exists() and time.monotonic() < deadline:
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


def test_without_out_the_rows_go_to_standard_output(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score("--limit", "70") == 0
    capsys.readouterr()
    assert main(["score", "in.jsonl", "--judge", "digit", "--limit", "70", "--no-cache"]) == 0
    printed = capsys.readouterr()
    assert printed.out == Path("out.jsonl").read_text()
    assert "Scores by digit" in printed.err
    assert "rows written" not in printed.err


def test_a_reader_that_has_seen_enough_causes_no_traceback(folder: Path) -> None:
    run = subprocess.Popen(
        [*INSPECTOR, "score", "in.jsonl", "--judge", "digit", "--no-cache"],
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    run.stdout.close()
    assert run.stderr is not None
    errors = run.stderr.read()
    assert (run.wait(timeout=60), errors) == (1, "")


def test_a_judge_that_scores_nothing_is_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("in.jsonl", [ROWS[3] | {"prediction": "three"}])
    write("stored.jsonl", [ROWS[1] | {"aspect": "fluency", "score": 1}])
    assert score("--reference", "recorded:path=stored.jsonl") == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[-2:] == [
        f"inspector score: judge {name!r} gave no score at all; the reasons are above"
        for name in ("digit", "recorded")
    ]
    assert len(read()) == 1  # what was judged is written all the same


@pytest.mark.parametrize("flag", ["--criterion", "--ref", "--over"])
def test_flags_are_not_abbreviated(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        score(flag, "fluency")
    assert stopped.value.code == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert flag in errors
