"""The command `inspector`: parses, runs one command, turns expected errors into one line."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from inspector_plugin import __version__
from inspector_plugin.data.text import plain
from inspector_plugin.errors import InspectorError

if TYPE_CHECKING:
    from inspector_plugin.cli.flags import Commands, Parser

# Of an error's line.
_MOST_CHARACTERS, _FIRST_CHARACTERS = 2000, 1500
# What each is for. A command is called like its module here.
COMMANDS = {
    "run": "run lm_eval with judges",
    "score": "judge responses in sample logs of lm_eval and in other files",
    "show": "show a judged response in full",
    "filter": "keep the best of judged responses",
    "export": "write a judgement file as CSV, Parquet or Every Eval Ever",
    "agree": "compare judges with each other, with people, or with an outcome",
    "gate": "fail unless agreement clears a bar",
    "rank": "rank models by their scores",
    "correct": "correct a judge's figures by reference labels of some rows",
    "plan": "plan what to judge or label next",
    "report": "write a page on judged responses: figures, charts, and the responses themselves",
    "audit": "test a judge on responses whose quality is known, or on edits of your own",
    "judges": "list the judges, built in and from plugins",
    "criteria": "list and show criteria, and check criteria files",
    "rubric": "generate, check, show, compare, refine, tune and evaluate rubrics",
    "models": "install small language models, list them, print their folders",
    "train": "train probes on scored rows",
    "crossfit": "fit cross-fitted probes, with hurdles and calibration",
    "tune": "fine-tune an encoder or a language model on scored rows",
    "sft": "fine-tune on the responses that a judge prefers, and test it",
    "probes": "show a pack, or import the probes that INSPECTOR published",
    "lager": "tune the layer weights of the judge lager",
    "collect": "generate responses to label and judge",
    "label": "make reference scores with a judge",
    "balance": "downsample reference scores to equal counts",
    "distill": "make a cheap, measured judge out of an expensive one and your own responses",
    "cache": "look into the judge cache, or empty it",
}


def make_parser(commands: Iterable[str] = tuple(COMMANDS)) -> Parser:
    """Build the parser of some commands, importing their modules; those of all take seconds."""
    parser, subparsers = _empty_parser()
    for name in commands:
        importlib.import_module(f"inspector_plugin.cli.{name}").add_command(subparsers)
    return parser


def _parser_for(given: Sequence[str]) -> Parser:
    """Build the parser for a command line: that of its command, or one that only lists them all."""
    command = next((each for each in given if each != "--"), None)
    if command in COMMANDS:
        return make_parser([command])
    parser, subparsers = _empty_parser()
    for name, purpose in COMMANDS.items():
        subparsers.add_parser(name, help=purpose)
    return parser


def _empty_parser() -> tuple[Parser, Commands[Parser]]:
    from inspector_plugin.cli.flags import Parser

    parser = Parser(
        prog="inspector", description="Judge backends for lm_eval: score reasoning responses."
    )
    parser.add_argument("--version", action="version", version=f"inspector_plugin {__version__}")
    return parser, parser.add_subparsers(dest="command", metavar="COMMAND")


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
    parser = _parser_for(given)
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
