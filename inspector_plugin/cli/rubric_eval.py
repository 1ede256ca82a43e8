"""`inspector rubric eval`: how well a judge that goes by rubrics agrees with people."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from inspector_plugin.cli import flags, rubric_files, rubric_flags
from inspector_plugin.data.files import require_further_output
from inspector_plugin.data.labelled import (
    LabelledFile,
    read_labelled,
    sample,
)
from inspector_plugin.errors import DataError, OptionError, count_of
from inspector_plugin.folders import expanded
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.plugins.registry import create_judge, make_registry
from inspector_plugin.report.document import Document
from inspector_plugin.report.formats import as_csv, as_json, as_markdown
from inspector_plugin.report.rubric_eval import evaluation_document, remarks, terminal_tables
from inspector_plugin.report.tables import WIDTH, plain, print_tables
from inspector_plugin.rubrics.conditions import (
    HUMAN_NAME,
    NO_RUBRIC_NAME,
    Condition,
    by_another_problem,
    by_human_rubric,
    by_rubric,
    made_from,
    require_use,
    without_rubric,
)
from inspector_plugin.rubrics.evaluate import FileResult, evaluate_file
from inspector_plugin.schema.rubric_files import RubricFile, read_rubric_file
from inspector_plugin.schema.usage import Usage

FORMATS = ("table", "md", "csv", "json")


def add_action(actions: flags.Commands[flags.Parser]) -> None:
    """Add the action to the parser of `inspector rubric`."""
    parser = actions.add_parser(
        "eval",
        help="measure how well judging by rubrics agrees with people",
        description="Judge responses that people have compared or scored: by no rubric, by each of "
        "the rubrics given, by the rubric that people wrote for the problem (where rows have one), "
        "and by another problem's. Print pair accuracy, rank correlation, and how often a response "
        "stuffed with the rubric's words wins. What was judged before comes from the judge cache.",
    )
    parser.add_argument(
        "data",
        nargs="+",
        type=Path,
        metavar="DATA",
        help="JSONL: rows of a question, its responses and which is preferred (0 or 1); or rows of "
        "a question, a response and a label",
    )
    parser.add_argument("--judge", required=True, metavar="SPEC", help=flags.SPEC_HELP)
    parser.add_argument(
        "--rubrics",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a rubric file and what to call it, as in refined=R.yaml; may be given several times",
    )
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="leave the problems of a JSONL file out, or those that an adapter was tuned on; "
        "problems that a data set's rubric says it was made from, and those that a rubric's "
        "generator was tuned on, are always left out",
    )
    rubric_flags.add_parts_flags(parser)
    parser.add_argument(
        "--rubric-field",
        default="rubric",
        metavar="NAME",
        help="holds the rubric that people wrote (default: rubric)",
    )
    parser.add_argument(
        "--no-pairwise", action="store_true", help="do not show the judge both responses at once"
    )
    parser.add_argument(
        "--no-exploit", action="store_true", help="do not judge responses stuffed with words"
    )
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    parser.add_argument(
        "--every-part",
        action="store_true",
        help="show each of the parts, those too that a table pools (other formats always do)",
    )
    parser.add_argument("--out", type=Path, metavar="OUT", help="write the output to a file")
    parser.add_argument(
        "--resamples", type=flags.resamples, default=1000, metavar="N", help="default: 1000"
    )
    flags.add_judge_option(
        parser, "labels", "device", "dtype", "batch_size", "concurrency", "max_cost"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="estimate calls, tokens and cost, make no call"
    )
    flags.add_cache_flag(parser)
    flags.add_seed_flag(parser)
    parser.set_defaults(run_command=run_rubric_eval)


def run_rubric_eval(options: argparse.Namespace) -> int:
    """Judge and print.

    Returns:
        1 if the judge gave no score at all.
    """
    spec = JudgeSpec.parse(options.judge)
    rubrics = [_named_rubric(text) for text in options.rubrics]
    _require_different([name for name, _, _ in rubrics])
    if options.out is not None:
        inputs = [*options.data, *options.leave_out, *(path for _, path, _ in rubrics)]
        require_further_output(options.out, "--out", [*inputs, *flags.named_files([spec], None)])
        if options.format == "table":
            raise OptionError("--out needs --format md, csv or json.")
    form = rubric_flags.labelled_form(options)
    left_out = _left_out(options.leave_out, [file for _, _, file in rubrics])
    files = [_evaluated_problems(read_labelled(path, form), left_out) for path in options.data]
    files = [sample(file, options.sample, options.seed) for file in files]
    conditions = [by_rubric(name, file.criterion) for name, _, file in rubrics]
    if conditions:
        require_use(conditions, [each for file in files for each in file.problems])
    registry = make_registry()
    defaults = flags.defaults_of_priced(options, spec, registry)
    results = []
    with (
        create_judge(spec, defaults, registry) as judge,
        opened_cache(not (options.no_cache or options.dry_run)) as cache,
    ):
        for file in files:
            results.append(
                evaluate_file(
                    file,
                    _conditions(conditions, file, options.seed),
                    judge,
                    pairwise=not options.no_pairwise,
                    exploit=not options.no_exploit,
                    name=spec.name,
                    seed=options.seed,
                    resamples=options.resamples,
                    cache=cache,
                )
            )
    usage = sum((each.usage for each in results if each.usage is not None), Usage())
    if options.dry_run:
        rubric_flags.say(f"judge: {usage}")
        rubric_flags.say("an estimate: no call was made, and no prefix cache is counted on")
        return 0
    facts = [("judge", str(spec)), ("seed", str(options.seed))]
    facts += [(f"rubric {name}", file.criterion.fingerprint) for name, _, file in rubrics]
    _put_out(options, evaluation_document(results, facts, "Evaluation of rubrics"), results)
    if usage.calls or usage.reused:
        print(textwrap.fill(plain(f"judge: {usage}"), WIDTH), file=sys.stderr)
    if any(result.accuracy.count for each in results for result in each.results):
        return 0
    print("inspector rubric eval: the judge gave no pair two scores", file=sys.stderr)
    return 1


def _conditions(given: Sequence[Condition], file: LabelledFile, seed: int) -> list[Condition]:
    """Choose what to judge a file by; rubrics that are for none of its problems are left out."""
    used = [each for each in given if any(map(each.criterion_for, file.problems))]
    if any(problem.rubric for problem in file.problems):
        used.append(by_human_rubric())
    conditions = [without_rubric(), *used]
    # Shuffled are the rubrics that people wrote, or else the last of those given for instances.
    for condition in reversed(used):
        other = by_another_problem(condition, file.problems, seed)
        if other is not None:
            return [*conditions, other]
    return conditions


def _named_rubric(text: str) -> tuple[str, Path, RubricFile]:
    name, equals, path = text.partition("=")
    if not equals or not name.strip() or not path:
        raise OptionError(f"--rubrics {text!r}: give a name and a file, as in generated=R.yaml.")
    return name.strip(), Path(path), read_rubric_file(expanded(path))


def _require_different(names: Sequence[str]) -> None:
    taken = {NO_RUBRIC_NAME, HUMAN_NAME}
    for name in names:
        if name in taken:
            raise OptionError(f"--rubrics: the name {name!r} is taken; give each another name.")
        taken.add(name)


def _left_out(paths: Sequence[Path], rubrics: Sequence[RubricFile]) -> frozenset[str]:
    """The problems that must not be evaluated on.

    These are the problems that rubrics of data sets were made from, those that a rubric's generator
    was tuned on, where its folder is still there, and those of the paths given.
    """
    problems: set[str] = set()
    folders = [path for path in paths if path.is_dir()]
    for rubric in rubrics:
        if rubric.criterion.items:
            problems |= made_from(rubric.generator)
        model = Path(str(rubric.generator.get("model", "")))
        if (model / "adapter_config.json").is_file() and (model / "card.json").is_file():
            folders.append(model)
    for path in (*folders, *paths):
        if path.is_dir():
            # The import is here because torch takes seconds to load.
            from inspector_plugin.rubrics.tuning_card import problems_of_adapter

            problems |= problems_of_adapter(path)
        else:
            problems |= {each.problem for each in read_labelled(path).problems}
    return frozenset(problems)


def _evaluated_problems(file: LabelledFile, left_out: frozenset[str]) -> LabelledFile:
    """Leave problems out.

    Raises:
        DataError: If none is left, or people have not said which responses are better.
    """
    kept = tuple(each for each in file.problems if each.problem not in left_out)
    dropped = len(file.problems) - len(kept)
    if dropped:
        rows = count_of(len(file.problems), "row")
        print(plain(f"{file.name}: {dropped} of {rows} of problems left out"), file=sys.stderr)
    if not kept:
        raise DataError(f"{file.path}: no problem is left that no rubric was made from.")
    if all(problem.contrast is None for problem in kept):
        raise DataError(
            f"{file.path}: no problem has two responses whose labels differ; name the field of the "
            "label with --label-field."
        )
    return replace(file, problems=kept)


def _put_out(
    options: argparse.Namespace, document: Document, results: Sequence[FileResult]
) -> None:
    if options.format == "table":
        print_tables(*terminal_tables(document, options.every_part))
        for text in remarks(results):
            print(textwrap.fill(plain(text), WIDTH, subsequent_indent="  "))
        return
    write = {"md": as_markdown, "csv": as_csv, "json": as_json}[options.format]
    text = write(document)
    if options.out is None:
        print(text, end="")
        return
    rubric_files.write_text(options.out, text)
    print(plain(f"written to {options.out}"), file=sys.stderr)
