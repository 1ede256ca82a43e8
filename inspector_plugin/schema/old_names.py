"""The names of version 0.1 that plugins may use, and what they are called now."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from inspector_plugin.schema.criteria import BINARY, MULTICLASS

# What plugins for version 0.1 import from inspector_plugin.schema.
OLD_NAMES: dict[str, Any] = {
    "DATASETS": ("gsm8k", "math", "gpqa"),
    "PASSING": "passing",
    "SCALES": {"multiclass": MULTICLASS, "binary": BINARY},
}

_Class = TypeVar("_Class", bound=type)


def also_takes(**names: str) -> Callable[[_Class], _Class]:
    """Let a class be made with the keywords that plugins for version 0.1 use."""

    def decorate(made: _Class) -> _Class:
        init = made.__init__  # type: ignore[misc]

        @wraps(init)
        def init_by_either_name(self: Any, *values: Any, **given: Any) -> None:
            if not names.keys().isdisjoint(given):
                given = {names.get(name, name): each for name, each in given.items()}
            init(self, *values, **given)

        made.__init__ = init_by_either_name  # type: ignore[misc]
        return made

    return decorate
