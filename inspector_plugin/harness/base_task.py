"""The task that a judged task builds on: found by path or by name, and its configuration."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lm_eval.tasks
from lm_eval.tasks._index import Entry, Kind, TaskIndex
from lm_eval.tasks._yaml_loader import load_yaml

from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.harness import discovery
from inspector_plugin.harness.documents import processed_once

_TASKS = Path(lm_eval.tasks.__file__).parent


def inherit(own: Mapping[str, Any], base: str | None, folder: Path, seed: int) -> dict[str, Any]:
    """Complete a task's configuration by that of the task it builds on.

    Args:
        own: The configuration of the YAML file, without our keys.
        base: A task's name, or a path: beside the YAML file, below lm_eval's tasks, or absolute.
            None if the YAML file is a whole task by itself.
        folder: The folder of the YAML file.
        seed: Seeds the processing of documents.

    Raises:
        DataError: If there is no such task.
        OptionError: If it is not one task made by YAML.
    """
    inherited = {} if base is None else load_yaml(_find(base, folder))
    if "class" in inherited:
        raise OptionError(f"base: {base} is made by Python code; name a task that YAML describes.")
    config: dict[str, Any] = {**inherited, **own}
    for key in ("tag", "group"):
        config.pop(key, None)
    if config.get("process_docs") is not None:
        config["process_docs"] = processed_once(config["process_docs"], seed)
    return config


def _find(base: str, folder: Path) -> Path:
    if not base.endswith((".yaml", ".yml")):
        return _find_by_name(base)
    for path in (folder / base, _TASKS / base):
        if path.is_file():
            return path
    raise DataError(
        f"base: there is no {base}, neither beside the task's YAML file nor in the installed "
        f"lm_eval ({_TASKS}); this version of inspector_plugin is made for lm_eval 0.4.13."
    )


def _find_by_name(name: str) -> Path:
    known: Mapping[str, Entry] = discovery.known_tasks()
    if name not in known:
        known = {**_tasks_of_lm_eval(), **known}
    entry = known.get(name)
    if entry is None:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise DataError(f"base: lm_eval knows no task {name!r}; see `lm_eval ls tasks`.{hint}")
    if entry.kind not in (Kind.TASK, Kind.PY_TASK) or entry.yaml_path is None:
        raise OptionError(f"base: {name!r} is not a single task; name one of its tasks.")
    return Path(entry.yaml_path)


@functools.cache
def _tasks_of_lm_eval() -> dict[str, Entry]:
    """Index lm_eval's own tasks, which a TaskManager made without them does not know."""
    index: dict[str, Entry] = TaskIndex().build([_TASKS])
    return index
