"""A copy of a sample log with judgements in it, as lm_eval writes logs of our own tasks."""

from __future__ import annotations

import gzip
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from inspector_plugin.data.eval_logs import ORIGIN
from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.sample_logs import SampleLog
from inspector_plugin.data.stored_scores import JUDGEMENTS
from inspector_plugin.errors import DataError


def require_new_filters(logs: Sequence[SampleLog], judges: Sequence[str]) -> None:
    """Refuse judges by whose names logs already have lines.

    Raises:
        DataError: If there is one.
    """
    for log in logs:
        for name in judges:
            if name in log.filters:
                raise DataError(
                    f"--merge-log: {log} already has lines of the filter {name!r}; give the judge "
                    f"an option, as in {name}:key=value, so that its lines can be told apart."
                )


def write_merged_log(
    log: SampleLog, judged: Path, start: int, judges: Sequence[str], out: Path
) -> None:
    """Write a copy of a log, its lines as they are, and below them lines for each judge.

    In these `filter` is the judge's name and `filtered_resps` hold its judgements.

    Args:
        log: The log; it has been checked.
        judged: The judgement file.
        start: Where the log's rows begin in it, counted from 0.
        judges: The judges.
        out: The file to write.

    Raises:
        DataError: If a file cannot be read or written.
    """
    draft = out.with_name(out.name + ".draft")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as copy:
            _copy_lines(log.path, copy)
            for name in judges:
                rows = (row for _, row in islice(read_rows(judged), start, None))
                for line in _lines_of(log, rows, name):
                    copy.write(json.dumps(line).encode() + b"\n")
        draft.replace(out)
    except OSError as error:
        raise DataError(f"Cannot write {out}: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)


def _copy_lines(path: Path, copy: IO[bytes]) -> None:
    last = b"\n"
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while block := file.read(2**20):
            copy.write(block)
            last = block[-1:]
    if last != b"\n":
        copy.write(b"\n")


def _lines_of(
    log: SampleLog, rows: Iterator[Mapping[str, Any]], judge: str
) -> Iterator[dict[str, Any]]:
    for line, counts in log.documents():
        judged = list(islice(rows, sum(counts)))
        if len(judged) < sum(counts):
            return  # --limit ended before this document
        entries = iter([json.dumps(_entry(row, judge), ensure_ascii=False) for row in judged])
        metrics = _means([row[JUDGEMENTS][judge]["scores"] for row in judged])
        named = line.get("metrics")
        dropped = {*(named if isinstance(named, list) else ()), "metrics"}
        yield {
            **{name: value for name, value in line.items() if name not in dropped},
            "filtered_resps": [list(islice(entries, count)) for count in counts],
            "filter": judge,
            "metrics": list(metrics),
            **metrics,
        }


def _entry(row: Mapping[str, Any], judge: str) -> dict[str, Any]:
    origin = {name: row[name] for name in ORIGIN if name in row}
    return {**origin, "question": row["question"], **row[JUDGEMENTS][judge]}


def _means(judged: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The mean score of a document's responses on each criterion that has any."""
    means = {}
    for key in dict.fromkeys(key for scores in judged for key in scores):
        values = [scores[key]["score"] for scores in judged if key in scores]
        scored = [value for value in values if value is not None]
        if scored:
            means[key] = statistics.fmean(scored)
    return means
