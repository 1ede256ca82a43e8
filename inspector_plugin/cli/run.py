"""`inspector run`: lm_eval with judges."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from inspector_plugin.cli import flags
from inspector_plugin.errors import OptionError
from inspector_plugin.harness.options import FLAGS, RunOptions, flag_of
from inspector_plugin.plugins.options import options_of

_DESCRIPTION = """\
Runs lm_eval in this process with the judges given. Everything after -- goes to lm_eval as it
stands; the tasks of this package are those whose names hold "inspector" (lm_eval ls tasks).

example:
  inspector run --judge inspector -- --model hf --model_args pretrained=MODEL \\
      --tasks gsm8k_inspector --limit 8
"""


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the parser of `inspector run`."""
    parser = commands.add_parser(
        "run",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_judge_flags(parser)
    flags.add_criteria_flag(parser)
    flags.add_cache_flag(parser)
    for option in options_of(RunOptions):
        if option.name in ("data", "seed", "resamples", "gold"):
            flags.add_option(parser, option)
    parser.add_argument(
        "lm_eval_arguments", nargs="*", metavar="-- LM_EVAL_ARGUMENT", help="passed on to lm_eval"
    )
    parser.set_defaults(run_command=run)


def run(options: argparse.Namespace) -> int:
    """Check the judges, then hand over to lm_eval.

    Raises:
        InspectorError: If a judge, an option or the data cannot be used.
    """
    # Where Python does not read .pth files (python -S), the tasks would stay hidden.
    importlib.import_module("_inspector_lmeval_hook").install()
    # Imported here, so that `inspector --help` waits for no lm_eval.
    from lm_eval.__main__ import cli_evaluate

    from inspector_plugin.harness.command_line import calling_lm_eval
    from inspector_plugin.harness.results import print_pending
    from inspector_plugin.harness.settings import Settings
    from inspector_plugin.harness.shared import close_judges, shared_judge

    arguments, metadata = _split_metadata(options.lm_eval_arguments)
    metadata |= _own_metadata(options)
    settings = Settings.read(metadata, shown=flag_of)
    for spec in settings.specs.values():
        shared_judge(spec, settings.defaults)  # before lm_eval loads its model
    _require_tasks(arguments)
    if _evaluates_with_transformers(arguments):
        close_judges()  # those that need the evaluated model's weights will find them there
    if metadata:
        arguments += ["--metadata", json.dumps(metadata)]
    with _command_line(["lm_eval", *arguments]), calling_lm_eval():
        cli_evaluate()
    print_pending()
    return 0


def _require_tasks(arguments: Sequence[str]) -> None:
    """Refuse arguments for lm_eval that name no tasks.

    Raises:
        OptionError: If they do not.
    """
    wanted = ("--tasks", "-t", "--config", "-C", "--help", "-h", "ls", "validate")
    if not any(each.partition("=")[0] in wanted for each in arguments):
        raise OptionError(
            "No tasks: give lm_eval's arguments after --, as in: inspector run --judge inspector "
            "-- --model hf --model_args pretrained=MODEL --tasks gsm8k_inspector"
        )


def _split_metadata(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take the metadata out of lm_eval's arguments, reading it as lm_eval does."""
    from lm_eval._cli.utils import MergeDictAction

    parser = flags.Parser(prog="inspector run", add_help=False)
    parser.add_argument("--metadata", nargs="+", action=MergeDictAction, default={})
    try:
        found, others = parser.parse_known_args(list(arguments))
        return others, dict(found.metadata)
    except (TypeError, ValueError) as error:
        raise OptionError(f"--metadata is not a JSON object or key=value: {error}.") from error


def _own_metadata(options: argparse.Namespace) -> dict[str, Any]:
    """Turn the flags that were given into metadata."""
    given = {
        option.name: getattr(options, FLAGS.get(option.name, option.name), None)
        for option in options_of(RunOptions)
    }
    if options.no_cache:
        given["cache"] = False
    return {key: value for key, value in given.items() if value is not None}


def _evaluates_with_transformers(arguments: Sequence[str]) -> bool:
    """Whether lm_eval's model will be one of its backend `hf`, its default."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--model", "-m", default="hf")
    model: str = parser.parse_known_args(list(arguments))[0].model
    return model in ("hf", "hf-auto", "huggingface")


@contextmanager
def _command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Let lm_eval, which reads `sys.argv`, read these arguments."""
    before = sys.argv
    sys.argv = list(arguments)
    try:
        yield
    finally:
        sys.argv = before
