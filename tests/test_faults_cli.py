"""What the command line is given that no command can use: one line, and exit 1 or 2."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inspector_plugin import cli
from inspector_plugin.cli.main import COMMANDS, main

LONG = "a" * 300
ZEROS = "0" * 400


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    row = {"question": "q", "response": "r", "criterion": "fluency", "score": 1}
    Path("in.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in bash, `inspector` being this package's."""
    root = str(Path(cli.__file__).parents[2])
    script = f'inspector() {{ "{sys.executable}" -m inspector_plugin "$@"; }}; set -o pipefail; '
    return subprocess.run(
        ["bash", "-c", script + command],
        capture_output=True,
        text=True,
        # Buffered, as it is by default: what cannot be written then shows at the very end.
        env={**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": "", **variables},
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        "inspector judges > /dev/full",
        "inspector score in.jsonl --judge recorded:path=in.jsonl > /dev/full",
        "inspector criteria show roscoe > /dev/full",
    ],
)
def test_a_full_disk_is_one_line(command: str) -> None:
    ran = shell(command)
    lines = [line for line in ran.stderr.splitlines() if line.startswith("inspector: error")]
    assert ran.returncode == 1
    assert lines == ["inspector: error: [Errno 28] No space left on device"]
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        "inspector score in.jsonl --judge recorded:path=in.jsonl",
        "inspector criteria show roscoe --format yaml",
        "inspector judges --json",
    ],
)
def test_a_reader_that_has_seen_enough_is_no_error(command: str) -> None:
    ran = shell(f"({command}; echo status $? >&2) | true")
    assert "status 1" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "BrokenPipe" not in ran.stderr


def test_streams_that_are_closed_or_full_end_in_no_traceback() -> None:
    assert shell("inspector judges >&-").returncode == 0
    for command in ("inspector show nothing 2> /dev/full", "inspector show nothing 2>&-"):
        ran = shell(command)
        assert ran.returncode == 1
        assert (ran.stdout, ran.stderr) == ("", "")


@pytest.mark.parametrize(
    "command",
    [
        ["score", LONG, "--judge", "recorded:path=in.jsonl"],
        ["score", "in.jsonl", "--judge", f"recorded:path={LONG}"],
        ["score", "in.jsonl", "--judge", f"inspector:probes={LONG}"],
        ["score", "in.jsonl", "--judge", f"inspector:model={LONG}"],
        ["score", "in.jsonl", "--judge", f"lager:weights={LONG}"],
        ["score", "in.jsonl", "--judge", "recorded:path=in.jsonl", "--out", LONG],
        ["score", "in.jsonl", "--judge", "recorded:path=in.jsonl", "--summary", LONG],
        ["score", "in.jsonl", "--judge", "recorded:path=in.jsonl", "--criteria", f"{LONG}.yaml"],
        ["label", "in.jsonl", "--judge", "recorded:path=in.jsonl", "--out", f"{LONG}/{LONG}"],
        ["balance", LONG, "--out", "out.jsonl"],
        ["balance", "in.jsonl", "--out", LONG],
        ["show", LONG],
        ["train", LONG, "--dataset", "x", "--out", "o"],
        ["train", "in.jsonl", "--dataset", LONG, "--out", "o"],
        ["lager", "tune", "--data", LONG, "--out", "o"],
        ["collect", "--dataset", "gsm8k", "--out", LONG],
        ["collect", "--dataset", "gsm8k", "--out", "o", "--data", LONG],
    ],
    ids=lambda command: " ".join(each[:20] for each in command),
)
def test_a_name_that_is_too_long_is_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 1
    error = capsys.readouterr().err.splitlines()
    assert "error: " in error[-1]


@pytest.mark.parametrize(
    "more",
    [
        ["--limit", "1" + ZEROS],
        ["--limit", "1" + ZEROS * 20],
        ["--limit", "-1"],
        ["--limit", "1e400"],
        ["--limit", "nan"],
        ["--seed", "-1"],
        ["--seed", "1" + ZEROS],
        ["--seed", "4294967296"],
    ],
    ids=lambda more: " ".join(more)[:20],
)
def test_numbers_out_of_range_are_one_line(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["score", "in.jsonl", "--judge", "recorded:path=in.jsonl", *more])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"argument {more[0]}" in error


