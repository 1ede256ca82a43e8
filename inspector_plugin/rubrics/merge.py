"""Which of many proposed items say the same, and which to keep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.schema.rubrics import RubricItem

Floats = NDArray[np.float64]
# Shares of words in common, and correlation of verdicts, from which two items count as one.
ALIKE_TEXT, ALIKE_VERDICTS = 0.6, 0.9
# Correlations over fewer responses say nothing.
FEWEST_ROWS = 8
_WORD = re.compile(r"[\w']+")
_NEGATIONS = frozenset(
    _WORD.findall("not no never without none nor neither fails lacks omits avoids")
)
# Words that tell two statements about responses not apart.
LITTLE_WORDS = frozenset(
    _WORD.findall(
        "the a an of to in is are it its that this and or for with each all response responses "
        "statement problem do does be by as on at any from has have which"
    )
)
_IGNORED = LITTLE_WORDS | _NEGATIONS


@dataclass(frozen=True)
class Proposal:
    """An item that was proposed.

    Attributes:
        item: The item.
        support: How many batches of problems it was proposed for.
    """

    item: RubricItem
    support: int = 1


def alike_in_text(one: RubricItem, other: RubricItem) -> bool:
    """Whether two items ask for the same in similar words.

    A pitfall of not doing something asks for the same as a rule of doing it; a rule of not doing it
    does not.
    """
    return _asks(one) == _asks(other) and _overlap(one.text, other.text) >= ALIKE_TEXT


def alike_in_verdicts(one: Floats, other: Floats) -> float | None:
    """Correlate the verdicts on two items.

    Args:
        one: Verdicts on one item, [responses]; NaN where there is none.
        other: Verdicts on the other.

    Returns:
        Pearson's correlation; None if a side is constant, or fewer than 8 responses have both.
    """
    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < FEWEST_ROWS or np.ptp(one[both]) == 0 or np.ptp(other[both]) == 0:
        return None
    return float(np.corrcoef(one[both], other[both])[0, 1])


def merged_by_text(batches: Sequence[Sequence[RubricItem]]) -> list[Proposal]:
    """Put near-duplicates among the items of several batches together.

    Returns:
        One proposal for each group, worded as it first occurred, the best supported first.
    """
    groups: list[tuple[RubricItem, set[int]]] = []
    for batch, items in enumerate(batches):
        for item in items:
            for first, batches_of in groups:
                if alike_in_text(first, item):
                    batches_of.add(batch)
                    break
            else:
                groups.append((item, {batch}))
    proposals = [Proposal(item, len(of)) for item, of in groups]
    return sorted(proposals, key=lambda proposal: -proposal.support)


def chosen(
    proposals: Sequence[Proposal], values: Floats, worth: Floats, fewest: int, most: int
) -> tuple[list[int], dict[int, str]]:
    """Choose among proposals by what verdicts on them show.

    Args:
        proposals: The proposals.
        values: How well each response does by each, [responses, proposals]; NaN where unread.
        worth: How well each tells better responses from worse, [proposals]: above 0 if it prefers
            the better; NaN where that is not known.
        fewest: How many to keep at least, where there are as many.
        most: How many to keep at most.

    Returns:
        The positions of those kept, the best first, and why the others are not.
    """
    variance = np.array([_variance(values[:, place]) for place in range(len(proposals))])
    order = sorted(
        range(len(proposals)),
        key=lambda place: (
            -np.nan_to_num(worth[place]),
            -proposals[place].support,
            -variance[place],
            place,
        ),
    )
    kept: list[int] = []
    dropped: dict[int, str] = {}
    for place in order:
        like = next((k for k in kept if _is_repeat(values[:, k], values[:, place])), None)
        if like is not None:
            dropped[place] = f"its verdicts are those of: {proposals[like].item.text}"
        elif len(kept) >= most:
            dropped[place] = f"{most} others are better supported or tell more apart"
        elif worth[place] < 0 and len(kept) >= fewest:
            dropped[place] = "it prefers worse responses"
        else:
            kept.append(place)
    return kept, dropped


def _is_repeat(one: Floats, other: Floats) -> bool:
    correlation = alike_in_verdicts(one, other)
    return correlation is not None and abs(correlation) > ALIKE_VERDICTS


def _variance(column: Floats) -> float:
    known = column[~np.isnan(column)]
    return float(known.var()) if known.size else 0.0


def _asks(item: RubricItem) -> bool:
    """Whether it asks for something to be there, in place of not to be there."""
    negated = sum(word in _NEGATIONS or word.endswith("n't") for word in _words(item.text)) % 2
    return bool(negated) == item.is_pitfall


def _overlap(one: str, other: str) -> float:
    """The words that two texts share, of all their words, little ones and endings aside."""
    first, second = ({_stem(w) for w in _words(text) if w not in _IGNORED} for text in (one, other))
    return len(first & second) / len(first | second) if first | second else 0.0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
