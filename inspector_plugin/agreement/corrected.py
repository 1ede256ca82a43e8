"""Means and shares of a cheap judge, corrected by a reference that has labelled some of the rows.

The mean is prediction-powered inference with power tuning, PPI++ (Angelopoulos, Duchi & Zrnic,
arXiv 2311.01453); with unequal probabilities of being labelled it is active statistical inference
(Zrnic & Candès, arXiv 2403.03208). The share is the estimator of Rogan & Gladen (1978), with the
interval of Fieller (1954).

Both come from the same account of what each problem adds to an estimate. That the judge's scores of
all rows and the labels of some are about the same problems, that a problem has several rows, and
that rows have weights is all in there, so that no figure takes rows for independent that are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from inspector_plugin.agreement.bootstrap import CONFIDENCE, Estimate
from inspector_plugin.errors import count_of

Floats = NDArray[np.float64]

# With fewer labelled problems than these an interval would say little, and not hold.
FEWEST_PROBLEMS = 10
# With fewer labels than these beside the commonest one, an interval is a rough one.
_FEWEST_OTHERS = 5
# Labelled rows whose scores are further from all rows than so many standard errors are unlike them.
_UNLIKE = 4.0


@dataclass(frozen=True)
class LabelledSample:
    """A judge's scores of rows, and a reference's scores of some of these.

    Attributes:
        judge: The judge's scores, one for every row, [rows].
        reference: The reference's scores, on any scale; NaN where a row has none, [rows].
        problems: The number of each row's problem, [rows].
        weights: How many rows a labelled row stands for: the inverse of the probability with which
            it was chosen; only their proportions matter. None where all were as likely, [rows].
    """

    judge: Floats
    reference: Floats
    problems: NDArray[np.intp]
    weights: Floats | None = None

    def __post_init__(self) -> None:
        _, codes = np.unique(self.problems, return_inverse=True)
        object.__setattr__(self, "problems", codes.astype(np.intp))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.judge)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows the reference has scored, [rows]."""
        return ~np.isnan(self.reference)

    @property
    def labels(self) -> int:
        """How many rows the reference has scored."""
        return int(self.labelled.sum())

    @property
    def labelled_problems(self) -> int:
        """How many problems have a row that the reference has scored."""
        return len(np.unique(self.problems[self.labelled]))

    @property
    def normalised_weights(self) -> Floats:
        """The weights, 0 where there is no label; they sum to the number of rows, [rows]."""
        given = 1.0 if self.weights is None else self.weights
        weights: Floats = np.where(self.labelled, given, 0.0)
        return weights * (self.rows / float(weights.sum()))

    def by_problem(self, values: Floats) -> Floats:
        """Add up the values of each problem's rows, [problems]."""
        return np.bincount(self.problems, values).astype(np.float64)

    def take(self, rows: NDArray[np.bool_]) -> LabelledSample:
        """Return some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        return LabelledSample(self.judge[rows], self.reference[rows], self.problems[rows], weights)


@dataclass(frozen=True)
class CorrectedMean:
    """The mean that the reference would give to all rows.

    Attributes:
        corrected: The mean with its interval; None where there are no labels.
        labels_only: The mean of the labels alone, the judge left aside.
        naive: The mean of the judge's scores, as if it were the reference.
        power: How far the judge's scores are used, lambda: 0 leaves them aside, 1 takes them at
            face value; with another scale or a judge that shies away from the ends it passes 1.
        labels: Number of labels.
        rows: Number of rows.
        labelled_problems: Number of problems with labels.
        labels_saved: How many more labels it would take without the judge; None without interval.
        reason: Why there is no interval.
        remarks: What to mind about the interval.
    """

    corrected: Estimate | None
    labels_only: Estimate | None
    naive: float
    power: float
    labels: int
    rows: int
    labelled_problems: int
    labels_saved: float | None = None
    reason: str | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class CorrectedShare:
    """The share of rows to which the reference would give high quality.

    Attributes:
        corrected: The share with its interval, in [0, 1]; None where it is not defined.
        naive: The share that the judge gives high quality.
        sensitivity: Share of what is high that the judge finds high; None without such labels.
        specificity: Share of what is low that the judge finds low; None without such labels.
        labels: Number of labels.
        rows: Number of rows.
        reason: Why it is not defined, or has no interval.
    """

    corrected: Estimate | None
    naive: float
    sensitivity: float | None
    specificity: float | None
    labels: int
    rows: int
    reason: str | None = None


def corrected_mean(sample: LabelledSample, power: float | None = None) -> CorrectedMean:
    """Estimate the mean of the reference over rows of which it has scored some.

    With labels that are as likely for every row and one row a problem this is PPI++ for means: our
    lambda, which weighs the judge's scores of all rows, is theirs times (n + N) / N. It differs in
    that lambda is not cut to [0, 1], and that the interval is that of Student's t, with the
    variance of the labelled part divided by its degrees of freedom: with few labels theirs is
    too short.

    Args:
        sample: The scores.
        power: Lambda; the one with the smallest variance if None.

    Raises:
        ValueError: If there are no rows.
    """
    if not sample.rows:
        raise ValueError("there are no rows")
    naive = float(sample.judge.mean())
    problems = sample.labelled_problems
    nothing = CorrectedMean(None, None, naive, 0.0, sample.labels, sample.rows, problems)
    if not sample.labels:
        return replace(nothing, reason="no row has both a score and a label")
    weights = sample.normalised_weights
    reference = np.where(sample.labelled, sample.reference, 0.0)
    of_labels = float(weights @ reference / sample.rows)
    judge_of_labelled = float(weights @ sample.judge / sample.rows)
    # What each problem adds to the error of the labels' mean, and to the difference between the
    # judge's mean over the labelled rows and over all rows.
    labels_part = sample.by_problem(weights * (reference - of_labels))
    judge_part = sample.by_problem(
        weights * (sample.judge - judge_of_labelled) - (sample.judge - naive)
    )
    spread = float(judge_part @ judge_part)
    if power is None:
        told_apart = spread > 1e-18 * sample.rows**2
        power = float(labels_part @ judge_part / spread) if told_apart else 0.0
    value = of_labels + power * (naive - judge_of_labelled)
    nothing = replace(
        nothing, corrected=Estimate(value), labels_only=Estimate(of_labels), power=power
    )
    reason = _no_interval(sample)
    if reason is not None:
        return replace(nothing, reason=reason)
    remainder = labels_part - power * judge_part
    stderr = math.sqrt(_variance(remainder, sample, 2))
    plain_stderr = math.sqrt(_variance(labels_part, sample, 1))
    saved = max(0.0, sample.labels * (plain_stderr**2 / stderr**2 - 1)) if stderr else None
    return replace(
        nothing,
        corrected=_with_interval(value, stderr, problems - 2),
        labels_only=_with_interval(of_labels, plain_stderr, problems - 1),
        labels_saved=saved,
        remarks=_remarks(sample, naive - judge_of_labelled, spread),
    )


def corrected_share(sample: LabelledSample) -> CorrectedShare:
    """Estimate the share of rows that the reference would find high, from the judge's errors.

    The estimator is (q + specificity - 1) / (sensitivity + specificity - 1), where q is the
    share that the judge finds high. Its interval, Fieller's for a ratio, takes in the errors of q,
    sensitivity and specificity and their covariances. It is defined where the denominator can be
    told from 0, which is where its own interval leaves 0 out, and is not below it.

    Args:
        sample: The scores as 0 (low) and 1 (high), of judge and reference.

    Raises:
        ValueError: If there are no rows.
    """
    if not sample.rows:
        raise ValueError("there are no rows")
    naive = float(sample.judge.mean())
    if not sample.labels:
        reason = "no row has both a score and a label"
        return CorrectedShare(None, naive, None, None, 0, sample.rows, reason)
    weights = sample.normalised_weights
    reference = np.where(sample.labelled, sample.reference, 0.0)
    high, low = weights * reference, weights * (1 - reference)
    sensitivity = _ratio(float(high @ sample.judge), float(high.sum()))
    specificity = _ratio(float(low @ (1 - sample.judge)), float(low.sum()))
    nothing = CorrectedShare(None, naive, sensitivity, specificity, sample.labels, sample.rows)
    if sensitivity is None or specificity is None:
        all_are, unknown = (
            ("high", "specificity") if specificity is None else ("low", "sensitivity")
        )
        labels = f"all {sample.labels} labels are {all_are}"
        return replace(nothing, reason=f"{labels}, so the judge's {unknown} is unknown")
    numerator, denominator = naive + specificity - 1, sensitivity + specificity - 1
    problems = sample.labelled_problems
    if problems < FEWEST_PROBLEMS:
        share = _within_bounds(numerator / denominator) if denominator else None
        value = None if share is None else Estimate(share)
        return replace(nothing, corrected=value, reason=_too_few(problems))
    of_low = low * (1 - sample.judge - specificity) / low.sum()
    over = sample.by_problem((sample.judge - naive) / sample.rows + of_low)
    under = sample.by_problem(high * (sample.judge - sensitivity) / high.sum() + of_low)
    size = problems / (problems - 2)
    square = size * float(stdtrit(problems - 2, (1 + CONFIDENCE) / 2)) ** 2
    # Fieller: all shares p for which numerator - p * denominator can be 0.
    a = denominator**2 - square * float(under @ under)
    b = numerator * denominator - square * float(over @ under)
    c = numerator**2 - square * float(over @ over)
    if a <= 0:
        half = math.sqrt(square * float(under @ under))
        reason = (
            f"sensitivity + specificity - 1 is {denominator:.2f} [{denominator - half:.2f}, "
            f"{denominator + half:.2f}], which cannot be told from 0: the judge's answers say "
            "nothing certain of the reference's"
        )
        return replace(nothing, reason=reason)
    if denominator < 0:
        reason = (
            f"sensitivity + specificity - 1 is {denominator:.2f}: the judge finds high what the "
            "reference finds low; check that both scales point the same way"
        )
        return replace(nothing, reason=reason)
    root = math.sqrt(max(b * b - a * c, 0.0))
    share = numerator / denominator
    parts = over - share * under
    stderr = math.sqrt(size * float(parts @ parts)) / denominator
    value = Estimate(
        _within_bounds(share),
        _within_bounds((b - root) / a),
        _within_bounds((b + root) / a),
        stderr,
    )
    return replace(nothing, corrected=value)


def _variance(parts: Floats, sample: LabelledSample, fitted: int) -> float:
    """The variance of a mean, of what each problem adds to its error times the rows."""
    problems = sample.labelled_problems
    return float(parts @ parts) / sample.rows**2 * problems / (problems - fitted)


def _with_interval(value: float, stderr: float, degrees: int) -> Estimate:
    half = float(stdtrit(degrees, (1 + CONFIDENCE) / 2)) * stderr
    return Estimate(value, value - half, value + half, stderr)


def _no_interval(sample: LabelledSample) -> str | None:
    if sample.labelled_problems < FEWEST_PROBLEMS:
        return _too_few(sample.labelled_problems)
    labels = sample.reference[sample.labelled]
    if (labels == labels[0]).all():
        return f"all {sample.labels} labels are {labels[0]:g}: how far they vary is unknown"
    return None


def _too_few(problems: int) -> str:
    return f"{count_of(problems, 'labelled problem')}; an interval takes {FEWEST_PROBLEMS}"


def _remarks(sample: LabelledSample, difference: float, spread: float) -> tuple[str, ...]:
    remarks = []
    labels = sample.reference[sample.labelled]
    _, counts = np.unique(labels, return_counts=True)
    others = int(counts.sum() - counts.max())
    if others < _FEWEST_OTHERS:
        remarks.append(
            f"{others} of {sample.labels} labels differ from the others: a rough interval"
        )
    if sample.labels == sample.rows:
        return tuple(remarks)  # what is left between the two means is rounding
    if spread == 0:
        remarks.append("the judge gives every row the same score: it saves no labels")
    elif abs(difference) * sample.rows > _UNLIKE * math.sqrt(spread):
        remarks.append(
            f"the judge's mean is {difference:+.2f} over all rows against the labelled ones: they "
            "are no random draw of the rows, and the correction does not hold for the others"
        )
    return tuple(remarks)


def _ratio(part: float, whole: float) -> float | None:
    return min(part / whole, 1.0) if whole > 0 else None


def _within_bounds(share: float) -> float:
    return min(max(share, 0.0), 1.0)
