"""What the fields of a file that was written by others may hold."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

# Above all counts, seconds and scores that there are; more is damage.
_MOST = 10**15
# By how much a judge's probabilities may miss a sum of 1.
SUM_TOLERANCE = 1e-3
_ROUNDING = 5e-5  # of a value that is stored with four digits


def number_in(value: Any) -> float:
    """Return the number that a field holds.

    Raises:
        ValueError: If it is no number, not a finite one, or too large for what is counted here.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _MOST:
        raise ValueError(f"a value must be a number, not {value!r:.40}")
    return value


def text_in(value: Any) -> str | None:
    """Return the text that a field holds, if any.

    Raises:
        TypeError: If it holds something else.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError(f"a value must be a text, not {value!r:.40}")
    return value


def texts_in(value: Any) -> tuple[str, ...]:
    """Return the texts that a field holds.

    Raises:
        TypeError: If it holds something else.
    """
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"a value must be a list of texts, not {value!r:.40}")
    return tuple(value)


def object_in(value: Any, name: str) -> Mapping[str, Any]:
    """Return the object that a field holds.

    Args:
        value: What it holds.
        name: What it is, as the message says it.

    Raises:
        TypeError: If it holds something else.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be an object, not {value!r:.40}")
    return value


def require_probabilities(values: Collection[float]) -> None:
    """Refuse numbers that are not the probabilities of all labels, rounded to four digits or not.

    Raises:
        ValueError: If one is below 0, or they do not sum to 1.
    """
    total = math.fsum(values)
    if min(values) < 0 or not abs(total - 1) <= SUM_TOLERANCE + _ROUNDING * len(values):
        raise ValueError(f"probabilities must be 0 or more and sum to 1, not to {total:.4f}")
