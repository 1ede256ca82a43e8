"""Arms of a fine-tuning study: rows of the best scores, of the worst, of chance, and of all.

What is compared is the choice of rows. So all arms show the model equally many responses, each
problem at most once among the rows of an arm, and equally many tokens to learn within a tolerance:
a judge that prefers long responses would otherwise get more to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.errors import DataError, count_of

TOP, RANDOM, BOTTOM, ALL = ARMS = ("top", "random", "bottom", "all")
TOLERANCE = 0.02

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Arm:
    """What one arm trains on.

    Attributes:
        name: One of `ARMS`.
        shown: The rows that are shown, those shown several times several times.
        tokens: How many tokens are to be learnt, all showings together.
    """

    name: str
    shown: tuple[int, ...]
    tokens: int

    @property
    def rows(self) -> tuple[int, ...]:
        """The different rows, in order."""
        return tuple(sorted(set(self.shown)))


@dataclass(frozen=True)
class Arms:
    """The arms of a study.

    Attributes:
        arms: The arms, by name.
        bands: Into how many bands of length the rows were cut, with the same quota in each, so
            that the tokens of all arms are equal; 1 if that was not needed.
        spread: How many tokens the longest arm has more than the shortest, as a share.
    """

    arms: dict[str, Arm]
    bands: int
    spread: float


def choose_arms(
    problems: Sequence[str],
    scores: NDArray[np.float64],
    tokens: Ints,
    names: Sequence[str],
    *,
    share: float,
    epochs: int,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Arms:
    """Choose the rows of each arm.

    Of the responses to one problem `top` takes the best, `bottom` the worst, the other arms one at
    random. `top`, `bottom` and `random` hold a share of the problems and show each row `epochs`
    times. `all` shows as many rows, but as many different ones as there are: with a share of 0.25
    and 4 epochs each row once. Rows with equal scores are taken in a random order.

    Where the arms would differ in tokens by more than the tolerance, rows are cut into bands of
    length, 2, 4, 8 and so on, and every arm takes the same number out of each.

    Args:
        problems: The problem of each row.
        scores: The score of each row, [rows].
        tokens: How many tokens of each row are to be learnt, [rows].
        names: The arms wanted, each of `ARMS`.
        share: How much of the problems `top`, `bottom` and `random` hold, in (0, 1].
        epochs: How often they show each row, at least 1.
        seed: Of all draws.
        tolerance: By how much the arms may differ in tokens, as a share.

    Raises:
        DataError: If there is no row, all scores are equal, two arms would be the same rows, or no
            number of bands makes the tokens equal.
    """
    count = len(set(problems))
    size = int(share * count + 0.5)
    if not size:
        raise DataError(
            f"A share of {share:g} of {count_of(count, 'problem')} is no row to train on; raise "
            "--share, or give more rows."
        )
    is_ranked = not {TOP, BOTTOM}.isdisjoint(names)
    if is_ranked and len(problems) > 1 and scores.min() == scores.max():
        raise DataError(
            f"All {len(problems)} rows have the score {scores[0]:g}, so that none is better "
            "than another; choose another criterion with --by."
        )
    if epochs == 1 and {RANDOM, ALL} <= {*names}:
        raise DataError(
            f"With --epochs 1 the arms {RANDOM} and {ALL} would be the same: rows drawn at random; "
            "give --epochs 2 or more, or leave one of them out."
        )
    pools = _pools(problems, scores, names, np.random.default_rng(seed))
    closest = np.inf
    bands = 1
    while bands <= size:
        shown = _shown(pools, tokens, size, epochs, bands)
        if shown is not None:
            sums = {name: int(tokens[list(rows)].sum()) for name, rows in shown.items()}
            spread = max(sums.values()) / max(min(sums.values()), 1) - 1
            if spread <= tolerance:
                arms = {name: Arm(name, rows, sums[name]) for name, rows in shown.items()}
                _require_different(arms)
                return Arms(arms, bands, spread)
            closest = min(closest, spread)
        bands *= 2
    raise DataError(
        f"The arms cannot be made equal in tokens within {tolerance:.1%}: the closest they come is "
        f"{closest:.1%}; raise --tolerance or --share."
    )


def _pools(
    problems: Sequence[str],
    scores: NDArray[np.float64],
    names: Sequence[str],
    random: np.random.Generator,
) -> dict[str, Ints]:
    """For each arm one row of each problem, in the order in which the arm takes them."""
    order = random.permutation(len(problems))
    ranked = {
        TOP: order[np.argsort(-np.round(scores[order], 9), kind="stable")],
        BOTTOM: order[np.argsort(np.round(scores[order], 9), kind="stable")],
        RANDOM: order,
        ALL: order,
    }
    pools = {}
    for name in names:
        first: dict[str, int] = {}
        for row in ranked[name]:
            first.setdefault(problems[row], int(row))
        pools[name] = np.array(list(first.values()), dtype=np.intp)
    return pools


def _shown(
    pools: dict[str, Ints], tokens: Ints, size: int, epochs: int, bands: int
) -> dict[str, tuple[int, ...]] | None:
    """Take the same number of rows out of each band of length; None if a band holds too few."""
    reference = np.sort(tokens[next(iter(pools.values()))])
    cuts = (np.arange(1, bands) * len(reference)) // bands
    edges = np.unique(reference[cuts]) if bands > 1 else np.empty(0, dtype=np.intp)
    held = np.bincount(np.searchsorted(edges, reference, side="right"), minlength=len(edges) + 1)
    quotas = _parted(size, held)
    shown = {}
    for name, pool in pools.items():
        of_row = np.searchsorted(edges, tokens[pool], side="right")
        rows: list[int] = []
        for band, quota in enumerate(quotas):
            having = pool[of_row == band]
            if len(having) < quota:
                return None
            wanted = np.arange(quota * epochs) % (len(having) if name == ALL else quota)
            rows += having[wanted].tolist()
        shown[name] = tuple(rows)
    return shown


def _parted(size: int, held: Ints) -> list[int]:
    """Part a number in proportion, by largest remainders."""
    exact = size * held / held.sum()
    parts = np.floor(exact).astype(int)
    for place in np.argsort(-(exact - parts), kind="stable")[: size - parts.sum()]:
        parts[place] += 1
    return [int(part) for part in parts]


def _require_different(arms: dict[str, Arm]) -> None:
    for one, other in combinations(arms.values(), 2):
        if sorted(one.shown) == sorted(other.shown):
            raise DataError(
                f"The arms {one.name} and {other.name} would be the same "
                f"{count_of(len(one.rows), 'row')}; "
                "lower --share, give more rows, or leave one of them out."
            )
