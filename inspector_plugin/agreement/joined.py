"""Scores of a judge and of a reference, joined: what a comparison is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.statistics import Pairs
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.errors import DataError
from inspector_plugin.schema.criteria import BINARY, Scale, common_scale

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Joined:
    """The scores of a judge and a reference on one criterion, or on several one after the other.

    Attributes:
        pairs: The pairs that both scored; None if there are none.
        problems: The number of each pair's problem, from 0, [n].
        lengths: Characters of each pair's response, [n].
        rows: The row of each pair in the table, [n].
        scored: Of the responses that the reference scored and the judge was asked for: whether
            the judge scored it, [asked].
        asked_problems: The number of the problem of each of these, from 0, [asked].
        misfits: How many pairs are left out since they are on different criteria of one key.
        judge_scales: The scales of the judge.
        reference_scales: The scales of the reference.
    """

    pairs: Pairs | None
    problems: NDArray[np.intp]
    lengths: NDArray[np.int64]
    rows: NDArray[np.intp]
    scored: NDArray[np.bool_]
    asked_problems: NDArray[np.intp]
    misfits: int
    judge_scales: tuple[Scale, ...]
    reference_scales: tuple[Scale, ...]

    @property
    def n(self) -> int:
        """The number of pairs."""
        return len(self.rows)

    def take(self, chosen: NDArray[np.bool_]) -> Joined:
        """Return some of the pairs."""
        return replace(
            self,
            pairs=None if self.pairs is None or not chosen.any() else self.pairs.take(chosen),
            problems=codes_of(self.problems[chosen]),
            lengths=self.lengths[chosen],
            rows=self.rows[chosen],
        )


def join(table: ScoreTable, sides: Sequence[tuple[ScoreColumn, ScoreColumn]]) -> Joined:
    """Join the scores of a judge with those of a reference.

    Where the scores are not all on one scale, labels are low or high quality; the scores are
    shares of their scales.

    Args:
        table: Where they come from.
        sides: The columns of judge and reference on one criterion, or on each of several.
    """
    scales = {column.scale for side in sides for column in side}
    common = common_scale(scales)
    masks = []
    misfits = 0
    for judge, reference in sides:
        fits = ~_on_other_criteria(judge, reference)
        both = judge.scored & reference.scored
        misfits += int((both & ~fits).sum())
        masks.append(both & fits)
    asked = [judge.asked & reference.scored for judge, reference in sides]
    rows = np.concatenate([np.flatnonzero(mask) for mask in masks])
    problems = table.problem_codes
    return Joined(
        pairs=_pairs(sides, masks, common) if len(rows) else None,
        problems=codes_of(problems[rows]),
        lengths=table.lengths[rows],
        rows=rows,
        scored=np.concatenate(
            [judge.scored[mask] for (judge, _), mask in zip(sides, asked, strict=True)]
        ),
        asked_problems=codes_of(np.concatenate([problems[mask] for mask in asked])),
        misfits=misfits,
        judge_scales=tuple(dict.fromkeys(judge.scale for judge, _ in sides)),
        reference_scales=tuple(dict.fromkeys(reference.scale for _, reference in sides)),
    )


def consensus(columns: Sequence[ScoreColumn], name: str) -> ScoreColumn:
    """Make one column of several annotators': the mean of the scores that there are.

    Args:
        columns: The annotators' scores on one criterion.
        name: What to call it.

    Raises:
        DataError: If they score on different scales.
    """
    scale = common_scale(column.scale for column in columns)
    first = columns[0]
    if scale is None:
        listed = ", ".join(f"{column.judge} on {column.scale.name}" for column in columns)
        raise DataError(
            f"The annotators score {first.key} on different scales ({listed}); a mean of these "
            "means nothing. Compare with one of them: --reference NAME."
        )
    scores = np.stack([column.scores for column in columns])
    given = (~np.isnan(scores)).sum(axis=0)
    mean = np.divide(
        np.nansum(scores, axis=0), given, out=np.full(len(given), np.nan), where=given > 0
    )
    nobody = np.where(given > 0, -1, 0).astype(np.int32)
    fingerprints = {column.fingerprint for column in columns} - {None}
    agreed = fingerprints.pop() if len(fingerprints) == 1 else None
    return ScoreColumn(
        judge=name,
        key=first.key,
        scale=scale,
        fingerprint=agreed,
        scores=mean,
        labels=np.floor(mean + 0.5),  # the nearest; halves round up, as everywhere
        confidence=np.full(len(mean), np.nan),
        asked=np.any([column.asked for column in columns], axis=0),
        reasons=("no annotator has scored it",),
        reason_codes=nobody,
        flag_sets=((),),
        flag_codes=np.zeros(len(mean), dtype=np.int32),
        fingerprints=() if agreed is None else (agreed,),
        fingerprint_codes=np.full(len(mean), -1 if agreed is None else 0, dtype=np.int32),
    )


def codes_of(values: NDArray[np.intp]) -> NDArray[np.intp]:
    """Number different values from 0."""
    return np.unique(values, return_inverse=True)[1].astype(np.intp)


def _on_other_criteria(judge: ScoreColumn, reference: ScoreColumn) -> NDArray[np.bool_]:
    """Whether both name their criterion, and not the same."""
    ours = np.array([*judge.fingerprints, ""], dtype=np.str_)[judge.fingerprint_codes]
    theirs = np.array([*reference.fingerprints, ""], dtype=np.str_)[reference.fingerprint_codes]
    differ: NDArray[np.bool_] = (ours != "") & (theirs != "") & (ours != theirs)
    return differ


def _pairs(
    sides: Sequence[tuple[ScoreColumn, ScoreColumn]],
    masks: Sequence[NDArray[np.bool_]],
    common: Scale | None,
) -> Pairs:
    chosen = common or BINARY

    def positions(place: int) -> NDArray[np.intp]:
        columns = [side[place] for side in sides]
        labelled = columns if common is not None else [column.as_binary() for column in columns]
        labels = [column.labels[mask] for column, mask in zip(labelled, masks, strict=True)]
        return np.concatenate(labels).astype(np.intp) - chosen.minimum

    def shares(place: int) -> Floats:
        return np.concatenate(
            [side[place].shares[mask] for side, mask in zip(sides, masks, strict=True)]
        )

    return Pairs(
        positions(0),
        positions(1),
        shares(0),
        shares(1),
        chosen,
        None if common is None else float(common.maximum - common.minimum),
    )
