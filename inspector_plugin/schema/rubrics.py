"""Rubrics: the items of a criterion, a judge's verdicts on them, and what these come to.

A rubric is a criterion that has items. Each is a statement about the response that a judge answers
by yes or no, or places between anchors of 1 to 5. docs/rubrics.md describes files and scoring.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspector_plugin.errors import CriteriaError
from inspector_plugin.schema.fields import anchors_of, require_key, require_known, text_of

RULE, PRINCIPLE, PITFALL = "rule", "principle", "pitfall"
KINDS = (RULE, PRINCIPLE, PITFALL)
RATINGS = (1, 2, 3, 4, 5)
MOST_ITEMS = 64
MOST_CHARACTERS = 2000
MOST_WEIGHT = 1_000_000.0
_IDENTITY = re.compile(r"[0-9a-f]{16}")
_ITEM_FIELDS = ("key", "text", "kind", "weight", "anchors")
_INSTANCE_FIELDS = ("problem", "id", "source", "transductive", "items")


@dataclass(frozen=True)
class RubricItem:
    """One statement about a response, to be answered by itself.

    Attributes:
        key: Its name: lower-case letters, digits and "_".
        text: The statement, such as "The response states a final answer."
        kind: "rule" (what can be checked to the letter), "principle" (what takes judgement) or
            "pitfall" (a fault, which counts against the response where it occurs).
        weight: How much it counts, from 0; weights matter in proportion to each other only.
        anchors: Meanings of the ratings 1 to 5, those of 1 and 5 at least. None where the answer
            is yes or no, as it is for every pitfall.

    Raises:
        CriteriaError: If a field is malformed; the message begins with the field's name.
    """

    key: str
    text: str
    kind: str = RULE
    weight: float = 1.0
    anchors: Mapping[int, str] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        require_key(self.key)
        if not isinstance(self.text, str) or not self.text.strip():
            raise CriteriaError(f"text: item {self.key!r} needs one that is not empty")
        if len(self.text) > MOST_CHARACTERS:
            raise CriteriaError(
                f"text: item {self.key!r} has {len(self.text)} characters; at most "
                f"{MOST_CHARACTERS}"
            )
        if self.kind not in KINDS:
            raise CriteriaError(f"kind: {self.kind!r:.60} is none of {', '.join(KINDS)}")
        weight = self.weight
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise CriteriaError(f"weight: must be a number, not {weight!r:.60}")
        if not 0 <= weight <= MOST_WEIGHT:
            raise CriteriaError(
                f"weight: {weight} is not from 0 to {MOST_WEIGHT:g}; what counts against a "
                "response is an item of the kind pitfall"
            )
        object.__setattr__(self, "weight", float(weight))
        if self.anchors is not None:
            object.__setattr__(self, "anchors", self._checked_anchors(self.anchors))

    def _checked_anchors(self, anchors: Mapping[int, str]) -> dict[int, str]:
        if self.kind == PITFALL:
            raise CriteriaError("anchors: a pitfall is answered by yes or no; leave them out")
        wrong = [label for label in anchors if type(label) is not int or label not in RATINGS]
        if wrong:
            raise CriteriaError(f"anchors: {wrong[0]!r:.60} is no rating from 1 to 5")
        if not {RATINGS[0], RATINGS[-1]} <= set(anchors):
            raise CriteriaError("anchors: say what 1 and 5 mean; 2, 3 and 4 are optional")
        return dict(sorted(anchors.items()))

    @property
    def is_pitfall(self) -> bool:
        """Whether it counts against a response."""
        return self.kind == PITFALL

    def to_json(self) -> dict[str, Any]:
        """Return plain values, in the form of a criteria file."""
        weight = int(self.weight) if self.weight.is_integer() else self.weight
        row = {"key": self.key, "text": self.text, "kind": self.kind, "weight": weight}
        if self.anchors is None:
            return row
        return row | {"anchors": {str(label): text for label, text in self.anchors.items()}}

    @staticmethod
    def from_json(row: Any) -> RubricItem:
        """Make the item that `to_json` wrote, or one that a criteria file describes.

        Raises:
            CriteriaError: If a field is missing, unknown or malformed.
        """
        if not isinstance(row, Mapping):
            raise CriteriaError(
                f": must hold {', '.join(_ITEM_FIELDS)}, not {type(row).__name__} {row!r:.60}"
            )
        require_known(row, _ITEM_FIELDS, "an item")
        anchors = row.get("anchors")
        return RubricItem(
            key=text_of(row, "key"),
            text=text_of(row, "text"),
            kind=text_of(row, "kind", default=RULE),
            weight=row.get("weight", 1.0),
            anchors=None if anchors is None else anchors_of(anchors),
        )


@dataclass(frozen=True)
class RubricInstance:
    """The items for one problem.

    Attributes:
        problem: The problem's name by `data.problems.problem_identity`: 16 hexadecimal digits.
        items: The items.
        id: What the data calls the problem, for people.
        source: What the items were made from.
        transductive: Whether responses that are themselves to be judged were used to make them.

    Raises:
        CriteriaError: If the problem is no such name, or there are no items.
    """

    problem: str
    items: tuple[RubricItem, ...]
    id: str | None = None
    source: str | None = None
    transductive: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.problem, str) or not _IDENTITY.fullmatch(self.problem):
            raise CriteriaError(
                f"problem: {self.problem!r:.60} is not the identity of a problem (16 hexadecimal "
                "digits)"
            )
        object.__setattr__(self, "items", tuple(self.items))
        if not self.items:
            raise CriteriaError("items: there are none")

    def to_json(self) -> dict[str, Any]:
        """Return plain values, in the form of a criteria file."""
        optional = {"id": self.id, "source": self.source, "transductive": self.transductive}
        named = {name: value for name, value in optional.items() if value not in (None, False)}
        return {
            "problem": self.problem,
            **named,
            "items": [item.to_json() for item in self.items],
        }

    @staticmethod
    def from_json(row: Any) -> RubricInstance:
        """Make the instance that `to_json` wrote.

        Raises:
            CriteriaError: If a field is missing, unknown or malformed.
        """
        if not isinstance(row, Mapping):
            raise CriteriaError(f": must hold problem and items, not {row!r:.60}")
        require_known(row, _INSTANCE_FIELDS, "an instance")
        transductive = row.get("transductive", False)
        if not isinstance(transductive, bool):
            raise CriteriaError(f"transductive: must be true or false, not {transductive!r:.60}")
        identifier = row.get("id")
        return RubricInstance(
            problem=text_of(row, "problem"),
            items=items_of(row.get("items")),
            id=None if identifier is None else str(identifier),
            source=text_of(row, "source") if row.get("source") is not None else None,
            transductive=transductive,
        )


@dataclass(frozen=True)
class ItemVerdict:
    """A judge's answer to one item.

    Attributes:
        value: How far the item's text holds of the response, from 0 to 1. Yes is 1 and no is 0, or
            the probability of yes where the judge has it; a rating r of 1 to 5 is (r - 1) / 4, of
            the expected rating where there are probabilities. None if it could not be read. It is
            that of the text for a pitfall, too: 1 means that the fault is there.
        reason: Why there is no value; None where there is one.
        explanation: What the judge wrote in support.

    Raises:
        ValueError: If there is neither a value nor a reason, both, or a value outside 0 to 1.
    """

    value: float | None
    reason: str | None = None
    explanation: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (not self.reason):
            raise ValueError("an ItemVerdict has either a value or a reason why there is none")
        if self.value is not None and not 0 <= self.value <= 1:
            raise ValueError(f"a verdict lies between 0 and 1, not {self.value!r}")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON; what there is not is left out, but for the value."""
        optional = {"reason": self.reason, "explanation": self.explanation}
        named = {name: value for name, value in optional.items() if value is not None}
        return {"value": self.value, **named}

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> ItemVerdict:
        """Make the verdict that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: If it is malformed.
        """
        return ItemVerdict(row["value"], row.get("reason"), row.get("explanation"))


