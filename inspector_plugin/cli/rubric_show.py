"""`inspector rubric show`: a rubric as people read it."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inspector_plugin.cli import flags
from inspector_plugin.cli.criteria import item_lines
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.errors import DataError, count_of
from inspector_plugin.report.tables import WIDTH, plain
from inspector_plugin.schema.rubric_files import RubricFile, read_rubric_file
from inspector_plugin.schema.rubrics import RubricInstance, RubricItem


def add_action(actions: flags.Commands[flags.Parser]) -> None:
    """Add the action to the parser of `inspector rubric`."""
    parser = actions.add_parser("show", help="show a rubric in full")
    parser.add_argument("rubric", metavar="R", type=Path, help="a rubric file")
    parser.add_argument(
        "--problem",
        metavar="TEXT",
        help="only the items for this problem: its id in the rubric, its identity, or its text",
    )
    parser.add_argument(
        "--limit", type=flags.positive, default=5, metavar="N", help="most problems (default: 5)"
    )
    parser.set_defaults(run_command=_show)


def _show(options: argparse.Namespace) -> int:
    file = read_rubric_file(options.rubric)
    instances = file.criterion.instances
    if options.problem is not None:
        instances = _chosen(instances, options.problem, options.rubric)
    else:
        _print_head(file)
    _print_items(file.criterion.items)
    for instance in instances[: options.limit]:
        named = f" ({instance.id})" if instance.id else ""
        used = "; made from responses that are to be judged" if instance.transductive else ""
        _print(f"problem {instance.problem}{named}{used}", 0)
        _print_items(instance.items)
    left = len(instances) - options.limit
    if left > 0:
        print(f"and {count_of(left, 'more problem')}; see --limit and --problem")
    return 0


def _chosen(
    instances: Sequence[RubricInstance], problem: str, path: Path
) -> tuple[RubricInstance, ...]:
    names = {problem, problem_identity(problem)}
    found = tuple(each for each in instances if each.problem in names or each.id == problem)
    if not found:
        raise DataError(
            f"{path} has no items for the problem {problem[:60]!r}; give its id, its identity of "
            "16 hexadecimal digits, or its text."
        )
    return found


def _print_head(file: RubricFile) -> None:
    criterion = file.criterion
    _print(f"{file.name}: {criterion.title} (key {criterion.key}, {criterion.scale.name})", 0)
    _print(criterion.definition)
    if file.source:
        _print(f"source: {file.source}")
    for name, value in file.generator.items():
        # The identities of problems say nothing to people, their number does.
        said = len(value) if name == "problems" and isinstance(value, list) else _in_words(value)
        _print(f"generator {name}: {said}")
    edited = ", edited since the file was made" if file.is_edited else ""
    _print(f"fingerprint {criterion.fingerprint}{edited}")
    if criterion.instances:
        _print(f"items for {count_of(len(criterion.instances), 'problem')}")


def _in_words(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    return ", ".join(f"{name} {_in_words(part)}" for name, part in value.items())


def _print_items(items: Sequence[RubricItem]) -> None:
    for line in item_lines(items):
        _print(line)


def _print(text: str, indent: int = 2) -> None:
    """Print text, which whoever made the rubric has written, in plain lines."""
    blanks = " " * indent
    print(
        textwrap.fill(
            plain(text), WIDTH, initial_indent=blanks, subsequent_indent=blanks and blanks + "   "
        )
    )
