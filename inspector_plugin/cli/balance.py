"""`inspector balance`: as many rows of each score as of any other, aspect by aspect."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from inspector_plugin.cli import flags
from inspector_plugin.continuing import writing
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.report.table import make_table, print_tables
from inspector_plugin.rows import read_rows
from inspector_plugin.schema import MULTICLASS
from inspector_plugin.scored import iterate_scored


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "balance",
        help="downsample reference scores to equal counts",
        description="For each aspect, keep as many rows of each score as there are of the rarest "
        "one, drawn by --seed. Rows stay as they are, in their order.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="JSONL of reference scores")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="JSONL to write")
    flags.add_seed_flag(parser)
    parser.set_defaults(run_command=run_balance)


def run_balance(options: argparse.Namespace) -> int:
    """Balance the file."""
    if options.out.exists() and options.out.samefile(options.file):
        raise OptionError(f"--out {options.out} is the input itself; write to another file.")
    groups: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, (_, scored) in enumerate(iterate_scored(options.file)):
        groups[scored.aspect][MULTICLASS.nearest(scored.score)].append(index)
    if not groups:
        raise DataError(f"{options.file} holds no scores.")
    kept = set(balanced(groups, options.seed))
    with writing(options.out), options.out.open("w", encoding="utf-8") as file:
        for index, (_, row) in enumerate(read_rows(options.file)):
            if index in kept:
                file.write(json.dumps(row) + "\n")
    rows = [
        (
            aspect,
            *(str(len(by_label.get(label, ()))) for label in MULTICLASS.labels),
            str(kept_each),
        )
        for aspect, by_label in groups.items()
        for kept_each in [min(map(len, by_label.values()))]
    ]
    columns = ("aspect", *(f"had {label}" for label in MULTICLASS.labels), "kept of each")
    print_tables(make_table("Balance", columns, rows))
    for aspect, by_label in groups.items():
        missing = [str(label) for label in MULTICLASS.labels if label not in by_label]
        if missing:
            print(f"{aspect}: no row has score {', '.join(missing)}", file=sys.stderr)
    return 0


def balanced(groups: Mapping[str, Mapping[int, Sequence[int]]], seed: int) -> list[int]:
    """Choose rows so that, within each aspect, the scores that occur are equally frequent.

    Args:
        groups: Row numbers by aspect and score.
        seed: Decides which rows are drawn, for each aspect and score apart.

    Returns:
        The row numbers, ascending.
    """
    chosen: list[int] = []
    for aspect, by_label in groups.items():
        count = min(map(len, by_label.values()))
        for label, rows in by_label.items():
            chosen += random.Random(f"{seed}/{aspect}/{label}").sample(rows, count)
    return sorted(chosen)