def rating_value(rating: float) -> float:
    """Map a rating of 1 to 5, which may lie between ratings, to 0 to 1."""
    return (rating - RATINGS[0]) / (RATINGS[-1] - RATINGS[0])


def reachable_share(
    items: Sequence[RubricItem], verdicts: Mapping[str, ItemVerdict]
) -> tuple[float | None, str | None]:
    """Say how much of what a rubric can give a response reaches.

    With v the value of an item's verdict and w its weight, a response gets the sum of w * v over
    rules and principles, less the sum of w * v over pitfalls. That sum goes from -(weights of all
    pitfalls) to (weights of all others), and is mapped linearly from this range to 0 to 1. This is
    the weighted mean of v, with 1 - v in its place for pitfalls.

    Args:
        items: The items of the rubric.
        verdicts: The verdicts by key of the item.

    Returns:
        The share, from 0 to 1, and None; or None and the reason: an item that was not read.
    """
    unread = [item for item in items if verdicts.get(item.key) is None]
    unread += [item for item in items if item not in unread and verdicts[item.key].value is None]
    if unread:
        key = unread[0].key
        known = verdicts.get(key)
        why = "there is no verdict on it" if known is None else known.reason
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        return None, f"item {key!r}{more} of the rubric was not read: {why}"
    values = [(item, verdicts[item.key].value or 0.0) for item in items]
    total = math.fsum(item.weight for item in items)
    share = math.fsum(item.weight * (1 - v if item.is_pitfall else v) for item, v in values) / total
    return min(max(share, 0.0), 1.0), None


