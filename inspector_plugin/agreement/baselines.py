"""What judges would reach that know nothing of the response, or its length and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.labels import (
    accuracy,
    krippendorff_alpha,
    macro_f1,
    quadratic_kappa,
)
from inspector_plugin.agreement.statistics import RANK_STATISTICS, WITHIN_LIMITS, PairCounts, Pairs

Floats = NDArray[np.float64]

CHANCE, CONSTANT, LENGTH = "chance", "constant", "length only"
BASELINES = (CHANCE, CONSTANT, LENGTH)
FOLDS = 5
# Fewer responses, or problems, than these teach nothing of lengths.
LEAST_ROWS, LEAST_PROBLEMS = 30, 10
_MOST_BINS = 10
_ROWS_IN_A_BIN = 10


def baselines(
    pairs: Pairs,
    problems: NDArray[np.intp],
    lengths: NDArray[np.int64],
    names: Sequence[str],
    seed: int = 0,
) -> dict[str, dict[str, float | None]]:
    """Compute the statistics of judges that a judge must be better than.

    - "chance": the judge's own scores, dealt out to the responses at random.
    - "constant": the reference's most frequent label for every response.
    - "length only": the mean score that the reference gives to responses of such a length,
      learned on other problems (five folds, up to ten classes of length).

    Args:
        pairs: The judge's and the reference's scores.
        problems: The number of each pair's problem, from 0, [n].
        lengths: Characters of each response, [n].
        names: Which statistics, of `ALL_STATISTICS`.
        seed: Seed of the folds.

    Returns:
        By baseline and statistic; None where a statistic is not defined, or there is too little
        to learn from.
    """
    counts = np.bincount(pairs.reference_labels, minlength=len(pairs.scale.labels))
    constant = _with_labels(pairs, np.full(len(pairs), int(counts.argmax())))
    from_length = length_judge(pairs, problems, lengths, seed)
    return {
        CHANCE: _by_chance(pairs, names),
        CONSTANT: _values(constant, problems, names),
        LENGTH: dict.fromkeys(names)
        if from_length is None
        else _values(from_length, problems, names),
    }


def length_judge(
    pairs: Pairs, problems: NDArray[np.intp], lengths: NDArray[np.int64], seed: int = 0
) -> Pairs | None:
    """Put a judge that knows the lengths of responses in the place of the judge.

    Returns:
        None if there are too few responses or problems to learn from, or all are of one length,
        as where questions alone are judged.
    """
    count = int(problems.max()) + 1
    if len(pairs) < LEAST_ROWS or count < LEAST_PROBLEMS or len(np.unique(lengths)) < 2:
        return None
    fold_of = np.random.default_rng(seed).permutation(count)[problems] % FOLDS
    scores = np.empty(len(pairs))
    for fold in range(FOLDS):
        held_out = fold_of == fold
        scores[held_out] = _mean_by_length(
            lengths[~held_out], pairs.reference_scores[~held_out], lengths[held_out]
        )
    span = len(pairs.scale.labels) - 1
    labels = np.floor(scores * span + 0.5).astype(np.intp)
    return replace(pairs, judge_labels=labels, judge_scores=scores)


def _mean_by_length(known: NDArray[np.int64], scores: Floats, asked: NDArray[np.int64]) -> Floats:
    """The mean score of the known responses in the same class of length."""
    bins = min(_MOST_BINS, max(2, len(known) // _ROWS_IN_A_BIN))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    classes = np.searchsorted(edges, known, side="right")
    count = np.bincount(classes, minlength=len(edges) + 1)
    total = np.bincount(classes, scores, minlength=len(edges) + 1)
    means = np.where(count > 0, total / np.maximum(count, 1), scores.mean())
    found: Floats = means[np.searchsorted(edges, asked, side="right")]
    return found


def _by_chance(pairs: Pairs, names: Sequence[str]) -> dict[str, float | None]:
    """What is expected when the judge's scores are dealt out at random."""
    size = len(pairs.scale.labels)
    reference = np.bincount(pairs.reference_labels, minlength=size).astype(np.float64)
    judge = np.bincount(pairs.judge_labels, minlength=size).astype(np.float64)
    expected = (np.outer(reference, judge) / len(pairs))[None]
    labels = np.array(pairs.scale.labels, dtype=np.float64)
    values = {
        "accuracy": float(accuracy(expected)[0]),
        "macro_f1": float(macro_f1(expected)[0]),
        "quadratic_kappa": float(quadratic_kappa(expected, labels)[0]),
        "krippendorff_alpha": float(krippendorff_alpha(expected)[0]),
    }
    judge_varies, reference_varies = np.ptp(pairs.judge_scores) > 0, np.ptp(pairs.reference_scores)
    for name in RANK_STATISTICS:
        defined = reference_varies and (judge_varies or name == "somers_d")
        values[name] = 0.0 if defined else math.nan
    if pairs.span is not None and len(pairs) > 1:
        mean = (pairs.judge_scores.mean() - pairs.reference_scores.mean()) * pairs.span
        variances = pairs.judge_scores.var(ddof=1) + pairs.reference_scores.var(ddof=1)
        reach = WITHIN_LIMITS * math.sqrt(variances) * pairs.span
        values |= {"mean_difference": mean, "lower_limit": mean - reach}
        values |= {"upper_limit": mean + reach}
    return {name: _defined(values.get(name, math.nan)) for name in names}


def _with_labels(pairs: Pairs, labels: NDArray[np.intp]) -> Pairs:
    return replace(
        pairs,
        judge_labels=labels,
        judge_scores=labels / (len(pairs.scale.labels) - 1),
    )


def _values(
    pairs: Pairs, problems: NDArray[np.intp], names: Sequence[str]
) -> dict[str, float | None]:
    values = PairCounts(pairs, problems).statistics(names)[0]
    return {name: _defined(float(value)) for name, value in zip(names, values, strict=True)}


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
