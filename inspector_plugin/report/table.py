"""Tables for the terminal. Text from responses, judges and plugins is never printed as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Where there is no terminal to measure, lines are wide enough for every table of ours.
_WIDTH_OF_FILES = 160


def plain(text: str) -> str:
    """Make untrusted text safe to print in one line.

    Returns:
        The text with every white space as a blank, and every other character that does not print
        (escape sequences, changes of writing direction, half surrogate pairs) as U+FFFD.
    """
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "\ufffd"
        for character in text
    )


def make_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1
) -> Table:
    """Build a table of plain text.

    Args:
        title: What stands above the table.
        columns: The column headings.
        rows: The cells of each row, one for each column; they may be untrusted text.
        left: How many columns are aligned left; the others hold figures, aligned right.
    """
    table = Table(
        title=Text(plain(title)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for index, column in enumerate(columns):
        # Folded where the terminal is narrow, so that nothing is cut off.
        table.add_column(
            Text(plain(column)), justify="left" if index < left else "right", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table


def print_tables(*tables: Table, file: TextIO | None = None) -> None:
    """Print tables one below the other, on standard output if no other file is given."""
    console = Console(file=file or sys.stdout)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    for table in tables:
        console.print(table)
