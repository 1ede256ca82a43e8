"""`inspector balance`: as many scores of each label as of any other, criterion by criterion."""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.cli import flags
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.data.stored_scores import (
    JUDGEMENTS,
    StoredScore,
    judgements_of,
    read_stored_rows,
)
from inspector_plugin.errors import DataError
from inspector_plugin.judging.resume import opened_output
from inspector_plugin.report.labels import label_table
from inspector_plugin.report.tables import print_tables
from inspector_plugin.schema.criteria import Criterion, Scale
from inspector_plugin.schema.criteria_files import parse_criteria
from inspector_plugin.schema.records import Judgement

# By criterion and label, the rows that have it.
Groups = dict[str, dict[int, list[int]]]


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "balance",
        description="For each criterion, keep as many scores of each label as there are of the "
        "rarest one, drawn by --seed. Scores that are not drawn are taken out of their rows, and "
        "rows without any are left out; all else stays as it is, in its order.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="JSONL of reference scores")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="JSONL to write")
    flags.add_overwrite_flag(parser)
    flags.add_criteria_flag(
        parser, "the criteria of scores that name no scale themselves (default: roscoe)"
    )
    flags.add_scored_by_flag(parser)
    flags.add_seed_flag(parser)
    parser.set_defaults(run_command=run_balance)


def run_balance(options: argparse.Namespace) -> int:
    """Balance the file."""
    flags.check_output(options.out, options.file, criteria=options.criteria)
    criteria = {criterion.key: criterion for criterion in parse_criteria(options.criteria)}
    made_by = {
        "inspector_plugin": __version__,
        "command": "balance",
        "input_sha256": file_sha256(options.file),
        "criteria": [criterion.to_json() for criterion in criteria.values()],
        "scored_by": options.scored_by,
        "seed": options.seed,
    }
    groups: Groups = defaultdict(lambda: defaultdict(list))
    scales: dict[str, Scale] = {}
    for index, (_, scores) in enumerate(read_stored_rows(options.file, options.scored_by)):
        for stored in scores:
            if stored.score is not None:
                scale = _scale(stored, criteria, scales)
                groups[stored.key][scale.nearest(stored.score)].append(index)
    if not groups:
        raise DataError(f"{options.file} holds no scores.")
    kept = balanced(groups, options.seed)
    with opened_output(options.out, made_by, options.overwrite) as output:
        output.replace(
            json.dumps(_with_scores(row, drawn, options.scored_by)) + "\n"
            for index, (row, scores) in enumerate(read_stored_rows(options.file, options.scored_by))
            if (drawn := [each for each in scores if index in kept.get(each.key, ())])
        )
    _print(groups, scales)
    return 0


def balanced(groups: Mapping[str, Mapping[int, Sequence[int]]], seed: int) -> dict[str, set[int]]:
    """Choose rows so that, on each criterion, the labels that occur are equally frequent.

    Args:
        groups: Row numbers by criterion and label.
        seed: Decides which rows are drawn, for each criterion and label apart.

    Returns:
        For each criterion the numbers of the rows whose score is kept.
    """
    chosen: dict[str, set[int]] = {}
    for key, by_label in groups.items():
        count = min(map(len, by_label.values()))
        chosen[key] = {
            row
            for label, rows in by_label.items()
            for row in random.Random(f"{seed}/{key}/{label}").sample(rows, count)
        }
    return chosen


def _scale(
    stored: StoredScore, criteria: Mapping[str, Criterion], scales: dict[str, Scale]
) -> Scale:
    """The scale of a score, which is the same for all scores on a criterion."""
    if stored.scale is not None:
        scale = stored.scale
    elif stored.key in criteria:
        scale = criteria[stored.key].scale
    else:
        raise DataError(
            f"{stored.where}: nothing says on which scale {stored.key!r} is scored; give its "
            "criteria file with --criteria."
        )
    first = scales.setdefault(stored.key, scale)
    if scale != first:
        raise DataError(
            f"{stored.where}: {stored.key} is scored on {scale.name}, and on {first.name} before; "
            "balance one scale at a time."
        )
    if stored.score is not None and stored.score not in scale:
        raise DataError(f"{stored.where}: {stored.score:g} is outside the scale {scale.name}.")
    return scale


def _with_scores(
    row: dict[str, Any], drawn: Sequence[StoredScore], scored_by: str | None
) -> dict[str, Any]:
    """Take the scores that were not drawn out of a row of a judgement file."""
    if JUDGEMENTS not in row:
        return row
    scales = {stored.key: stored.scale for stored in drawn}
    judgements = judgements_of(row, drawn[0].where)
    for name in judgements if scored_by is None else [scored_by]:
        scores = {
            key: dataclasses.replace(judgements[name].scores[key], scale=scale)
            for key, scale in scales.items()
        }
        judgements[name] = Judgement(scores, judgements[name].usage)
    return {**row, JUDGEMENTS: {name: each.to_json() for name, each in judgements.items()}}


def _print(groups: Groups, scales: Mapping[str, Scale]) -> None:
    for scale in dict.fromkeys(scales.values()):
        counts = {
            key: {label: len(rows) for label, rows in by_label.items()}
            for key, by_label in groups.items()
            if scales[key] == scale
        }
        kept = {key: min(by_label.values()) for key, by_label in counts.items()}
        print_tables(label_table("Scores with each label", scale, counts, kept))
    for key, by_label in groups.items():
        missing = [str(label) for label in scales[key].labels if label not in by_label]
        if missing:
            print(f"{key}: no row has label {', '.join(missing)}", file=sys.stderr)
