"""The figures of one judge over many responses, as numbers and as tables."""

from __future__ import annotations

import dataclasses
import math
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, TextIO

from rich.table import Table

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.compare import Agreement
from inspector_plugin.report.tables import figure, interval, make_table, plain, print_tables
from inspector_plugin.schema.criteria import MULTICLASS, Scale, common_scale
from inspector_plugin.schema.records import CriterionScore, Judgement, total_usage
from inspector_plugin.schema.roscoe import in_table_order
from inspector_plugin.schema.usage import Usage

TOTAL = "total"
_STATISTICS = {
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "quadratic_kappa": "quadratic kappa",
    "spearman": "Spearman",
    "somers_d": "Somers' D",
}
_LABEL_STATISTICS = ("macro_f1", "accuracy", "quadratic_kappa")
_RANK_STATISTICS = ("spearman", "somers_d")


@dataclasses.dataclass(frozen=True)
class CriterionSummary:
    """The scores on one criterion, or the totals.

    Attributes:
        asked: Number of responses to be judged on it.
        scored: Number of those that got a score.
        mean: Mean of the scores; None if there are none.
        stderr: Standard error of the mean; None if there are fewer than two scores.
        scale: From where to where the scores can go; None if they are on different scales.
        unscored: How often each reason for not scoring occurs.
        flags: How often each flag occurs on a score.
    """

    asked: int
    scored: int
    mean: float | None
    stderr: float | None
    scale: tuple[int, int] | None
    unscored: Mapping[str, int] = dataclasses.field(default_factory=dict)
    flags: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def coverage(self) -> float:
        """Share of the responses that got a score, in [0, 1]; 0 if there are none."""
        return self.scored / max(self.asked, 1)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        row = dataclasses.asdict(self)
        row["scale"] = None if self.scale is None else list(self.scale)
        row["mean"] = None if self.mean is None else round(self.mean, 4)
        row["stderr"] = None if self.stderr is None else round(self.stderr, 4)
        return {**row, "coverage": round(self.coverage, 4)}


@dataclasses.dataclass(frozen=True)
class JudgeSummary:
    """What one judge gave over all responses.

    Attributes:
        name: The judge's name in this run.
        criteria: The figures on each criterion, by key.
        overall: Those of all scores together.
        total: Those of the totals; None where the scales differ, so that there are no totals.
        agreement: The agreement with the reference, if there is one.
        usage: What this run cost, where the judge counts that.
    """

    name: str
    criteria: Mapping[str, CriterionSummary]
    overall: CriterionSummary
    total: CriterionSummary | None
    agreement: Mapping[str, Agreement] | None = None
    usage: Usage | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, without the agreement."""
        row: dict[str, Any] = {
            "criteria": {key: summary.to_json() for key, summary in self.criteria.items()},
            "overall": self.overall.to_json(),
        }
        if self.total is not None:
            row["total"] = self.total.to_json()
        if self.usage is not None:
            row["usage"] = self.usage.to_json()
        return row

    def agreement_to_json(self) -> dict[str, Any]:
        """Return the agreement as plain values, by criterion and overall."""
        return {key: _agreement_to_json(each) for key, each in (self.agreement or {}).items()}


def summarise_judge(
    name: str, judged: Sequence[Judgement], agreement: Mapping[str, Agreement] | None = None
) -> JudgeSummary:
    """Sum up what a judge gave.

    Args:
        name: The judge's name in this run.
        judged: Its judgements.
        agreement: Its agreement with the reference, if there is one.
    """
    scores: dict[str, list[CriterionScore]] = {}
    for judgement in judged:
        for key, score in judgement.scores.items():
            scores.setdefault(key, []).append(score)
    return JudgeSummary(
        name,
        {key: _summarise(scores[key]) for key in in_table_order(scores)},
        _summarise(list(chain.from_iterable(scores.values()))),
        _summarise_totals(judged),
        agreement,
        total_usage(judged),
    )


def print_summaries(
    summaries: Sequence[JudgeSummary],
    reference: str | None = None,
    title: str | None = None,
    file: TextIO | None = None,
) -> None:
    """Print everything there is to say of some judges, in at most 80 columns.

    Args:
        summaries: The judges.
        reference: The name of the reference judge, if there is one.
        title: What was judged, such as a task's name.
        file: Where to print; standard output if None.
    """
    for summary in summaries:
        print_tables(scores_table(summary, title), file=file)
        if summary.overall.unscored:
            print_tables(unscored_table(summary), file=file)
        if summary.overall.flags:
            print_tables(flags_table(summary), file=file)
        if summary.agreement is not None and reference is not None:
            print_tables(*agreement_tables(summary, reference), file=file)
        if summary.usage is not None:
            print(plain(f"{summary.name}, this run: {summary.usage}"), file=file or sys.stdout)


def scores_table(summary: JudgeSummary, title: str | None = None) -> Table:
    """Build the table of mean scores, a row for each criterion and one for the total."""
    rows = [_score_row(key, each) for key, each in summary.criteria.items()]
    if summary.total is not None and len(summary.criteria) > 1:
        rows.append(_score_row(TOTAL, summary.total))
    return make_table(
        f"{title}: scores by {summary.name}" if title else f"Scores by {summary.name}",
        ("criterion", "scale", "mean", "stderr", "scored"),
        rows,
        note="mean: of the responses that have a score; total: of those scored on all criteria",
    )


def unscored_table(summary: JudgeSummary) -> Table:
    """Build the table of why scores are missing, a row for each reason."""
    rows = [(reason, str(count)) for reason, count in summary.overall.unscored.items()]
    return make_table(f"Unscored by {summary.name}", ("reason", "scores missing"), rows)


def flags_table(summary: JudgeSummary) -> Table:
    """Build the table of what is to be said of scores, a row for each flag."""
    rows = [
        (flag, f"{count}/{summary.overall.scored}") for flag, count in summary.overall.flags.items()
    ]
    return make_table(f"Flagged by {summary.name}", ("flag", "scores"), rows)


def agreement_tables(summary: JudgeSummary, reference: str) -> tuple[Table, Table]:
    """Build the tables of a judge's agreement with the reference, labels and ranks."""
    agreement = summary.agreement or {}
    title = f"Agreement of {summary.name} with the reference {reference}"
    return (
        make_table(
            f"{title}: labels",
            ("criterion", *(_STATISTICS[name] for name in _LABEL_STATISTICS)),
            [(key, *_cells(each, _LABEL_STATISTICS)) for key, each in agreement.items()],
            note="macro F1: mean over labels of the F1 score; accuracy: share of equal labels; "
            "quadratic kappa: agreement beyond chance, near misses count less. [95% interval]",
        ),
        make_table(
            f"{title}: ranks",
            ("criterion", "n", *(_STATISTICS[name] for name in _RANK_STATISTICS)),
            [
                (key, str(each.n), *_cells(each, _RANK_STATISTICS))
                for key, each in agreement.items()
            ],
            note="n: responses that both scored; Spearman: rank correlation of the scores; "
            "Somers' D: pairs in the reference's order minus pairs in the other. [95% interval]",
        ),
    )


