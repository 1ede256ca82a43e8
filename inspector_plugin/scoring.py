"""Judging a JSONL file: each row is written as soon as it is judged, and a second run goes on.

Beside the output stands `OUT.run.json`, which says what made it (input, judges, options, version).
A run that finds an output of the very same making continues it; any other is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from inspector_plugin.aspects import ASPECT_KEYS, RUBRIC
from inspector_plugin.cache import JudgeCache
from inspector_plugin.continuing import begin_output, writing
from inspector_plugin.errors import DataError, one_of
from inspector_plugin.judge import Judge, StreamingJudge
from inspector_plugin.judging import judge_all
from inspector_plugin.rows import read_rows, text_field
from inspector_plugin.schema import PASSING, Judgement, JudgeRequest, Usage
from inspector_plugin.scored import RESPONSE_FIELDS

JUDGEMENTS, USAGE = "judgements", "usage"
ROWS_PER_CHUNK = 64
# A judge that makes many calls at a time needs many rows; each of its judgements is cached at once.
STREAMED_ROWS_PER_CHUNK = 512


@dataclass(frozen=True)
class ScoreRow:
    """A row of the input, and what it asks of the judges."""

    row: Mapping[str, Any]
    request: JudgeRequest


def read_score_rows(
    path: str | Path,
    *,
    aspects: tuple[str, ...] = ASPECT_KEYS,
    aspect_field: str | None = None,
    rubric_field: str | None = None,
    dataset: str | None = None,
    limit: int | None = None,
) -> list[ScoreRow]:
    """Read and check the rows to be judged.

    Args:
        path: JSONL file, plain or gzipped, with rows of `question` and `response` (or
            `prediction`), and perhaps `id` and `dataset`.
        aspects: The aspects to judge.
        aspect_field: The field that names the one aspect to judge a row on, instead of `aspects`.
        rubric_field: The field with a row's own rubric, to judge by instead of by `aspects`.
        dataset: The data set of rows that name none.
        limit: The most rows to read, from the first.

    Raises:
        DataError: If the file or a row is malformed, or there are no rows.
    """
    rows = [
        ScoreRow(
            row, _request(row, f"{path}, line {line}", aspects, aspect_field, rubric_field, dataset)
        )
        for line, row in islice(read_rows(path), limit)
    ]
    if not rows:
        raise DataError(f"{path} holds no rows to judge.")
    return rows


def score_rows(
    rows: Sequence[ScoreRow],
    judges: Mapping[str, Judge],
    out: Path,
    making: Mapping[str, Any],
    *,
    overwrite: bool = False,
    cache: JudgeCache | None = None,
) -> dict[str, list[Judgement]]:
    """Judge rows, writing each chunk as soon as all judges have judged it.

    Where an output is continued, what it holds unscored for a reason that may have passed (a limit
    of cost, no connection) is judged again first.

    Args:
        rows: The rows.
        judges: The judges, at least one, by their names in this run.
        out: The file to write: every row with its judgements added.
        making: What makes the output, as values that JSON can hold; decides whether an output
            that is already there is continued.
        overwrite: Whether to begin anew where an output is already there.
        cache: Where judgements are kept between runs, if anywhere.

    Returns:
        For each judge its judgements of all rows, those written earlier included.

    Raises:
        DataError: If the output cannot be written, or comes from another run.
    """
    judged = _begin(rows, list(judges), out, making, overwrite)
    done = len(next(iter(judged.values())))
    _judge_again(rows, judges, judged, out, cache)
    streamed = any(isinstance(judge, StreamingJudge) for judge in judges.values())
    per_chunk = STREAMED_ROWS_PER_CHUNK if streamed else ROWS_PER_CHUNK
    with tqdm(total=len(rows), initial=done, desc="Judging", unit="row", disable=None) as bar:
        while done < len(rows):
            # Chunks start at the same rows whether or not the run was interrupted.
            end = min((done // per_chunk + 1) * per_chunk, len(rows))
            chunk = rows[done:end]
            requests = [row.request for row in chunk]
            for name, judge in judges.items():
                judged[name] += judge_all(judge, requests, name=name, progress=False, cache=cache)
            lines = [
                _line(row, {name: judged[name][index] for name in judges})
                for index, row in enumerate(chunk, start=done)
            ]
            with writing(out), out.open("a", encoding="utf-8") as file:
                file.writelines(lines)
            bar.update(len(chunk))
            done = end
    return judged


def _judge_again(
    rows: Sequence[ScoreRow],
    judges: Mapping[str, Judge],
    judged: Mapping[str, list[Judgement]],
    out: Path,
    cache: JudgeCache | None,
) -> None:
    """Ask again for what may be had by now, and write the output anew if anything was asked."""
    again: dict[int, dict[str, Judgement]] = {}
    for name, judge in judges.items():
        passing = {
            place: replace(rows[place].request, aspects=aspects)
            for place, judgement in enumerate(judged[name])
            if (aspects := _passing(judgement))
        }
        answers = judge_all(judge, list(passing.values()), name=name, progress=False, cache=cache)
        for place, answer in zip(passing, answers, strict=True):
            merged = {**judged[name][place].aspects, **answer.aspects}
            judged[name][place] = Judgement(merged, answer.usage)
            again.setdefault(place, {})[name] = judged[name][place]
    if again:
        _replace_lines(out, again)


def _replace_lines(out: Path, again: Mapping[int, Mapping[str, Judgement]]) -> None:
    """Put judgements into the lines of some places; what these cost is added to what is there."""
    draft = out.with_name(out.name + ".draft")
    with writing(out):
        with draft.open("w", encoding="utf-8") as file:
            for number, row in read_rows(out):
                for name, judgement in again.get(number - 1, {}).items():
                    row[JUDGEMENTS][name] = judgement.to_json()
                    if judgement.usage is not None:
                        usages = row.setdefault(USAGE, {})
                        spent = Usage(**usages.get(name, {})) + judgement.usage
                        usages[name] = spent.to_json()
                file.write(json.dumps(row) + "\n")
        draft.replace(out)


def _passing(judgement: Judgement) -> tuple[str, ...]:
    return tuple(key for key, score in judgement.aspects.items() if PASSING in score.flags)


def _request(
    row: Mapping[str, Any],
    where: str,
    aspects: tuple[str, ...],
    aspect_field: str | None,
    rubric_field: str | None,
    dataset: str | None,
) -> JudgeRequest:
    rubric = None
    if rubric_field is not None:
        rubric, aspects = text_field(row, (rubric_field,), where), (RUBRIC,)
        if not rubric.strip():
            raise DataError(f"{where}: field {rubric_field!r} is empty; every row needs a rubric.")
    if aspect_field is not None:
        aspect = text_field(row, (aspect_field,), where)
        if aspect not in ASPECT_KEYS:
            raise DataError(f"{where}: {one_of(aspect, ASPECT_KEYS, 'aspect')}")
        aspects = (aspect,)
    if not isinstance(row.get(JUDGEMENTS, {}), dict):
        raise DataError(f"{where}: field {JUDGEMENTS!r} is not an object, so none can be added.")
    own = row.get("dataset") is not None
    identifier = row.get("id")
    return JudgeRequest(
        question=text_field(row, ("question",), where),
        response=text_field(row, RESPONSE_FIELDS, where),
        aspects=aspects,
        dataset=text_field(row, ("dataset",), where) if own else dataset,
        id=None if identifier is None else str(identifier),
        rubric=rubric,
    )


def _line(row: ScoreRow, judgements: Mapping[str, Judgement]) -> str:
    added = {name: judgement.to_json() for name, judgement in judgements.items()}
    content = {**row.row, JUDGEMENTS: {**row.row.get(JUDGEMENTS, {}), **added}}
    usages = {
        name: judgement.usage.to_json()
        for name, judgement in judgements.items()
        if judgement.usage is not None
    }
    if usages:
        content[USAGE] = usages
    # ASCII, because a response may hold what UTF-8 cannot (half a surrogate pair).
    return json.dumps(content) + "\n"


def _begin(
    rows: Sequence[ScoreRow],
    names: Sequence[str],
    out: Path,
    making: Mapping[str, Any],
    overwrite: bool,
) -> dict[str, list[Judgement]]:
    """Make the output ready to be appended to; return the judgements that it holds."""
    if begin_output(out, making, overwrite):
        return _read_back(out, rows, names)
    return {name: [] for name in names}


def _read_back(
    out: Path, rows: Sequence[ScoreRow], names: Sequence[str]
) -> dict[str, list[Judgement]]:
    judged: dict[str, list[Judgement]] = {name: [] for name in names}
    for line, row in read_rows(out):
        if line > len(rows):
            raise DataError(
                f"{out} already holds more than the {len(rows)} rows asked for; raise --limit, or "
                "pass --overwrite."
            )
        try:
            for name in names:
                judged[name].append(Judgement.from_json(row[JUDGEMENTS][name]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{out}, line {line}: not a line that this run wrote; pass --overwrite to begin "
                "anew, or another --out."
            ) from error
    return judged
