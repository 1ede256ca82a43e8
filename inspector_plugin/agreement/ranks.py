"""Rank correlations of two lists of scores, for many resamples at once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import kendalltau

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


class RankTable:
    """Pairs of scores, counted by problem.

    A cell is a distinct pair of scores. Pairs of responses are counted through the weights of
    cells, so that a response drawn three times counts as three.
    """

    def __init__(self, judge: Floats, reference: Floats, problems: Codes, count: int) -> None:
        """Count.

        Args:
            judge: The judge's scores, [n].
            reference: The reference's scores, [n].
            problems: The number of each pair's problem, from 0, [n].
            count: How many problems there are.
        """
        judge_values, judge_codes = np.unique(judge, return_inverse=True)
        reference_values, reference_codes = np.unique(reference, return_inverse=True)
        both = judge_codes.astype(np.int64) * len(reference_values) + reference_codes
        cells, cell_of = np.unique(both, return_inverse=True)
        self._codes, self._problems = (judge_codes, reference_codes), count
        self._judge = _Ranked(cells // len(reference_values), len(judge_values))
        self._reference = _Ranked(cells % len(reference_values), len(reference_values))
        self._counts = csr_array(
            (np.ones(len(problems)), (cell_of, problems)), shape=(len(cells), count)
        )
        self.cells = len(cells)

    def spearman(self, weights: Floats) -> Floats:
        """Spearman's correlation, that of the ranks, ties having the mean of theirs.

        Args:
            weights: How often each problem was drawn, [problems, resamples].

        Returns:
            NaN where either side's scores are all equal, [resamples].
        """
        drawn = self._drawn(weights)
        judge, judge_squares = self._judge.centred_ranks(drawn)
        reference, reference_squares = self._reference.centred_ranks(drawn)
        products = np.einsum("cr,cr,cr->r", drawn, judge, reference)
        return _divided(products, np.sqrt(judge_squares * reference_squares))

    def concordance(self, weights: Floats) -> tuple[Floats, Floats]:
        """Kendall's tau-b, and Somers' D of the judge given the reference.

        S, concordant minus discordant pairs, is the same for both: tau-b is S / sqrt(J R) and D is
        S / R, where J and R count the pairs that the judge and the reference tell apart.

        Args:
            weights: How often each problem was drawn, [problems, resamples].

        Returns:
            Each NaN where a divisor is zero, [resamples].
        """
        drawn = self._drawn(weights)
        judge, reference = self._judge.told_apart(drawn), self._reference.told_apart(drawn)
        either = (drawn.sum(axis=0) ** 2 - (drawn**2).sum(axis=0)) / 2
        surplus = judge + reference - either - 2 * self._discordant(drawn)
        return _divided(surplus, np.sqrt(judge * reference)), _divided(surplus, reference)

    def concordance_once(self) -> tuple[Floats, Floats]:
        """The same where every problem is drawn once, which scipy counts faster.

        Returns:
            Tau-b and D, [1] each.
        """
        drawn = self._drawn(np.ones((self._problems, 1)))
        judge, reference = self._judge.told_apart(drawn), self._reference.told_apart(drawn)
        if judge[0] == 0 or reference[0] == 0:  # no tau; D is 0 if it is the judge's scores
            return np.array([np.nan]), _divided(np.zeros(1), reference)
        tau = np.array([float(kendalltau(*self._codes).statistic)])
        return tau, _divided(tau * np.sqrt(judge * reference), reference)

    def _drawn(self, weights: Floats) -> Floats:
        """The weights of the cells, [cells, resamples]."""
        drawn: Floats = self._counts @ weights
        return drawn

    def _discordant(self, drawn: Floats) -> Floats:
        """Count the pairs that the two sides order differently, [resamples]."""
        total = np.zeros(drawn.shape[1])
        for left, right, before, first in self._levels:
            upto = np.zeros((len(left) + 1, drawn.shape[1]))
            np.cumsum(drawn[left], axis=0, out=upto[1:])
            weights = drawn[right]
            total += np.einsum("cr,cr->r", weights, upto[before])
            total -= np.einsum("cr,cr->r", weights, upto[first])
        return total

    @cached_property
    def _levels(self) -> list[tuple[Codes, Codes, Codes, Codes]]:
        """Orders in which one pass counts discordant pairs, one for each binary digit.

        Two cells that differ on one side share the higher binary digits of their codes down to
        the highest in which they differ. At the level of that digit, and at no other, they are in
        one group, one of them left (digit 0) and one right (digit 1). What is left is discordant
        with what is right if it has the higher score on the other side.

        Returns:
            For each digit the left cells and the right cells, by group and falling scores of the
            other side, and for each right cell how many left ones stand before all those of its
            score, and before its group.
        """
        sides = sorted((self._judge, self._reference), key=lambda side: side.count)
        few, other = sides[0].codes, sides[1].codes
        falling = np.argsort(-other, kind="stable")
        place = np.arange(len(few))
        levels = []
        for digit in range(int(few.max()).bit_length()):
            # Sorted by group, in falling order within: plain numbers sort faster than a stable
            # argsort of the groups.
            within = np.sort((few[falling] >> (digit + 1)) * len(few) + place) % len(few)
            order = falling[within]
            group = few[order] >> (digit + 1)
            is_left = (few[order] >> digit) & 1 == 0
            before = np.concatenate([[0], np.cumsum(is_left)])
            new_group = np.diff(group, prepend=-1) != 0
            new_score = new_group | (np.diff(other[order], prepend=-1) != 0)
            score_start = np.maximum.accumulate(np.where(new_score, place, 0))[~is_left]
            group_start = np.maximum.accumulate(np.where(new_group, place, 0))[~is_left]
            levels.append(
                (order[is_left], order[~is_left], before[score_start], before[group_start])
            )
        return levels


class _Ranked:
    """One side of the cells."""

    def __init__(self, codes: Codes, count: int) -> None:
        self.codes, self.count = codes, count
        ones = np.ones(len(codes))
        self._sum = csr_array((ones, (codes, np.arange(len(codes)))), shape=(count, len(codes)))

    def centred_ranks(self, drawn: Floats) -> tuple[Floats, Floats]:
        """The ranks of the cells less their mean, [cells, resamples]; their sum of squares."""
        sizes: Floats = self._sum @ drawn
        upto = np.cumsum(sizes, axis=0)
        ranks = upto - sizes / 2 - upto[-1] / 2
        squares = np.einsum("vr,vr,vr->r", sizes, ranks, ranks)
        return ranks[self.codes], squares

    def told_apart(self, drawn: Floats) -> Floats:
        """How many pairs of responses have different scores, [resamples]."""
        sizes: Floats = self._sum @ drawn
        apart: Floats = (sizes.sum(axis=0) ** 2 - (sizes**2).sum(axis=0)) / 2
        return apart


def _divided(part: Floats, whole: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(whole == 0, np.nan, part / whole)
    return ratio
