"""What was judged, by whom, on what, at what cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.report.document import Cell, Column, Section, Table
from inspector_plugin.report.runs import RunFile, Written, names_in_files
from inspector_plugin.schema.roscoe import ROSCOE

_SHOWN_HASH = 16
_MOST_REASONS = 20
_MOST_CRITERIA = 50
_MOST_VALUE = 200


def provenance(table: ScoreTable, files: Sequence[RunFile], written: Written) -> Section:
    """Say what was judged by whom: files, judges, criteria, cost, what is missing or flagged."""
    parts = [
        _files(table, files),
        _judges(table, files, written),
        _made_of(table, files),
        _criteria(table, files),
        *_tallies(table),
    ]
    return Section(
        "judged",
        "What was judged, by whom",
        "From the files and from the run files beside them. Hashes are SHA-256.",
        [part for part in parts if part.rows],
    )


def _files(table: ScoreTable, files: Sequence[RunFile]) -> Table:
    counts = Counter(table.places.sources.tolist())
    rows: list[list[Cell]] = [
        [
            str(file.path),
            counts[number],
            file.sha256[:_SHOWN_HASH],
            _text(file.made_by.get("inspector_plugin")) or "not known",
            _text(file.made_by.get("input_sha256"))[:_SHOWN_HASH] or "–",
        ]
        for number, file in enumerate(files)
    ]
    notes = []
    if len(files) > 1:
        notes.append("Responses: those that no earlier file has.")
    if table.repeated:
        notes.append(f"Responses that repeat an earlier one to the same problem: {table.repeated}.")
    if table.dropped:
        notes.append(f"Lines that repeat an earlier line: {table.dropped}.")
    return Table(
        "Files",
        [
            Column("file"),
            Column("responses", "count"),
            Column("hash", "code"),
            Column("inspector_plugin"),
            Column("hash of the input", "code"),
        ],
        rows,
        " ".join(notes) or None,
    )


def _judges(table: ScoreTable, files: Sequence[RunFile], written: Written) -> Table:
    rows: list[list[Cell]] = []
    for judge in table.judges:
        columns = [column for (name, _), column in table.columns.items() if name == judge]
        asked = sum(int(column.asked.sum()) for column in columns)
        scored = sum(int(column.scored.sum()) for column in columns)
        flagged = sum(int((column.flagged() & column.scored).sum()) for column in columns)
        entries = [files[number].judge(own) for number, own in names_in_files(table, judge)]
        specs = list(dict.fromkeys(_text(e.get("spec")) for e in entries if e.get("spec")))
        usage = written.usage.get(judge)
        rows.append(
            [
                judge,
                "; ".join(specs) or "–",
                scored,
                scored / asked if asked else None,
                flagged,
                "–" if usage is None else usage.cost,
                "–" if usage is None else str(usage).rpartition(", ")[0] or str(usage),
            ]
        )
    return Table(
        "Judges",
        [
            Column("judge"),
            Column("specification", "code"),
            Column("scores", "count"),
            Column("coverage", "share"),
            Column("flagged", "count"),
            Column("cost"),
            Column("calls and tokens"),
        ],
        rows,
        "Coverage: share of the scores asked for that were given. Cost: what the files say was "
        "spent; judgements taken from the cache cost nothing.",
    )


def _criteria(table: ScoreTable, files: Sequence[RunFile]) -> Table:
    known = {criterion.fingerprint: criterion for criterion in ROSCOE}
    described: dict[str, Mapping[str, Any]] = {}
    for file in files:
        criteria = file.made_by.get("criteria")
        for each in criteria if isinstance(criteria, list) else ():
            if isinstance(each, Mapping):
                described.setdefault(str(each.get("key")), each)
    rows: list[list[Cell]] = []
    for key in table.keys[:_MOST_CRITERIA]:
        columns = [column for (_, name), column in table.columns.items() if name == key]
        named = {each for column in columns for each in column.fingerprints}
        built_in = known[named.pop()].definition if len(named) == 1 and named <= set(known) else ""
        scales = list(dict.fromkeys(column.scale.name for column in columns))
        rows.append(
            [
                key,
                _text(described.get(key, {}).get("definition")) or built_in or "–",
                ", ".join(scales) or "–",
                _fingerprints(columns),
            ]
        )
    left_out = len(table.keys) - len(rows)
    return Table(
        "Criteria",
        [Column("criterion"), Column("definition"), Column("scale"), Column("fingerprint", "code")],
        rows,
        f"{left_out} more criteria are not listed." if left_out else None,
    )


def _fingerprints(columns: Sequence[ScoreColumn]) -> str:
    known = list(dict.fromkeys(each for column in columns for each in column.fingerprints))
    if len(known) > 3:
        return f"{len(known)} different ones"
    return ", ".join(known) or "–"


def _tallies(table: ScoreTable) -> list[Table]:
    """Why scores are missing, and what is to be said of others."""
    reasons: Counter[tuple[str, str]] = Counter()
    flags: Counter[tuple[str, str]] = Counter()
    scored: Counter[str] = Counter()
    for (judge, _), column in table.columns.items():
        counts = np.bincount(column.reason_codes[column.asked & ~column.scored] + 1)
        for code, count in enumerate(counts[1:].tolist()):
            if count:
                reasons[judge, column.reasons[code]] += count
        scored[judge] += int(column.scored.sum())
        for code, count in enumerate(np.bincount(column.flag_codes[column.scored]).tolist()):
            for flag in column.flag_sets[code] if count else ():
                flags[judge, flag] += count
    return [
        Table(
            "Unscored",
            [Column("judge"), Column("reason"), Column("scores missing", "count")],
            [[*name, count] for name, count in reasons.most_common(_MOST_REASONS)],
            f"The {_MOST_REASONS} most frequent reasons." if len(reasons) > _MOST_REASONS else None,
        ),
        Table(
            "Flags",
            [Column("judge"), Column("flag"), Column("scores", "count"), Column("share", "share")],
            [[*name, count, count / scored[name[0]]] for name, count in flags.most_common()],
        ),
    ]


def _made_of(table: ScoreTable, files: Sequence[RunFile]) -> Table:
    """What judges are made of: models, versions, hashes."""
    rows: dict[tuple[str, str, str], None] = {}
    for judge in table.judges:
        for number, own in names_in_files(table, judge):
            made_of = files[number].judge(own).get("made_of")
            for part, value in _flat(made_of if isinstance(made_of, Mapping) else {}):
                rows[judge, part, value[:_MOST_VALUE]] = None
    return Table(
        "What judges are made of",
        [Column("judge"), Column("part"), Column("value", "code")],
        list(rows),
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
