"""A judge beside a reference, in full: statistics with intervals, baselines, length, reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.baselines import baselines
from inspector_plugin.agreement.bootstrap import Estimate, estimate, resampled
from inspector_plugin.agreement.compare import OVERALL, estimates_of
from inspector_plugin.agreement.joined import Joined, join
from inspector_plugin.agreement.length import length_slope
from inspector_plugin.agreement.statistics import (
    ALL_STATISTICS,
    DIFFERENCE_STATISTICS,
    LABEL_STATISTICS,
    Pairs,
)
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.errors import count_of
from inspector_plugin.schema.criteria import Scale

Floats = NDArray[np.float64]

TOO_FEW = "fewer than two responses are scored by both"
# Fewer responses or problems than these are said to be few.
FEW_ROWS, FEW_PROBLEMS = 30, 10


@dataclass(frozen=True)
class Comparison:
    """How far a judge agrees with a reference on one criterion, or on all of them together.

    Attributes:
        judge: The judge.
        reference: The reference.
        key: The criterion's key; "overall" for the scores on all, one after the other.
        n: Number of responses (overall: of scores) that both scored.
        problems: Number of problems that they are responses to.
        asked: Number of those that the reference scored and the judge was asked for.
        coverage: Share of these that the judge scored; None if there are none.
        statistics: For each name in `ALL_STATISTICS` its estimate; None where it is not defined.
        undefined: Why a statistic, an interval or the slope is missing.
        baselines: The same statistics of judges that know nothing, by `BASELINES`.
        confusion: Counts of the labels, [reference label, judge label].
        scale: The scale of these labels; None if there are no pairs.
        length_slope: How much higher the judge scores a response twice as long that the reference
            scores alike; see `length.length_slope`.
        notes: What to know before reading the figures.
    """

    judge: str
    reference: str
    key: str
    n: int
    problems: int
    asked: int
    coverage: Estimate | None
    statistics: Mapping[str, Estimate | None]
    undefined: Mapping[str, str] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    confusion: NDArray[np.intp] | None = None
    scale: Scale | None = None
    length_slope: Estimate | None = None
    notes: tuple[str, ...] = ()


def compare_columns(
    table: ScoreTable,
    sides: Mapping[str, tuple[ScoreColumn, ScoreColumn]],
    *,
    seed: int = 0,
    resamples: int = 1000,
    on_compared: Callable[[], None] | None = None,
) -> list[Comparison]:
    """Compare a judge with a reference on each criterion, and last on all together.

    Args:
        table: Where the scores come from.
        sides: By criterion the scores of the judge and those of the reference.
        seed: Seed of the bootstrap.
        resamples: Number of resamples of problems; 0 gives values without intervals.
        on_compared: Called whenever one is done.

    Returns:
        One for each criterion, and one for all where there are several.
    """
    groups = {key: [side] for key, side in sides.items()}
    if len(groups) > 1:
        groups[OVERALL] = list(sides.values())
    compared = []
    for key, group in groups.items():
        joined = join(table, group)
        names = (group[0][0].judge, group[0][1].judge)
        compared.append(compare_joined(joined, *names, key, seed=seed, resamples=resamples))
        if on_compared is not None:
            on_compared()
    return compared


def compare_joined(
    joined: Joined, judge: str, reference: str, key: str, *, seed: int = 0, resamples: int = 1000
) -> Comparison:
    """Compare scores that have been joined; see `compare_columns`."""
    coverage = _coverage(joined, seed, resamples)
    pairs, problems = joined.pairs, joined.problems
    if pairs is None or joined.n < 2:
        return Comparison(
            judge,
            reference,
            key,
            joined.n,
            joined.n,
            len(joined.scored),
            coverage,
            dict.fromkeys(ALL_STATISTICS),
            dict.fromkeys([*ALL_STATISTICS, "length_slope"], TOO_FEW),
            notes=_notes(joined),
        )
    estimates = estimates_of(pairs, problems, ALL_STATISTICS, seed=seed, resamples=resamples)
    slope = length_slope(pairs, problems, joined.lengths, seed=seed, resamples=resamples)
    size = len(pairs.scale.labels)
    cells = pairs.reference_labels * size + pairs.judge_labels
    return Comparison(
        judge,
        reference,
        key,
        joined.n,
        int(problems.max()) + 1,
        len(joined.scored),
        coverage,
        estimates,
        _undefined(pairs, {**estimates, "length_slope": slope}, judge, reference, resamples),
        baselines(pairs, problems, joined.lengths, ALL_STATISTICS, seed),
        np.bincount(cells, minlength=size * size).reshape(size, size),
        pairs.scale,
        slope,
        _notes(joined),
    )


def _coverage(joined: Joined, seed: int, resamples: int) -> Estimate | None:
    if not len(joined.scored):
        return None
    problems = joined.asked_problems
    asked = np.bincount(problems).astype(np.float64)
    scored = np.bincount(problems, joined.scored)

    def shares(weights: Floats) -> Floats:
        found: Floats = (scored @ weights) / (asked @ weights)
        return found

    drawn = resampled(shares, len(asked), 2, seed, resamples)
    return estimate(float(joined.scored.mean()), drawn)


def _undefined(
    pairs: Pairs,
    estimates: Mapping[str, Estimate | None],
    judge: str,
    reference: str,
    resamples: int,
) -> dict[str, str]:
    """Say why figures and intervals are missing."""
    reasons = {}
    for name, found in estimates.items():
        if found is None:
            reasons[name] = _why(name, pairs, judge, reference)
        elif found.low is None and resamples > 0:
            reasons[name] = (
                f"no interval for {name.replace('_', ' ')}: all responses are to one problem, or "
                "the figure is not defined in most resamples"
            )
    return reasons


def _why(name: str, pairs: Pairs, judge: str, reference: str) -> str:
    if name in DIFFERENCE_STATISTICS:
        return f"{judge} and {reference} score on different scales"
    if name == "length_slope":
        return "responses that the reference scores alike do not differ in length"
    if name in LABEL_STATISTICS:
        return f"{judge} and {reference} give one and the same label throughout"
    side = reference if np.ptp(pairs.reference_scores) == 0 else judge
    return f"{side} gives all {len(pairs)} responses the same score"


def _notes(joined: Joined) -> tuple[str, ...]:
    notes = []
    if joined.misfits:
        notes.append(
            f"{joined.misfits} pairs are left out: their criteria have the same key but another "
            "wording"
        )
    scales = {*joined.judge_scales, *joined.reference_scales}
    if len(scales) > 1 and joined.n:
        ours, theirs = (
            " and ".join(scale.name for scale in side)
            for side in (joined.judge_scales, joined.reference_scales)
        )
        notes.append(
            f"the judge scores on {ours}, the reference on {theirs}: labels are compared as low "
            "or high quality, ranks as shares of the scale"
        )
    problems = int(joined.problems.max()) + 1 if joined.n else 0
    if 0 < joined.n < FEW_ROWS:
        notes.append(f"only {count_of(joined.n, 'score')}: too few to conclude much from")
    elif 0 < problems < FEW_PROBLEMS:
        count = count_of(problems, "problem")
        notes.append(f"responses to only {count}: the intervals are rough")
    return tuple(notes)
