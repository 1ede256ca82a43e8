"""Errors in one line, where lm_eval runs as a command and where we call it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from inspector_plugin.errors import DataError, InspectorError, shown
from inspector_plugin.report.tables import plain


def is_lm_eval_command() -> bool:
    """Whether lm_eval runs as a command, and not as a library of some other program."""
    program = Path(sys.argv[0])
    return program.stem in ("lm_eval", "lm-eval") or program.parent.name == "lm_eval"


def show_errors_in_one_line() -> None:
    """Have the command lm_eval print an uncaught InspectorError as one line; it exits with 1.

    All other errors go where they went before, and in other programs nothing is changed.
    """
    if is_lm_eval_command():
        _install()


@contextmanager
def calling_lm_eval() -> Iterator[None]:
    """Turn what lm_eval raises at a model, data or an argument that cannot be used into one line.

    Raises:
        DataError: In its place.
    """
    try:
        yield
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"lm_eval stopped: {type(error).__name__}: {shown(error, 500)}") from error


@functools.cache
def _install() -> None:
    previous = sys.excepthook

    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, InspectorError):
            print(plain(f"inspector: error: {error}"), file=sys.stderr)
        else:
            previous(kind, error, traceback)

    sys.excepthook = excepthook
