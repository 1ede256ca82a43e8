"""How often each label occurs, as tables."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from inspector_plugin.report.tables import make_table
from inspector_plugin.schema.criteria import Scale

# Labels beyond these stand one below the other: side by side they would not fit.
_MOST_IN_A_ROW = 7


def label_table(
    title: str,
    scale: Scale,
    counts: Mapping[str, Mapping[int, int]],
    kept: Mapping[str, int] | None = None,
) -> Table:
    """Build the table of one scale.

    Args:
        title: What stands above the table.
        scale: The scale.
        counts: For each criterion how often each label occurs.
        kept: For each criterion how many of each label are kept, if any are left out.
    """
    last = () if kept is None else ("kept of each",)

    def kept_of(key: str) -> tuple[str, ...]:
        return () if kept is None else (str(kept[key]),)

    if len(scale.labels) <= _MOST_IN_A_ROW:
        rows = [
            (key, *(str(by_label.get(label, 0)) for label in scale.labels), *kept_of(key))
            for key, by_label in counts.items()
        ]
        return make_table(title, ("criterion", *map(str, scale.labels), *last), rows)
    rows = [
        (key, str(label), str(by_label[label]), *kept_of(key))
        for key, by_label in counts.items()
        for label in scale.labels
        if by_label.get(label)
    ]
    return make_table(title, ("criterion", "label", "scores", *last), rows)
