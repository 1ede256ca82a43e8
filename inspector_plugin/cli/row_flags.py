"""The flags that say how the rows of files become requests, of all commands that judge files."""

from __future__ import annotations

import argparse

from inspector_plugin.cli import flags
from inspector_plugin.data.requests import RequestForm, RowFields
from inspector_plugin.errors import OptionError
from inspector_plugin.schema.criteria_files import parse_criteria


def add_form_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how rows become requests."""
    flags.add_criteria_flag(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--criterion-field", metavar="NAME", help="the field that names a row's one criterion"
    )
    which.add_argument("--aspect-field", dest="criterion_field", help=argparse.SUPPRESS)
    which.add_argument("--rubric-field", metavar="NAME", help="the field with a row's own rubric")
    flags.add_dataset_flag(parser)


def add_field_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what the columns of files are called."""
    parser.add_argument(
        "--question-field",
        metavar="NAME",
        help="the field with the problem (default: question), or a Jinja template over the fields; "
        "in sample logs those of the document",
    )
    parser.add_argument(
        "--response-field",
        metavar="NAME",
        help="the field with the response (default: response or prediction), or a template",
    )
    parser.add_argument("--id-field", metavar="NAME", help="the field with the problem's id")
    parser.add_argument(
        "--model-field", metavar="NAME", help="the field with the model that responded"
    )
    parser.add_argument("--encoding", metavar="NAME", help="of CSV files (default: UTF-8)")


def read_form(options: argparse.Namespace) -> RequestForm:
    """Read the flags that say how rows become requests.

    Raises:
        OptionError: If the criteria cannot be used.
    """
    if options.rubric_field is not None and options.criteria is not None:
        raise OptionError("--criteria goes with no --rubric-field: a rubric takes their place.")
    return RequestForm(
        criteria=parse_criteria(options.criteria),
        criterion_field=options.criterion_field,
        rubric_field=options.rubric_field,
        dataset=options.dataset,
        fields=RowFields(
            **{
                name: getattr(options, f"{name}_field", None)
                for name in ("question", "response", "id", "model")
            }
        ),
    )
