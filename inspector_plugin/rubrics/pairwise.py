"""Asking a judge which of two responses is better."""

from __future__ import annotations

import hashlib

from inspector_plugin.schema.criteria import Criterion, Scale

PREFERENCE = Criterion(
    "preference",
    "Preference",
    "What is judged holds two responses to the question, each between marks. Say which of the two "
    "answers the question better: 1 if it is the first, 2 if it is the second. Neither order nor "
    "length makes a response better.",
    Scale((1, 2)),
    {1: "The first response is better.", 2: "The second response is better."},
)


def side_by_side(first: str, second: str) -> str:
    """Write two responses as one text, between marks that neither of them can have foreseen."""
    texts = "\0".join((first, second)).encode("utf-8", "surrogatepass")
    mark = hashlib.sha256(texts).hexdigest()[:8]
    return "\n\n".join(
        f"[begin of response {number}, {mark}]\n{text}\n[end of response {number}, {mark}]"
        for number, text in (("1", first), ("2", second))
    )
