"""Tables for the terminal. Text from responses, judges and plugins is never printed as it is."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inspector_plugin.data.text import plain as plain

# No table of ours is wider, whatever the terminal.
WIDTH = 80
_WORDS = re.compile(r"\S+")
_NAME_PARTS = re.compile(r"[^\s_]+_*|_+")
# A line below the headings, and no others.
_BOX = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def make_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 1,
    note: str | None = None,
) -> Table:
    """Build a table of plain text.

    Args:
        title: What stands above the table.
        columns: The column headings.
        rows: The cells of each row, one for each column; they may be untrusted text.
        left: How many columns are aligned left; the others hold figures, aligned right and never
            broken into lines.
        note: What stands below the table: what its figures mean.
    """
    cells = [[plain(cell) for cell in row] for row in (columns, *rows)]
    widths, blanks = _layout([list(column) for column in zip(*cells, strict=True)], left)
    if widths is not None:
        cells = [
            [_broken(c, widths[i]) if i < left else c for i, c in enumerate(row)] for row in cells
        ]
    table = Table(
        title=Text(plain(title)),
        caption=None if note is None else Text(plain(note)),
        box=_BOX,
        padding=(0, blanks - 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for index, column in enumerate(cells[0]):
        is_figure = index >= left
        # Words wrap where a line is full; only a word longer than a line is broken.
        table.add_column(
            Text(column),
            justify="right" if is_figure else "left",
            overflow="fold",
            no_wrap=is_figure,
            width=widths[index] if widths else None,
        )
    for row in cells[1:]:
        table.add_row(*map(Text, row))
    return table


def _layout(columns: Sequence[Sequence[str]], left: int) -> tuple[list[int] | None, int]:
    """Choose the widths of the columns and how many blanks stand between them.

    Two blanks; one where that keeps words whole, or where names have to be broken after an
    underscore; None in place of widths where words are cut in any case.
    """
    for blanks, parts in ((2, _WORDS), (1, _WORDS), (1, _NAME_PARTS)):
        widths = _widths(columns, left, WIDTH - (blanks * len(columns) - 1), parts)
        if widths is not None:
            return widths, blanks
    return None, 2


def _widths(
    columns: Sequence[Sequence[str]], left: int, room: int, parts: re.Pattern[str]
) -> list[int] | None:
    """Share the width out so that no word is cut; None where that cannot be.

    Args:
        columns: The cells of each column, its heading among them.
        left: How many columns hold text; the others hold figures.
        room: What there is to share out.
        parts: What is not cut: words, or parts of names.
    """
    natural = [max(map(cell_len, column)) for column in columns]
    if sum(natural) <= room:
        return natural
    words = [
        max(cell_len(word) for cell in column for word in parts.findall(cell)) for column in columns
    ]
    widths = words[:left] + natural[left:]
    if sum(widths) > room:
        return None
    while sum(widths) < room:
        growing = [index for index in range(left) if widths[index] < natural[index]]
        if not growing:
            break
        widths[max(growing, key=lambda index: natural[index] - widths[index])] += 1
    return widths


def _broken(cell: str, width: int) -> str:
    """Break a cell that holds a name wider than a line, after underscores."""
    if all(cell_len(word) <= width for word in cell.split()):
        return cell
    lines = [""]
    for part in re.findall(rf"{_NAME_PARTS.pattern}|\s+", cell):
        if cell_len(lines[-1] + part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines if line.strip())


def print_tables(*tables: Table, file: TextIO | None = None) -> None:
    """Print tables one below the other, on standard output if no other file is given."""
    console = Console(file=file or sys.stdout, highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    for table in tables:
        title, note = table.title, table.caption
        table.title = table.caption = None
        for part in (title, table, note):
            if isinstance(part, Text):
                _print_lines(console, part)
            elif part is not None:
                console.print(part)
        console.print()


def _print_lines(console: Console, text: Text) -> None:
    """Print text in lines without the blanks that rich leaves at their ends."""
    for line in text.wrap(console, console.width):
        line.rstrip()
        console.print(line)


def figure(value: float | None, digits: int = 2) -> str:
    """Write a figure with few digits; "-" where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def share(value: float) -> str:
    """Write a figure that is mostly below 1 as statisticians do: .31, -.04, 1.00."""
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else f"{value:.2f}"


def interval(value: float, low: float | None, high: float | None) -> str:
    """Write an estimate with its interval: .31 [.22, .40]; without one, the value alone."""
    if low is None or high is None:
        return share(value)
    return f"{share(value)} [{share(low)}, {share(high)}]"
