"""May a cheap judge replace an expensive one?

The alternative annotator test asks this of a judge and three annotators or more. With a single
reference there is nobody to hold the reference itself against, so the rule here is a bar: on
responses to problems that the cheap judge never saw, the lower end of the 95% interval of its
agreement with the reference must reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bars import COVERAGE, Bar, Checked, check, figures_of
from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.comparison import (
    FEW_PROBLEMS,
    FEW_ROWS,
    Comparison,
    compare_joined,
)
from inspector_plugin.agreement.joined import Joined, join
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.errors import count_of

# "Substantial" agreement begins at .61 in Landis and Koch (1977): a convention, and the default.
DEFAULT_BAR = Bar("quadratic_kappa", 0.6)
YES, NO, OPEN = "yes", "no", "not shown"

Sides = Mapping[str, tuple[ScoreColumn, ScoreColumn]]


@dataclass(frozen=True)
class DatasetVerdict:
    """Whether the rule holds on the responses of one data set.

    Attributes:
        comparison: The figures.
        answer: "yes" if the lower ends reach the bars, "no" if a figure itself misses one, else
            "not shown".
        words: The same in words.
    """

    comparison: Comparison
    answer: str
    words: str


@dataclass(frozen=True)
class Replacement:
    """Whether the cheap judge may replace the reference on one criterion.

    Attributes:
        key: The criterion.
        comparison: The figures; None if there is no probe.
        checks: The figures held against each bar.
        datasets: The same on each data set, where there are several.
        why_not: Why there is no cheap judge on this criterion; None if there is.
    """

    key: str
    comparison: Comparison | None
    checks: tuple[Checked, ...] = ()
    datasets: Mapping[str, DatasetVerdict] = field(default_factory=dict)
    why_not: str | None = None

    @property
    def clears(self) -> bool:
        """Whether it clears every bar over all data sets together."""
        return bool(self.checks) and all(each.clears for each in self.checks)

    @property
    def missed_datasets(self) -> list[str]:
        """The data sets on which a figure misses a bar."""
        return [name for name, each in self.datasets.items() if each.answer == NO]

    @property
    def may_replace(self) -> bool:
        """Whether it may: it clears every bar, and no data set stands against it."""
        return self.clears and not self.missed_datasets

    @property
    def is_better_than_chance(self) -> bool:
        """Whether its quadratic kappa is above 0 for certain."""
        if self.comparison is None:
            return False
        kappa = self.comparison.statistics.get("quadratic_kappa")
        return kappa is not None and kappa.low is not None and kappa.low > 0


def replacements(
    table: ScoreTable, sides: Sides, bars: Sequence[Bar], *, seed: int = 0, resamples: int = 1000
) -> list[Replacement]:
    """Apply the rule to each criterion, and to each data set where there are several.

    Args:
        table: Responses to problems that the cheap judge never saw, an equal chance each.
        sides: By criterion the scores of the cheap judge and those of the reference.
        bars: What has to be cleared.
        seed: Seed of the bootstrap over problems.
        resamples: Number of resamples.
    """
    names = np.array([each or "" for each in table.datasets], dtype=np.str_)
    found = []
    for key, (ours, theirs) in sides.items():
        compared = partial(
            compare_joined,
            judge=ours.judge,
            reference=theirs.judge,
            key=key,
            seed=seed,
            resamples=resamples,
        )
        joined = join(table, [(ours, theirs)])
        whole = compared(joined)
        checks = tuple(check(figures_of(whole), bar) for bar in bars)
        by_dataset = _by_dataset(joined, names[joined.rows], bars, compared)
        found.append(Replacement(key, whole, checks, by_dataset))
    return found


def _by_dataset(
    joined: Joined,
    names: NDArray[np.str_],
    bars: Sequence[Bar],
    compared: Callable[[Joined], Comparison],
) -> dict[str, DatasetVerdict]:
    """Apply the rule to each data set.

    Args:
        joined: The scores of both judges on one criterion.
        names: The data set of each pair, [n].
        bars: What has to be cleared.
        compared: Compares scores.
    """
    known = sorted(set(names.tolist()))
    if len(known) < 2:
        return {}
    found = {}
    for name in known:
        figures = compared(joined.take(names == name))
        found[name or "none named"] = DatasetVerdict(figures, *_answer(figures, bars))
    return found


def _answer(found: Comparison, bars: Sequence[Bar]) -> tuple[str, str]:
    # What part of the responses was judged is not known by data set.
    own = [bar for bar in bars if bar.figure != COVERAGE]
    figures = figures_of(found)
    checked = [check(figures, bar) for bar in own]
    if checked and all(each.clears for each in checked):
        return YES, "; ".join(each.said for each in checked)
    if found.n < FEW_ROWS or found.problems < FEW_PROBLEMS:
        few = f"{count_of(found.n, 'response')} to {count_of(found.problems, 'problem')}"
        return OPEN, f"{few} are too few to tell"
    missed = [each.said for each in checked if not each.clears]
    is_missed = any(_misses(figures.estimates.get(bar.figure), bar) for bar in own)
    return NO if is_missed else OPEN, "; ".join(missed)


def _misses(found: Estimate | None, bar: Bar) -> bool:
    if found is None:  # what is not defined shows nothing
        return False
    return found.value < bar.value if bar.is_least else found.value > bar.value