@pytest.mark.parametrize(
    "command",
    [
        ["train", "in.jsonl", "--dataset", "x", "--out", "o", "--seed", "-1"],
        ["train", "in.jsonl", "--dataset", "x", "--out", "o", "--folds", "1" + ZEROS],
        ["train", "in.jsonl", "--dataset", "x", "--out", "o", "--members", "-" + "1" + ZEROS],
        ["lager", "tune", "--data", "in.jsonl", "--out", "o", "--seed", "-1"],
        ["lager", "tune", "--data", "in.jsonl", "--out", "o", "--learning-rate", "1e400"],
        ["lager", "tune", "--data", "in.jsonl", "--out", "o", "--learning-rate", "nan"],
        ["lager", "tune", "--data", "in.jsonl", "--out", "o", "--epochs", "1" + ZEROS],
        ["lager", "tune", "--data", "in.jsonl", "--out", "o", "--folds", "1" + ZEROS],
        ["score", "in.jsonl", "--judge", "inspector:device=meta"],
        ["score", "in.jsonl", "--judge", "inspector", "--device", "meta"],
        ["score", "in.jsonl", "--judge", "inspector:batch_size=0"],
        ["score", "in.jsonl", "--judge", "lager:reasoning_tokens=-1"],
        ["score", "in.jsonl", "--judge", "lager:reasoning_tokens=x"],
    ],
    ids=lambda command: " ".join(command)[-35:],
)
def test_options_out_of_range_are_one_line(
    command: list[str], tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 1
    error = capsys.readouterr().err.splitlines()
    assert "error: " in error[-1]
    assert len([line for line in error if "error" in line]) == 1


def test_a_scale_of_huge_labels_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    criterion = {"key": "k", "definition": "d", "scale": [10**400, 10**400 + 1]}
    content = {"format_version": 1, "name": "x", "criteria": [criterion]}
    Path("huge.json").write_text(json.dumps(content))
    assert main(["criteria", "check", "huge.json"]) == 1
    assert "lie between -1000000 and 1000000" in capsys.readouterr().err


def test_flags_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["score", "in.jsonl", "--judge", "recorded:path=in.jsonl", "--lim", "1"])
    assert "unrecognized arguments: --lim 1" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_a_terminal_cannot_show_is_escaped(encoding: str) -> None:
    row = {"question": "What is \u03c0?", "response": "\u03c0 \u2248 3.14", "judgements": {}}
    Path("judged.jsonl").write_text(json.dumps(row) + "\n")
    ran = shell("inspector show judged.jsonl", PYTHONIOENCODING=encoding)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "What is \\u03c0?" in ran.stdout


def test_an_interrupt_while_a_command_is_loaded_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert main(["judges"]) == 130
    assert capsys.readouterr().err == "inspector: interrupted\n"


def test_a_command_loads_its_own_module_only() -> None:
    code = (
        "import sys; from inspector_plugin.cli.main import main; main(['judges']); "
        "print(sorted({'sklearn', 'matplotlib', 'torch'} & set(sys.modules)))"
    )
    root = str(Path(cli.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert ran.stdout.endswith(b"\n[]\n")


@pytest.mark.parametrize("flag", ["--version", "--help", "nothing"])
def test_what_names_no_command_loads_none(flag: str) -> None:
    code = (
        f"import sys; from inspector_plugin.cli.main import main; sys.argv[1:] = [{flag!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "ours = {each for each in sys.modules if each.startswith('inspector_plugin.cli.')}\n"
        "print(sorted(ours | {'scipy', 'pandas', 'torch'} & set(sys.modules)))"
    )
    root = str(Path(cli.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    loaded = ran.stdout.decode().splitlines()[-1]
    assert loaded == "['inspector_plugin.cli.flags', 'inspector_plugin.cli.main']"


def test_help_says_of_each_command_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help", "score"])  # whatever follows
    listed = " ".join(capsys.readouterr().out.split())
    for name, purpose in COMMANDS.items():
        assert f" {name} {purpose}" in listed
    folder = Path(cli.__file__).parent
    with_command = {
        path.stem for path in folder.glob("*.py") if "def add_command(" in path.read_text()
    }
    assert with_command == set(COMMANDS)


def test_figures_that_cannot_be_written_leave_no_file() -> None:
    Path("other.jsonl").write_text(Path("in.jsonl").read_text())
    ran = shell("ulimit -f 0; inspector agree in.jsonl other.jsonl --out figures.txt")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "error: Cannot write --out figures.txt: [Errno 27] File too large" in ran.stderr
    assert not Path("figures.txt").exists()
