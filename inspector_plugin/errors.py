"""Errors that a user can act on.

Every message names what failed, the value got, the value wanted and the next step. The command
line prints such an error in one line and exits with status 1; anything else is a bug and keeps its
traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InspectorError(Exception):
    """Base of all errors that are the user's to act on."""


class OptionError(InspectorError):
    """A judge specification, an option or a command-line value cannot be used."""


class CriteriaError(OptionError):
    """A criterion, a scale or a criteria file cannot be used."""


class PluginError(InspectorError):
    """A third-party plugin cannot be loaded, or two plugins want the same judge name."""


class DataError(InspectorError):
    """An input file is missing, malformed or holds values out of range."""


class ModelError(InspectorError):
    """A language model cannot be found, loaded or used."""


class PackError(InspectorError):
    """A probe pack is missing, tampered with, too new, or made for another language model."""


class JudgeError(InspectorError):
    """A judge broke its contract, or cannot go on judging."""


def one_of(value: str, choices: Iterable[str], what: str) -> str:
    """Describe an unknown name: the choices there are, and the closest one.

    Args:
        value: The name that was given.
        choices: The names that would have been accepted.
        what: What is being named, such as "judge" or "criterion".

    Returns:
        One line, for use in an error message.
    """
    names = sorted(set(choices))
    close = difflib.get_close_matches(value, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(names) if names else "none"
    return f"Unknown {what} {value!r}; choose from: {listed}.{hint}"


def count_of(count: int, noun: str) -> str:
    """Write a number with what is counted: "1 row", "2 rows", "3 replies"."""
    many = {"criterion": "criteria", "reply": "replies"}
    return f"1 {noun}" if count == 1 else f"{count} {many.get(noun, noun + 's')}"


def shown(value: object, most: int = 80) -> str:
    """Write any value of a plugin for a message, in one line; even one that cannot write itself."""
    try:
        text = str(value) if isinstance(value, BaseException) else repr(value)
    except Exception:  # noqa: BLE001
        return f"a {type(value).__name__}"
    return " ".join(text.split())[:most]
