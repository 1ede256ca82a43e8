"""A plan of a cascade in words and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inspector_plugin.agreement.cascade_plan import CascadePoint
from inspector_plugin.report.document import Cell, Column, Missing, Section, Table, written

_MOST_ROWS = 9


@dataclass(frozen=True)
class PlannedCost:
    """What judging costs.

    Attributes:
        scores: How many scores are to be judged.
        price: US dollars for a score by the dear judge.
        cheap_price: US dollars for a score by the cheap one.
    """

    scores: int
    price: float
    cheap_price: float = 0.0

    @property
    def of_dear_alone(self) -> float:
        """US dollars if the dear judge judges everything."""
        return self.scores * self.price

    def of(self, share: float) -> float:
        """US dollars of a cascade that asks the dear judge for a share of the scores."""
        return self.scores * (self.cheap_price + share * self.price)


def cascade_section(
    cheap: str,
    dear: str,
    statistic: str,
    points: Sequence[CascadePoint],
    chosen: CascadePoint,
    spec: str,
    count: int,
    cost: PlannedCost | None = None,
) -> Section:
    """Build the section.

    Args:
        cheap: The cheap judge's name.
        dear: The dear judge's name.
        statistic: Which agreement.
        points: The thresholds tried.
        chosen: The one chosen.
        spec: The specification of the cascade.
        count: How many scores of both it is planned by.
        cost: The cost, where prices are known.
    """
    said = [
        f"threshold {chosen.threshold:g}, from {count:,} scores by both. {dear} is asked for "
        f"{written(chosen.asked, 'share')} of the scores; {written(chosen.saved, 'share')} of its "
        "work is saved.",
        f"Agreement with {dear} ({statistic}): {written(_agreement(chosen), 'share')}; given up: "
        f"{written(chosen.given_up, 'share')}. {cheap} by itself, asking for "
        f"{written(points[0].asked, 'share')}: {written(_agreement(points[0]), 'share')}.",
    ]
    if cost is not None:
        paid, whole = cost.of(chosen.asked.value), cost.of_dear_alone
        saved = whole - paid
        word = "saved" if saved >= 0 else "more"
        ends = [cost.of(end) for end in (chosen.asked.low, chosen.asked.high) if end is not None]
        interval = f" [{', '.join(f'${end:,.2f}' for end in ends)}]" if ends else ""
        said.append(
            f"{cost.scores:,} scores cost ${paid:,.2f}{interval} in place of ${whole:,.2f}: "
            f"${abs(saved):,.2f} {word}."
        )
    said.append(f"Judge: --judge '{spec}'")
    columns = [
        Column("threshold", "figure"),
        Column(f"asks {dear}"[:30], "share"),
        Column(statistic, "share"),
    ]
    if cost is not None:
        columns.append(Column("US dollars", "figure"))
    rows: list[list[Cell]] = []
    for point in _some(points, chosen):
        row: list[Cell] = [point.threshold, point.asked, _agreement(point)]
        rows.append(row if cost is None else [*row, cost.of(point.asked.value)])
    table = Table(
        f"{cheap}, then {dear}",
        columns,
        rows,
        note="95% intervals by bootstrap over problems; the first row asks for flagged and missing "
        f"scores alone. Agreement is with {dear}, whose own errors it does not show.",
    )
    return Section("cascade", f"Cascade of {cheap} and {dear}", "\n".join(said), [table])


def _agreement(point: CascadePoint) -> Cell:
    missing = Missing(f"threshold {point.threshold:g}: the statistic is not defined")
    return point.agreement if point.agreement is not None else missing


def _some(points: Sequence[CascadePoint], chosen: CascadePoint) -> list[CascadePoint]:
    """The chosen threshold, and others spread evenly over those that there are."""
    if len(points) <= _MOST_ROWS:
        return list(points)
    last = len(points) - 1
    places = {round(place * last / (_MOST_ROWS - 2)) for place in range(_MOST_ROWS - 1)}
    return [points[place] for place in sorted(places | {points.index(chosen)})]
