"""Reading the fields of criteria and rubrics, as files and metadata hold them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from inspector_plugin.errors import CriteriaError

# A key names files, metrics and JSON fields.
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")


def require_key(key: Any) -> None:
    """Refuse a key that cannot name files, metrics and JSON fields.

    Raises:
        CriteriaError: If it is not lower-case letters, digits and "_" after a letter.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise CriteriaError(
            f"key: {key!r:.80} is not lower-case letters, digits and '_' after a letter "
            "(64 at most)"
        )


def require_known(row: Mapping[str, Any], known: Collection[str], what: str) -> None:
    """Refuse fields that there are not.

    Raises:
        CriteriaError: If there is one.
    """
    unknown = sorted(set(row) - set(known), key=str)
    if unknown:
        raise CriteriaError(f"{unknown[0]!s:.80}: unknown field; {what} has {', '.join(known)}")


def text_of(row: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Read a text, without white space at its ends.

    Raises:
        CriteriaError: If it is missing and there is no default, or is no text.
    """
    value = row.get(name, default)
    if value is None:
        raise CriteriaError(f"{name}: missing")
    if not isinstance(value, str):
        raise CriteriaError(f"{name}: must be text, not {type(value).__name__}")
    return value.strip()


def anchors_of(value: Any) -> dict[int, str]:
    """Read what labels mean; JSON has no other keys than text.

    Raises:
        CriteriaError: If it does not map whole numbers to texts.
    """
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
        return int(key)
    return None
