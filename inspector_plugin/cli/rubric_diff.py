"""`inspector rubric diff`: what distinguishes two rubrics."""

from __future__ import annotations

import argparse
from pathlib import Path

from inspector_plugin.cli import flags
from inspector_plugin.errors import count_of
from inspector_plugin.report.tables import make_table, plain, print_tables
from inspector_plugin.rubrics.difference import difference
from inspector_plugin.schema.rubric_files import read_rubric_file

_MOST_ROWS = 200


def add_action(actions: flags.Commands[flags.Parser]) -> None:
    """Add the action to the parser of `inspector rubric`."""
    parser = actions.add_parser("diff", help="show what distinguishes two rubrics")
    parser.add_argument("first", metavar="R1", type=Path, help="a rubric file")
    parser.add_argument("second", metavar="R2", type=Path, help="another rubric file")
    parser.set_defaults(run_command=_diff)


def _diff(options: argparse.Namespace) -> int:
    first, second = (read_rubric_file(path).criterion for path in (options.first, options.second))
    if first.fingerprint == second.fingerprint:
        print(plain(f"{options.first} and {options.second} hold the same rubric."))
        return 0
    changes = difference(first, second)
    rows = [(each.place, each.what, each.before, each.after) for each in changes[:_MOST_ROWS]]
    left = len(changes) - len(rows)
    columns = ("of", "change", "R1", "R2")
    print(plain(f"R1 {options.first}"))
    print(plain(f"R2 {options.second}"))
    title = count_of(len(changes), "difference")
    note = f"and {left} more" if left else None
    print_tables(make_table(title, columns, rows, left=4, note=note))
    return 0
