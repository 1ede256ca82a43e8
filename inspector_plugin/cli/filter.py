"""`inspector filter`: the best of judged responses, as data to train on or to read."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from inspector_plugin import __version__
from inspector_plugin.cli import flags
from inspector_plugin.data.best_rows import best_rows, choose_judge
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.data.score_table import ScoreTable, read_score_table
from inspector_plugin.data.stored_scores import JUDGEMENTS
from inspector_plugin.errors import DataError, count_of
from inspector_plugin.judging.resume import opened_output
from inspector_plugin.report.tables import make_table, plain, print_tables
from inspector_plugin.schema.criteria import TOTAL

_ROWS_AT_ONCE = 64


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "filter",
        description="Write the rows of FILE with the best scores to OUT, as they are and in their "
        "order, and say how many are dropped and why. A row without a score is never kept; of "
        "rows with equal scores the earlier are.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="judgement file or sample log")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="JSONL to write")
    flags.add_overwrite_flag(parser)
    parser.add_argument(
        "--top",
        type=flags.share,
        default=1.0,
        metavar="SHARE",
        help="how much of all rows to keep, such as 0.2 (default: 1, all that have a score)",
    )
    parser.add_argument(
        "--by",
        metavar="KEY",
        help=f"the criterion that decides, or {TOTAL} (default: {TOTAL}, the sum of all criteria)",
    )
    parser.add_argument(
        "--judge", metavar="NAME", help="whose scores decide, where there are several judges"
    )
    parser.add_argument(
        "--min-confidence",
        type=flags.probability,
        metavar="P",
        help="drop rows whose label is less probable than P",
    )
    flags.add_drop_flagged_flag(parser)
    parser.set_defaults(run_command=run_filter)


def run_filter(options: argparse.Namespace) -> int:
    """Filter the file.

    Returns:
        1 if no row is kept.
    """
    flags.check_output(options.out, options.file)
    table = read_score_table([options.file])
    judge = choose_judge(table, options.judge)
    best = best_rows(
        table,
        judge,
        top=options.top,
        by=options.by,
        min_confidence=options.min_confidence,
        dropped=options.drop_flagged,
    )
    if options.drop_flagged is not None:
        seen = table.flags_by(judge)
        flags.warn_of_unseen_flags("--drop-flagged", options.drop_flagged.names, seen)
    made_by = {
        "inspector_plugin": __version__,
        "command": "filter",
        "input_sha256": file_sha256(options.file),
        "judge": judge,
        "top": options.top,
        "by": options.by,
        "min_confidence": options.min_confidence,
        "drop_flagged": options.drop_flagged and sorted(options.drop_flagged.names),
    }
    with opened_output(options.out, made_by, options.overwrite) as output:
        output.replace(_lines(table, best.kept.tolist()))
    if best.dropped:
        reasons = [(reason, str(count)) for reason, count in best.dropped.most_common()]
        print_tables(make_table("Dropped", ("reason", "rows"), reasons))
    cut = "" if best.cut is None else f"; the lowest score kept is {best.cut:g}"
    rows = count_of(table.rows, "row")
    print(f"{len(best.kept)} of {rows} kept by the scores of {plain(judge)}{cut}")
    print(f"written to {options.out}", file=sys.stderr)
    return 0 if len(best.kept) else 1


def _lines(table: ScoreTable, rows: Sequence[int]) -> Iterator[str]:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        for number, row in table.read_rows(rows[start : start + _ROWS_AT_ONCE]).items():
            if JUDGEMENTS not in row:
                raise DataError(
                    f"{table.where(number)}: a score without a row of its own; filter a judgement "
                    "file, as `inspector score` writes it."
                )
            yield json.dumps(row) + "\n"
