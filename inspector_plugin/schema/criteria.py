"""What responses are judged on: scales and criteria, as data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from inspector_plugin.errors import CriteriaError

# A key names files, metrics and JSON fields.
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
RESERVED_KEYS = frozenset({"total", "coverage", "overall", "spearman", "quadratic_kappa"})
MAXIMUM_LABELS = 101
MOST_LABEL = 1_000_000
RUBRIC = "rubric"


@dataclass(frozen=True)
class Scale:
    """The labels that a score can have, and all that follows from them.

    Attributes:
        labels: Consecutive whole numbers in ascending order, such as (1, 2, 3, 4, 5).

    Raises:
        CriteriaError: If they are not consecutive, too large, or fewer than two.
    """

    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        labels = tuple(self.labels)
        object.__setattr__(self, "labels", labels)
        if not all(type(label) is int for label in labels):
            raise CriteriaError(f"a scale consists of whole numbers, not {list(labels)}")
        if not 2 <= len(labels) <= MAXIMUM_LABELS:
            raise CriteriaError(f"a scale has from 2 to {MAXIMUM_LABELS} labels, not {len(labels)}")
        if max(map(abs, labels)) > MOST_LABEL:
            raise CriteriaError(f"the labels of a scale lie between -{MOST_LABEL} and {MOST_LABEL}")
        if labels != tuple(range(labels[0], labels[0] + len(labels))):
            raise CriteriaError(
                f"the labels of a scale are consecutive and ascend, as in "
                f"{list(range(labels[0], labels[0] + 3))}; {list(labels)} are not"
            )

    @property
    def minimum(self) -> int:
        """The lowest label."""
        return self.labels[0]

    @property
    def maximum(self) -> int:
        """The highest label."""
        return self.labels[-1]

    @property
    def middle(self) -> float:
        """The midpoint of the scale: 3 on 1-5."""
        return (self.minimum + self.maximum) / 2

    @property
    def name(self) -> str:
        """How tables and messages write the scale, such as "1-5"."""
        return f"{self.minimum}-{self.maximum}"

    def nearest(self, score: float) -> int:
        """Return the label nearest to a score; halves round up."""
        return min(self.labels, key=lambda label: (abs(label - score), -label))

    def is_high(self, score: float) -> bool:
        """Whether a score means high quality: above the midpoint, so that 3.2 on 1-5 is high."""
        return score > self.middle

    def __contains__(self, score: object) -> bool:
        """Whether a number lies between the ends of the scale, both included."""
        return isinstance(score, (int, float)) and self.minimum <= score <= self.maximum


MULTICLASS = Scale((1, 2, 3, 4, 5))
BINARY = Scale((0, 1))
# What `labels` chooses: scores on each criterion's own scale, or low/high quality derived from it.
LABELS = ("multiclass", "binary")


@dataclass(frozen=True)
class Criterion:
    """One quality on which a response is judged.

    Attributes:
        key: The name used in files, options and metrics: lower-case letters, digits and "_".
        title: The name shown to people and to prompted judges; made of the key if empty.
        definition: What is judged, in one or a few sentences.
        scale: The labels.
        anchors: What a label means, for all labels or for some.

    Raises:
        CriteriaError: If the key is malformed, the definition is empty, or an anchor is for a
            label that the scale does not have.
    """

    key: str
    title: str = ""
    definition: str = ""
    scale: Scale = MULTICLASS
    anchors: Mapping[int, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not _KEY.fullmatch(self.key):
            raise CriteriaError(
                f"key: {self.key!r} is not lower-case letters, digits and '_' after a letter "
                "(64 at most)"
            )
        if self.key in RESERVED_KEYS:
            raise CriteriaError(f"key: {self.key!r} is a word that tables use; choose another key")
        if not self.definition.strip():
            raise CriteriaError(f"definition: criterion {self.key!r} needs one that is not empty")
        for label in self.anchors:
            if type(label) is not int or label not in self.scale.labels:
                raise CriteriaError(
                    f"anchors: {label} is not a label of the scale {self.scale.name}"
                )
        if not self.title.strip():
            object.__setattr__(self, "title", self.key.replace("_", " ").capitalize())
        object.__setattr__(self, "anchors", dict(sorted(self.anchors.items())))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that the criterion says; scores, packs and caches are matched by it.

        Returns:
            16 hexadecimal digits.
        """
        content = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, in the form of a criteria file."""
        row: dict[str, Any] = {
            "key": self.key,
            "title": self.title,
            "definition": self.definition,
            "scale": list(self.scale.labels),
        }
        if self.anchors:
            row["anchors"] = {str(label): text for label, text in self.anchors.items()}
        return row

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Criterion:
        """Make the criterion that `to_json` wrote, or one that a criteria file describes.

        Raises:
            CriteriaError: If a field is missing, unknown or malformed; the message names it.
        """
        unknown = sorted(set(row) - {"key", "title", "definition", "scale", "anchors"}, key=str)
        if unknown:
            raise CriteriaError(
                f"{unknown[0]}: unknown field; a criterion has key, title, definition, scale, "
                "anchors"
            )
        return Criterion(
            key=_text(row, "key"),
            title=_text(row, "title", default=""),
            definition=_text(row, "definition"),
            scale=_scale(row.get("scale", list(MULTICLASS.labels))),
            anchors=_anchors(row.get("anchors") or {}),
        )


def own_rubric(text: str) -> Criterion:
    """Make a criterion of a rubric in prose, such as a row of a file brings along; scale 1-5."""
    return Criterion(RUBRIC, "Rubric", text)


def require_unique(criteria: Sequence[Criterion]) -> None:
    """Refuse criteria that share a key.

    Raises:
        CriteriaError: If two do.
    """
    seen: set[str] = set()
    for criterion in criteria:
        if criterion.key in seen:
            raise CriteriaError(f"two criteria have the key {criterion.key!r}; rename one of them")
        seen.add(criterion.key)


def common_scale(scales: Iterable[Scale]) -> Scale | None:
    """Return the one scale that all share; None if they differ or there are none."""
    different = set(scales)
    return different.pop() if len(different) == 1 else None


def _text(row: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = row.get(name, default)
    if value is None:
        raise CriteriaError(f"{name}: missing")
    if not isinstance(value, str):
        raise CriteriaError(f"{name}: must be text, not {type(value).__name__}")
    return value.strip()


def _scale(value: Any) -> Scale:
    if not isinstance(value, (list, tuple)):
        raise CriteriaError(f"scale: must be a list of labels such as [1, 2, 3], not {value!r:.60}")
    try:
        return Scale(tuple(value))
    except CriteriaError as error:
        raise CriteriaError(f"scale: {error}") from error


def _anchors(value: Any) -> dict[int, str]:
    if not isinstance(value, Mapping):
        raise CriteriaError("anchors: must map labels to texts, as in {1: poor, 5: excellent}")
    anchors: dict[int, str] = {}
    for key, text in value.items():
        label = _label(key)
        if label is None:
            raise CriteriaError(f"anchors: {key!r:.60} is no label; labels are whole numbers")
        if not isinstance(text, str):
            raise CriteriaError(f"anchors: the text of {label} must be text")
        if label in anchors:
            raise CriteriaError(f"anchors: {label} is given twice")
        anchors[label] = text.strip()
    return anchors


def _label(key: Any) -> int | None:
    if type(key) is int:
        return key
    if isinstance(key, str) and re.fullmatch(r"-?\d{1,9}", key):
        return int(key)  # JSON has no other keys than text
    return None
