"""The hooks that plugins implement. No logic here."""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from inspector_plugin.plugins.options import Backend

PROJECT_NAME = "inspector_plugin"

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)


@hookspec
def register_judges(register: Callable[[Backend], None]) -> None:
    """Register judge backends: call `register(Backend(...))` once for each."""
