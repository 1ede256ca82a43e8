"""Print the figures of the probe packs that ship as Markdown tables, beside the published ones.

    python benchmarks/probe_table.py

The figures come from the packs' cards; `inspector train` wrote them there (docs/RESULTS.md has the
command). Published: macro F1 of Qwen3-1.7B probes in 5-fold cross-validation, best layer chosen
afterwards, on other rows (arXiv 2601.22588).
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from inspector_plugin.aspects import ASPECT_KEYS
from inspector_plugin.probing.packs import CARD, read_card
from inspector_plugin.report.packs import COLUMNS, pack_rows
from inspector_plugin.shipped import shipped_folder

PUBLISHED = {
    ("gsm8k", "multiclass"): (".394", ".527", "-", ".524", ".405"),
    ("gsm8k", "binary"): (".763", ".752", ".707", ".787", ".762"),
    ("gpqa", "multiclass"): (".401", ".418", ".545", ".544", ".463"),
    ("gpqa", "binary"): (".616", ".644", ".787", ".879", ".726"),
}


def main() -> None:
    """Print a table for each pack and the means over its aspects."""
    for path in sorted(shipped_folder("probes").glob(f"*/*/*/{CARD}"), reverse=True):
        card = read_card(path.parent)
        if not card["transferred"]:
            print_pack(card, path)


def print_pack(card: dict[str, Any], path: Path) -> None:
    """Print one pack."""
    dataset, labels = card["dataset"], card["labels"]
    columns = (*COLUMNS, "published (Qwen3-1.7B)")
    published = dict(zip(ASPECT_KEYS, PUBLISHED.get((dataset, labels), "-----"), strict=True))
    print(f"**{dataset}, {labels}** ({path.parents[2].name})\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for row in pack_rows(card):
        print("| " + " | ".join((*row, published[row[0]])) + " |")
    averages = ", ".join(f"{name} {average(card, figure):.3f}" for name, figure in FIGURES.items())
    print(f"\nMean macro F1 over the aspects: {averages}.\n")


FIGURES = {
    "probes": "nested_cross_validation",
    "surface counts": "surface_counts",
    "surface words": "surface_words",
    "chance": "chance",
}


def average(card: dict[str, Any], figure: str) -> float:
    """The mean macro F1 of one figure over a card's aspects."""
    entries = card["aspects"].values()
    return statistics.fmean(entry["figures"][figure]["macro_f1"]["value"] for entry in entries)


if __name__ == "__main__":
    main()
