"""Long runs of empty lines and spaces, such as a stuck model writes, take no time to speak of."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest

from inspector_plugin.audits.edits import EDITS
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.judges.inspector.surface import SURFACE_COUNTS, surface_counts

LONG = 200_000
CPU_SECONDS = 20  # a time that grows with the square of the length would be minutes


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    def stop(*_: object) -> NoReturn:
        raise TimeoutError(f"took {CPU_SECONDS} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("run", ["\n" * LONG, "\n " * LONG, " " * LONG])
def test_they_are_counted_and_named_as_short_ones_are(run: str) -> None:
    lists = SURFACE_COUNTS.index("list_items")
    assert surface_counts([f"1. One{run}\n- Two.{run}"])[0, lists] == 2
    assert problem_identity(f"How many?{run}\n(a) One{run}\n(b) Two{run}") == problem_identity(
        "How many?\n(a) One\n(b) Two"
    )


def test_steps_are_told_apart_by_lines_whatever_stands_within_them() -> None:
    steps = [f"2 + {n} ={' ' * LONG}{2 + n}." for n in range(1, 5)]
    edited = EDITS["shuffled_steps"].apply("", "\n".join(steps), seed=0)
    assert edited is not None
    assert edited.split("\n") != steps
    assert sorted(edited.split("\n")) == sorted(steps)
