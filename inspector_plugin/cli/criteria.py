"""`inspector criteria`: the built-in criteria, and checking criteria files of one's own."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence

import yaml

from inspector_plugin.cli import flags
from inspector_plugin.errors import count_of
from inspector_plugin.report.tables import WIDTH, make_table, plain, print_tables
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.criteria_files import (
    BUILT_IN,
    FORMAT_VERSION,
    parse_criteria,
    read_criteria_file,
)
from inspector_plugin.schema.rubrics import RubricItem


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "criteria", description="list and show criteria, and check criteria files"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list the built-in sets")
    listing.set_defaults(run_command=_list)
    show = actions.add_parser("show", help="show criteria in full")
    show.add_argument("criteria", metavar="LIST", help=flags.CRITERIA_HELP)
    show.add_argument(
        "--format",
        choices=("text", "yaml", "json"),
        default="text",
        help="text for people; yaml and json are criteria files to start from (default: text)",
    )
    show.set_defaults(run_command=_show)
    check = actions.add_parser("check", help="check a criteria file")
    check.add_argument("file", metavar="FILE", help="a .yaml or .json file")
    check.set_defaults(run_command=_check)


def _list(options: argparse.Namespace) -> int:
    for name, chosen in BUILT_IN.items():
        print(f"{name}: {', '.join(criterion.key for criterion in chosen.criteria)}")
    return 0


def _show(options: argparse.Namespace) -> int:
    criteria = parse_criteria(options.criteria)
    if options.format == "text":
        for criterion in criteria:
            _print(criterion)
        return 0
    content = {
        "format_version": FORMAT_VERSION,
        "name": options.criteria if options.criteria in BUILT_IN else "my-criteria",
        "criteria": [_file_row(criterion) for criterion in criteria],
    }
    if options.format == "json":
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=80), end="")
    return 0


def _check(options: argparse.Namespace) -> int:
    found = read_criteria_file(options.file)
    rows = [
        (each.key, each.scale.name, str(len(each.anchors)), each.fingerprint)
        for each in found.criteria
    ]
    columns = ("criterion", "scale", "anchors", "fingerprint")
    print_tables(make_table(f"{found.name}: {count_of(len(rows), 'criterion')}", columns, rows))
    return 0


def _print(criterion: Criterion) -> None:
    scale = criterion.scale
    print(plain(f"{criterion.key}: {criterion.title} ({scale.name})"))
    anchors = [f"{label}: {text}" for label, text in criterion.anchors.items()]
    for text in (criterion.definition, *anchors, f"fingerprint {criterion.fingerprint}"):
        print(textwrap.fill(plain(text), WIDTH, initial_indent="  ", subsequent_indent="     "))
    for text in item_lines(criterion.items):
        print(textwrap.fill(plain(text), WIDTH, initial_indent="  ", subsequent_indent="     "))
    if criterion.instances:
        print(f"  items for {count_of(len(criterion.instances), 'problem')}")


def item_lines(items: Sequence[RubricItem]) -> list[str]:
    """Write the items of a rubric, each with its anchors, as lines that are not yet plain."""
    lines = []
    for item in items:
        lines.append(f"{item.key} ({item.kind}, weight {item.weight:g}): {item.text}")
        lines += [f"  {rating}: {text}" for rating, text in (item.anchors or {}).items()]
    return lines


def _file_row(criterion: Criterion) -> dict[str, object]:
    row = criterion.to_json()
    return row if criterion.is_rubric else {**row, "anchors": dict(criterion.anchors)}
