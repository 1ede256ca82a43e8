"""`inspector judges`: the judges there are, where they come from and what options they take."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from typing import Any

from rich.table import Table

from inspector_plugin.cli import flags
from inspector_plugin.errors import OptionError
from inspector_plugin.plugins.options import Option
from inspector_plugin.plugins.registry import (
    JudgeRegistry,
    RegisteredBackend,
    create_judge,
    make_registry,
)
from inspector_plugin.report.tables import WIDTH, make_table, plain, print_tables
from inspector_plugin.testing import check_judge


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "judges",
        description="List the judges, built in and from plugins; with NAME, show the options of "
        "one; with check and a specification, run the contract suite on it, as a plugin's own test "
        "does.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the judge to show, or check")
    parser.add_argument("spec", nargs="?", metavar="SPEC", help="after check: the judge to check")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run_command=list_judges)


def list_judges(options: argparse.Namespace) -> int:
    """List the usable judges on standard output, and the plugins' problems on standard error."""
    registry = make_registry()
    if options.spec is not None:
        return _check(registry, options.name, options.spec)
    judges = _chosen(registry, options.name)
    if options.json:
        print(json.dumps([_to_json(judge) for judge in judges], indent=2))
    elif options.name is None:
        _print_names(judges)
    else:
        print_tables(_options_table(judges[0]))
    for problem in registry.problems:
        print(plain(f"inspector judges: {problem}"), file=sys.stderr)
    return 0


def _check(registry: JudgeRegistry, word: str, spec: str) -> int:
    """Run the contract suite on a judge; return 1 if it breaks a clause."""
    if word != "check":
        raise OptionError(f"Two arguments are for check, as in: inspector judges check {spec}")
    try:
        check_judge(create_judge(spec, registry=registry))
    except AssertionError as error:
        print(plain(f"inspector judges: {spec} breaks the contract: {error}"), file=sys.stderr)
        return 1
    print(plain(f"{spec} keeps the contract"))
    return 0


def _chosen(registry: JudgeRegistry, name: str | None) -> list[RegisteredBackend]:
    if name is not None:
        return [registry.get(name)]
    return [registry.backends[each] for each in sorted(registry.backends)]


def _print_names(judges: list[RegisteredBackend]) -> None:
    width = max(len(judge.backend.name) for judge in judges)
    for judge in judges:
        line = plain(f"{judge.backend.name:{width}}  {judge.backend.summary}")
        print(textwrap.fill(line, WIDTH, subsequent_indent=" " * (width + 2)))
    print("\nOptions of a judge: inspector judges NAME")


def _options_table(judge: RegisteredBackend) -> Table:
    rows = [
        (option.name, _kind(option), _text(option.default), option.help)
        for option in judge.backend.option_list
    ]
    title = f"{judge.backend.name} ({judge.plugin} {judge.version}): {judge.backend.summary}"
    return make_table(title, ("option", "type", "default", "meaning"), rows, left=4)


def _kind(option: Option) -> str:
    return " | ".join(option.choices) if option.choices else option.type.__name__


def _text(value: object) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _to_json(judge: RegisteredBackend) -> dict[str, Any]:
    return {
        "name": judge.backend.name,
        "plugin": judge.plugin,
        "version": judge.version,
        "summary": judge.backend.summary,
        "options": [_option_to_json(option) for option in judge.backend.option_list],
    }


def _option_to_json(option: Option) -> dict[str, Any]:
    return {
        "name": option.name,
        "help": option.help,
        "type": option.type.__name__,
        "default": option.default,
        "choices": list(option.choices),
    }
