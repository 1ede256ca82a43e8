"""From judgements to the rows of lm_eval's results table.

lm_eval collects one value for each metric and document and hands the lists to an aggregation. It
gives a standard error only for its own `mean`, so each metric `x` of ours comes with a second one,
`x_stderr`: lm_eval's table shows it in its column.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.metrics import mean

from inspector_plugin.agreement import OVERALL, STATISTICS, Agreement, agreement_by_aspect
from inspector_plugin.harness.judged import Comparison, JudgedResponses

COVERAGE = "coverage"
NOT_ENOUGH = "not enough"  # fewer than two pairs, or too few questions for an interval
UNDEFINED = "undefined"  # such as a correlation with scores that are all equal
NO_STDERR = "N/A"  # lm_eval's own word; its table takes no other

Aggregation = Callable[[Sequence[Any]], float | int | str]


def document_metrics(responses: JudgedResponses, aspects: Sequence[str]) -> dict[str, Any]:
    """Give the values of one document under one judge.

    Args:
        responses: The judgements of the responses to the document, at least one.
        aspects: The aspects that were asked for.

    Returns:
        Each aspect's mean score and the mean total (None where no response has one), the share of
        aspect scores obtained in [0, 1], and what the agreement is computed from. The keys depend
        on the settings alone, as lm_eval needs when it runs in several processes.
    """
    judgements = responses.judgements
    values: dict[str, Any] = {}
    for key in aspects:
        scores = [judgement.aspects[key].score for judgement in judgements]
        values |= _with_stderr(key, mean_of_scored(scores))
    values |= _with_stderr("total", mean_of_scored([each.total for each in judgements]))
    obtained = [s.score is not None for each in judgements for s in each.aspects.values()]
    values[COVERAGE] = sum(obtained) / len(obtained)
    if responses.comparison is not None:
        values |= dict.fromkeys(_agreement_aggregations(tuple(aspects)), responses.comparison)
    return values


def aggregations(aspects: Sequence[str], seed: int, resamples: int) -> dict[str, Aggregation]:
    """Give the aggregation of every metric of ours.

    Args:
        aspects: The aspects that were asked for.
        seed: Seed of the bootstrap of the agreement.
        resamples: Number of its resamples.
    """
    ours: dict[str, Aggregation] = {COVERAGE: mean}
    for key in (*aspects, "total"):
        ours |= {key: _mean_or_nan, f"{key}_stderr": stderr_of_scored}
    for name, read in _agreement_aggregations(tuple(aspects)).items():
        ours[name] = functools.partial(_aggregate_agreement, read, seed, resamples)
    return ours


def higher_is_better(aspects: Sequence[str]) -> dict[str, bool]:
    """Say of every metric of ours for which it makes sense that higher is better."""
    agreements = (f"{key}_{name}" for key in (*aspects, OVERALL) for name in STATISTICS)
    return dict.fromkeys([*aspects, "total", COVERAGE, *agreements], True)


def mean_of_scored(scores: Sequence[float | None]) -> float | None:
    """Average the scores that there are; None if there are none."""
    scored = [score for score in scores if score is not None]
    return statistics.fmean(scored) if scored else None


def stderr_of_scored(scores: Sequence[float | None]) -> float | str:
    """Give the standard error of the mean of the scores that there are, if they are two or more."""
    scored = [score for score in scores if score is not None]
    return statistics.stdev(scored) / math.sqrt(len(scored)) if len(scored) > 1 else NO_STDERR


def _mean_or_nan(scores: Sequence[float | None]) -> float:
    # Only a float does here: where one member of a group has no score, lm_eval still computes.
    average = mean_of_scored(scores)
    return math.nan if average is None else average


def _with_stderr(name: str, value: Any) -> dict[str, Any]:
    # In this order: lm_eval writes its own "N/A" for the first, which the second then replaces.
    return {name: value, f"{name}_stderr": value}


_Reading = Callable[[Mapping[str, Agreement]], float | int | str]


@functools.cache
def _agreement_aggregations(aspects: tuple[str, ...]) -> dict[str, _Reading]:
    """Name every metric of the agreement, and say how it is read out of the agreements."""
    readings: dict[str, _Reading] = {}
    for key in (*aspects, OVERALL):
        readings[f"{key}_n"] = functools.partial(_read_n, key)
        for name in STATISTICS:
            statistic = f"{key}_{name}"
            readings[statistic] = functools.partial(_read_estimate, key, name, "value")
            readings[f"{statistic}_stderr"] = functools.partial(_read_stderr, key, name)
            readings[f"{statistic}_low"] = functools.partial(_read_estimate, key, name, "low")
            readings[f"{statistic}_high"] = functools.partial(_read_estimate, key, name, "high")
    return readings


def _read_n(key: str, agreements: Mapping[str, Agreement]) -> int:
    return agreements[key].n


def _read_estimate(
    key: str, name: str, field: str, agreements: Mapping[str, Agreement]
) -> float | str:
    found = agreements[key]
    estimate = found.statistics[name]
    if estimate is None:
        return NOT_ENOUGH if found.n < 2 else UNDEFINED
    value: float | None = getattr(estimate, field)
    return NOT_ENOUGH if value is None else value


def _read_stderr(key: str, name: str, agreements: Mapping[str, Agreement]) -> float | str:
    estimate = agreements[key].statistics[name]
    return NO_STDERR if estimate is None or estimate.stderr is None else estimate.stderr


def _aggregate_agreement(
    read: _Reading, seed: int, resamples: int, comparisons: Sequence[Comparison]
) -> float | int | str:
    return read(_agreements(tuple(comparisons), seed, resamples))


@functools.lru_cache(maxsize=8)
def _agreements(
    comparisons: tuple[Comparison, ...], seed: int, resamples: int
) -> Mapping[str, Agreement]:
    # lm_eval asks for each metric on its own, with the same comparisons: compute once for all.
    return agreement_by_aspect(
        [judgement for each in comparisons for judgement in each.judged],
        [judgement for each in comparisons for judgement in each.reference],
        [each.question for each in comparisons for _ in each.judged],
        judge_scale=comparisons[0].judge_scale,
        reference_scale=comparisons[0].reference_scale,
        seed=seed,
        resamples=resamples,
    )
