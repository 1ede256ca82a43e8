"""What a pack's card says of its figures, read so that no card can surprise.

A card's figures are free in form (imported packs have none, older ones have fewer), and a card may
come from anybody: what is missing or malformed reads as None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.judges.tuned.plan import JUDGE
from inspector_plugin.schema.criteria import MAXIMUM_LABELS

SURFACE = ("surface_counts", "surface_words")
PROBE, CHANCE, DIFFERENCE = "nested_cross_validation", "chance", "above_surface"
Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Bin:
    """Predictions of about the same confidence: their mean confidence, accuracy and number."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """How far a judge's confidence can be taken at its word.

    Attributes:
        ece: Expected calibration error.
        ece_bias: What a perfectly calibrated one would show at this number of rows.
        brier: Brier score.
        bins: The reliability diagram.
    """

    ece: float | None
    ece_bias: float | None
    brier: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Kept:
    """What is left where scores of low confidence are left out, as by `min_confidence`.

    Attributes:
        coverage: The share of the scores that is left.
        confidence: The lowest confidence among them.
        agreement: The share of them whose label is the reference's.
    """

    coverage: float
    confidence: float
    agreement: float


@dataclass(frozen=True)
class Flagged:
    """How many held-out responses of a kind get each flag.

    Attributes:
        count: How many there are; None where the card does not say.
        off_task: The share flagged "off-task".
        untrained: The same where the kind was left out of training; None for other kinds.
        unlike_training: The share flagged "unlike-training".
    """

    count: int | None
    off_task: float | None
    untrained: float | None
    unlike_training: float | None


@dataclass(frozen=True)
class Ranking:
    """AUC of a criterion that is right or wrong, among the responses of one author.

    Attributes:
        within: Of the probes that know other responses of the author.
        left_out: Of probes that know none.
    """

    within: float | None
    left_out: float | None


def is_tuned(card: Mapping[str, Any]) -> bool:
    """Whether a card is that of a tuned judge, and not of probes."""
    return card.get("judge") == JUDGE


def noun_of(card: Mapping[str, Any]) -> str:
    """What a pack holds that judges a criterion: a "probe", or a tuned "model"."""
    return "model" if is_tuned(card) else "probe"


def criteria_of(card: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a card of any version says of each criterion, by key."""
    entries = card.get("criteria", card.get("aspects"))
    if not isinstance(entries, Mapping):
        return {}
    return {str(key): entry for key, entry in entries.items() if isinstance(entry, Mapping)}


def statistic(entry: Mapping[str, Any], source: str, name: str) -> Estimate | None:
    """A statistic among the figures of a criterion.

    Args:
        entry: What the card says of the criterion.
        source: Whose figure: the pack's, a baseline's, chance.
        name: The statistic, such as "macro_f1".
    """
    return estimate_of(_at(entry, "figures", source, name))


def has_statistics(entry: Mapping[str, Any]) -> bool:
    """Whether a card holds statistics of a criterion, be they defined or not."""
    return isinstance(_at(entry, "figures", PROBE), Mapping)


def surface(entry: Mapping[str, Any]) -> Estimate | None:
    """Macro F1 of the better surface baseline."""
    found = [statistic(entry, name, "macro_f1") for name in SURFACE]
    return max((each for each in found if each is not None), key=lambda e: e.value, default=None)


def macro_f1_by_layer(entry: Mapping[str, Any]) -> dict[int, float]:
    """The best screening figure of each layer, over spans and poolings."""
    best: dict[int, float] = {}
    for row in _listed(entry.get("screening")):
        layer, value = _at(row, "layer"), _number(_at(row, "macro_f1"))
        if type(layer) is int and value is not None:
            best[layer] = max(value, best.get(layer, value))
    return dict(sorted(best.items()))


def confusion(entry: Mapping[str, Any]) -> Matrix | None:
    """The confusion matrix, [reference label, the pack's label]."""
    rows = _listed(entry.get("confusion"))
    if not 2 <= len(rows) <= MAXIMUM_LABELS:
        return None
    matrix = tuple(tuple(_listed(row)) for row in rows)
    square = all(len(row) == len(rows) for row in matrix)
    counts = all(type(cell) is int and cell >= 0 for row in matrix for cell in row)
    return matrix if square and counts else None


