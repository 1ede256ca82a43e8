"""What came of distilling a judge, as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inspector_plugin.agreement.bars import Bar
from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.cascade_choice import Cascades, route_of
from inspector_plugin.agreement.replacement import Replacement


@dataclass(frozen=True)
class LabelFigures:
    """What was labelled.

    Attributes:
        candidates: Rows that could have been labelled.
        training: Rows labelled to train on.
        held_out: Rows labelled to measure with.
        missing: Scores that the reference did not give.
        reasons: Why, and how often.
        spent: US dollars spent on labels; None where no price is known.
        left_out: Rows of the input that could not be labelled, by reason.
        guided_by: What guided the choice of the training rows.
    """

    candidates: int
    training: int
    held_out: int
    missing: int
    reasons: Mapping[str, int]
    spent: float | None
    left_out: Mapping[str, int]
    guided_by: str


@dataclass(frozen=True)
class CostFigures:
    """What judging the rows that have no labels takes.

    Attributes:
        rows: How many there are.
        price: US dollars for a row by the reference; None if it is not known.
        price_is_paid: Whether the price is what the labels did cost, else an estimate.
        asked: Share of the scores that the reference still gives, the mean over the criteria.
        rows_per_second: How fast the distilled judge was on this machine; None if not measured.
    """

    rows: int
    price: float | None
    price_is_paid: bool
    asked: Estimate
    rows_per_second: float | None

    @property
    def of_reference(self) -> float | None:
        """US dollars if the reference judges them all."""
        return None if self.price is None else self.rows * self.price

    @property
    def as_planned(self) -> Estimate | None:
        """US dollars if they are judged as this report says."""
        whole = self.of_reference
        if whole is None:
            return None
        low, high = self.asked.low, self.asked.high
        return Estimate(
            whole * self.asked.value,
            None if low is None else whole * low,
            None if high is None else whole * high,
        )

    @property
    def saved(self) -> float | None:
        """US dollars saved."""
        planned, whole = self.as_planned, self.of_reference
        return None if planned is None or whole is None else whole - planned.value

    @property
    def seconds(self) -> float | None:
        """How long the distilled judge takes."""
        return self.rows / self.rows_per_second if self.rows_per_second else None


@dataclass(frozen=True)
class JudgeToUse:
    """A judge for some of the criteria.

    Attributes:
        name: "distilled judge" or "cascade".
        criteria: Their keys.
        spec: Its specification.
    """

    name: str
    criteria: Sequence[str]
    spec: str


@dataclass(frozen=True)
class DistillFigures:
    """All that came of it.

    Attributes:
        reference: The expensive judge's name.
        bars: What agreement had to clear.
        labels: What was labelled.
        found: What was found on each criterion.
        cascades: The criteria that a cascade serves.
        judges: The judges to use, and what for.
        cost: What judging the other rows takes.
        quality: "multiclass" or "binary": what the probes' labels are.
        audits: One line for each audit.
    """

    reference: str
    bars: Sequence[Bar]
    labels: LabelFigures
    found: Sequence[Replacement]
    cascades: Cascades
    judges: Sequence[JudgeToUse]
    cost: CostFigures
    quality: str
    audits: Sequence[str]

    def routed(self, route: str) -> list[str]:
        """The criteria that are to be judged in one way."""
        return [each.key for each in self.found if route_of(each, self.cascades) == route]