def _score_row(key: str, summary: CriterionSummary) -> tuple[str, ...]:
    scale = "mixed" if summary.scale is None else f"{summary.scale[0]}-{summary.scale[1]}"
    return (
        key,
        scale,
        figure(summary.mean),
        figure(summary.stderr),
        f"{summary.scored}/{summary.asked}",
    )


def _cells(agreement: Agreement, names: Sequence[str]) -> list[str]:
    return [_cell(agreement.statistics[name], agreement.n) for name in names]


def _cell(estimate: Estimate | None, n: int) -> str:
    if estimate is None:
        return "not enough" if n < 2 else "not defined"
    return interval(estimate.value, estimate.low, estimate.high)


def _summarise(scores: Sequence[CriterionScore]) -> CriterionSummary:
    # What a judge of low/high quality could not judge still has the criterion's own scale.
    scored = [score for score in scores if score.score is not None]
    scale = common_scale(score.scale or MULTICLASS for score in scored or scores)
    reasons = Counter(score.reason for score in scores if score.reason is not None)
    flags = Counter(flag for score in scored for flag in score.flags)
    return CriterionSummary(
        len(scores),
        len(scored),
        *_mean_and_stderr([score.score for score in scored if score.score is not None]),
        None if scale is None else (scale.minimum, scale.maximum),
        dict(reasons.most_common()),
        dict(flags.most_common()),
    )


def _summarise_totals(judged: Sequence[Judgement]) -> CriterionSummary | None:
    given = [total for judgement in judged if (total := judgement.total) is not None]
    complete = [judgement for judgement in judged if judgement.total is not None]
    scales = {_scale_of_total(judgement) for judgement in complete or judged}
    if not scales or None in scales:
        return None
    scale = scales.pop() if len(scales) == 1 else None
    return CriterionSummary(len(judged), len(given), *_mean_and_stderr(given), scale)


def _scale_of_total(judgement: Judgement) -> tuple[int, int] | None:
    """From where to where the total can go; None where it is not defined."""
    scale: Scale | None = common_scale(
        score.scale or MULTICLASS for score in judgement.scores.values()
    )
    count = len(judgement.scores)
    return None if scale is None else (count * scale.minimum, count * scale.maximum)


def _mean_and_stderr(values: Sequence[float]) -> tuple[float | None, float | None]:
    mean = statistics.fmean(values) if values else None
    spread = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return mean, spread


def _agreement_to_json(agreement: Agreement) -> dict[str, Any]:
    return {
        "n": agreement.n,
        "scale": None if agreement.scale is None else list(agreement.scale.labels),
        **{
            name: None if estimate is None else _estimate_to_json(estimate)
            for name, estimate in agreement.statistics.items()
        },
    }


def _estimate_to_json(estimate: Estimate) -> dict[str, float | None]:
    return {
        name: None if value is None else round(value, 4)
        for name, value in dataclasses.asdict(estimate).items()
    }
