"""The command `inspector`: parses, runs one command, turns expected errors into one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from inspector_plugin import __version__
from inspector_plugin.cli import (
    balance,
    cache,
    collect,
    criteria,
    judges,
    label,
    lager,
    models,
    run,
    score,
    show,
    train,
)
from inspector_plugin.cli.flags import Parser
from inspector_plugin.errors import InspectorError
from inspector_plugin.report.tables import plain

COMMANDS = (
    run,
    score,
    show,
    judges,
    criteria,
    models,
    train,
    lager,
    collect,
    label,
    balance,
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
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        status: int = options.run_command(options)
    except InspectorError as error:
        print(plain(f"inspector {options.command}: error: {error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninspector {options.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, as head has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor flush at the end
        return 1
    return status
