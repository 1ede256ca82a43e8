"""The figures of one judge over many responses: means, coverage, reasons, flags and cost."""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.compare import Agreement
from inspector_plugin.schema.correctness import counts_in_total
from inspector_plugin.schema.criteria import MULTICLASS, TOTAL, Scale, common_scale
from inspector_plugin.schema.records import CriterionScore, Judgement
from inspector_plugin.schema.roscoe import in_table_order
from inspector_plugin.schema.usage import Usage


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
            row[TOTAL] = self.total.to_json()
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
