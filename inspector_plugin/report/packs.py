"""The figures in a probe pack's card, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from inspector_plugin.report.table import make_table

COLUMNS = ("aspect", "rows", "macro F1", "surface counts", "surface words", "chance", "spearman")


def pack_rows(card: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells under `COLUMNS`, a row for each aspect of a card."""
    return [
        (
            aspect,
            str(entry["rows"]),
            _cell(entry, "nested_cross_validation", "macro_f1"),
            _cell(entry, "surface_counts", "macro_f1"),
            _cell(entry, "surface_words", "macro_f1"),
            _cell(entry, "chance", "macro_f1"),
            _cell(entry, "nested_cross_validation", "spearman"),
        )
        for aspect, entry in card["aspects"].items()
    ]


def pack_table(card: Mapping[str, Any], title: str) -> Table:
    """Build the table of a pack: nested cross-validation beside its baselines, 95% intervals."""
    return make_table(title, COLUMNS, pack_rows(card))


def _cell(entry: Mapping[str, Any], figure: str, statistic: str) -> str:
    estimate = entry["figures"][figure][statistic]
    if estimate is None:
        return "not defined"
    if estimate.get("low") is None:
        return f"{estimate['value']:.2f}"
    return f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"
