"""Judging the rows of a file: each is written as soon as it is judged, and a second run resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.requests import RequestRow
from inspector_plugin.data.stored_scores import JUDGEMENTS
from inspector_plugin.errors import CriteriaError, DataError, JudgeError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge, StreamingJudge
from inspector_plugin.judging.resume import REMEDY, Output, opened_output
from inspector_plugin.judging.run import judge_all
from inspector_plugin.judging.validate import completed
from inspector_plugin.progress import Progress
from inspector_plugin.schema.records import Judgement, total_usage, unjudged

ROWS_PER_CHUNK = 64
# A judge that makes many calls at a time needs many rows; each of its judgements is cached at once.
STREAMED_ROWS_PER_CHUNK = 512

Judged = dict[str, list[Judgement]]


def score_rows(
    rows: Sequence[RequestRow],
    judges: Mapping[str, Judge],
    write: Callable[[Sequence[str]], None],
    *,
    judged: Judged | None = None,
    cache: JudgeCache | None = None,
) -> Judged:
    """Judge rows chunk by chunk, and write each chunk as soon as all judges have judged it.

    Args:
        rows: The rows.
        judges: The judges, at least one, by their names in this run.
        write: Takes the finished lines of a chunk.
        judged: What an earlier run has judged and written, for each judge the first rows.
        cache: Where judgements are kept between runs, if anywhere.

    Returns:
        For each judge its judgements of all rows, those written earlier included.
    """
    judged = judged if judged is not None else {name: [] for name in judges}
    done = len(next(iter(judged.values())))
    streamed = any(isinstance(judge, StreamingJudge) for judge in judges.values())
    per_chunk = STREAMED_ROWS_PER_CHUNK if streamed else ROWS_PER_CHUNK
    # With one judge and one chunk its own progress says more.
    inner = len(rows) - done <= per_chunk
    shown: AbstractContextManager[Progress | None] = (
        nullcontext() if inner else Progress(len(rows), "Judging", "row", done)
    )
    with shown as progress:
        while done < len(rows):
            # Chunks start at the same rows whether or not the run was interrupted.
            end = min((done // per_chunk + 1) * per_chunk, len(rows))
            chunk = rows[done:end]
            for name, judge in judges.items():
                judged[name] += _judge(judge, chunk, name, inner, cache)
            write(
                [
                    judged_line(row.row, {name: judged[name][index] for name in judges})
                    for index, row in enumerate(chunk, start=done)
                ]
            )
            if progress is not None:
                progress.advance(len(chunk))
            done = end
    return judged


def score_to_file(
    rows: Sequence[RequestRow],
    judges: Mapping[str, Judge],
    out: Path,
    made_by: Mapping[str, Any],
    *,
    overwrite: bool = False,
    cache: JudgeCache | None = None,
) -> Judged:
    """Judge rows into a file that a second run resumes.

    Where an output is resumed, what it holds unscored for a transient reason (a limit of cost, no
    connection) is judged again first.

    Args:
        rows: The rows.
        judges: The judges, at least one, by their names in this run.
        out: The file to write: every row with its judgements added.
        made_by: What makes the output, as values that JSON can hold; decides whether an output
            that is already there is resumed.
        overwrite: Whether to begin anew where an output is already there.
        cache: Where judgements are kept between runs, if anywhere.

    Returns:
        For each judge its judgements of all rows, those written earlier included; the usage is
        that of this run.

    Raises:
        DataError: If the output cannot be written, or comes from another run.
    """
    judged: Judged = {name: [] for name in judges}
    with opened_output(out, made_by, overwrite) as output:
        if output.resumed:
            written = _read_back(output.path, rows, judges)
            judged = {name: [Judgement(each.scores) for each in written[name]] for name in judges}
            _judge_again(rows, judges, written, judged, output, cache)
        return score_rows(rows, judges, output.append, judged=judged, cache=cache)


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
    return json.dumps(_with_judgements(row, added)) + "\n"


def _judge_again(
    rows: Sequence[RequestRow],
    judges: Mapping[str, Judge],
    written: Judged,
    judged: Judged,
    output: Output,
    cache: JudgeCache | None,
) -> None:
    """Ask again for what may be had by now, and write the output anew if anything was asked."""
    again: dict[int, dict[str, Judgement]] = {}
    for name, judge in judges.items():
        transient = {
            place: replace(rows[place].request, criteria=criteria)
            for place, judgement in enumerate(written[name])
            if (
                criteria := tuple(
                    criterion
                    for criterion in rows[place].request.criteria
                    if judgement.scores[criterion.key].transient
                )
            )
        }
        answers = judge_all(judge, list(transient.values()), name=name, cache=cache)
        for place, answer in zip(transient, answers, strict=True):
            before = written[name][place]
            scores = {**before.scores, **answer.scores}
            judged[name][place] = Judgement(scores, answer.usage)
            # In the file, what the answers cost is added to what was spent on the row before.
            again.setdefault(place, {})[name] = Judgement(scores, total_usage([before, answer]))
    if again:
        output.replace(
            judged_line(row, again.get(number - 1, {})) for number, row in read_rows(output.path)
        )


def _read_back(out: Path, rows: Sequence[RequestRow], judges: Mapping[str, Judge]) -> Judged:
    """Read what an earlier run has written.

    Raises:
        DataError: If any line is not its row of the input with judgements of these judges added.
    """
    judged: Judged = {name: [] for name in judges}
    for place, (line, row) in enumerate(read_rows(out)):
        if line > len(rows):
            raise DataError(
                f"{out} already holds more than the {len(rows)} rows asked for; raise --limit, or "
                "pass --overwrite."
            )
        try:
            if place != line - 1:
                raise ValueError(f"line {place + 1} is empty")
            for name, judge in judges.items():
                judged[name].append(_judgement(row, name, judge, rows[place]))
            given = {name: row[JUDGEMENTS][name] for name in judges}
            if json.dumps(row) != json.dumps(_with_judgements(rows[place].row, given)):
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
    return judged


def _judgement(row: Mapping[str, Any], name: str, judge: Judge, asked: RequestRow) -> Judgement:
    """Read a judgement that is, to the last field, one that `judge_all` makes of a request."""
    judgement = Judgement.from_json(row[JUDGEMENTS][name])
    if completed(judge, asked.request, judgement, name).scores != judgement.scores:
        raise ValueError("other criteria or scales")
    return judgement


def _with_judgements(row: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, JUDGEMENTS: {**row.get(JUDGEMENTS, {}), **added}}
