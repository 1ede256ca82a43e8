"""The command `inspector`: parses, runs one command, turns expected errors into one line."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from inspector_plugin import __version__
from inspector_plugin.data.text import plain
from inspector_plugin.errors import InspectorError

if TYPE_CHECKING:
    from inspector_plugin.cli.flags import Parser

# Of an error's line.
_MOST_CHARACTERS, _FIRST_CHARACTERS = 2000, 1500
# Each is called like its module here.
COMMANDS = (
    "run",
    "score",
    "show",
    "filter",
    "export",
    "agree",
    "gate",
    "rank",
    "correct",
    "plan",
    "report",
    "audit",
    "judges",
    "criteria",
    "rubric",
    "models",
    "train",
    "crossfit",
    "tune",
    "sft",
    "probes",
    "lager",
    "collect",
    "label",
    "balance",
    "distill",
    "cache",
)


def make_parser(command: str | None = None) -> Parser:
    """Build the parser.

    Args:
        command: The command that will be parsed; only its module is imported, since those of all
            take seconds. All commands if it is none of them.
    """
    from inspector_plugin.cli.flags import Parser

    parser = Parser(
        prog="inspector", description="Judge backends for lm_eval: score reasoning responses."
    )
    parser.add_argument("--version", action="version", version=f"inspector_plugin {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in [command] if command in COMMANDS else COMMANDS:
        importlib.import_module(f"inspector_plugin.cli.{name}").add_command(commands)
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
    _print_all_characters(sys.stdout)
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # what cannot be written shows here, not when Python ends
    except KeyboardInterrupt:
        _say("inspector: interrupted")
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, as head has
        pass
    except OSError as error:  # a full disk, a name that is too long, a folder without permission
        _say(f"inspector: error: {error}")
    finally:
        _drop_unwritten()
    return 1


def _run(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = make_parser(given[0] if given else None)
    options = parser.parse_args(given)
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


def _print_all_characters(stream: TextIO) -> None:
    """Let what a terminal's encoding lacks come out as an escape, where it would be an error."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def _say(message: str) -> None:
    line = plain(message)
    if len(line) > _MOST_CHARACTERS:  # a value that is as long as a file
        line = f"{line[:_FIRST_CHARACTERS]} [...] {line[_FIRST_CHARACTERS - _MOST_CHARACTERS :]}"
    with suppress(OSError):  # standard error may be what is full, or closed
        print(line, file=sys.stderr)


def _drop_unwritten() -> None:
    """Let what could not be written go nowhere: Python would try, and fail, again at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):  # a stream of a test has no number
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
