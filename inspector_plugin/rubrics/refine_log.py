"""What refining a rubric changed, and why: for programs as JSON lines, for people as text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from inspector_plugin.data.text import plain
from inspector_plugin.schema.rubrics import RubricItem

SPLIT, DROPPED, REWEIGHTED, REWRITTEN, CLEANED, KEPT = (
    "split",
    "dropped",
    "reweighted",
    "rewritten",
    "cleaned",
    "kept",
)
_WIDTH = 80


@dataclass(frozen=True)
class Entry:
    """One thing that was done, or was tried and refused.

    Attributes:
        round: The round, from 1; 0 before the first.
        step: "split", "dropped", "reweighted", "cleaned", "rewritten" or "kept".
        why: The reason, in words, with the figures.
        accepted: Whether it is in the rubric that results.
        before: The items that it concerns, as they were.
        after: As they are, or would have been.
        figures: Figures by name; `by` says whether labels or the meta-judge gave them.
    """

    round: int
    step: str
    why: str
    accepted: bool = True
    before: tuple[RubricItem, ...] = ()
    after: tuple[RubricItem, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON; what there is not is left out."""
        row = {
            "round": self.round,
            "step": self.step,
            "accepted": self.accepted,
            "why": self.why,
            "before": [item.to_json() for item in self.before],
            "after": [item.to_json() for item in self.after],
            "figures": self.figures,
        }
        return {name: value for name, value in row.items() if value not in ([], {})}


def as_lines(entries: list[Entry]) -> Iterator[str]:
    """Write the log as JSON lines."""
    for entry in entries:
        yield json.dumps(entry.to_json(), ensure_ascii=False) + "\n"


def as_text(entries: list[Entry]) -> str:
    """Write the log as people read it."""
    parts: list[str] = []
    for entry in entries:
        state = "" if entry.accepted else ", refused"
        parts.append(_filled(f"round {entry.round}, {entry.step}{state}: {entry.why}", 0))
        if entry.step == REWEIGHTED:
            continue  # the entry that says what came of it lists the weights
        before = {(item.text, item.kind): item.weight for item in entry.before}
        after = {(item.text, item.kind): item.weight for item in entry.after}
        for item in entry.before:
            name = (item.text, item.kind)
            if name not in after:
                parts.append(_filled(f"- [{item.kind}] {item.text}", 2))
            elif after[name] != item.weight:
                change = f"weight {item.weight:.3g} -> {after[name]:.3g}"
                parts.append(_filled(f"~ {change}: {item.text}", 2))
        for item in entry.after:
            if (item.text, item.kind) not in before:
                parts.append(_filled(f"+ [{item.kind}] {item.text}", 2))
    return "\n".join(parts)


def _filled(text: str, indent: int) -> str:
    return textwrap.fill(
        plain(text),
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_on_hyphens=False,
    )
