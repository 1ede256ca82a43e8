"""What JSON of others has to look like, said once and checked before anything is made of it.

A `Shape` takes a value that was read from JSON, and the place where it stands, and raises a
ValueError that names the place. Fields that a shape does not name may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Shape = Callable[[Any, str], None]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def text(value: Any, where: str) -> None:
    """Any text."""
    if not isinstance(value, str):
        raise _fault(value, where, "a text")


def name(value: Any, where: str) -> None:
    """A name of files and folders: letters, digits, ".", "_" and "-"."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _fault(value, where, "a name of letters, digits, '.', '_' and '-'")


def anything(value: Any, where: str) -> None:
    """Whatever JSON can hold."""


def whole(least: int, most: int) -> Shape:
    """A whole number within bounds."""

    def check(value: Any, where: str) -> None:
        if type(value) is not int or not least <= value <= most:
            raise _fault(value, where, f"a whole number from {least} to {most}")

    return check


def number(least: float, most: float) -> Shape:
    """A number within bounds."""

    def check(value: Any, where: str) -> None:
        if type(value) not in (int, float) or not least <= value <= most:
            raise _fault(value, where, f"a number from {least:g} to {most:g}")

    return check


def choice(*values: Any) -> Shape:
    """One of some values."""

    def check(value: Any, where: str) -> None:
        if not any(type(value) is type(each) and value == each for each in values):
            raise _fault(value, where, " or ".join(map(repr, values)))

    return check


def either(first: Shape, second: Shape) -> Shape:
    """What one of two shapes allows."""

    def check(value: Any, where: str) -> None:
        try:
            first(value, where)
        except ValueError:
            second(value, where)

    return check


def listing(each: Shape, least: int = 0, most: int = 1_000_000) -> Shape:
    """A list of values of one shape."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise _fault(value, where, f"a list of {least} to {most}")
        for place, inner in enumerate(value):
            each(inner, f"{where}[{place}]")

    return check


def mapping(each: Shape, least: int = 0, most: int = 1000) -> Shape:
    """An object whose values have one shape, whatever their names."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, Mapping) or not least <= len(value) <= most:
            raise _fault(value, where, f"an object with {least} to {most} entries")
        for key, inner in value.items():
            each(inner, f"{where}.{key}")

    return check


def record(fields: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """An object with fields of given shapes.

    Args:
        fields: The fields that it must have.
        optional: Fields that it may have.
    """

    def check(value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise _fault(value, where, f"an object with {', '.join(fields)}")
        for key, shape in {**fields, **(optional or {})}.items():
            if key in value:
                shape(value[key], f"{where}.{key}" if where else key)
            elif key in fields:
                raise ValueError(f"{where + '.' if where else ''}{key} is missing")

    return check


def _fault(value: Any, where: str, wanted: str) -> ValueError:
    is_inner = isinstance(value, (list, dict))
    got = f"a {type(value).__name__} of {len(value)}" if is_inner else f"{value!r:.60}"
    return ValueError(f"{where or 'it'} must be {wanted}, not {got}")
