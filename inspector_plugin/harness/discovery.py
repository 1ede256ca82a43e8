"""Showing our tasks to lm_eval's TaskManager.

This runs whenever anyone uses lm_eval, so it imports next to nothing and leaves all else as it is.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from inspector_plugin.folders import shipped_folder

# The index of the TaskManager that was made last: it also knows the tasks of --include_path.
_newest_index: dict[str, Any] = {}


# Says that a class has been extended.
_MARK = "_knows_inspector_tasks"


def extend(manager: type[Any]) -> None:
    """Have every lm_eval `TaskManager` made from now on know our tasks.

    They come after lm_eval's own and before those of the user's `include_path`, which therefore
    still win. Without lm_eval's own tasks (`include_defaults=False`) ours are left out, too.

    Args:
        manager: lm_eval's class `TaskManager`.
    """
    original = manager.__init__
    if getattr(original, _MARK, False):
        return
    signature = inspect.signature(original)
    if not {"include_path", "include_defaults"} <= signature.parameters.keys():
        return  # not the TaskManager that we know

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        if bound.arguments["include_defaults"]:
            include_path = bound.arguments["include_path"]
            bound.arguments["include_path"] = [shipped_folder("tasks"), *_as_list(include_path)]
            original(*bound.args, **bound.kwargs)
            self.include_path = include_path
        else:
            original(self, *args, **kwargs)
        _remember(self)

    setattr(__init__, _MARK, True)
    manager.__init__ = __init__


def known_tasks() -> Mapping[str, Any]:
    """The index of the newest `TaskManager`: entries by the names of tasks, groups and tags."""
    return _newest_index


def _remember(manager: Any) -> None:
    global _newest_index
    _newest_index = getattr(manager, "task_index", None) or {}


def _as_list(include_path: Any) -> list[Any]:
    if not include_path:
        return []
    return list(include_path) if isinstance(include_path, (list, tuple)) else [include_path]
