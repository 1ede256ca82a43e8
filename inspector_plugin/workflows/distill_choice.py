"""Which responses the reference is to label: held-out problems, and unsure responses of the others.

Problems are split at random. Of the responses to held-out problems each has the same chance, so
that figures computed from them are those of all responses, without weights. Of the others, those
that a cheap judge is unsure of have a higher chance. In both parts each stratum (data set, model,
class of length, or of the cheap judge's score) gets its share. Every chance is known and written
down.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.label_choice import chances_of, choose
from inspector_plugin.data.problems import joined_problems, problem_key
from inspector_plugin.data.requests import RequestRow
from inspector_plugin.data.text import is_unicode
from inspector_plugin.errors import DataError, count_of

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

# The field of a chosen row that says which part it belongs to, and its chance to be chosen.
FIELD = "distill"
TRAINING, HELD_OUT = "training", "held-out"
# So many responses for each one to be chosen are shown to the cheap judge, drawn at random.
POOL = 3
# Fewer problems than these to hold out tell nothing.
FEWEST_HELD_OUT = 10
_CLASSES = 3


@dataclass(frozen=True)
class Candidates:
    """What is known of the responses that can be labelled, [candidates].

    Attributes:
        numbers: The number of each among all rows, from 0.
        problems: The number of its problem.
        groups: The number of its data set and model.
        lengths: Characters of the response.
        left_out: Rows that cannot be labelled, or say the same as an earlier one, by reason.
    """

    numbers: Ints
    problems: Ints
    groups: Ints
    lengths: Ints
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Doubts:
    """What a cheap judge makes of some candidates, [those].

    Attributes:
        rows: Which candidates, ascending.
        unsure: 1 less its confidence, the mean over the criteria, from 0 to 1; 1 for a score that
            is missing or flagged.
        scores: Its scores as shares of their scales, the mean over the criteria.
    """

    rows: Ints
    unsure: Floats
    scores: Floats


@dataclass(frozen=True)
class Chosen:
    """The rows to label.

    Attributes:
        parts: By number of the row among all rows: "training" or "held-out", and the chance with
            which it was chosen, in (0, 1].
    """

    parts: Mapping[int, tuple[str, float]]

    def count(self, part: str) -> int:
        """How many rows a part has."""
        return sum(name == part for name, _ in self.parts.values())


def read_candidates(rows: Iterable[RequestRow]) -> Candidates:
    """Go through the rows once, keeping no text.

    Raises:
        DataError: If no row can be labelled.
    """
    left_out: Counter[str] = Counter()
    seen: set[bytes] = set()
    numbers, ids, keys, lengths = [], [], [], []
    groups: dict[tuple[str, str], int] = {}
    codes = []
    for number, row in enumerate(rows):
        reason = _unusable(row, seen)
        if reason is not None:
            left_out[reason] += 1
            continue
        request = row.request
        numbers.append(number)
        keys.append(problem_key(request.question))
        ids.append(keys[-1] if request.id is None else f"{request.dataset}/{request.id}")
        lengths.append(len(request.response))
        group = (request.dataset or "", str(row.row.get("model") or ""))
        codes.append(groups.setdefault(group, len(groups)))
    if not numbers:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in left_out.items())
        raise DataError(f"None of the rows can be labelled ({reasons}).")
    _, problems = joined_problems(ids, keys)
    return Candidates(
        np.array(numbers, dtype=np.intp),
        problems,
        np.array(codes, dtype=np.intp),
        np.array(lengths, dtype=np.intp),
        left_out,
    )


def _unusable(row: RequestRow, seen: set[bytes]) -> str | None:
    request = row.request
    if row.without_response is not None or not request.response.strip():
        return "without a response"
    if not request.question.strip():
        return "without a question"
    if not (is_unicode(request.question) and is_unicode(request.response)):
        return "not valid Unicode"
    text = f"{request.question.strip()}\x1f{request.response.strip()}"
    mark = hashlib.sha256(text.encode()).digest()[:16]
    if mark in seen:
        return "the same question and response as an earlier row"
    seen.add(mark)
    return None


def held_out_rows(candidates: Candidates, share: float, seed: int) -> Bools:
    """Which candidates are responses to held-out problems, a random share of the problems.

    Raises:
        DataError: If there are too few problems.
    """
    problems = int(candidates.problems.max()) + 1
    count = max(round(share * problems), 1)
    if count < FEWEST_HELD_OUT or problems - count < FEWEST_HELD_OUT:
        raise DataError(
            f"The rows are responses to {count_of(problems, 'problem')}; holding {share:g} of them "
            f"back leaves {min(count, problems - count)} on one side, and at least "
            f"{FEWEST_HELD_OUT} are needed on both: give more problems, or another --held-out."
        )
    chosen = np.random.default_rng([seed, 1]).permutation(problems)[:count]
    return np.isin(candidates.problems, chosen)


def pool_of(candidates: Candidates, training: Bools, labels: int, seed: int) -> Ints:
    """Draw the training candidates that the cheap judge is shown: all, or `POOL` for each label."""
    rows = np.flatnonzero(training)
    size = min(len(rows), POOL * labels)
    drawn = np.random.default_rng([seed, 2]).permutation(rows)[:size]
    return np.sort(drawn).astype(np.intp)


def choose_rows(
    candidates: Candidates,
    held_out: Bools,
    labels: int,
    share: float,
    seed: int,
    doubts: Doubts | None = None,
) -> Chosen:
    """Choose the rows to label.

    Args:
        candidates: All that can be labelled.
        held_out: Which are responses to held-out problems, [candidates].
        labels: How many rows to choose, at most all.
        share: Share of these that are to be held out.
        seed: Seed of the choice.
        doubts: What a cheap judge makes of the pool; by equal chances alone if None.

    Returns:
        The rows; where one part has too few, the other has the more.
    """
    labels = min(labels, len(candidates))
    there = int(held_out.sum())
    held = max(min(round(share * labels), there), labels - (len(candidates) - there))
    kept = np.flatnonzero(held_out)
    parts = _drawn(
        candidates.numbers[kept],
        HELD_OUT,
        _equal(len(kept), held),
        _strata(candidates.groups[kept], candidates.lengths[kept].astype(np.float64)),
        seed,
    )
    rows = np.flatnonzero(~held_out) if doubts is None else doubts.rows
    wanted = min(labels - held, len(rows))
    of_pool = len(rows) / int((~held_out).sum())
    if doubts is None:
        chances = _equal(len(rows), wanted)
        order = candidates.lengths[rows].astype(np.float64)
    else:
        chances = chances_of(_sizes(doubts.unsure), wanted) if wanted else np.empty(0)
        order = doubts.scores
    strata = _strata(candidates.groups[rows], order)
    parts |= _drawn(candidates.numbers[rows], TRAINING, chances, strata, seed + 1, of_pool)
    return Chosen(parts)


def _equal(rows: int, wanted: int) -> Floats:
    return np.full(rows, wanted / rows) if rows else np.empty(0)


def _sizes(unsure: Floats) -> Floats:
    """By what rows are chosen: their doubt, or equally where there is none at all."""
    return unsure if unsure.any() else np.ones(len(unsure))


def _drawn(
    numbers: Ints, part: str, chances: Floats, strata: Ints, seed: int, of_pool: float = 1.0
) -> dict[int, tuple[str, float]]:
    """Draw rows with their chances; a pool that was itself drawn at random takes its share."""
    if not len(chances) or not chances.any():
        return {}
    drawn = choose(chances, seed, strata)
    return {
        int(numbers[row]): (part, round(float(chances[row]) * of_pool, 6)) for row in drawn.tolist()
    }


def _strata(groups: Ints, values: Floats) -> Ints:
    """Number the strata: within each group, classes of about equal size by rising value."""
    strata = np.zeros(len(groups), dtype=np.intp)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        order = rows[np.argsort(values[rows], kind="stable")]
        strata[order] = group * _CLASSES + np.arange(len(order)) * _CLASSES // len(order)
    return strata


def chosen_lines(rows: Iterable[RequestRow], chosen: Chosen, seed: int) -> Iterator[dict[str, Any]]:
    """The chosen rows, in a random order: a run that stops early leaves no kind of them out.

    Judgements that a row brings along are left out, since those of the reference are to come.
    """
    found = {
        number: _chosen_row(row, *chosen.parts[number])
        for number, row in enumerate(rows)
        if number in chosen.parts
    }
    numbers: Sequence[int] = sorted(found)
    for place in np.random.default_rng([seed, 3]).permutation(len(numbers)).tolist():
        yield found[numbers[place]]


def _chosen_row(row: RequestRow, part: str, chance: float) -> dict[str, Any]:
    kept = {name: value for name, value in row.row.items() if name != "judgements"}
    if row.request.dataset is not None:
        kept.setdefault("dataset", row.request.dataset)
    return {**kept, FIELD: {"part": part, "chance": chance}}
