"""Charts for a page, as SVG: drawn by matplotlib, coloured by the page.

The page is light or dark, on paper or on a screen; what is drawn therefore names colours by their
part (ink, lines, series), and the page's style sheet says which they are. The same figures give the
same SVG.
"""

from __future__ import annotations

import io
import math
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.data.text import plain
from inspector_plugin.report.document import Chart

WIDTH = 4.6  # inches; the page scales a chart to its column
_SVG = "http://www.w3.org/2000/svg"
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_HREF = "{http://www.w3.org/1999/xlink}href"
# Colours that matplotlib writes and nobody sees: each stands for a variable of the page.
INK, LINE = "#000001", "#000002"
SERIES = 8
_VARIABLES = {INK: "currentColor", LINE: "var(--line)"} | {
    f"#0000{16 + number:02x}": f"var(--series-{number})" for number in range(SERIES)
}
# Series differ in shape as well as in colour.
_MARKERS = "os^DvPX*"
_MOST_NAME = 34
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "inspector_plugin",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9.0,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.0,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class Point:
    """A value in a forest plot.

    Attributes:
        row: The row it stands in.
        series: Whose it is.
        value: The value and its interval.
        is_baseline: Whether it is there for comparison only: drawn hollow and grey.
    """

    row: str
    series: str
    value: Estimate
    is_baseline: bool = False


@dataclass(frozen=True)
class Line:
    """A line through points, with their intervals where they have some.

    Attributes:
        series: Whose it is.
        x, y: The points, [points].
        low, high: Ends of the intervals, [points]; None for none.
    """

    series: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Panel:
    """A small chart among others of its kind: its title and its lines."""

    title: str
    lines: Sequence[Line]


def series_colour(number: int) -> str:
    """The colour of a series, by its number."""
    return f"#0000{16 + number % SERIES:02x}"


