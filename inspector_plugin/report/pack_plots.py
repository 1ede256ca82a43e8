"""The figures in a pack's card as drawings; the same card gives the same files."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inspector_plugin.data.files import write_whole
from inspector_plugin.data.text import plain
from inspector_plugin.errors import DataError
from inspector_plugin.report.pack_cards import (
    CHANCE,
    PROBE,
    Matrix,
    calibration,
    confusion,
    coverage,
    criteria_of,
    detection,
    labels_of,
    macro_f1_by_layer,
    noun_of,
    sanity,
    statistic,
    surface,
)

_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "inspector_plugin",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "legend.frameon": False,
}
# What each form would otherwise say of when and by which version it was made.
_METADATA: Mapping[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
_PANEL, _COLUMNS, _DPI = 2.6, 3, 120
_NUMBERS_UP_TO = 10  # labels: beyond, the numbers in a confusion matrix would not fit
Panel = Callable[[Axes], None]


def write_pack_plots(card: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw what a card has figures for.

    Args:
        card: The card.
        folder: Where to write `layers`, `confusion`, `reliability`, `coverage`, `sanity` and
            `flags`, each as .svg and .png; made if need be.

    Returns:
        The files written.

    Raises:
        DataError: If one cannot be written.
    """
    drawn = {
        "layers": _layer_panels(card),
        "confusion": _confusion_panels(card),
        "reliability": _reliability_panels(card),
        "coverage": _coverage_panels(card),
        "sanity": _sanity_panels(card),
        "flags": _flag_panels(card),
    }
    written = []
    for name, panels in drawn.items():
        if panels:
            written += _write(folder / name, panels)
    return written


def _write(path: Path, panels: Mapping[str, Panel]) -> list[Path]:
    """Draw panels side by side, three in a row, and write them."""
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    width = 1.6 * _PANEL if columns == 1 else _PANEL
    files = []
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure((columns * width + 0.4, rows * _PANEL + 0.4), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for each, (title, draw) in zip(axes, panels.items(), strict=False):
            each.set_title(plain(title)[:40])
            draw(each)
        for unused in axes[len(panels) :]:
            unused.set_axis_off()
        for form, metadata in _METADATA.items():
            out = io.BytesIO()
            figure.savefig(out, format=form, metadata=metadata, dpi=_DPI)
            file = path.with_name(f"{path.name}.{form}")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, out.getvalue())
            except OSError as error:
                raise DataError(f"Cannot write {file}: {error}.") from error
            files.append(file)
    return files


def _layer_panels(card: Mapping[str, Any]) -> dict[str, Panel]:
    panels: dict[str, Panel] = {}
    for key, entry in criteria_of(card).items():
        curve = macro_f1_by_layer(entry)
        if curve:
            panels[key] = _layer_panel(entry, curve)
    return panels


def _layer_panel(entry: Mapping[str, Any], curve: Mapping[int, float]) -> Panel:
    def draw(axes: Axes) -> None:
        axes.plot(list(curve), list(curve.values()), marker="o", label="screening")
        levels = {
            "probe, nested": statistic(entry, PROBE, "macro_f1"),
            "surface": surface(entry),
            "chance": statistic(entry, CHANCE, "macro_f1"),
        }
        for number, (name, level) in enumerate(levels.items(), start=1):
            if level is not None:
                style = (0, (4, number))
                axes.axhline(level.value, color=f"C{number}", linestyle=style, label=name)
        axes.set_xlabel("layer")
        axes.set_ylabel("macro F1")
        axes.set_ylim(0, 1)
        axes.legend(fontsize=7)

    return draw


def _confusion_panels(card: Mapping[str, Any]) -> dict[str, Panel]:
    panels: dict[str, Panel] = {}
    for key, entry in criteria_of(card).items():
        matrix = confusion(entry)
        if matrix is not None:
            labels = labels_of(card, entry, len(matrix))
            panels[key] = _confusion_panel(matrix, labels, noun_of(card))
    return panels


def _confusion_panel(matrix: Matrix, labels: list[str], judge: str) -> Panel:
    def draw(axes: Axes) -> None:
        # Each row by itself: how the responses of one label fare, however many there are.
        shares = [[cell / (sum(row) or 1) for cell in row] for row in matrix]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        places = range(len(labels))
        if len(labels) <= _NUMBERS_UP_TO:
            axes.set_xticks(places, labels)
            axes.set_yticks(places, labels)
            for row in places:
                for column in places:
                    ink = "white" if shares[row][column] > 0.5 else "black"
                    count = str(matrix[row][column])
                    axes.text(column, row, count, color=ink, ha="center", va="center")
        axes.set_xlabel(judge)
        axes.set_ylabel("reference")

    return draw


def _reliability_panels(card: Mapping[str, Any]) -> dict[str, Panel]:
    panels: dict[str, Panel] = {}
    for key, entry in criteria_of(card).items():
        found = calibration(entry)
        if found is not None and found.bins:
            panels[key] = _reliability_panel(found.bins)
    return panels


def _reliability_panel(bins: Any) -> Panel:
    def draw(axes: Axes) -> None:
        most = max(each.count for each in bins) or 1
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        axes.plot(
            [each.confidence for each in bins], [each.accuracy for each in bins], linewidth=0.8
        )
        axes.scatter(
            [each.confidence for each in bins],
            [each.accuracy for each in bins],
            s=[8 + 60 * max(each.count, 0) / most for each in bins],
        )
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("mean confidence")
        axes.set_ylabel("accuracy")

    return draw


def _coverage_panels(card: Mapping[str, Any]) -> dict[str, Panel]:
    curve = coverage(card)
    if not curve:
        return {}

    def draw(axes: Axes) -> None:
        shares = [each.coverage for each in curve]
        axes.plot(shares, [each.agreement for each in curve], marker="o", label="accuracy")
        least = [each.confidence for each in curve]
        axes.plot(shares, least, linestyle="--", color="grey", label="min_confidence")
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("coverage")
        axes.legend(fontsize=7)

    return {"coverage and agreement": draw}


def _flag_panels(card: Mapping[str, Any]) -> dict[str, Panel]:
    kinds = detection(card)
    if not kinds:
        return {}

    def draw(axes: Axes) -> None:
        places = range(len(kinds))
        names = {
            "off-task": [each.off_task for each in kinds.values()],
            "kind left out of training": [each.untrained for each in kinds.values()],
            "unlike-training": [each.unlike_training for each in kinds.values()],
        }
        for marker, (name, shares) in zip("o|x", names.items(), strict=True):
            values = [math.nan if share is None else share for share in shares]
            axes.plot(values, places, marker, label=name)
        axes.set_yticks(places, [plain(kind)[:30] for kind in kinds], fontsize=5)
        axes.invert_yaxis()
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("share flagged")
        axes.legend(fontsize=5)

    return {"flags by kind": draw}


def _sanity_panels(card: Mapping[str, Any]) -> dict[str, Panel]:
    shares = sanity(card)
    if not shares:
        return {}

    def draw(axes: Axes) -> None:
        for place, estimate in enumerate(shares.values()):
            if estimate.low is not None and estimate.high is not None:
                axes.plot([estimate.low, estimate.high], [place, place], color="C0")
            axes.plot([estimate.value], [place], "o", color="C0")
        axes.set_yticks(range(len(shares)), [plain(kind)[:30] for kind in shares])
        axes.invert_yaxis()
        axes.axvline(0.5, color="grey", linewidth=0.8)
        axes.set_xlim(0, 1)
        axes.set_xlabel("ordered rightly")

    return {"sanity suite": draw}
