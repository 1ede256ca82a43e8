"""Errors in one line under a bare `lm_eval`, which would print a traceback."""

from __future__ import annotations

import functools
import sys
from types import TracebackType

from inspector_plugin.errors import InspectorError


@functools.cache
def show_errors_in_one_line() -> None:
    """Have Python print an uncaught InspectorError as one line; it still exits with status 1.

    All other errors go where they went before.
    """
    previous = sys.excepthook

    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, InspectorError):
            print(f"inspector: error: {error}", file=sys.stderr)
        else:
            previous(kind, error, traceback)

    sys.excepthook = excepthook