def forest_plot(
    title: str, description: str, points: Sequence[Point], label: str, zero: float | None = 0.0
) -> Chart:
    """Draw values with their intervals, row by row.

    Args:
        title: What stands above the chart.
        description: What it shows, for those who do not see it and for those who do.
        points: The values, in the order of rows and series.
        label: What the values are.
        zero: Where a line marks that there is nothing to see; None for no line.
    """
    rows = list(dict.fromkeys(point.row for point in points))
    names = list(dict.fromkeys(point.series for point in points))
    judges = [n for n in names if any(p.series == n and not p.is_baseline for p in points)]
    height = len(rows) * max(0.28, 0.13 * len(names)) + 0.75 + 0.19 * ((len(names) + 1) // 2)
    with _drawing(height) as (figure, parts):
        axes = figure.subplots()
        if zero is not None:
            axes.axvline(zero, color=LINE, linewidth=1)
        for number, name in enumerate(names):
            mine = [point for point in points if point.series == name]
            shift = (number - (len(names) - 1) / 2) * 0.75 / len(names)
            is_baseline = name not in judges
            colour = INK if is_baseline else series_colour(judges.index(name))
            places = [rows.index(point.row) + shift for point in mine]
            values = [point.value for point in mine]
            axes.hlines(
                places,
                [value.value if value.low is None else value.low for value in values],
                [value.value if value.high is None else value.high for value in values],
                color=colour,
                linewidth=1.4,
                alpha=0.5 if is_baseline else None,
            )
            axes.plot(
                [value.value for value in values],
                places,
                linestyle="none",
                marker="|" if is_baseline else _MARKERS[judges.index(name) % SERIES],
                markersize=5,
                color=colour,
                alpha=0.6 if is_baseline else None,
                label=_name(name),
            )
        axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        # Few ticks: those of a narrow range have many digits.
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_xlabel(label)
        axes.grid(axis="x", color=LINE, linewidth=0.5, alpha=0.6)
        _legend(figure, axes, len(names))
        return Chart(title, description, parts(title))


def line_panels(
    title: str,
    description: str,
    panels: Sequence[Panel],
    x_label: str,
    y_label: str,
    *,
    diagonal: bool = False,
    x_log: bool = False,
    limits: tuple[float, float] | None = None,
) -> Chart:
    """Draw a small chart for each criterion, all on the same axes.

    Args:
        title: What stands above the chart.
        description: What it shows.
        panels: The small charts.
        x_label: What the horizontal axis shows.
        y_label: What the vertical axis shows.
        diagonal: Whether to mark where both are equal.
        x_log: Whether the horizontal axis is logarithmic.
        limits: The ends of the vertical axis.
    """
    names = list(dict.fromkeys(line.series for panel in panels for line in panel.lines))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    height = rows * (1.7 if columns == 2 else 2.4) + 0.45 + 0.19 * ((len(names) + 1) // 2)
    with _drawing(height) as (figure, parts):
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            if diagonal:
                axes.plot([0, 1], [0, 1], color=LINE, linewidth=1, linestyle="--")
            for line in panel.lines:
                _draw(axes, line, names.index(line.series))
            if len(panels) > 1:
                axes.set_title(_name(panel.title))
            axes.grid(color=LINE, linewidth=0.5, alpha=0.6)
            if x_log:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
                axes.xaxis.set_minor_formatter(NullFormatter())
            if limits is not None:
                axes.set_ylim(*limits)
        for axes in list(grid.flat)[len(panels) :]:
            axes.remove()
        if x_log:  # all have one axis in common
            grid.flat[0].xaxis.set_major_locator(_log_ticks(*grid.flat[0].get_xlim()))
        figure.supxlabel(x_label, fontsize=9)
        figure.supylabel(y_label, fontsize=9)
        _legend(figure, grid.flat[0], len(names))
        return Chart(title, description, parts(title))


def _log_ticks(low: float, high: float) -> LogLocator:
    """Ticks that do not run into each other: the more powers of ten, the fewer in each."""
    powers = math.log10(high / low)
    return LogLocator(subs=(1, 2, 5) if powers < 1 else (1, 3) if powers < 2 else (1,))


def share_bars(
    title: str, description: str, rows: Sequence[tuple[str, Sequence[float]]], labels: Sequence[str]
) -> Chart:
    """Draw how often each label occurs, a bar of one length for each row.

    Args:
        title: What stands above the chart.
        description: What it shows.
        rows: The name of each row, and the share of each label.
        labels: The labels, from the lowest.
    """
    with _drawing(0.24 * len(rows) + 0.7) as (figure, parts):
        axes = figure.subplots()
        left = [0.0] * len(rows)
        for number, label in enumerate(labels):
            widths = [shares[number] for _, shares in rows]
            axes.barh(
                range(len(rows)),
                widths,
                left=left,
                height=0.72,
                color=series_colour(0),
                alpha=0.12 + 0.88 * number / max(len(labels) - 1, 1),
                label=label,
            )
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(rows)), [_name(name) for name, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of the scored responses")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside upper left",
            ncols=min(len(labels), 11),
            handlelength=0.9,
            columnspacing=0.9,
        )
        return Chart(title, description, parts(title))


def _draw(axes: Axes, line: Line, number: int) -> None:
    colour = series_colour(number)
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
    marker = _MARKERS[number % SERIES] if len(line.x) <= 20 else None
    axes.plot(
        line.x,
        line.y,
        color=colour,
        linewidth=1.4,
        marker=marker,
        markersize=3.5,
        label=_name(line.series),
    )


def _legend(figure: Figure, axes: Axes, count: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if count > 1:
        figure.legend(handles, labels, loc="outside upper left", ncols=2, columnspacing=1.2)


def _name(text: str) -> str:
    text = plain(text)
    return text if len(text) <= _MOST_NAME else text[: _MOST_NAME - 1] + "…"


@contextmanager
def _drawing(height: float) -> Iterator[tuple[Figure, _Writer]]:
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # The page's fonts draw the text; matplotlib's may lack what a name is written in.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        yield figure, _Writer(figure)


class _Writer:
    """Writes a figure for a page."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure

    def __call__(self, title: str) -> str:
        out = io.StringIO()
        self._figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
        return for_page(out.getvalue(), title)


def for_page(svg: str, title: str) -> str:
    """Make a drawing of matplotlib's a part of a page.

    Its styles become attributes, since the page allows no style but its own; its colours become
    those of the page; names that other drawings of the page may have, too, are told apart.
    """
    root = ElementTree.fromstring(svg)
    prefix = re.sub(r"\W+", "-", title.lower()).strip("-")
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:url\(|href="|\bhref=")#([^)"]+)', text))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        _restyle(element, prefix, used)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", plain(title))
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode").replace(f' xmlns="{_SVG}"', "", 1)


def _restyle(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    if element.tag != f"{{{_SVG}}}text":
        element.text = None
    element.tail = None
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip(), value.strip()
        if name == "font":
            name, value = "font-size", value.partition("px")[0].split()[-1]
        if name and value and name != "font-family":
            element.set(name, value)
    identifier = element.attrib.pop("id", None)
    if identifier in used:
        element.set("id", f"{prefix}-{identifier}")
    for name, value in list(element.attrib.items()):
        if name == _HREF:
            del element.attrib[name]
            element.set("href", value.replace("#", f"#{prefix}-", 1))
        elif value.startswith("url(#"):
            element.set(name, value.replace("url(#", f"url(#{prefix}-", 1))
        elif value.lower() in _VARIABLES:
            element.set(name, _VARIABLES[value.lower()])
        elif name in ("d", "x", "y", "transform"):
            element.set(name, _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.1f}", value))
