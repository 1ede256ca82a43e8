"""Print the figures of the probe packs that ship as Markdown tables, beside the published ones.

    python benchmarks/probe_table.py

The figures come from the packs' cards; `inspector train` wrote them there (docs/RESULTS.md has the
command). Published: macro F1 of Qwen3-1.7B probes in 5-fold cross-validation, best layer chosen
afterwards, on other rows (arXiv 2601.22588).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.inspector.packs import card_entries, read_card
from inspector_plugin.judges.packs import CARD
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

# Heading, figure in the card and its statistic.
COLUMNS = (
    ("macro F1", "nested_cross_validation", "macro_f1"),
    ("surface counts", "surface_counts", "macro_f1"),
    ("surface words", "surface_words", "macro_f1"),
    ("chance", "chance", "macro_f1"),
    ("spearman", "nested_cross_validation", "spearman"),
)
PUBLISHED = {
    ("gsm8k", "multiclass"): (".394", ".527", "-", ".524", ".405"),
    ("gsm8k", "binary"): (".763", ".752", ".707", ".787", ".762"),
    ("gpqa", "multiclass"): (".401", ".418", ".545", ".544", ".463"),
    ("gpqa", "binary"): (".616", ".644", ".787", ".879", ".726"),
}


def main() -> None:
    """Print a table for each pack and the means over its criteria."""
    for path in sorted((shipped_folder("probes") / "fast").glob(f"*/*/*/{CARD}"), reverse=True):
        card = read_card(path.parent)
        if not card["transferred"]:
            print_pack(card, path)


def print_pack(card: dict[str, Any], path: Path) -> None:
    """Print one pack."""
    dataset, labels = card["dataset"], card["labels"]
    headings = [heading for heading, _, _ in COLUMNS]
    columns = ("criterion", "rows", *headings, "published (Qwen3-1.7B)")
    published = dict(zip(ROSCOE_KEYS, PUBLISHED.get((dataset, labels), "-----"), strict=True))
    print(f"**{dataset}, {labels}** ({path.parents[2].name})\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for key, entry in card_entries(card).items():
        cells = [cell(entry["figures"][figure][statistic]) for _, figure, statistic in COLUMNS]
        print("| " + " | ".join((key, str(entry["rows"]), *cells, published[key])) + " |")
    averages = ", ".join(f"{name} {average(card, figure):.3f}" for name, figure in FIGURES.items())
    print(f"\nMean macro F1 over the criteria: {averages}.\n")


def cell(estimate: Mapping[str, float | None] | None) -> str:
    """Write a figure, with its interval where it has one."""
    if estimate is None:
        return "not defined"
    if estimate.get("low") is None:
        return f"{estimate['value']:.2f}"
    return f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


FIGURES = {
    "probes": "nested_cross_validation",
    "surface counts": "surface_counts",
    "surface words": "surface_words",
    "chance": "chance",
}


def average(card: dict[str, Any], figure: str) -> float:
    """The mean macro F1 of one figure over a card's criteria."""
    entries = card_entries(card).values()
    return statistics.fmean(entry["figures"][figure]["macro_f1"]["value"] for entry in entries)


if __name__ == "__main__":
    main()