def labels_of(card: Mapping[str, Any], entry: Mapping[str, Any], count: int) -> list[str]:
    """Name the labels of a confusion matrix of some size."""
    scale = [0, 1] if card.get("labels") == "binary" else _at(entry, "criterion", "scale")
    known = _listed(scale) or list(range(1, 6))
    return [str(label) for label in (known if len(known) == count else range(count))]


def calibration(entry: Mapping[str, Any]) -> Calibration | None:
    """How well a probe or model is calibrated."""
    found = entry.get("calibration")
    if not isinstance(found, Mapping):
        return None
    bins = tuple(
        Bin(confidence, accuracy, int(count))
        for confidence, accuracy, count in _triples(found.get("reliability"))
    )
    ece, bias, brier = (_number(found.get(name)) for name in ("ece", "ece_bias", "brier"))
    return Calibration(ece, bias, brier, bins)


def sanity(card: Mapping[str, Any]) -> dict[str, Estimate]:
    """The share of each kind of the sanity suite that the pack orders rightly."""
    found = card.get("sanity")
    if not isinstance(found, Mapping):
        return {}
    read = {str(kind): estimate_of(value) for kind, value in found.items()}
    return {kind: estimate for kind, estimate in read.items() if estimate is not None}


def coverage(card: Mapping[str, Any]) -> list[Kept]:
    """The curve of coverage against agreement, over all criteria."""
    return [Kept(*row) for row in _triples(_at(card, "figures", "coverage"))]


def detection(card: Mapping[str, Any]) -> dict[str, Flagged]:
    """How many held-out responses get each flag, by kind of response."""
    kinds = _at(card, "figures", "detection")
    found: dict[str, Flagged] = {}
    for kind, each in kinds.items() if isinstance(kinds, Mapping) else ():
        names = ("off_task", "off_task_untrained", "unlike_training")
        shares = [_number(_at(each, name)) for name in names]
        if shares[0] is not None or shares[2] is not None:
            count = _number(_at(each, "n"))
            found[str(kind)] = Flagged(None if count is None else int(count), *shares)
    return found


def rankings(entry: Mapping[str, Any]) -> dict[str, Ranking]:
    """AUC by author, "all" first, and last what the author's name alone reaches."""
    found = {}
    everything = _number(_at(entry, "figures", "auc", "all"))
    if everything is not None:
        found["all"] = Ranking(everything, None)
    within = _at(entry, "figures", "auc", "within_author")
    left_out = _at(entry, "figures", "auc", "author_left_out")
    for author in within if isinstance(within, Mapping) else ():
        found[str(author)] = Ranking(_number(within[author]), _number(_at(left_out, author)))
    alone = _number(_at(entry, "figures", "auc", "author_alone"))
    if alone is not None:
        found["the author's name alone"] = Ranking(alone, None)
    return found


def estimate_of(value: Any) -> Estimate | None:
    """Read {"value", "low", "high"}, [value, low, high] or a number as an estimate."""
    if isinstance(value, Mapping):
        parts = [_number(value.get(name)) for name in ("value", "low", "high")]
    else:
        parts = [_number(each) for each in (_listed(value) or [value])]
    parts = [*parts, None, None][:3]
    if parts[0] is None:
        return None
    complete = parts[1] is not None and parts[2] is not None
    return Estimate(parts[0], *(parts[1:] if complete else ()))


def _at(value: Any, *names: str) -> Any:
    """What stands under names one inside the other; None where one is missing."""
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _triples(value: Any) -> list[tuple[float, float, float]]:
    """The rows of a listing that are three numbers; others are left out."""
    found = []
    for row in map(_listed, _listed(value)):
        numbers = [number for number in map(_number, row) if number is not None]
        if len(row) == len(numbers) == 3:
            found.append((numbers[0], numbers[1], numbers[2]))
    return found


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e9 and math.isfinite(value) else None
