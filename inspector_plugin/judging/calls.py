"""Calling a judge: whatever it raises, or returns in the wrong number or place, is a `JudgeError`.

A judge of this package that raises something unexpected keeps its traceback: that is a bug here.
"""

from __future__ import annotations

import numbers
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from typing import Any

from inspector_plugin.errors import InspectorError, JudgeError, count_of, shown
from inspector_plugin.judging.judge import Judge, StreamingJudge
from inspector_plugin.judging.validate import BUG
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import Judgement, JudgeRequest

_PACKAGE = "inspector_plugin"
_END: Any = object()
NO_ITEMS = "this judge does not execute the items of a rubric"
NO_QUESTIONS = "this judge judges responses, not questions alone"


@contextmanager
def calling(judge: Judge, name: str, what: str) -> Iterator[None]:
    """Turn what a plugin's judge raises, `sys.exit()` included, into a `JudgeError`.

    Args:
        judge: The judge.
        name: What messages call it.
        what: What is called, such as "judge".

    Raises:
        JudgeError: If it raises anything but errors of this package, or Ctrl-C.
    """
    try:
        yield
    except (InspectorError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        if type(judge).__module__.partition(".")[0] == _PACKAGE:
            raise
        raise JudgeError(
            f"Judge {name!r} failed in {what}(): {type(error).__name__}: {shown(error, 300)}; "
            f"{BUG}."
        ) from error


def reason_against(
    judge: Judge, criterion: Criterion, dataset: str | None, name: str = "judge"
) -> str | None:
    """Ask a judge why it cannot judge a criterion; see `Judge.cannot_judge`.

    Raises:
        JudgeError: If it answers anything but a text or None.
    """
    if criterion.is_rubric and judge.rubric_form is None:
        return NO_ITEMS
    if criterion.of_question and judge.question_form is None:
        return NO_QUESTIONS
    with calling(judge, name, "cannot_judge"):
        reason: Any = judge.cannot_judge(criterion, dataset)
    if reason is not None and not (isinstance(reason, str) and reason.strip()):
        raise JudgeError(f"Judge {name!r}: cannot_judge() returned {shown(reason)}; {BUG}.")
    return reason


def answers(
    judge: Judge, requests: Sequence[JudgeRequest], chunk_size: int, name: str
) -> Iterator[list[tuple[int, Judgement]]]:
    """Ask a judge; yield what comes back at once, each judgement with its request's position.

    Args:
        judge: The judge.
        requests: What to ask.
        chunk_size: The most requests that a judge of batches gets at once.
        name: What messages call the judge.

    Raises:
        JudgeError: If a position is missing, given twice or not there.
    """
    seen: set[int] = set()
    for group in _groups(judge, requests, chunk_size, name):
        for position in _positions(group, name):
            if position in seen or not 0 <= position < len(requests):
                problem = (
                    "twice" if position in seen else f"of {count_of(len(requests), 'request')}"
                )
                raise JudgeError(f"Judge {name!r} judged position {position} {problem}; {BUG}.")
            seen.add(position)
        yield group
    if len(seen) < len(requests):
        raise JudgeError(
            f"Judge {name!r} judged {len(seen)} of {count_of(len(requests), 'request')} "
            f"and stopped; {BUG}."
        )


def _groups(
    judge: Judge, requests: Sequence[JudgeRequest], chunk_size: int, name: str
) -> Iterator[list[tuple[int, Judgement]]]:
    if isinstance(judge, StreamingJudge):
        with calling(judge, name, "judge_each"):
            stream = iter(judge.judge_each(requests))
        with closing(stream) if isinstance(stream, Generator) else nullcontext():
            while True:
                with calling(judge, name, "judge_each"):
                    group = next(stream, _END)
                if group is _END:
                    return
                yield group
    for start in range(0, len(requests), chunk_size):
        chunk = requests[start : start + chunk_size]
        with calling(judge, name, "judge"):
            judged: Any = judge.judge(chunk)
        if not isinstance(judged, (list, tuple)) or len(judged) != len(chunk):
            count = len(judged) if isinstance(judged, (list, tuple)) else type(judged).__name__
            raise JudgeError(
                f"Judge {name!r} returned {count} judgements for "
                f"{count_of(len(chunk), 'request')}; {BUG}."
            )
        yield list(enumerate(judged, start))


def _positions(group: Any, name: str) -> list[int]:
    """Read the positions of a group of judgements."""
    try:
        positions = [position for position, _ in group]
    except (TypeError, ValueError) as error:
        raise JudgeError(
            f"Judge {name!r} handed over {type(group).__name__}, not pairs of position and "
            f"judgement; {BUG}."
        ) from error
    for position in positions:
        if isinstance(position, bool) or not isinstance(position, numbers.Integral):
            raise JudgeError(f"Judge {name!r} judged position {shown(position)}; {BUG}.")
    return positions
