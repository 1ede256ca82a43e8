"""The figures of one judge over many responses, as numbers and as tables."""

from __future__ import annotations

import dataclasses
import math
import sys
import textwrap
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.table import Table

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.compare import Agreement
from inspector_plugin.report.tables import (
    WIDTH,
    figure,
    interval,
    make_table,
    plain,
    print_tables,
)
from inspector_plugin.schema.correctness import counts_in_total
from inspector_plugin.schema.criteria import MULTICLASS, Scale, common_scale
from inspector_plugin.schema.records import CriterionScore, Judgement
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
        flagged: Number of scores that have any flag.
    """

    asked: int
    scored: int
    mean: float | None
    stderr: float | None
    scale: tuple[int, int] | None
    unscored: Mapping[str, int] = dataclasses.field(default_factory=dict)
    flags: Mapping[str, int] = dataclasses.field(default_factory=dict)
    flagged: int = 0

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
    name: str, judged: Iterable[Judgement], agreement: Mapping[str, Agreement] | None = None
) -> JudgeSummary:
    """Sum up what a judge gave.

    Args:
        name: The judge's name in this run.
        judged: Its judgements.
        agreement: Its agreement with the reference, if there is one.
    """
    figures = JudgeFigures(name)
    for judgement in judged:
        figures.add(judgement)
    return figures.summary(agreement)


class JudgeFigures:
    """Sums up what a judge gives, judgement by judgement, keeping a number for each score."""

    def __init__(self, name: str) -> None:
        """Begin with none.

        Args:
            name: The judge's name in this run.
        """
        self._name = name
        self._criteria: dict[str, _Figures] = {}
        self._totals: array[float] = array("d")
        # Of judgements that have a total, and of the others.
        self._scales: tuple[set[tuple[int, int] | None], set[tuple[int, int] | None]]
        self._scales = (set(), set())
        self._count = 0
        self._usage: Usage | None = None

    def add(self, judgement: Judgement) -> None:
        """Count a judgement in."""
        self._count += 1
        for key, score in judgement.scores.items():
            figures = self._criteria.get(key)
            if figures is None:
                figures = self._criteria[key] = _Figures()
            figures.add(score)
        total = judgement.total
        if total is not None:
            self._totals.append(total)
        self._scales[total is None].add(_scale_of_total(judgement))
        if judgement.usage is not None:
            self._usage = judgement.usage + (self._usage or Usage())

    def summary(self, agreement: Mapping[str, Agreement] | None = None) -> JudgeSummary:
        """Sum up.

        Args:
            agreement: The agreement with the reference, if there is one.
        """
        ordered = {key: self._criteria[key] for key in in_table_order(self._criteria)}
        return JudgeSummary(
            self._name,
            {key: figures.summary() for key, figures in ordered.items()},
            _Figures.of_all(list(self._criteria.values())).summary(),
            self._summary_of_totals(),
            agreement,
            self._usage,
        )

    def _summary_of_totals(self) -> CriterionSummary | None:
        with_total, without = self._scales
        scales = with_total or without
        if not scales or None in scales:
            return None
        scale = next(iter(scales)) if len(scales) == 1 else None
        return CriterionSummary(
            self._count, len(self._totals), *_mean_and_stderr(self._totals), scale
        )


class _Figures:
    """The figures of some scores."""

    def __init__(self) -> None:
        self.asked = self.flagged = 0
        self.values: array[float] = array("d")
        # Of scores, and of what is unscored.
        self.scales: tuple[set[Scale], set[Scale]] = (set(), set())
        self.reasons: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()

    @staticmethod
    def of_all(parts: Sequence[_Figures]) -> _Figures:
        """Put the figures of several criteria together."""
        whole = _Figures()
        for part in parts:
            whole.asked += part.asked
            whole.flagged += part.flagged
            whole.values.extend(part.values)
            whole.scales[0].update(part.scales[0])
            whole.scales[1].update(part.scales[1])
            whole.reasons.update(part.reasons)
            whole.flags.update(part.flags)
        return whole

    def add(self, score: CriterionScore) -> None:
        self.asked += 1
        self.scales[score.score is None].add(score.scale or MULTICLASS)
        if score.score is None:
            self.reasons[str(score.reason)] += 1
            return
        self.values.append(score.score)
        if score.flags:
            self.flagged += 1
            self.flags.update(score.flags)

    def summary(self) -> CriterionSummary:
        # What a judge of low/high quality could not judge still has the criterion's own scale.
        scale = common_scale(self.scales[0] or self.scales[1])
        return CriterionSummary(
            self.asked,
            len(self.values),
            *_mean_and_stderr(self.values),
            None if scale is None else (scale.minimum, scale.maximum),
            dict(self.reasons.most_common()),
            dict(self.flags.most_common()),
            self.flagged,
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
            print(cost_of_run(summary.name, summary.usage), file=file or sys.stdout)


def cost_of_run(name: str, usage: Usage) -> str:
    """Say what a run of a judge cost, in lines of at most 80 columns."""
    return textwrap.fill(plain(f"{name}, this run: {usage}"), WIDTH, subsequent_indent="  ")


def scores_table(summary: JudgeSummary, title: str | None = None) -> Table:
    """Build the table of mean scores, a row for each criterion and one for the total."""
    rows = [_score_row(key, each) for key, each in summary.criteria.items()]
    if summary.total is not None and len(summary.criteria) > 1:
        rows.append(_score_row(TOTAL, summary.total))
    columns: tuple[str, ...] = ("criterion", "scale", "mean", "stderr", "scored")
    note = "mean: of the responses that have a score; total: of those scored on all criteria"
    if summary.overall.flagged:
        columns = (*columns, "flagged")
        flagged = [str(each.flagged) for each in summary.criteria.values()]
        rows = [(*row, count) for row, count in zip(rows, [*flagged, "-"], strict=False)]
        note += "; flagged: scores with a remark, which count in the mean (--drop-flagged)"
    title = f"{title}: scores by {summary.name}" if title else f"Scores by {summary.name}"
    return make_table(title, columns, rows, note=note)


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


def _scale_of_total(judgement: Judgement) -> tuple[int, int] | None:
    """From where to where the total can go; None where it is not defined."""
    scores = [s for key, s in judgement.scores.items() if counts_in_total(key, s.fingerprint)]
    scale = common_scale(score.scale or MULTICLASS for score in scores)
    count = len(scores)
    return None if scale is None or not count else (count * scale.minimum, count * scale.maximum)


def _mean_and_stderr(values: Collection[float]) -> tuple[float | None, float | None]:
    count = len(values)
    if not count:
        return None, None
    mean = math.fsum(values) / count
    if count == 1:
        return mean, None
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (count - 1) / count)


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
