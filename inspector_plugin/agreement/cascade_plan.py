"""Where to set the threshold of a cascade: what each asks of the dear judge, and what it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resampled
from inspector_plugin.agreement.statistics import PairCounts, Pairs
from inspector_plugin.schema.criteria import Scale

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# One hundredth is as fine as a threshold need be.
_STEPS = 100


@dataclass(frozen=True)
class PilotScores:
    """Scores that the dear judge gave, and what the cheap one says of the same, [n].

    Attributes:
        cheap: Labels of the cheap judge, as positions on the scale; 0 where it has no score.
        dear: Labels of the dear judge, as positions on the scale.
        confidence: Probability of the cheap judge's label; NaN where it has no score.
        doubted: Which the dear judge is asked for at any threshold: flagged, or without a score.
        problems: The number of each response's problem, from 0.
        scale: The scale of the labels.
    """

    cheap: NDArray[np.intp]
    dear: NDArray[np.intp]
    confidence: Floats
    doubted: Bools
    problems: NDArray[np.intp]
    scale: Scale

    def asked(self, threshold: float) -> Bools:
        """Which the dear judge is asked for, [n]."""
        return self.doubted | (np.nan_to_num(self.confidence, nan=-1.0) < threshold)


@dataclass(frozen=True)
class CascadePoint:
    """What a threshold comes to.

    Attributes:
        threshold: The threshold.
        asked: Share of scores that the dear judge is asked for, in [0, 1].
        agreement: Agreement of the cascade with the dear judge; None where it is not defined.
    """

    threshold: float
    asked: Estimate
    agreement: Estimate | None

    @property
    def saved(self) -> Estimate:
        """Share of scores that the dear judge is not asked for."""
        return _one_less(self.asked)

    @property
    def given_up(self) -> Estimate | None:
        """How far the agreement is below that of the dear judge with itself, which is 1."""
        return None if self.agreement is None else _one_less(self.agreement)


def cascade_points(
    pilot: PilotScores, statistic: str, seed: int = 0, resamples: int = 1000
) -> list[CascadePoint]:
    """Try thresholds, from the cheap judge alone to the dear one for everything below 1.

    Args:
        pilot: The scores of both.
        statistic: Which agreement of labels, of `LABEL_STATISTICS`.
        seed: Seed of the bootstrap over problems.
        resamples: Number of resamples.

    Returns:
        Thresholds in ascending order, those alone that ask for more than the one before.
    """
    thresholds, masks = _thresholds(pilot)
    counts = [PairCounts(_pairs(pilot, mask), pilot.problems) for mask in masks]
    problems = counts[0].problems
    sums = np.stack([np.bincount(pilot.problems, mask, minlength=problems) for mask in masks])
    sizes = np.bincount(pilot.problems, minlength=problems).astype(np.float64)

    def shares(drawn: Floats) -> Floats:
        return ((sums @ drawn) / (sizes @ drawn)).T

    def both(drawn: Floats) -> Floats:
        agreements = [each.statistics([statistic], drawn) for each in counts]
        return np.concatenate([shares(drawn), *agreements], axis=1)

    values = both(np.ones((problems, 1)))[0]
    cells = counts[0].cells + len(masks) * 2
    drawn = resampled(both, problems, cells, seed, resamples)
    if not len(drawn):
        drawn = np.empty((0, len(values)))
    estimates = [estimate(float(value), drawn[:, place]) for place, value in enumerate(values)]
    points = []
    for place, threshold in enumerate(thresholds):
        asked, agreement = estimates[place], estimates[len(thresholds) + place]
        assert asked is not None  # a share of one score or more is defined
        points.append(CascadePoint(threshold, asked, agreement))
    return points


def for_agreement(points: Sequence[CascadePoint], least: float) -> CascadePoint | None:
    """The lowest threshold whose agreement is as high, by the lower end of its interval.

    The lower end allows for the choice having been made on the same scores. None if there is none.
    """
    for point in points:
        low = None if point.agreement is None else point.agreement.low
        if low is not None and low >= least:
            return point
    return None


def for_share(points: Sequence[CascadePoint], most: float) -> CascadePoint | None:
    """The highest threshold that asks the dear judge for no larger share; None if none does."""
    fitting = [point for point in points if point.asked.value <= most]
    return fitting[-1] if fitting else None


def _thresholds(pilot: PilotScores) -> tuple[list[float], list[Bools]]:
    thresholds: list[float] = []
    masks: list[Bools] = []
    for step in range(_STEPS + 1):
        mask = pilot.asked(step / _STEPS)
        if not masks or mask.sum() > masks[-1].sum():
            thresholds.append(step / _STEPS)
            masks.append(mask)
    return thresholds, masks


def _pairs(pilot: PilotScores, asked: Bools) -> Pairs:
    labels = np.where(asked, pilot.dear, pilot.cheap)
    span = len(pilot.scale.labels) - 1
    return Pairs(labels, pilot.dear, labels / span, pilot.dear / span, pilot.scale)


def _one_less(value: Estimate) -> Estimate:
    low = None if value.high is None else 1 - value.high
    high = None if value.low is None else 1 - value.low
    return replace(value, value=1 - value.value, low=low, high=high)
