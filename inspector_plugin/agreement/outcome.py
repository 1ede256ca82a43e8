"""Does a score tell right from wrong? A judge beside an outcome, such as exact_match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.baselines import CHANCE, CONSTANT, LENGTH, length_judge
from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.compare import estimates_of
from inspector_plugin.agreement.comparison import FEW_ROWS
from inspector_plugin.agreement.joined import codes_of
from inspector_plugin.agreement.statistics import PairCounts, Pairs
from inspector_plugin.data.score_table import ScoreTable
from inspector_plugin.errors import count_of
from inspector_plugin.schema.criteria import BINARY

Floats = NDArray[np.float64]

_NAMES = ("spearman", "somers_d")


@dataclass(frozen=True)
class OutcomeAgreement:
    """How far a judge's scores order responses as an outcome does.

    Attributes:
        judge: The judge.
        key: The criterion, or "total".
        outcome: The name of the outcome.
        n: Number of responses that have both.
        positive: Share of these whose outcome is the higher one; None unless it has two values.
        auc: The chance that, of two responses with different outcomes, the one with the higher
            outcome has the higher score (ties count half): the area under the ROC curve; None
            where it is not defined.
        spearman: Rank correlation with the outcome.
        baselines: The AUC of judges that know nothing, or only lengths; None where there is too
            little to learn from.
        reason: Why figures are missing; None if none is.
    """

    judge: str
    key: str
    outcome: str
    n: int
    positive: float | None
    auc: Estimate | None
    spearman: Estimate | None
    baselines: Mapping[str, float | None]
    reason: str | None = None


def compare_with_outcome(
    table: ScoreTable,
    judge: str,
    key: str,
    scores: Floats,
    outcome: str,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> OutcomeAgreement:
    """Compare scores with an outcome.

    Args:
        table: Where both come from.
        judge: The judge's name.
        key: The criterion, or "total".
        scores: The scores; NaN where there is none, [rows].
        outcome: The name of the outcome.
        seed: Seed of the bootstrap.
        resamples: Number of resamples of problems.

    Raises:
        DataError: If there is no such outcome.
    """
    values = table.outcome(outcome)
    both = np.flatnonzero(~np.isnan(scores) & ~np.isnan(values))
    ours, theirs = scores[both], values[both]
    distinct = np.unique(theirs)
    reason: str | None = None
    positive = float((theirs == distinct[-1]).mean()) if len(distinct) == 2 else None
    nothing = dict.fromkeys((CHANCE, CONSTANT, LENGTH))
    if len(distinct) < 2:
        reason = (
            f"no response has both a score and {outcome}"
            if not len(both)
            else f"{outcome} is the same for all {count_of(len(both), 'response')}"
        )
        return OutcomeAgreement(judge, key, outcome, len(both), None, None, None, nothing, reason)
    problems = codes_of(table.problem_codes[both])
    high = (theirs - distinct[0]) / (distinct[-1] - distinct[0])
    labels = (high > 0.5).astype(np.intp)
    pairs = Pairs(labels, labels, ours, high, BINARY)
    found = estimates_of(pairs, problems, _NAMES, seed=seed, resamples=resamples)
    by_length = length_judge(pairs, problems, table.lengths[both], seed)
    length = (
        None
        if by_length is None
        else float(PairCounts(by_length, problems).statistics(_NAMES)[0, 1])
    )
    if found["spearman"] is None:
        reason = f"{judge} gives all {count_of(len(both), 'response')} the same score"
    elif len(both) < FEW_ROWS:
        reason = f"only {count_of(len(both), 'response')}: too few to conclude much from"
    return OutcomeAgreement(
        judge,
        key,
        outcome,
        len(both),
        positive,
        _as_auc(found["somers_d"]),
        found["spearman"],
        {CHANCE: 0.5, CONSTANT: 0.5, LENGTH: None if length is None else (length + 1) / 2},
        reason,
    )


def _as_auc(somers_d: Estimate | None) -> Estimate | None:
    """Somers' D is the chance of the right order minus that of the wrong one."""
    if somers_d is None:
        return None
    low, high, stderr = somers_d.low, somers_d.high, somers_d.stderr
    return replace(
        somers_d,
        value=(somers_d.value + 1) / 2,
        low=None if low is None else (low + 1) / 2,
        high=None if high is None else (high + 1) / 2,
        stderr=None if stderr is None else stderr / 2,
    )
