"""The figures in a probe pack's card, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from inspector_plugin.report.tables import interval, make_table, share

COLUMNS = ("criterion", "n", "macro F1", "Spearman", "surface", "chance")
_SURFACE = ("surface_counts", "surface_words")


def pack_rows(card: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells under `COLUMNS`, a row for each criterion of a card."""
    entries = card["criteria" if "criteria" in card else "aspects"]
    return [
        (
            key,
            str(entry["rows"]),
            _cell(entry, "nested_cross_validation", "macro_f1"),
            _cell(entry, "nested_cross_validation", "spearman"),
            share(max(_macro_f1(entry, name) for name in _SURFACE)),
            share(_macro_f1(entry, "chance")),
        )
        for key, entry in entries.items()
    ]


def pack_table(card: Mapping[str, Any], title: str) -> Table:
    """Build the table of a pack: nested cross-validation beside its baselines."""
    note = (
        "n: rows; macro F1, Spearman: nested cross-validation by problem [95% interval]; surface: "
        "macro F1 of the better of two baselines, counts of length and format, and words; chance: "
        "that of shuffled labels"
    )
    return make_table(title, COLUMNS, pack_rows(card), note=note)


def _cell(entry: Mapping[str, Any], figures: str, statistic: str) -> str:
    estimate = entry["figures"][figures][statistic]
    if estimate is None:
        return "not defined"
    return interval(estimate["value"], estimate.get("low"), estimate.get("high"))


def _macro_f1(entry: Mapping[str, Any], figures: str) -> float:
    return float(entry["figures"][figures]["macro_f1"]["value"])
