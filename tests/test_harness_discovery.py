"""How our tasks are shown to lm_eval's TaskManager, and when not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inspector_plugin.harness.discovery import extend, shipped_folder

TASKS = shipped_folder("tasks")


class Manager:
    """Takes what lm_eval's TaskManager takes."""

    def __init__(
        self,
        verbosity: str | None = None,
        include_path: Any = None,
        include_defaults: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.include_path = self.searched = include_path


@pytest.fixture
def extended() -> type[Manager]:
    class Extended(Manager):
        pass

    extend(Extended)
    return Extended


@pytest.mark.parametrize(
    ("given", "searched"),
    [
        (None, [TASKS]),
        ("users", [TASKS, "users"]),
        (Path("users"), [TASKS, Path("users")]),
        (["a", "b"], [TASKS, "a", "b"]),
    ],
)
def test_our_tasks_come_before_the_users(
    extended: type[Manager], given: Any, searched: list[Any]
) -> None:
    manager = extended(None, given)
    assert manager.searched == searched
    assert manager.include_path == given


def test_without_defaults_ours_are_left_out(extended: type[Manager]) -> None:
    assert extended(include_path="users", include_defaults=False).searched == "users"


def test_an_unknown_task_manager_is_left_alone() -> None:
    class Another:
        def __init__(self, paths: Any = None) -> None:
            self.paths = paths

    before = Another.__init__
    extend(Another)
    assert Another.__init__ is before
