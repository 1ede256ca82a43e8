"""`inspector judges`: the judges there are, where they come from and what options they take."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.table import Table

from inspector_plugin.judge import Option
from inspector_plugin.plugins import RegisteredBackend, make_registry
from inspector_plugin.report.table import make_table, plain, print_tables


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("judges", help="list the judges, built in and from plugins")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(run_command=list_judges)


def list_judges(options: argparse.Namespace) -> int:
    """List the usable judges on standard output, and the plugins' problems on standard error."""
    registry = make_registry()
    judges = [registry.backends[name] for name in sorted(registry.backends)]
    if options.json:
        print(json.dumps([_to_json(judge) for judge in judges], indent=2))
    else:
        print_tables(_overview(judges), *(_options_table(judge) for judge in judges))
    for problem in registry.problems:
        print(plain(f"inspector judges: {problem}"), file=sys.stderr)
    return 0


def _overview(judges: list[RegisteredBackend]) -> Table:
    rows = [(j.backend.name, j.plugin, j.version, j.backend.summary) for j in judges]
    return make_table("Judges", ("judge", "plugin", "version", "what it does"), rows, left=4)


def _options_table(judge: RegisteredBackend) -> Table:
    rows = [
        (o.name, o.type.__name__, _text(o.default), ", ".join(o.choices), o.help)
        for o in judge.backend.options
    ]
    title = f"{judge.backend.name}: options"
    return make_table(title, ("option", "type", "default", "choices", "help"), rows, left=5)


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def _to_json(judge: RegisteredBackend) -> dict[str, Any]:
    return {
        "name": judge.backend.name,
        "plugin": judge.plugin,
        "version": judge.version,
        "summary": judge.backend.summary,
        "options": [_option_to_json(option) for option in judge.backend.options],
    }


def _option_to_json(option: Option) -> dict[str, Any]:
    return {
        "name": option.name,
        "help": option.help,
        "type": option.type.__name__,
        "default": option.default,
        "choices": list(option.choices),
    }
