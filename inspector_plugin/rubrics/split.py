"""A split of the data, and what judging it by a rubric shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.rubrics.preferences import Preferences
from inspector_plugin.rubrics.propose import Shown
from inspector_plugin.rubrics.verdicts import Row, VerdictTable
from inspector_plugin.schema.rubrics import RubricItem

Floats = NDArray[np.float64]
# What a generator is shown of a split.
_SHOWN_ERRORS, _SHOWN_PROBLEMS = 4, 3


@dataclass(frozen=True)
class Split:
    """Responses, a judge's verdicts on them, and which are better.

    Attributes:
        table: The verdicts.
        preferences: Which responses are better.
    """

    table: VerdictTable
    preferences: Preferences

    def accuracy(self, items: Sequence[RubricItem]) -> float | None:
        """How often a rubric scores the better response higher; see `Preferences.accuracy`."""
        return self.preferences.accuracy(_scores(self.table.values(items), items))

    def means(self, items: Sequence[RubricItem]) -> Floats:
        """The share of the responses that meet each item, [items]; 0 where no verdict is known."""
        values = self.table.values(items)
        known = ~np.isnan(values)
        return np.asarray(np.nansum(values, axis=0) / np.maximum(known.sum(axis=0), 1))

    def worth(self, column: Floats) -> float:
        """By how much better responses do better by an item, on average over the pairs.

        Args:
            column: The verdicts on the item, [responses].
        """
        gaps = self.preferences.gaps(column)
        return float(gaps.mean()) if len(gaps) else 0.0

    def findings(self, items: Sequence[RubricItem]) -> str:
        """Say of each item what judging by it has shown, a line each."""
        values, means = self.table.values(items), self.means(items)
        lines = []
        for place, item in enumerate(items):
            found = "no verdict could be read"
            if not np.isnan(values[:, place]).all():
                worth = signed(self.worth(values[:, place]))
                share = f"{means[place]:.0%} of the responses"
                found = f"met by {share}; better ones do better by {worth}"
            lines.append(f"- [{item.kind}, weight {item.weight:.3g}] {item.text} ({found})")
        return "\n".join(lines)

    def errors(self, items: Sequence[RubricItem], seed: Sequence[int]) -> list[Shown]:
        """Draw pairs that a rubric puts in the wrong order, or does not tell apart."""
        scores = _scores(self.table.values(items), items)
        gaps = scores[self.preferences.better] - scores[self.preferences.worse]
        wrong = np.flatnonzero(gaps <= 1e-9)
        drawn = np.random.default_rng(seed).permutation(wrong)[:_SHOWN_ERRORS]
        rows = self.table.rows
        return [
            _shown_pair(rows[self.preferences.better[pair]], rows[self.preferences.worse[pair]])
            for pair in drawn
        ]

    def some_problems(self, seed: Sequence[int]) -> list[LabelledProblem]:
        """Draw a few problems."""
        problems = list({row.problem.problem: row.problem for row in self.table.rows}.values())
        drawn = np.random.default_rng(seed).permutation(len(problems))[:_SHOWN_PROBLEMS]
        return [problems[place] for place in drawn]


def signed(worth: float) -> str:
    """A difference of verdicts with two digits after the point, or the first that is not 0."""
    return f"{worth:+.2f}" if abs(worth) >= 0.005 or worth == 0 else f"{worth:+.1g}"


def _scores(values: Floats, items: Sequence[RubricItem]) -> Floats:
    """Score responses by verdicts and weights, from 0 to 1, as `reachable_share` does."""
    weights = np.array([item.weight for item in items])
    if not weights.sum() > 0:
        return np.full(len(values), np.nan)
    return np.asarray(values @ weights / weights.sum())


def _shown_pair(better: Row, worse: Row) -> Shown:
    if better.problem is worse.problem:
        pair = (("better", better.response), ("worse", worse.response))
        return Shown(better.problem.question, pair)
    return Shown(better.problem.question, (("good", better.response),))
