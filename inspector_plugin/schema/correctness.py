"""The built-in criterion `correctness`: a set of its own, and never part of a total."""

from __future__ import annotations

from inspector_plugin.schema.criteria import BINARY, Criterion

CORRECTNESS = Criterion(
    "correctness",
    "Correctness",
    "The solution is right: it ends in the right answer to the problem.",
    BINARY,
    {0: "the final answer is wrong or missing", 1: "the final answer is right"},
)


def counts_in_total(key: str, fingerprint: str | None = None) -> bool:
    """Whether the score of a criterion is part of the total.

    Args:
        key: The criterion's key.
        fingerprint: Its fingerprint, where it is known.
    """
    return key != CORRECTNESS.key or fingerprint not in (None, CORRECTNESS.fingerprint)
