"""The figures of one judge over many responses, as numbers and as tables."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from rich.table import Table

from inspector_plugin.agreement import OVERALL, STATISTICS, Agreement, Estimate
from inspector_plugin.aspects import TABLE_ORDER
from inspector_plugin.report.table import make_table
from inspector_plugin.schema import AspectScore, Judgement, Usage


@dataclasses.dataclass(frozen=True)
class AspectSummary:
    """The scores of one aspect.

    Attributes:
        asked: Number of responses to be judged on it.
        scored: Number of those that got a score.
        mean: Mean of the scores; None if there are none.
        unscored: How often each reason for not scoring occurs.
        flags: How often each flag occurs on a score.
    """

    asked: int
    scored: int
    mean: float | None
    unscored: Mapping[str, int]
    flags: Mapping[str, int]

    @property
    def coverage(self) -> float:
        """Share of the responses that got a score, in [0, 1]; 0 if there are none."""
        return self.scored / max(self.asked, 1)


@dataclasses.dataclass(frozen=True)
class JudgeSummary:
    """What one judge gave over all responses.

    Attributes:
        name: The judge's name in this run.
        labels: "multiclass" or "binary".
        aspects: The summary of each aspect, and last that of all scores together, "overall".
        agreement: The agreement with the reference on the same, if there is one.
        usage: What this run cost, where the judge counts that.
    """

    name: str
    labels: str
    aspects: Mapping[str, AspectSummary]
    agreement: Mapping[str, Agreement] | None = None
    usage: Usage | None = None

    @property
    def complete(self) -> bool:
        """Whether every response got every score that was asked for."""
        return not self.aspects[OVERALL].unscored

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        row: dict[str, Any] = {
            "labels": self.labels,
            "aspects": {
                key: {**dataclasses.asdict(aspect), "coverage": aspect.coverage}
                for key, aspect in self.aspects.items()
            },
        }
        if self.agreement is not None:
            row["agreement"] = {key: dataclasses.asdict(a) for key, a in self.agreement.items()}
        if self.usage is not None:
            row["usage"] = self.usage.to_json()
        return row


def summarise_aspects(judged: Sequence[Judgement]) -> dict[str, AspectSummary]:
    """Sum up judgements aspect by aspect, in the order of `ASPECTS`, and "overall" at the end."""
    scores: dict[str, list[AspectScore]] = {key: [] for key in TABLE_ORDER}
    for judgement in judged:
        for key, score in judgement.aspects.items():
            scores[key].append(score)
    groups = {key: group for key, group in scores.items() if group}
    groups[OVERALL] = list(chain.from_iterable(groups.values()))
    return {key: _summarise(group) for key, group in groups.items()}


def scores_table(summaries: Sequence[JudgeSummary]) -> Table:
    """Build the table of mean scores and coverage, a row for each judge and aspect."""
    rows = [
        (
            summary.name,
            summary.labels,
            key,
            "-" if aspect.mean is None else f"{aspect.mean:.3f}",
            f"{aspect.scored}/{aspect.asked}",
            f"{aspect.coverage:.3f}",
        )
        for summary in summaries
        for key, aspect in summary.aspects.items()
    ]
    columns = ("judge", "labels", "aspect", "mean", "scored", "coverage")
    return make_table("Scores", columns, rows, left=3)


def unscored_table(summaries: Sequence[JudgeSummary]) -> Table:
    """Build the table of why scores are missing, a row for each judge and reason."""
    rows = [
        (summary.name, reason, str(count))
        for summary in summaries
        for reason, count in summary.aspects[OVERALL].unscored.items()
    ]
    return make_table("Unscored", ("judge", "reason", "scores missing"), rows, left=2)


def flags_table(summaries: Sequence[JudgeSummary]) -> Table:
    """Build the table of what is to be said of scores, a row for each judge and flag."""
    rows = [
        (summary.name, flag, f"{count}/{summary.aspects[OVERALL].scored}")
        for summary in summaries
        for flag, count in summary.aspects[OVERALL].flags.items()
    ]
    return make_table("Flagged", ("judge", "flag", "scores"), rows, left=2)


def agreement_table(summary: JudgeSummary, reference: str) -> Table:
    """Build the table of one judge's agreement with the reference, a row for each aspect."""
    rows = [
        (
            key,
            str(agreement.n),
            *(_cell(agreement.statistics[name], agreement.n) for name in STATISTICS),
        )
        for key, agreement in (summary.agreement or {}).items()
    ]
    title = f"Agreement of {summary.name} with the reference {reference}, 95% interval"
    return make_table(title, ("aspect", "n", *STATISTICS), rows)


def _summarise(scores: Sequence[AspectScore]) -> AspectSummary:
    given = [score.score for score in scores if score.score is not None]
    reasons = Counter(score.reason for score in scores if score.reason is not None)
    flags = Counter(flag for score in scores if score.score is not None for flag in score.flags)
    mean = statistics.fmean(given) if given else None
    return AspectSummary(
        len(scores), len(given), mean, dict(reasons.most_common()), dict(flags.most_common())
    )


def _cell(estimate: Estimate | None, n: int) -> str:
    if estimate is None:
        return "not enough" if n < 2 else "not defined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
