"""The command `inspector`: parses, runs one command, turns expected errors into one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from inspector_plugin import __version__
from inspector_plugin.cli import (
    agree,
    audit,
    balance,
    cache,
    collect,
    correct,
    criteria,
    crossfit,
    distill,
    export,
    filter,
    gate,
    judges,
    label,
    lager,
    models,
    plan,
    probes,
    rank,
    report,
    rubric,
    run,
    score,
    sft,
    show,
    train,
    tune,
)
from inspector_plugin.cli.flags import Parser
from inspector_plugin.errors import InspectorError
from inspector_plugin.report.tables import plain

COMMANDS = (
    run,
    score,
    show,
    filter,
    export,
    agree,
    gate,
    rank,
    correct,
    plan,
    report,
    audit,
    judges,
    criteria,
    rubric,
    models,
    train,
    crossfit,
    tune,
    sft,
    probes,
    lager,
    collect,
    label,
    balance,
    distill,
    cache,
)


def make_parser() -> Parser:
    """Build the parser of all commands."""
    parser = Parser(
        prog="inspector", description="Judge backends for lm_eval: score reasoning responses."
    )
    parser.add_argument("--version", action="version", version=f"inspector_plugin {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for module in COMMANDS:
        module.add_command(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line after the program's name; that of the process if None.

    Returns:
        The exit status: 0, 1 for an error that the user can act on, 130 for Ctrl-C.
    """
    # What the caller has closed is not wanted; print() would take one for the other.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # what cannot be written shows here, not when Python ends
    except BrokenPipeError:  # whoever read our output has seen enough, as head has
        pass
    except OSError as error:  # a full disk, a name that is too long, a folder without permission
        _say(f"inspector: error: {error}")
    finally:
        _drop_unwritten()
    return 1


def _run(arguments: Sequence[str] | None) -> int:
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        status: int = options.run_command(options)
    except InspectorError as error:
        _say(f"inspector {options.command}: error: {error}")
        return 1
    except KeyboardInterrupt:
        _say(f"inspector {options.command}: interrupted")
        return 130
    return status


def _say(message: str) -> None:
    with suppress(OSError):  # standard error may be what is full, or closed
        print(plain(message), file=sys.stderr)


def _drop_unwritten() -> None:
    """Let what could not be written go nowhere: Python would try, and fail, again at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):  # a stream of a test has no number
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
