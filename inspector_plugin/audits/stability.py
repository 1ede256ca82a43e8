"""How far a judge's judgements of the very same response differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.audits.intervals import clustered_share
from inspector_plugin.audits.scores import Scored, Scores


@dataclass(frozen=True)
class Stability:
    """How far judgements of the very same response differ.

    Attributes:
        measure: The criterion's key, "a+b" for a mean, "total".
        pairs: Number of repeated judgements beside the first.
        deviation: The standard deviation of a response's score over its judgements.
        labels_changed: The share of repeats whose label is not the first one's.
    """

    measure: str
    pairs: int
    deviation: float | None
    labels_changed: Estimate | None


def stability_of(scores: Scores, measure: str, problems: NDArray[np.intp]) -> Stability:
    """Compare repeated judgements with the first ones."""
    versions = [scores.original, *scores.repeats]
    values = np.array([each.scores(measure) for each in versions])
    scored = ~np.isnan(values).any(axis=0)
    deviation = None
    if len(versions) > 1 and scored.any():
        deviation = float(np.sqrt(values[:, scored].var(axis=0, ddof=1).mean()))
    changed, clusters = changed_labels(scores.original, scores.repeats, measure, problems)
    return Stability(
        measure,
        int(scored.sum()) * len(scores.repeats),
        deviation,
        clustered_share(changed, clusters),
    )


def changed_labels(
    first: Scored, others: Sequence[Scored], measure: str, problems: NDArray[np.intp]
) -> tuple[list[bool], list[int]]:
    """Say which labels differ from the first ones, and to which problems they belong."""
    changed: list[bool] = []
    clusters: list[int] = []
    for other in others:
        difference = other.labels(measure) - first.labels(measure)
        there = ~np.isnan(difference)
        changed += (difference[there] != 0).tolist()
        clusters += problems[there].tolist()
    return changed, clusters
