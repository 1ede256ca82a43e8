"""`inspector show`: judged responses as people read them."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inspector_plugin.cli import flags
from inspector_plugin.data.jsonl import read_rows, response_field, text_field
from inspector_plugin.data.stored_scores import (
    JUDGEMENTS,
    RESPONSE_FIELDS,
    judgements_of,
    rows_of,
)
from inspector_plugin.errors import DataError, count_of
from inspector_plugin.report.tables import WIDTH, figure, make_table, plain, print_tables
from inspector_plugin.schema.records import Judgement

_MOST_CHARACTERS = 2000


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "show",
        description="Show a row of a judgement file, or of a sample log of our tasks: problem, "
        "response, and what each judge said.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="judgement file or sample log")
    parser.add_argument(
        "--row", type=flags.positive, default=1, metavar="N", help="which one, from 1 (default: 1)"
    )
    flags.add_drop_flagged_flag(parser)
    parser.set_defaults(run_command=run_show)


def run_show(options: argparse.Namespace) -> int:
    """Show the row."""
    row, where = _find(options.file, options.row)
    _print_text("Problem", text_field(row, ("question",), where))
    _print_text("Response", response_field(row, RESPONSE_FIELDS, where)[0])
    dropped = options.drop_flagged
    for name, judgement in judgements_of(row, where).items():
        _print_judgement(name, judgement if dropped is None else dropped.without(judgement))
    return 0


def _find(path: Path, wanted: int) -> tuple[Mapping[str, Any], str]:
    count = 0
    for number, line in read_rows(path):
        where = f"{path}, line {number}"
        for row in rows_of(line, where):
            if JUDGEMENTS not in row:
                continue
            count += 1
            if count == wanted:
                return row, where
    held = count_of(count, "judged response")
    raise DataError(f"{path} holds {held}; --row {wanted} is not there.")


def _print_text(title: str, text: str) -> None:
    print(f"{title}\n{'-' * len(title)}")
    for line in text[:_MOST_CHARACTERS].splitlines() or [""]:
        print(textwrap.fill(plain(line), WIDTH))
    if len(text) > _MOST_CHARACTERS:
        print(f"[... {len(text) - _MOST_CHARACTERS} more characters]")
    print()


def _print_judgement(name: str, judgement: Judgement) -> None:
    rows = [
        (
            key,
            figure(score.score),
            "-" if score.label is None else str(score.label),
            "-" if score.scale is None else score.scale.name,
            ", ".join(score.flags) or "-",
        )
        for key, score in judgement.scores.items()
    ]
    columns = ("criterion", "score", "label", "scale", "flags")
    total = judgement.total
    note = None if total is None or len(rows) < 2 else f"total: {figure(total)}"
    print_tables(make_table(f"Judged by {name}", columns, rows, note=note))
    remarks = list(_remarks(judgement))
    for remark in remarks:
        print(textwrap.fill(plain(remark), WIDTH, subsequent_indent="  "))
    if remarks:
        print()


def _remarks(judgement: Judgement) -> Iterator[str]:
    """What was said of each score, and what the members of a panel or cascade gave."""
    for key, score in judgement.scores.items():
        said = score.reason or score.explanation
        if said:
            yield f"{key}: {said}"
        if score.members:
            given = ", ".join(f"{name} {figure(m.score)}" for name, m in score.members.items())
            yield f"{key}, by member: {given}"
