"""`inspector judges`, and the tables that commands print."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_plugin import plugin_folder, write_plugin

from inspector_plugin import __version__
from inspector_plugin.cli.main import main
from inspector_plugin.report.tables import make_table, plain, print_tables

HOOK = """
@hookimpl
def register_judges(register):
    register(Backend("fixed", "one score\\x1b[2J", "m:f", (Option("value", "it", int, 3),)))
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    write_plugin(tmp_path, "fixed-judge", HOOK)
    write_plugin(tmp_path, "broken-judge", "import not_there_at_all")
    with plugin_folder(tmp_path):
        yield tmp_path


def test_a_line_for_each_judge(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judges"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    listed = [line for line in lines[:-2] if not line.startswith(" ")]
    assert [line.split()[0] for line in listed] == [
        *("cascade", "deepseek", "fixed", "inspector", "lager", "panel", "prompt", "recorded"),
        "tuned",
    ]
    assert listed[2].split(maxsplit=1) == ["fixed", "one score\ufffd[2J"]
    assert "stored scores" in listed[7]
    assert lines[-2:] == ["", "Options of a judge: inspector judges NAME"]
    assert max(map(len, lines)) <= 80
    assert printed.err.startswith("inspector judges: Plugin 'broken-judge': ModuleNotFoundError")
    assert printed.err.count("\n") == 1


def test_the_options_of_one_judge(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judges", "fixed"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fixed (fixed-judge 1.2): one score\ufffd[2J"
    assert lines[1].split() == ["option", "type", "default", "meaning"]
    assert lines[3].split() == ["value", "int", "3", "it"]
    assert main(["judges", "recorded"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"recorded (inspector_plugin {__version__}): stored scores")
    words = printed.split()
    assert words[words.index("labels") :][:2] == ["labels", "multiclass"]
    assert "| binary" in printed
    assert "low/high quality" in " ".join(words)
    assert main(["judges", "fixd"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("inspector judges: error: Unknown judge 'fixd'; choose from: ")
    assert "Did you mean 'fixed'?" in error


def test_the_command_alone_prints_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: inspector ")
    for command in ("run", "score", "judges", "criteria", "train", "label", "balance", "cache"):
        assert f"\n    {command} " in printed


def test_json(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judges", "--json"]) == 0
    printed = capsys.readouterr()
    judges = {judge["name"]: judge for judge in json.loads(printed.out)}
    assert {"inspector", "recorded"} <= set(judges)
    assert judges["fixed"] == {
        "name": "fixed",
        "plugin": "fixed-judge",
        "version": "1.2",
        "summary": "one score\x1b[2J",
        "options": [{"name": "value", "help": "it", "type": "int", "default": 3, "choices": []}],
    }
    assert "broken-judge" in printed.err


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("piñata [bold]x[/bold] π", "piñata [bold]x[/bold] π"),
        ("a\nb\tc", "a b c"),
        ("\x1b[31m\x00\x9b\u202eevil\ud800", "\ufffd[31m\ufffd\ufffd\ufffdevil\ufffd"),
    ],
)
def test_plain_text(text: str, printed: str) -> None:
    assert plain(text) == printed


def test_tables_print_untrusted_text_as_text() -> None:
    file = io.StringIO()
    print_tables(make_table("[red]t", ["[b]c"], [["[link=x]y\x1b[2J"]]), file=file)
    lines = [line.strip() for line in file.getvalue().splitlines() if line.strip()]
    assert (lines[0], lines[1], lines[-1]) == ("[red]t", "[b]c", "[link=x]y\ufffd[2J")


def test_check_runs_the_contract_suite_on_a_plugin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """
class Mine(Judge):
    def __init__(self, top):
        self.top = top
    def judge(self, requests):
        score = AspectScore(float(self.top), min(self.top, 5))
        return [Judgement(dict.fromkeys(r.aspects, score)) for r in requests]

@hookimpl
def register_judges(register):
    register(Backend("mine", "one score for all", Mine, (Option("top", "the score", int, 3),)))
"""
    with plugin_folder(tmp_path):
        write_plugin(tmp_path, "mine", source)
        assert main(["judges", "check", "mine"]) == 0
        assert "mine keeps the contract" in capsys.readouterr().out
        assert main(["judges", "check", "mine:top=7"]) == 1
        assert "mine:top=7 breaks the contract: range: " in capsys.readouterr().err
        assert main(["judges", "mine", "mine"]) == 1
