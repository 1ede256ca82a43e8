"""From judgements to the rows of lm_eval's results table: at most nine for each judge.

lm_eval collects a value for each metric and document and hands the lists to an aggregation. A score
that there is not is left out, so that lm_eval's own mean and standard error do for the rest.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.metrics import mean

from inspector_plugin.agreement.compare import OVERALL, Agreement, agreement_by_criterion
from inspector_plugin.data.problems import problem_names
from inspector_plugin.harness.responses import Coverage, JudgedDocument, JudgedResponses
from inspector_plugin.schema.criteria import TOTAL, Criterion
from inspector_plugin.schema.records import Judgement

COVERAGE = "coverage"
# The two statistics over all criteria that stand in lm_eval's table; the others are in the results
# under `agreement`, and in our own table.
STATISTICS_SHOWN = ("spearman", "quadratic_kappa")
MAXIMUM_ROWS = 9
NOT_ENOUGH = "not enough"  # fewer than two pairs
UNDEFINED = "undefined"  # such as a correlation with scores that are all equal

Aggregation = Callable[[Sequence[Any]], float | int | str]


class DocumentMetrics(dict[str, Any]):
    """The metrics of one document under a judge.

    lm_eval's loggers expect its own metrics in every row of the sample log. A row of ours holds
    them as None when it is copied into the log, but they are not among the items, which lm_eval
    aggregates.
    """

    def __init__(self, values: Mapping[str, Any], absent: Sequence[str]) -> None:
        """Take the values, and the names of lm_eval's own metrics."""
        super().__init__({**dict.fromkeys(absent), **values})
        self._values = dict(values)

    def items(self) -> Any:
        """The metrics of ours."""
        return self._values.items()

    def keys(self) -> Any:
        """Their names."""
        return self._values.keys()


def metric_names(criteria: Sequence[Criterion], has_reference: bool) -> list[str]:
    """Name the metrics of a judge: as many criteria as there is room for, then the totals.

    Args:
        criteria: The criteria that are judged.
        has_reference: Whether there is agreement to report.
    """
    over_all = [TOTAL, COVERAGE, *(STATISTICS_SHOWN if has_reference else ())]
    shown = [criterion.key for criterion in criteria[: MAXIMUM_ROWS - len(over_all)]]
    return [*shown, *over_all]


def with_values(names: Sequence[str], judged: Sequence[Sequence[Judgement]]) -> list[str]:
    """Leave out the metrics of which no document has a value: criteria without any score.

    Args:
        names: The metrics, from `metric_names`.
        judged: The judgements of the responses to each document.
    """
    always = (COVERAGE, *STATISTICS_SHOWN)
    return [
        name
        for name in names
        if name in always or any(mean_of_scored(each, name) is not None for each in judged)
    ]


def document_metrics(responses: JudgedResponses, absent: Sequence[str]) -> DocumentMetrics:
    """Give the values of one document under one judge.

    Args:
        responses: The judgements of the responses to the document, at least one.
        absent: lm_eval's own metrics of the task.

    Returns:
        The mean score on each criterion and the mean total, without those of which no response has
        one; the share of scores obtained; and what the agreement is computed from.
    """
    document = responses.document
    values: dict[str, Any] = {}
    for name in responses.metric_names:
        if name in STATISTICS_SHOWN:
            values[name] = document
        elif name == COVERAGE:
            values[name] = Coverage.of(document)
        else:
            average = mean_of_scored(document.judged, name)
            if average is not None:
                values[name] = average
    return DocumentMetrics(values, absent)


def aggregations(
    names: Sequence[str], seed: int, resamples: int, on_coverage: Callable[[Any], None]
) -> dict[str, Aggregation]:
    """Give the aggregation of every metric of ours.

    Args:
        names: The metrics, of all judges.
        seed: Seed of the bootstrap of the agreement.
        resamples: Number of its resamples.
        on_coverage: Called with all documents of a judge when its coverage is aggregated.
    """

    def coverage(values: Sequence[Coverage]) -> float:
        on_coverage([value.document for value in values])
        return statistics.fmean(values)

    ours: dict[str, Aggregation] = {}
    for name in names:
        if name == COVERAGE:
            ours[name] = coverage
        elif name in STATISTICS_SHOWN:
            ours[name] = functools.partial(_statistic, name, seed, resamples)
        else:
            ours[name] = mean
    return ours


def agreement_of(
    documents: Sequence[JudgedDocument], seed: int, resamples: int
) -> dict[str, Agreement]:
    """Compare the judgements of documents with the reference's, criterion by criterion."""
    return _agreement(tuple(documents), seed, resamples)


@functools.lru_cache(maxsize=8)
def _agreement(
    documents: tuple[JudgedDocument, ...], seed: int, resamples: int
) -> dict[str, Agreement]:
    # lm_eval asks for each metric on its own, with the same documents: compute once for all.
    compared = [document for document in documents if document.reference is not None]
    problems = problem_names(
        [document.id for document in compared], [document.question for document in compared]
    )
    return agreement_by_criterion(
        [judgement for document in compared for judgement in document.judged],
        [judgement for document in compared for judgement in document.reference or ()],
        [name for document, name in zip(compared, problems, strict=True) for _ in document.judged],
        seed=seed,
        resamples=resamples,
    )


def _statistic(
    name: str, seed: int, resamples: int, documents: Sequence[JudgedDocument]
) -> float | str:
    overall = _agreement(tuple(documents), seed, resamples)[OVERALL]
    estimate = overall.statistics[name]
    if estimate is None:
        return NOT_ENOUGH if overall.n < 2 else UNDEFINED
    return estimate.value


def mean_of_scored(judged: Sequence[Judgement], name: str) -> float | None:
    """Average the scores, or totals, that there are; None if there are none."""
    values = [each.total if name == TOTAL else each.scores[name].score for each in judged]
    scored = [value for value in values if value is not None]
    return statistics.fmean(scored) if scored else None
