"""Whether this process is the command lm_eval, and errors in one line if it is."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import TracebackType

from inspector_plugin.errors import InspectorError
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
