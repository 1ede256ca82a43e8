"""Print nested macro F1 by prompt layout and highest layer, as Markdown tables.

    python benchmarks/layout_table.py PACKS...

PACKS are folders that `inspector train --out` wrote, one for each layout and highest layer.
"""

from __future__ import annotations

import sys
from pathlib import Path

from inspector_plugin.judges.inspector.packs import card_entries, read_card
from inspector_plugin.judges.packs import CARD
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

LABELS = ("multiclass", "binary")


def main(folders: list[str]) -> None:
    """Print a table for each data set and kind of labels."""
    cards = [
        read_card(path.parent)
        for folder in folders
        for path in sorted(Path(folder).glob(f"*/*/*/{CARD}"))
    ]
    own = [card for card in cards if not card["transferred"]]
    for dataset in dict.fromkeys(card["dataset"] for card in own):
        for labels in LABELS:
            print(f"\n{dataset}, {labels}\n\n| layout | up to layer | mean | ", end="")
            print(" | ".join(ROSCOE_KEYS) + " |\n|" + " --- |" * (3 + len(ROSCOE_KEYS)))
            for card in own:
                if (card["dataset"], card["labels"]) == (dataset, labels):
                    print("| " + " | ".join(row(card)) + " |")


def row(card: dict[str, object]) -> list[str]:
    """The cells of one pack: macro F1 with its interval."""
    training, entries = card["training"], card_entries(card)
    assert isinstance(training, dict)
    top = max(int(member["layer"]) for entry in entries.values() for member in entry["members"])
    figures = [
        entries[key]["figures"]["nested_cross_validation"]["macro_f1"]
        for key in ROSCOE_KEYS
        if key in entries
    ]
    mean = sum(figure["value"] for figure in figures) / len(figures)
    cells = [f"{f['value']:.2f} [{f['low']:.2f}, {f['high']:.2f}]" for f in figures]
    return [str(training["layout"]), str(top), f"{mean:.3f}", *cells]


if __name__ == "__main__":
    main(sys.argv[1:])
