"""Write docs/cli.md: every command, judge option and metadata key, from where they are declared.

python docs/generate_cli.py          # writes docs/cli.md
python docs/generate_cli.py --check  # exits with 1 if docs/cli.md is not up to date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from inspector_plugin.cli.main import make_parser
from inspector_plugin.harness.options import RunOptions, flag_of
from inspector_plugin.plugins.options import Option, options_of
from inspector_plugin.plugins.registry import BUILT_IN, make_registry

TARGET = Path(__file__).with_name("cli.md")
_HEAD = """\
# Command line, judge options and metadata keys

This page is generated from the parsers: `make docs` writes it, and the tests hold it to them.
"""


def main() -> int:
    """Write the page, or compare it."""
    text = page()
    if "--check" in sys.argv[1:]:
        current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        if current != text:
            print("docs/cli.md is not up to date; run: make docs", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text, encoding="utf-8")
    return 0


def page() -> str:
    """Build the page."""
    parts = [_HEAD]
    for name, parser in _subparsers(make_parser()):
        parts += _command(name, parser)
        for action, nested in _subparsers(parser):
            parts += _command(f"{name} {action}", nested)
    parts += ["## Judges", ""]
    registered = make_registry().backends
    for name in sorted(registered):
        backend = registered[name].backend
        if registered[name].plugin == BUILT_IN:
            parts += [f"### `{name}`", "", f"{_sentence(backend.summary)}", ""]
            parts += [*_option_rows(backend.option_list), ""]
    parts += [
        "## Metadata keys",
        "",
        "What lm_eval's `--metadata` tells our tasks, and the flags of `inspector run`.",
        "",
        *_table(
            ("key", "flag", "default", "meaning"),
            [
                (f"`{o.name}`", f"`{flag_of(o.name)}`", _value(o.default), _meaning(o))
                for o in options_of(RunOptions)
            ],
        ),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _subparsers(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _command(name: str, parser: argparse.ArgumentParser) -> list[str]:
    text = (parser.description or "").split("\n\nexample:")[0]
    rows = [
        (_names(action), (action.help or "").replace("%%", "%"))
        for action in parser._actions
        if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
        and action.help is not argparse.SUPPRESS
    ]
    parts = [f"## `inspector {name}`", ""]
    if text:
        parts += [" ".join(text.split()), ""]
    return [*parts, *(_table(("argument", "meaning"), rows) if rows else []), ""]


def _names(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    flags = ", ".join(f"`{name}`" for name in action.option_strings)
    if action.nargs == 0:
        return flags
    if action.choices:
        return f"{flags} " + " \\| ".join(f"`{choice}`" for choice in action.choices)
    return f"{flags} {action.metavar or action.dest.upper()}"


def _option_rows(options: Sequence[Option]) -> list[str]:
    rows = [(f"`{o.name}`", o.type.__name__, _value(o.default), _meaning(o)) for o in options]
    return _table(("option", "type", "default", "meaning"), rows)


def _meaning(option: Option) -> str:
    if not option.choices:
        return option.help
    return f"{option.help} (" + ", ".join(f"`{choice}`" for choice in option.choices) + ")"


def _value(value: object) -> str:
    if value is None:
        return "-"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


if __name__ == "__main__":
    sys.exit(main())
