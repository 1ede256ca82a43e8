"""What distinguishes two rubrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.rubrics import RubricItem

ADDED, DROPPED = "added", "dropped"


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        place: What is different: the rubric's field, or an item by its key, with its problem where
            it is for one.
        what: "added", "dropped", or the name of the field that differs.
        before: What stands in the first rubric; empty for what was added.
        after: What stands in the second; empty for what was dropped.
    """

    place: str
    what: str
    before: str
    after: str


def difference(first: Criterion, second: Criterion) -> list[Change]:
    """Compare two rubrics, field by field and item by item; items are matched by key.

    Args:
        first: The rubric as it was.
        second: The rubric as it is.

    Returns:
        The differences, none if the rubrics say the same. The order of items is none.
    """
    changes = [
        Change("rubric", name, before, after)
        for name, before, after in (
            ("key", first.key, second.key),
            ("title", first.title, second.title),
            ("definition", first.definition, second.definition),
            ("scale", first.scale.name, second.scale.name),
        )
        if before != after
    ]
    changes += _of_items(first.items, second.items, "")
    before = {each.problem: each for each in first.instances}
    after = {each.problem: each for each in second.instances}
    for problem in dict.fromkeys((*before, *after)):
        if problem not in after:
            changes.append(Change(f"problem {problem}", DROPPED, _count(before[problem].items), ""))
        elif problem not in before:
            changes.append(Change(f"problem {problem}", ADDED, "", _count(after[problem].items)))
        else:
            changes += _of_items(before[problem].items, after[problem].items, f"{problem} ")
    return changes


def _of_items(
    first: Sequence[RubricItem], second: Sequence[RubricItem], prefix: str
) -> Iterator[Change]:
    before, after = ({item.key: item for item in items} for items in (first, second))
    for key in dict.fromkeys((*before, *after)):
        place = f"{prefix}{key}"
        if key not in after:
            yield Change(place, DROPPED, before[key].text, "")
        elif key not in before:
            yield Change(place, ADDED, "", after[key].text)
        else:
            old, new = _fields(before[key]), _fields(after[key])
            yield from (
                Change(place, name, old[name], new[name]) for name in old if old[name] != new[name]
            )


def _fields(item: RubricItem) -> dict[str, str]:
    anchors = item.anchors or {}
    return {
        "text": item.text,
        "kind": item.kind,
        "weight": f"{item.weight:g}",
        "anchors": "; ".join(f"{rating}: {text}" for rating, text in anchors.items()) or "yes/no",
    }


def _count(items: Sequence[RubricItem]) -> str:
    return f"{len(items)} items"
