"""What responses are judged on: scales and criteria, as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from inspector_plugin.errors import CriteriaError
from inspector_plugin.schema.fields import anchors_of, require_key, require_known, text_of
from inspector_plugin.schema.rubrics import (
    RubricInstance,
    RubricItem,
    instances_of,
    items_of,
    require_sound,
)

# What the sum of the scores on all criteria is called, where criteria are named.
TOTAL = "total"
RESERVED_KEYS = frozenset({TOTAL, "coverage", "overall", "spearman", "quadratic_kappa"})
MAXIMUM_LABELS = 101
MOST_LABEL = 1_000_000
RUBRIC = "rubric"
OF_ITEMS = "How well the response does by the items of the rubric."
# What a criterion may judge: a response, or the question alone.
RESPONSE, QUESTION = "response", "question"
_FIELDS = ("key", "title", "definition", "scale", "anchors", "judges", "items", "instances")


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

    def __hash__(self) -> int:
        return hash(self.labels)

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
    """One quality on which a response is judged, or a question by itself.

    Attributes:
        key: The name used in files, options and metrics: lower-case letters, digits and "_".
        title: The name shown to people and to prompted judges; made of the key if empty.
        definition: What is judged, in one or a few sentences.
        scale: The labels.
        anchors: What a label means, for all labels or for some.
        judges: "response", or "question" for a criterion that judges the question alone: whether
            it can be answered, say. No response is needed then, and no language model is shown it.
        items: The items of a rubric, which a judge answers one by one; the score follows from its
            verdicts (`schema.rubric_scores`).
        instances: Items for single problems, beside `items`. A criterion that has any is no
            criterion for one request yet: `for_problem` makes that.

    Raises:
        CriteriaError: If the key is malformed, the definition is empty, an anchor is for a label
            that the scale does not have, `judges` is neither of its two words, or items make no
            rubric.
    """

    key: str
    title: str = ""
    definition: str = ""
    scale: Scale = MULTICLASS
    anchors: Mapping[int, str] = field(default_factory=dict)
    items: tuple[RubricItem, ...] = ()
    instances: tuple[RubricInstance, ...] = field(default=(), repr=False)
    judges: str = RESPONSE

    def __post_init__(self) -> None:
        require_key(self.key)
        if self.judges not in (RESPONSE, QUESTION):
            raise CriteriaError(
                f"judges: must be {RESPONSE} or {QUESTION}, not {self.judges!r:.40}"
            )
        object.__setattr__(self, "items", tuple(self.items))
        object.__setattr__(self, "instances", tuple(self.instances))
        if self.key in RESERVED_KEYS:
            raise CriteriaError(f"key: {self.key!r} is a word that tables use; choose another key")
        if self.is_rubric and not self.definition.strip():
            object.__setattr__(self, "definition", OF_ITEMS)
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
        if self.is_rubric:
            self._require_rubric()

    def __hash__(self) -> int:
        return hash(self.key)  # a set of criteria hardly ever has two of one key

    def _require_rubric(self) -> None:
        if self.of_question:
            raise CriteriaError(
                f"judges: the items of a rubric judge a {RESPONSE}; drop {QUESTION}"
            )
        if self.anchors:
            raise CriteriaError(
                "anchors: the score of a rubric follows from its items, which may have anchors"
            )
        if not self.instances:
            require_sound(self.items)
        problems: set[str] = set()
        for place, instance in enumerate(self.instances):
            if instance.problem in problems:
                raise CriteriaError(
                    f"instances[{place}].problem: {instance.problem} is given twice"
                )
            problems.add(instance.problem)
            try:
                require_sound((*self.items, *instance.items))
            except CriteriaError as error:
                raise CriteriaError(f"instances[{place}]: {error}") from error

    @property
    def of_question(self) -> bool:
        """Whether it judges the question alone."""
        return self.judges == QUESTION

    @property
    def is_rubric(self) -> bool:
        """Whether it is judged by items."""
        return bool(self.items or self.instances)

    @property
    def texts(self) -> tuple[str, ...]:
        """What a judge may be shown of it: the definition, and what its items and anchors say."""
        anchors = [self.anchors, *(item.anchors or {} for item in self.items)]
        return (
            self.definition,
            *(item.text for item in self.items),
            *(text for each in anchors for text in each.values()),
        )

    def for_problem(self, problem: str) -> Criterion | None:
        """Return what judges a response to one problem.

        Args:
            problem: The problem's name by `data.problems.problem_identity`.

        Returns:
            Itself, unless it has instances: then a criterion of its own items and those for the
            problem, with a fingerprint of its own; None if there are none for the problem.
        """
        if not self.instances:
            return self
        known = self._by_problem
        found = known.get(problem)
        if isinstance(found, RubricInstance):
            items = (*self.items, *found.items)
            found = known[problem] = replace(self, items=items, instances=())
        return found

    @cached_property
    def _by_problem(self) -> dict[str, RubricInstance | Criterion]:
        return {instance.problem: instance for instance in self.instances}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that the criterion says; scores, packs and caches are matched by it.

        Returns:
            16 hexadecimal digits.
        """
        row = self.to_json()
        for instance in row.get("instances", ()):
            for name in set(instance) - {"problem", "items"}:
                del instance[name]
        content = json.dumps(row, sort_keys=True)
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
        if self.of_question:  # left out otherwise, so that fingerprints stay what they were
            row["judges"] = self.judges
        if self.items:
            row["items"] = [item.to_json() for item in self.items]
        if self.instances:
            row["instances"] = [instance.to_json() for instance in self.instances]
        return row

    def described(self) -> dict[str, Any]:
        """Return plain values that say which criterion it is, for results and run files.

        Items for single problems may be many: their number and the fingerprint stand for them.
        """
        row = self.to_json()
        if self.instances:
            row |= {"instances": len(self.instances), "fingerprint": self.fingerprint}
        return row

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Criterion:
        """Make the criterion that `to_json` wrote, or one that a criteria file describes.

        Raises:
            CriteriaError: If a field is missing, unknown or malformed; the message names it.
        """
        require_known(row, _FIELDS, "a criterion")
        is_rubric = row.get("items") is not None or row.get("instances") is not None
        return Criterion(
            key=text_of(row, "key"),
            title=text_of(row, "title", default=""),
            definition=text_of(row, "definition", default="" if is_rubric else None),
            scale=_scale(row.get("scale", list(MULTICLASS.labels))),
            anchors=anchors_of(row.get("anchors") or {}),
            judges=text_of(row, "judges", default=RESPONSE),
            items=() if row.get("items") is None else items_of(row["items"]),
            instances=() if row.get("instances") is None else instances_of(row["instances"]),
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
    common = None
    for scale in scales:
        if common is None:
            common = scale
        elif scale is not common and scale != common:
            return None
    return common


def _scale(value: Any) -> Scale:
    if not isinstance(value, (list, tuple)):
        raise CriteriaError(f"scale: must be a list of labels such as [1, 2, 3], not {value!r:.60}")
    try:
        return Scale(tuple(value))
    except CriteriaError as error:
        raise CriteriaError(f"scale: {error}") from error
