"""Judging the rows of a file: each is written as soon as it is judged, and a second run resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.requests import RequestRow
from inspector_plugin.data.stored_scores import JUDGEMENTS
from inspector_plugin.errors import CriteriaError, DataError, JudgeError, count_of
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge, StreamingJudge
from inspector_plugin.judging.resume import REMEDY, opened_output
from inspector_plugin.judging.run import judge_all
from inspector_plugin.judging.validate import completed
from inspector_plugin.progress import Progress
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import Judgement, total_usage, unjudged

ROWS_PER_CHUNK = 64
# A judge that makes many calls at a time needs many rows; each of its judgements is cached at once.
STREAMED_ROWS_PER_CHUNK = 512

# Rows with very long responses make smaller chunks.
_CHARACTERS_PER_CHUNK = 2**24

# Rows come out of files and judgements are checked: neither goes in circles.
_encode = json.JSONEncoder(check_circular=False).encode

Row = TypeVar("Row", RequestRow, tuple[RequestRow, dict[str, Any]])
OnRow = Callable[[RequestRow, Mapping[str, Judgement]], None]


class Rows(Protocol):
    """Rows that can be counted, and gone through any number of times; they need not be held."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[RequestRow]: ...


def score_rows(
    rows: Rows,
    judges: Mapping[str, Judge],
    write: Callable[[Sequence[str]], None],
    *,
    done: int = 0,
    on_row: OnRow | None = None,
    cache: JudgeCache | None = None,
) -> None:
    """Judge rows chunk by chunk, and write each chunk as soon as all judges have judged it.

    Args:
        rows: The rows; no more than a chunk of them is held.
        judges: The judges, at least one, by their names in this run.
        write: Takes the finished lines of a chunk.
        done: How many rows, from the first, have been judged and written by an earlier run.
        on_row: Called with each row and its judgements when they are written.
        cache: Where judgements are kept between runs, if anywhere.
    """
    per_chunk = _rows_per_chunk(judges)
    # With one judge and one chunk its own progress says more.
    inner = len(rows) - done <= per_chunk
    shown: AbstractContextManager[Progress | None] = (
        nullcontext() if inner else Progress(len(rows), "Judging", "row", done)
    )
    with shown as progress:
        for start, whole in _chunks(rows, per_chunk):
            # Chunks start at the same rows whether or not the run was interrupted.
            chunk = whole[max(done - start, 0) :]
            if not chunk:
                continue
            answers = [_judge(judge, chunk, name, inner, cache) for name, judge in judges.items()]
            judged = [dict(zip(judges, each, strict=True)) for each in zip(*answers, strict=True)]
            write([judged_line(row.row, each) for row, each in zip(chunk, judged, strict=True)])
            if on_row is not None:
                for row, each in zip(chunk, judged, strict=True):
                    on_row(row, each)
            if progress is not None:
                progress.advance(len(chunk))


def score_to_file(
    rows: Rows,
    judges: Mapping[str, Judge],
    out: Path,
    made_by: Mapping[str, Any],
    *,
    overwrite: bool = False,
    on_row: OnRow | None = None,
    cache: JudgeCache | None = None,
) -> None:
    """Judge rows into a file that a second run resumes.

    Where an output is resumed, what it holds unscored for a transient reason (a limit of cost, no
    connection) is judged again first.

    Args:
        rows: The rows, which are gone through several times.
        judges: The judges, at least one, by their names in this run.
        out: The file to write: every row with its judgements added.
        made_by: What makes the output, as values that JSON can hold; decides whether an output
            that is already there is resumed.
        overwrite: Whether to begin anew where an output is already there.
        on_row: Called with every row and its judgements, those written earlier included (first,
            and those that are judged again last of these); the usage is that of this run.
        cache: Where judgements are kept between runs, if anywhere.

    Raises:
        DataError: If the output cannot be written, or comes from another run.
    """
    with opened_output(out, made_by, overwrite) as output:
        done = 0
        if output.resumed:
            done, transient = _read_back(output.path, rows, judges, on_row)
            if transient:
                output.replace(_judged_again(rows, judges, output.path, on_row, cache))
        score_rows(rows, judges, output.append, done=done, on_row=on_row, cache=cache)


def _rows_per_chunk(judges: Mapping[str, Judge]) -> int:
    streamed = any(isinstance(judge, StreamingJudge) for judge in judges.values())
    return STREAMED_ROWS_PER_CHUNK if streamed else ROWS_PER_CHUNK


def _chunks(rows: Iterable[Row], most: int) -> Iterator[tuple[int, list[Row]]]:
    """Take rows together, each chunk with the number of its first row."""
    chunk: list[Row] = []
    start = characters = 0
    for number, row in enumerate(rows):
        length = len((row[0] if isinstance(row, tuple) else row).request.response)
        if chunk and (len(chunk) >= most or characters + length > _CHARACTERS_PER_CHUNK):
            yield start, chunk
            chunk, start, characters = [], number, 0
        chunk.append(row)
        characters += length
    if chunk:
        yield start, chunk


