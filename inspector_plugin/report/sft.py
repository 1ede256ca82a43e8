"""The figures of a fine-tuning study, as a table and as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.paired_means import ArmMean
from inspector_plugin.data.arms import Arms
from inspector_plugin.errors import count_of
from inspector_plugin.report.document import plain_value
from inspector_plugin.report.tables import make_table

# A loss or an accuracy, by arm, under the name of the measure.
Measures = Mapping[str, Mapping[str, ArmMean]]


def arms_table(arms: Arms, left_out: Mapping[str, int]) -> list[Table]:
    """Build the tables of what the arms train on, and of what is left out."""
    rows = [
        (name, str(len(arm.rows)), str(len(arm.shown)), f"{arm.tokens:,}")
        for name, arm in arms.arms.items()
    ]
    bands = (
        "" if arms.bands == 1 else f"; the same number out of each of {arms.bands} bands of length"
    )
    tables = [
        make_table(
            "Arms",
            ("arm", "rows", "shown", "tokens"),
            rows,
            note=f"tokens to learn differ by {arms.spread:.1%} at most{bands}",
        )
    ]
    if left_out:
        reasons = [(reason, str(count)) for reason, count in left_out.items()]
        tables.insert(0, make_table("Left out", ("reason", "rows"), reasons))
    return tables


def measure_table(
    measure: str, found: Mapping[str, ArmMean], count: int, against: str | None
) -> Table:
    """Build the table of one measure: each arm with its interval and its difference.

    Args:
        measure: What it is called, such as "exact_match,strict-match".
        found: By arm.
        count: How many problems it was measured on.
        against: The arm that the others are compared with.
    """
    digits = 3
    rows = [
        (
            name,
            _cell(each.mean, digits),
            "-" if each.difference is None else _cell(each.difference, digits, sign=True),
        )
        for name, each in found.items()
    ]
    difference = "difference" if against is None else f"less {against}"
    return make_table(
        f"{measure}, {count_of(count, 'problem')}",
        ("arm", "mean", difference),
        rows,
        note="[95% interval], bootstrap over problems; differences problem by problem",
    )


def figures_to_json(
    arms: Arms, left_out: Mapping[str, int], measures: Measures, counts: Mapping[str, int]
) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {
        "arms": {
            name: {"rows": len(arm.rows), "shown": len(arm.shown), "tokens": arm.tokens}
            for name, arm in arms.arms.items()
        },
        "bands": arms.bands,
        "token_spread": round(arms.spread, 5),
        "left_out": dict(left_out),
        "measures": {
            measure: {
                "problems": counts[measure],
                "arms": {
                    name: {
                        "mean": plain_value(each.mean),
                        "difference": plain_value(each.difference),
                    }
                    for name, each in found.items()
                },
            }
            for measure, found in measures.items()
        },
    }


def _cell(value: Estimate, digits: int, sign: bool = False) -> str:
    plus = "+" if sign else ""
    text = f"{value.value:{plus}.{digits}f}"
    if value.low is None or value.high is None:
        return text
    return f"{text} [{value.low:{plus}.{digits}f}, {value.high:{plus}.{digits}f}]"
