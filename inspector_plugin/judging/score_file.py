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
from inspector_plugin.errors import CriteriaError, DataError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge, StreamingJudge
from inspector_plugin.judging.resume import begin_output, writing
from inspector_plugin.judging.run import judge_all
from inspector_plugin.progress import Progress
from inspector_plugin.schema.records import Judgement, total_usage

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
            requests = [row.request for row in chunk]
            for name, judge in judges.items():
                judged[name] += judge_all(judge, requests, name=name, progress=inner, cache=cache)
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
    if begin_output(out, made_by, overwrite):
        written = _read_back(out, rows, list(judges))
        judged = {name: [Judgement(each.scores) for each in written[name]] for name in judges}
        _judge_again(rows, judges, written, judged, out, cache)

    def append(lines: Sequence[str]) -> None:
        with writing(out), out.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    return score_rows(rows, judges, append, judged=judged, cache=cache)


def judged_line(row: Mapping[str, Any], judgements: Mapping[str, Judgement]) -> str:
    """Write a row with judgements added, as one line of a judgement file."""
    added = {name: judgement.to_json() for name, judgement in judgements.items()}
    content = {**row, JUDGEMENTS: {**row.get(JUDGEMENTS, {}), **added}}
    # ASCII, because a response may hold what UTF-8 cannot (an unpaired surrogate).
    return json.dumps(content) + "\n"


def _judge_again(
    rows: Sequence[RequestRow],
    judges: Mapping[str, Judge],
    written: Judged,
    judged: Judged,
    out: Path,
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
        _replace_lines(out, again)


def _replace_lines(out: Path, again: Mapping[int, Mapping[str, Judgement]]) -> None:
    draft = out.with_name(out.name + ".draft")
    with writing(out):
        with draft.open("w", encoding="utf-8") as file:
            for number, row in read_rows(out):
                file.write(judged_line(row, again.get(number - 1, {})))
        draft.replace(out)


def _read_back(out: Path, rows: Sequence[RequestRow], names: Sequence[str]) -> Judged:
    judged: Judged = {name: [] for name in names}
    for line, row in read_rows(out):
        if line > len(rows):
            raise DataError(
                f"{out} already holds more than the {len(rows)} rows asked for; raise --limit, or "
                "pass --overwrite."
            )
        try:
            for name in names:
                judgement = Judgement.from_json(row[JUDGEMENTS][name])
                if set(judgement.scores) != set(rows[line - 1].request.keys):
                    raise ValueError("other criteria")
                judged[name].append(judgement)
        except (KeyError, TypeError, ValueError, AttributeError, CriteriaError) as error:
            raise DataError(
                f"{out}, line {line}: not a line that this run wrote; pass --overwrite to begin "
                "anew, or another --out."
            ) from error
    return judged
