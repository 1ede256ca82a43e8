"""The data that a rubric is refined on: two splits, and what says which responses are better."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.errors import DataError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.rubrics.preferences import Preferences, by_labels, by_meta_judge
from inspector_plugin.rubrics.rewards import LABELS, META_JUDGE
from inspector_plugin.rubrics.verdicts import Row, rows_of

AUTO = "auto"
_HELD_SHARE = 0.4


def two_splits(
    problems: Sequence[LabelledProblem],
    held: Sequence[LabelledProblem] | None,
    seed: int,
    source: Path,
) -> tuple[list[Row], list[Row]]:
    """Split responses into those to develop on and those held back; no problem is in both.

    Args:
        problems: The problems.
        held: Those to hold back; 40% of the problems if None, of those with two labels first.
        seed: Seed of the draw.
        source: Where the problems are from.

    Raises:
        DataError: If one of the splits is empty.
    """
    if held is None:
        dev, kept = _halves(problems, seed)
    else:
        known = {each.problem for each in held}
        dev, kept = [each for each in problems if each.problem not in known], list(held)
    rows = rows_of(dev), rows_of(kept)
    for name, some in zip(("development", "held"), rows, strict=True):
        if not some:
            raise DataError(
                f"{source}: the {name} split holds no responses; give more problems"
                + ("." if held is None else ", or a --held file of other problems.")
            )
    return rows


def _halves(
    problems: Sequence[LabelledProblem], seed: int
) -> tuple[list[LabelledProblem], list[LabelledProblem]]:
    """Hold problems back: first shares of those with two labels, then of the others."""
    order = np.random.default_rng(seed).permutation(len(problems))
    shuffled = [problems[place] for place in order]
    held: list[LabelledProblem] = []
    dev: list[LabelledProblem] = []
    for contrast in (True, False):
        some = [each for each in shuffled if (each.contrast is not None) == contrast]
        count = round(_HELD_SHARE * len(some))
        held, dev = held + some[:count], dev + some[count:]
    return dev, held


def better_by(wanted: str, dev: Sequence[Row], held: Sequence[Row], source: Path) -> str:
    """Say what tells which response is better, in both splits alike.

    Args:
        wanted: "labels", "meta-judge", or "auto": labels where there are any.
        dev: The responses to develop on.
        held: Those held back.
        source: Where they are from.

    Raises:
        DataError: If labels are asked for, or are there, and do not differ in one of the splits.
    """
    if wanted == META_JUDGE:
        return META_JUDGE
    if all(by_labels(rows) is not None for rows in (dev, held)):
        return LABELS
    labelled = any(not np.isnan(row.label) for row in (*dev, *held))
    if wanted == AUTO and not labelled:
        return META_JUDGE
    raise DataError(
        f"{source} holds no contrast: "
        + ("the labels do not differ" if labelled else "there are no labels")
        + " in the development or the held split; name their field with --label-field, give more "
        "rows, or take --by meta-judge."
    )


def preferences(
    rows: Sequence[Row],
    by: str,
    meta_judge: Judge,
    cache: JudgeCache | None,
    *,
    most_pairs: int,
    seed: int,
) -> Preferences:
    """Say which responses of a split are better.

    Args:
        rows: The responses.
        by: "labels" or "meta-judge".
        meta_judge: Compares responses where there are no labels.
        cache: Where its judgements are kept.
        most_pairs: The most pairs that it compares.
        seed: Seed of the draw among pairs by labels.

    Raises:
        DataError: If the meta-judge prefers none.
    """
    if by == META_JUDGE:
        found = by_meta_judge(rows, meta_judge, cache, most_pairs)
        if not len(found):
            raise DataError(
                "The meta-judge prefers no response whatever the order they stand in, so that "
                "nothing says which are better; give labels, or another --meta-judge."
            )
        return found
    labelled = by_labels(rows, seed)
    assert labelled is not None
    return labelled