def _judge(
    judge: Judge,
    rows: Sequence[RequestRow],
    name: str,
    progress: bool,
    cache: JudgeCache | None,
) -> list[Judgement]:
    """Judge rows; those without a response are unscored with that reason."""
    asked = [row.request for row in rows if row.without_response is None]
    answers = iter(judge_all(judge, asked, name=name, progress=progress, cache=cache))
    return [
        next(answers)
        if row.without_response is None
        else unjudged(row.request, row.without_response, scale=judge.scale)
        for row in rows
    ]


def judged_line(row: Mapping[str, Any], judgements: Mapping[str, Judgement]) -> str:
    """Write a row with judgements added, as one line of a judgement file."""
    added = {name: judgement.to_json() for name, judgement in judgements.items()}
    # ASCII, because a response may hold what UTF-8 cannot (an unpaired surrogate).
    return _encode(_with_judgements(row, added)) + "\n"


def _judged_again(
    rows: Iterable[RequestRow],
    judges: Mapping[str, Judge],
    written: Path,
    on_row: OnRow | None,
    cache: JudgeCache | None,
) -> Iterator[str]:
    """Ask again for what may be had by now; give all lines of the output, those answers in them."""
    lines = ((asked, row) for (_, row), asked in zip(read_rows(written), rows, strict=False))
    for _, chunk in _chunks(lines, _rows_per_chunk(judges)):
        # For each row that is judged again, by judge: for the file, and for the summary.
        stored: list[dict[str, Judgement]] = [{} for _ in chunk]
        shown: list[dict[str, Judgement]] = [{} for _ in chunk]
        for name, judge in judges.items():
            before = [Judgement.from_json(row[JUDGEMENTS][name]) for _, row in chunk]
            again = {
                place: replace(chunk[place][0].request, criteria=criteria)
                for place, judgement in enumerate(before)
                if (criteria := _transient_criteria(chunk[place][0], judgement))
            }
            answers = judge_all(judge, list(again.values()), name=name, cache=cache)
            for place, judgement in enumerate(before):
                shown[place][name] = Judgement(judgement.scores)
            for place, answer in zip(again, answers, strict=True):
                scores = {**before[place].scores, **answer.scores}
                shown[place][name] = Judgement(scores, answer.usage)
                # In the file, what the answers cost is added to what was spent on the row before.
                usage = total_usage([before[place], answer])
                stored[place][name] = Judgement(scores, usage)
        for (asked, row), added, each in zip(chunk, stored, shown, strict=True):
            yield judged_line(row, added)
            if added and on_row is not None:
                on_row(asked, each)


def _transient_criteria(asked: RequestRow, judgement: Judgement) -> tuple[Criterion, ...]:
    """The criteria on which asking again may give a score."""
    return tuple(
        criterion
        for criterion in asked.request.criteria
        if judgement.scores[criterion.key].transient
    )


def _read_back(
    out: Path, rows: Rows, judges: Mapping[str, Judge], on_row: OnRow | None
) -> tuple[int, int]:
    """Check what an earlier run has written, and hand on what needs no asking again.

    Returns:
        How many rows there are, and how many of them to ask for again.

    Raises:
        DataError: If any line is not its row of the input with judgements of these judges added.
    """
    place = transient = 0
    asked = iter(rows)
    for place, (line, row) in enumerate(read_rows(out), start=1):
        if line > len(rows):
            raise DataError(
                f"{out} already holds more than the {count_of(len(rows), 'row')} asked for; "
                "raise --limit, or pass --overwrite."
            )
        wanted = next(asked)
        try:
            if place != line:
                raise ValueError(f"line {place} is empty")
            judged = {name: _judgement(row, name, judge, wanted) for name, judge in judges.items()}
            given = {name: row[JUDGEMENTS][name] for name in judges}
            if json.dumps(row) != json.dumps(_with_judgements(wanted.row, given)):
                raise ValueError("its fields are not those of the input's row")
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            CriteriaError,
            JudgeError,
        ) as error:
            raise DataError(
                f"{out}, line {line}: not a line that this run wrote for row {line} of the input: "
                f"lines were changed, removed or swapped; {REMEDY}."
            ) from error
        if any(_transient_criteria(wanted, each) for each in judged.values()):
            transient += 1
        elif on_row is not None:
            on_row(wanted, {name: Judgement(each.scores) for name, each in judged.items()})
    return place, transient


def _judgement(row: Mapping[str, Any], name: str, judge: Judge, asked: RequestRow) -> Judgement:
    """Read a judgement that is, to the last field, one that `judge_all` makes of a request."""
    judgement = Judgement.from_json(row[JUDGEMENTS][name])
    if completed(judge, asked.request, judgement, name).scores != judgement.scores:
        raise ValueError("other criteria or scales")
    return judgement


def _with_judgements(row: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, JUDGEMENTS: {**row.get(JUDGEMENTS, {}), **added}}
