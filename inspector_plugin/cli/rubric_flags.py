"""Flags that the commands of `inspector rubric` share."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from inspector_plugin.cli import flags
from inspector_plugin.data.labelled import LABEL_FIELDS, LabelledForm
from inspector_plugin.report.tables import WIDTH, plain
from inspector_plugin.rubrics.writer import GENERATOR_HELP

_FORMAT_HELP = "rubric file to write, .yaml or .json"


def add_model_flags(parser: flags.Parser) -> None:
    """Add the flags of the generator, and of what runs and pays for models."""
    parser.add_argument("--generator", required=True, metavar="SPEC", help=GENERATOR_HELP)
    parser.add_argument(
        "--judge",
        metavar="SPEC",
        help="the judge that says which responses meet an item (default: the generator)",
    )
    flags.add_judge_option(parser, "device", "dtype", "batch_size", "concurrency")
    parser.add_argument(
        "--max-cost",
        type=float,
        metavar="DOLLARS",
        help="US dollars that the calls of each of the models must not pass",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="estimate calls, tokens and cost, make no call"
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="neither read nor fill the caches of replies and judgements, by which a run resumes",
    )


def add_data_flags(parser: flags.Parser) -> None:
    """Add the flags that say how the data is read."""
    _add_label_field(parser)
    parser.add_argument(
        "--sample", type=flags.positive, metavar="N", help="N problems, drawn by --seed"
    )
    flags.add_seed_flag(parser)


def add_parts_flags(parser: flags.Parser) -> None:
    """Add the flags that say how labelled data is read whose rows name a part of it."""
    parser.add_argument(
        "--sample",
        type=flags.positive,
        metavar="N",
        help="take N problems of each part of a file, drawn by --seed (default: all)",
    )
    _add_label_field(parser)
    parser.add_argument(
        "--group-field",
        default="subset",
        metavar="NAME",
        help="names a row's part (default: subset)",
    )


def _add_label_field(parser: flags.Parser) -> None:
    parser.add_argument(
        "--label-field",
        default=",".join(LABEL_FIELDS),
        metavar="LIST",
        help="fields that may hold a response's label; the first that a row has counts (default: "
        "%(default)s)",
    )


def labelled_form(options: argparse.Namespace) -> LabelledForm:
    """The form of labelled data that the flags name."""
    fields = tuple(filter(None, map(str.strip, options.label_field.split(","))))
    named = {
        name: getattr(options, name)
        for name in ("group_field", "rubric_field")
        if hasattr(options, name)
    }
    return LabelledForm(fields, **named)


def add_out_flags(parser: flags.Parser) -> None:
    """Add --out and --overwrite."""
    parser.add_argument("--out", type=Path, metavar="R", help=_FORMAT_HELP)
    flags.add_overwrite_flag(parser)


def add_count(parser: flags.Parser, flag: str, default: int, what: str, *, least: int = 1) -> None:
    """Add a flag of a whole number."""
    read = flags.positive if least else flags.count
    parser.add_argument(
        flag, type=read, default=default, metavar="N", help=f"{what} (default: {default})"
    )


def say(text: str) -> None:
    """Print one remark, wrapped, with whatever comes from outside made safe."""
    print(textwrap.fill(plain(text), WIDTH, subsequent_indent="  "))
