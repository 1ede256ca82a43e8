"""What the commands of `inspector rubric` that read data share: flags, models, outputs."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from inspector_plugin.cli import flags
from inspector_plugin.data.files import locked, require_output, write_whole
from inspector_plugin.data.labelled import (
    LABEL_FIELDS,
    SCORES,
    LabelledForm,
    LabelledProblem,
    read_labelled,
    sample,
)
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.options import JudgeSpec, OptionValue
from inspector_plugin.plugins.registry import JudgeRegistry, create_judge
from inspector_plugin.report.tables import WIDTH, plain
from inspector_plugin.rubrics.writer import GENERATOR_HELP, writer_options, writer_spec
from inspector_plugin.schema.records import JudgeRequest, total_usage
from inspector_plugin.schema.rubric_files import RubricFile
from inspector_plugin.schema.usage import Usage

SUFFIXES = (".yaml", ".yml", ".json")
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


def add_out_flags(parser: flags.Parser) -> None:
    """Add --out and --overwrite."""
    parser.add_argument("--out", type=Path, metavar="R", help=_FORMAT_HELP)
    flags.add_overwrite_flag(parser)


def add_count(parser: flags.Parser, flag: str, default: int, what: str, *, least: int = 1) -> None:
    """Add a flag of a whole number."""
    read = flags.positive if least else flags.seed
    parser.add_argument(
        flag, type=read, default=default, metavar="N", help=f"{what} (default: {default})"
    )


def read_problems(path: Path, options: argparse.Namespace) -> list[LabelledProblem]:
    """Read the problems of a data file, each once where its rows are pairs.

    Raises:
        DataError: If the file cannot be used.
    """
    fields = tuple(filter(None, map(str.strip, options.label_field.split(","))))
    file = sample(read_labelled(path, LabelledForm(fields)), options.sample, options.seed)
    once: dict[str, LabelledProblem] = {}
    for problem in file.problems:
        known = once.get(problem.problem)
        # The labels of a pair say nothing about the responses of another pair.
        if known is not None and file.kind == SCORES:
            responses, labels = known.responses + problem.responses, known.labels + problem.labels
            problem = replace(known, responses=responses, labels=labels)
        if known is None or file.kind == SCORES:
            once[problem.problem] = problem
    usable = [_each_once(problem) for problem in once.values() if problem.question.strip()]
    if not usable:
        raise DataError(f"{path} holds no problems.")
    return usable


def _each_once(problem: LabelledProblem) -> LabelledProblem:
    """Give each response of a problem once; its label is the mean of those it has."""
    labels: dict[str, list[float]] = {}
    for response, label in zip(problem.responses, problem.labels, strict=True):
        known = labels.setdefault(response, [])
        known += [] if label is None else [label]
    means = tuple(sum(each) / len(each) if each else None for each in labels.values())
    return replace(problem, responses=tuple(labels), labels=means)


def check_out(options: argparse.Namespace, *inputs: Path) -> None:
    """Refuse an output that is missing, an input, there already, or of no known form.

    Raises:
        OptionError: If it is one of these.
    """
    if options.dry_run:
        return
    out = options.out
    if out is None:
        raise OptionError("--out is needed: the rubric file to write, such as rubric.yaml.")
    if out.suffix.lower() not in SUFFIXES:
        raise OptionError(f"--out {out}: a rubric file ends in {', '.join(SUFFIXES)}.")
    require_output(out, "--out", inputs)
    if out.exists() and not options.overwrite:
        raise OptionError(f"--out {out} exists; pass --overwrite to replace it.")


@contextmanager
def writing_rubric(options: argparse.Namespace) -> Iterator[None]:
    """Keep other processes from the output while it is being made; nothing is kept in a dry run."""
    if options.dry_run:
        yield
        return
    with locked(options.out):
        yield


def write_rubric(file: RubricFile, out: Path) -> None:
    """Write a rubric file.

    Raises:
        DataError: If it cannot be written.
    """
    write_text(out, file.text(out.suffix))
    print(plain(f"written to {out} (fingerprint {file.criterion.fingerprint})"), file=sys.stderr)


def write_text(out: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        DataError: If it cannot be written.
    """
    try:
        write_whole(out, text.encode("utf-8", "replace"))
    except OSError as error:
        raise DataError(f"Cannot write {out}: {error}.") from error


def model_defaults(options: argparse.Namespace) -> dict[str, OptionValue]:
    """What the flags set for the models of a run."""
    names = ("device", "dtype", "batch_size", "concurrency", "max_cost")
    given = {name: getattr(options, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def judge_spec(given: str | None, generator: str) -> JudgeSpec:
    """The judge that a flag names; the generator's language model if it names none."""
    return writer_spec(generator) if given is None else JudgeSpec.parse(given)


def make_judge(
    spec: JudgeSpec,
    registry: JudgeRegistry,
    defaults: Mapping[str, OptionValue],
    *,
    dry_run: bool,
) -> Judge | None:
    """Make a judge; None in a dry run of one that costs no money."""
    known = {option.name for option in registry.get(spec.name).backend.option_list}
    is_local = spec.name == "prompt" and writer_is_local(spec)
    # All items, and all criteria, in one call; a model here gives probabilities of yes instead.
    given = dict(defaults) if is_local else {**defaults, "mode": "joint"}
    if not dry_run:
        return create_judge(spec, given, registry)
    if "dry_run" not in known or is_local:
        return None
    return create_judge(spec, {**given, "dry_run": True}, registry)


def require_items(judge: Judge, spec: JudgeSpec) -> None:
    """Refuse a judge that knows nothing of items, before anything is paid for.

    Raises:
        OptionError: If it is one.
    """
    if judge.rubric_form is None:
        raise OptionError(
            f"--judge {spec}: {spec.name!r} does not execute the items of a rubric; give a prompt "
            "judge, such as deepseek."
        )


def writer_is_local(spec: JudgeSpec | str) -> bool:
    """Whether a generator is a language model on this machine."""
    parsed = writer_spec(spec) if isinstance(spec, str) else spec
    calls = {k: v for k, v in parsed.options.items() if k not in ("mode", "labels", "logprobs")}
    return writer_options(JudgeSpec(parsed.name, calls)).base_url is None


def estimated(judge: Judge | None, name: str, requests: Sequence[JudgeRequest]) -> str:
    """Say in one line what judging would cost."""
    if judge is None:
        return f"{name}: {len(requests)} responses to judge on this machine, $0.0000"
    usage = total_usage(judge_all(judge, requests, name=name, progress=False)) or Usage()
    return (
        f"{name}: {usage.calls} calls, {usage.prompt_tokens} prompt tokens, "
        f"{usage.completion_tokens} completion tokens, {usage.cost}"
    )


def say(text: str) -> None:
    """Print one remark, wrapped, with whatever comes from outside made safe."""
    print(textwrap.fill(plain(text), WIDTH, subsequent_indent="  "))