def items_of(rows: Any) -> tuple[RubricItem, ...]:
    """Read the items of a criteria file.

    Raises:
        CriteriaError: If they are no list of items, or one is malformed; the message names it.
    """
    if not isinstance(rows, list):
        raise CriteriaError(
            f"items: must be a list of items with {', '.join(_ITEM_FIELDS)}, not "
            f"{type(rows).__name__} {rows!r:.60}; a rubric in prose is a definition"
        )
    if not rows:
        raise CriteriaError("items: there are none")
    return tuple(_placed(RubricItem.from_json, row, f"items[{i}]") for i, row in enumerate(rows))


def instances_of(rows: Any) -> tuple[RubricInstance, ...]:
    """Read the instances of a criteria file.

    Raises:
        CriteriaError: If they are no list of instances, or one is malformed; the message names it.
    """
    if not isinstance(rows, list) or not rows:
        raise CriteriaError("instances: must be a list of problems with their items")
    return tuple(
        _placed(RubricInstance.from_json, row, f"instances[{i}]") for i, row in enumerate(rows)
    )


def require_sound(items: Sequence[RubricItem]) -> None:
    """Refuse items that make no rubric together.

    Raises:
        CriteriaError: If two share a key or a text, there are too many, or no weight is above 0.
    """
    if len(items) > MOST_ITEMS:
        raise CriteriaError(f"items: {len(items)} of them; at most {MOST_ITEMS}")
    keys: set[str] = set()
    texts: dict[str, str] = {}
    for place, item in enumerate(items):
        if item.key in keys:
            raise CriteriaError(f"items[{place}].key: two items have the key {item.key!r}")
        keys.add(item.key)
        first = texts.setdefault(normal_text(item.text), item.key)
        if first != item.key:
            raise CriteriaError(
                f"items[{place}].text: item {item.key!r} repeats item {first!r}; drop one of them"
            )
    if items and math.fsum(item.weight for item in items) <= 0:
        raise CriteriaError("items: the weights sum to zero; give one at least a weight above 0")


def normal_text(text: str) -> str:
    """Reduce a text to its words, so that case, white space and punctuation do not matter.

    A text without any word stays as it is.
    """
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()


def _placed(read: Any, row: Any, place: str) -> Any:
    try:
        return read(row)
    except CriteriaError as error:
        text = str(error)
        raise CriteriaError(f"{place}{'' if text.startswith(':') else '.'}{text}") from error
