"""Where a cheap judge may not replace an expensive one: the cascade of both that may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bars import Bar
from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.cascade_plan import (
    CascadePoint,
    PilotScores,
    cascade_points,
    for_agreement,
)
from inspector_plugin.agreement.joined import codes_of
from inspector_plugin.agreement.replacement import Replacement, Sides
from inspector_plugin.agreement.statistics import LABEL_STATISTICS
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable

# What becomes of a criterion.
CHEAP, CASCADE, DEAR = "distilled judge", "cascade", "reference"
# A cascade that saves less of the reference's work than this share is not worth its trouble.
LEAST_SAVED = 0.05

# What the threshold of a criterion comes to, by its key.
Cascades = Mapping[str, CascadePoint]


def choose_cascades(
    pilots: Mapping[str, PilotScores], bars: Sequence[Bar], *, seed: int = 0, resamples: int = 1000
) -> dict[str, CascadePoint]:
    """Choose for each criterion the lowest threshold under which a cascade clears the bars.

    A criterion is left out that no threshold serves, or whose reference would be asked for all but
    `LEAST_SAVED` of the scores. Bars that are no agreement of labels (rank correlations, coverage)
    cannot be planned for: with any of these there is no cascade.

    Args:
        pilots: Scores of both judges by criterion.
        bars: What has to be cleared.
        seed: Seed of the bootstrap over problems.
        resamples: Number of resamples.

    Returns:
        The thresholds, with the agreement on the first bar's figure.
    """
    if any(bar.figure not in LABEL_STATISTICS or not bar.is_least for bar in bars):
        return {}
    chosen = {
        key: _lowest([cascade_points(pilot, bar.figure, seed, resamples) for bar in bars], bars)
        for key, pilot in pilots.items()
    }
    return {
        key: point
        for key, point in chosen.items()
        if point is not None and point.saved.value >= LEAST_SAVED
    }


def pilot_of(
    table: ScoreTable,
    sides: Sequence[tuple[ScoreColumn, ScoreColumn]],
    flags: Sequence[str | None] = (),
) -> PilotScores | None:
    """The scores of both judges as a cascade is planned by them, one criterion after the other.

    Args:
        table: Where they come from.
        sides: For each criterion the scores of the cheap judge, with probabilities, and those of
            the reference. All are on one scale; those of the reference are taken as low or high
            quality where the cheap judge's are.
        flags: Scores with one of these flags are doubted, too; None stands for any flag.

    Returns:
        None if both were asked for no response in common.
    """
    parts = [_columns(table, ours, theirs, flags) for ours, theirs in sides]
    cheap, dear, confidence, doubted, problems = map(np.concatenate, zip(*parts, strict=True))
    if not len(dear):
        return None
    return PilotScores(cheap, dear, confidence, doubted, codes_of(problems), sides[0][0].scale)


def _columns(
    table: ScoreTable, ours: ScoreColumn, theirs: ScoreColumn, flags: Sequence[str | None]
) -> tuple[NDArray[Any], ...]:
    """The columns of `PilotScores` on one criterion; problems by their numbers in the table."""
    if ours.scale != theirs.scale:
        theirs = theirs.as_binary()
    rows = ours.asked & theirs.scored
    doubted = ~ours.scored
    for flag in flags:
        doubted = doubted | ours.flagged(flag)
    first = ours.scale.minimum
    return (
        np.nan_to_num(ours.labels[rows] - first).astype(np.intp),
        (theirs.labels[rows] - first).astype(np.intp),
        ours.confidence[rows],
        doubted[rows],
        table.problem_codes[rows],
    )


def _lowest(points: Sequence[Sequence[CascadePoint]], bars: Sequence[Bar]) -> CascadePoint | None:
    """The lowest threshold that clears every bar; None if there is none.

    Args:
        points: For each bar the thresholds tried, which are the same for all.
        bars: The bars.
    """
    tried: tuple[CascadePoint, ...]
    for tried in zip(*points, strict=True):
        if all(for_agreement([point], bar.value) for point, bar in zip(tried, bars, strict=True)):
            return tried[0]
    return None


def route_of(found: Replacement, cascades: Cascades) -> str:
    """Who is to judge a criterion."""
    if found.may_replace:
        return CHEAP
    return CASCADE if found.key in cascades else DEAR


def shares_asked(found: Sequence[Replacement], cascades: Cascades) -> dict[str, Estimate]:
    """The share of scores that the reference still gives, by criterion."""
    whole = {CHEAP: Estimate(0.0), DEAR: Estimate(1.0)}
    return {
        each.key: whole[route]
        if (route := route_of(each, cascades)) in whole
        else cascades[each.key].asked
        for each in found
    }


def pilots_of(
    table: ScoreTable, sides: Sides, found: Sequence[Replacement], flag: str | None = None
) -> dict[str, PilotScores]:
    """What a cascade is planned by: criteria that it might serve.

    These are those on which the cheap judge may not replace the reference, and is better than
    chance: a cascade of one that is not would deal out labels at random where it does not ask.
    """
    pilots = {
        each.key: pilot_of(table, [sides[each.key]], () if flag is None else (flag,))
        for each in found
        if not each.may_replace and each.is_better_than_chance
    }
    return {key: pilot for key, pilot in pilots.items() if pilot is not None}
