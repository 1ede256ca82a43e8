"""Progress: a bar on a terminal, a line a minute where output is piped."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from inspector_plugin import progress
from inspector_plugin.progress import Progress


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


def test_nothing_is_said_of_what_is_quick(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(3, "Judging (mine)", "response") as shown:
        for seconds in (0.0, 29.0, 30.9):
            clock.seconds += seconds
            shown.advance()
    assert capsys.readouterr() == ("", "")


def test_a_line_a_minute_and_one_at_the_end(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(400, "Judging (mine)", "response") as shown:
        clock.seconds += 59.9
        shown.advance(99)
        assert capsys.readouterr().err == ""
        clock.seconds += 0.1
        shown.advance(note="$0.0100")
        # 100 of 400 in a minute: three more minutes.
        assert capsys.readouterr().err == (
            "Judging (mine): 100/400 [01:00<03:00,  1.67response/s, $0.0100]\n"
        )
        clock.seconds += 59
        shown.advance(100)
        assert capsys.readouterr().err == ""
        clock.seconds += 1
        shown.advance(100)
        assert capsys.readouterr().err == (
            "Judging (mine): 300/400 [02:00<00:40,  2.50response/s, $0.0100]\n"
        )
        clock.seconds += 30
        shown.advance(100, "$0.0400")
        assert capsys.readouterr().err == ""
    assert capsys.readouterr() == (
        "",
        "Judging (mine): 400/400 [02:30<00:00,  2.67response/s, $0.0400]\n",
    )


def test_nothing_is_said_twice(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(10, "Judging", "row") as shown:
        clock.seconds += 60
        shown.advance(10)
    assert capsys.readouterr().err == "Judging: 10/10 [01:00<00:00,  6.00s/row]\n"


def test_the_rate_is_that_of_this_run(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(200, "Judging", "row", done=100) as shown:
        clock.seconds += 100
        shown.advance(50)
        assert capsys.readouterr().err == "Judging: 150/200 [01:40<01:40,  2.00s/row]\n"


def test_the_line_appears_when_work_fails(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with Progress(3, "Judging", "row") as shown:
            clock.seconds += 60
            shown.advance()
            clock.seconds += 1
            shown.advance()
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        fail()
    assert [line.split(" [")[0] for line in capsys.readouterr().err.splitlines()] == [
        "Judging: 1/3",
        "Judging: 2/3",
    ]


def test_a_terminal_shows_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(2, "Judging (mine)", "response") as shown:
        shown.advance(2, "$0.0100")
    written = capsys.readouterr()
    assert "Judging (mine): 100%" in written.err
    assert "2/2" in written.err
    assert "$0.0100" in written.err
    assert written.out == ""


def test_a_batch_that_is_written_shows_its_tokens(
    tiny_lm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from inspector_plugin.lm.generation import generate
    from inspector_plugin.lm.loading import load_language_model

    language_model = load_language_model(str(tiny_lm))
    generate(language_model, [[3, 4], [5]], 4)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    generate(language_model, [[3, 4], [5]], 4)
    assert "Writing 2 replies: 1/4 [" in capsys.readouterr().err
