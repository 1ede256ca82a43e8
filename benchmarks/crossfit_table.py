"""The figures of cross-fitted packs, as Markdown tables for docs/RESULTS.md.

    python benchmarks/crossfit_table.py
    python benchmarks/crossfit_table.py --probes full

Those of the packs that ship as the default, or of others that ship, or of a folder of packs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inspector_plugin.judges.inspector.pack_choice import packs_root
from inspector_plugin.judges.inspector.pack_folders import model_folder
from inspector_plugin.judges.inspector.packs import read_card

PACKS = [(name, labels) for name in ("gsm8k", "gpqa") for labels in ("multiclass", "binary")]


def table(*rows: list[str]) -> Iterator[str]:
    """Make a Markdown table of a head and rows."""
    for number, row in enumerate(rows):
        yield "| " + " | ".join(row) + " |"
        if number == 0:
            yield "| " + " | ".join("---" for _ in row) + " |"


def interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def agreement(card: Mapping[str, Any]) -> Iterator[str]:
    """The agreement of a pack, criterion by criterion, and its mean."""
    routes = ("nested_cross_validation", "averaged_route", "surface_counts", "surface_words")
    rows, means = [], dict.fromkeys(routes, 0.0)
    entries = {k: e for k, e in card["criteria"].items() if "auc" not in e["figures"]}
    for key, entry in entries.items():
        figures = entry["figures"]
        for route in routes:
            means[route] += figures[route]["macro_f1"]["value"] / len(entries)
        rows.append(
            [
                key,
                str(entry["rows"]),
                *(interval(figures[route]["macro_f1"]) for route in routes),
                interval(figures["nested_cross_validation"]["spearman"]),
                f"{entry['calibration']['brier']:.2f}",
            ]
        )
    head = ["criterion", "rows", "own fold", "average", "surface counts", "surface words"]
    yield from table([*head, "Spearman", "Brier"], *rows)
    pooled = card["figures"]["calibration"]
    yield ""
    yield (
        f"Means: own fold {means['nested_cross_validation']:.3f}, average "
        f"{means['averaged_route']:.3f}, surface counts {means['surface_counts']:.3f}, surface "
        f"words {means['surface_words']:.3f}. Calibration error {pooled['ece']:.3f} (a perfectly "
        f"calibrated judge: {pooled['ece_bias']:.3f})."
    )


def detection(packs: Path, name: str) -> Iterator[str]:
    """The share of held-out responses that get each flag."""
    found = read_card(packs / name / "multiclass")["figures"]["detection"]
    rows = [
        [
            kind,
            str(each["n"]),
            f"{each['off_task']:.2f}",
            f"{each['off_task_untrained']:.2f}" if "off_task_untrained" in each else "",
            f"{each['unlike_training']:.2f}",
        ]
        for kind, each in found.items()
    ]
    head = ["kind", "n", "off-task", "off-task, kind left out of training", "unlike-training"]
    yield from table(head, *rows)


def correctness(packs: Path) -> Iterator[str]:
    """How well the probability of a right solution ranks solutions, by their author."""
    auc = read_card(packs / "gsm8k" / "multiclass")["criteria"]["correctness"]["figures"]["auc"]
    left_out = auc["author_left_out"]
    rows = [
        [author, f"{value:.3f}", f"{left_out[author]:.3f}" if author in left_out else ""]
        for author, value in auc["within_author"].items()
    ]
    yield from table(["author", "AUC", "AUC, author left out"], *rows)
    yield ""
    yield f"All together {auc['all']:.3f}; the author's name alone {auc['author_alone']:.3f}."


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--probes", help="a folder of packs, or full; default: the default's")
    packs = model_folder(packs_root(parser.parse_args().probes), None)
    for name, labels in PACKS:
        print(f"\n### {name}, {labels}\n")
        print("\n".join(agreement(read_card(packs / name / labels))))
    for name in ("gsm8k", "math", "gpqa"):
        print(f"\n### flags, {name}\n")
        print("\n".join(detection(packs, name)))
    print("\n### correctness\n")
    print("\n".join(correctness(packs)))


if __name__ == "__main__":
    main()
