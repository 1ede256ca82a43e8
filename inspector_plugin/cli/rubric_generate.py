"""`inspector rubric generate`: write rubrics for a data set, for its problems, or both."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inspector_plugin.cli import flags, rubric_files, rubric_flags, rubric_models
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.errors import DataError, JudgeError, OptionError, count_of
from inspector_plugin.rubrics.generate import (
    BATCH_SIZE,
    FEWEST_ITEMS,
    KEPT_ITEMS,
    MOST_BATCHES,
    VERDICT_ROWS,
    DataSetItems,
    Plan,
    ProblemItems,
    data_set_asks,
    generate_for_data_set,
    generate_for_problems,
    problem_asks,
    shown_for,
    verdict_rows,
)
from inspector_plugin.rubrics.generate_data import judged_responses, read_stored
from inspector_plugin.rubrics.local_work import LocalWork
from inspector_plugin.rubrics.near import StoredRubric
from inspector_plugin.rubrics.propose import Items
from inspector_plugin.rubrics.verdicts import Row, VerdictTable
from inspector_plugin.rubrics.writer import Writer
from inspector_plugin.schema.criteria import RUBRIC, Criterion
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.rubric_files import RubricFile
from inspector_plugin.schema.rubrics import MOST_ITEMS, RubricItem

DATA_SET, INSTANCE, BOTH = "dataset", "instance", "both"
# In a dry run, what stands for an item that is not written yet.
_STAND_IN = "The response states, step by step, how each figure that it uses follows ({})."


def add_action(actions: flags.Commands[flags.Parser]) -> None:
    """Add the action to the parser of `inspector rubric`."""
    parser = actions.add_parser(
        "generate",
        help="write rubrics for a data set, or for each of its problems",
        description="Have a language model write a rubric for the problems of DATA: items that "
        "suit all of them (dataset), items for each (instance), or both. Responses, and labels "
        "where rows have any, show it what tells good from bad. Every reply is kept: a run that "
        "was interrupted resumes when it is called again, and pays for nothing twice.",
    )
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="JSONL: rows of question and response, and a label if known; or of question, "
        "responses and which is preferred",
    )
    parser.add_argument("--scope", choices=(DATA_SET, INSTANCE, BOTH), default=DATA_SET)
    rubric_flags.add_out_flags(parser)
    rubric_flags.add_model_flags(parser)
    rubric_flags.add_data_flags(parser)
    count = rubric_flags.add_count
    count(parser, "--problems-per-call", BATCH_SIZE, "problems in one proposal of items")
    count(parser, "--calls", MOST_BATCHES, "most proposals for the data set")
    count(parser, "--fewest", FEWEST_ITEMS, "fewest items for the data set")
    count(parser, "--most", KEPT_ITEMS, "most items for the data set")
    count(parser, "--verdicts-on", VERDICT_ROWS, "responses on which proposed items are compared")
    parser.add_argument(
        "--stored",
        type=Path,
        metavar="R0",
        help="a rubric file whose items for similar problems serve as examples",
    )
    parser.add_argument(
        "--stored-data",
        type=Path,
        metavar="FILE",
        help="JSONL with the questions of the problems in --stored (default: DATA)",
    )
    parser.add_argument(
        "--judged",
        type=Path,
        action="append",
        metavar="FILE",
        help="responses that the rubric will judge; items made from one of them are marked "
        "transductive; may be given several times (default: DATA)",
    )
    parser.add_argument("--name", metavar="NAME", help="the rubric's name (default: that of DATA)")
    parser.set_defaults(run_command=run_rubric_generate)


def run_rubric_generate(options: argparse.Namespace) -> int:
    """Generate, write the rubric file, and say what came of it.

    Returns:
        1 if a problem got no items.
    """
    if options.fewest > options.most:
        raise OptionError(f"--fewest {options.fewest} is more than --most {options.most}.")
    if options.most > MOST_ITEMS:
        raise OptionError(f"--most must be at most {MOST_ITEMS}, not {options.most}.")
    named = (options.stored, options.stored_data, *(options.judged or ()))
    rubric_files.check_out(options, options.data, *filter(None, named))
    problems = rubric_files.read_problems(options.data, options)
    stored = _stored(options)
    plan = Plan(
        batch_size=options.problems_per_call,
        batches=options.calls,
        fewest=options.fewest,
        most=options.most,
        verdict_rows=options.verdicts_on,
        lines=rubric_models.writer_is_local(options.generator),
        seed=options.seed,
    )
    with rubric_models.opened_models(options) as models:
        _warn(problems, plan, options.scope)
        models.say_time(
            lambda tokens: _local_work(problems, stored, models, plan, options.scope, tokens)
        )
        if options.dry_run:
            return _estimate(problems, stored, models, plan, options)
        for_all = _for_data_set(problems, models, plan, options)
        items = for_all.items if for_all else ()
        for_each = _for_problems(problems, stored, models.writer, plan, items, options)
        models.say_cost_of_writing()
        if not items and not (for_each and for_each.instances):
            assert for_each is not None
            reason, count = for_each.failed.most_common(1)[0]
            why = f"{count_of(count, 'time')}: {reason}"
            raise JudgeError(
                f"No problem of {len(problems)} got a rubric ({why}); use a larger language model."
            )
        file = _file(problems, items, for_each, models, plan, options)
        rubric_files.write_rubric(file, options.out)
    return 1 if for_each is not None and for_each.failed else 0


def _for_data_set(
    problems: Sequence[LabelledProblem],
    models: rubric_models.Models,
    plan: Plan,
    options: argparse.Namespace,
) -> DataSetItems | None:
    if options.scope == INSTANCE:
        return None
    tables: list[VerdictTable] = []

    def table(rows: Sequence[Row]) -> VerdictTable:
        tables.append(VerdictTable(judge, rows, models.cache, models.judge_spec.name))
        return tables[-1]

    with models.judge() as judge:
        found = generate_for_data_set(problems, models.writer, table, plan)
    _print_data_set(found)
    for each in tables:
        if each.usage is not None:
            rubric_flags.say(f"judge: {each.usage}")
    return found


def _for_problems(
    problems: Sequence[LabelledProblem],
    stored: Sequence[StoredRubric],
    writer: Writer,
    plan: Plan,
    items: Items,
    options: argparse.Namespace,
) -> ProblemItems | None:
    if options.scope == DATA_SET:
        return None
    found = generate_for_problems(
        problems,
        writer,
        plan,
        items=items,
        stored=stored,
        judged=judged_responses(options.judged),
        source=options.data.name,
    )
    used = sum(instance.transductive for instance in found.instances)
    rubric_flags.say(
        f"{len(found.instances)} of {count_of(len(problems), 'problem')} have items of their own; "
        f"{used} of them were made from responses that are to be judged (transductive)"
    )
    _print_failed(found.failed)
    return found


def _file(
    problems: Sequence[LabelledProblem],
    items: Items,
    for_each: ProblemItems | None,
    models: rubric_models.Models,
    plan: Plan,
    options: argparse.Namespace,
) -> RubricFile:
    instances = () if for_each is None else for_each.instances
    criterion = Criterion(RUBRIC, "Rubric", items=items, instances=instances)
    count = count_of(len(problems), "problem")
    source = f"{options.data.name} ({count}, sha256 {_short_hash(options.data)})"
    generator: dict[str, Any] = {
        **models.writer.describe(),
        "scope": options.scope,
        "seed": options.seed,
    }
    if items:
        generator["problems_per_call"], generator["calls"] = plan.batch_size, plan.batches
        generator["judge"] = str(models.judge_spec)
        generator["problems"] = sorted(problem.problem for problem in problems)
    return RubricFile(options.name or _stem(options.data), criterion, source, generator)


def _estimate(
    problems: Sequence[LabelledProblem],
    stored: Sequence[StoredRubric],
    models: rubric_models.Models,
    plan: Plan,
    options: argparse.Namespace,
) -> int:
    """Say what the run would cost, as far as that is known before anything is written."""
    calls = 0
    if options.scope != INSTANCE:
        asks = data_set_asks(problems, plan)
        calls = len(asks)
        models.writer.write(asks, "Estimating")
    if options.scope != DATA_SET:
        models.writer.write(problem_asks(problems, stored, plan), "Estimating")
    models.say_cost_of_writing()
    if calls:
        count = min(calls * plan.most, MOST_ITEMS)
        items = tuple(RubricItem(f"item_{n}", _STAND_IN.format(n)) for n in range(1, count + 1))
        criterion = Criterion(RUBRIC, "Rubric", items=items)
        requests = [
            JudgeRequest(row.problem.question, row.response, (criterion,), row.problem.dataset)
            for row in verdict_rows(problems, plan)
        ]
        models.say_cost_of_judging(requests)
    rubric_flags.say("an estimate: no call was made, and no prefix cache is counted on")
    return 0


def _local_work(
    problems: Sequence[LabelledProblem],
    stored: Sequence[StoredRubric],
    models: rubric_models.Models,
    plan: Plan,
    scope: str,
    tokens: int,
) -> LocalWork:
    """Say what the models on this machine have to do if every proposal is of full length."""
    work = LocalWork()
    if scope != INSTANCE:
        asks = data_set_asks(problems, plan)
        work.add_writing(asks, tokens)
        if models.judges_here:
            rows = verdict_rows(problems, plan)
            work.add_judging(rows, min(len(asks) * plan.most, MOST_ITEMS))
    if scope != DATA_SET:
        work.add_writing(problem_asks(problems, stored, plan), tokens)
    return work


def _warn(problems: Sequence[LabelledProblem], plan: Plan, scope: str) -> None:
    """Say where the data shows the generator no contrast."""
    labels = {label for problem in problems for label in problem.labels if label is not None}
    if scope != INSTANCE and len(labels) < 2:
        what = "no labels" if not labels else "one label for all responses"
        rubric_flags.say(
            f"no contrast: the data has {what}, so that the generator is not told which responses "
            "are better; see --label-field"
        )
    alone = sum(not shown_for(problem, plan.seed).responses for problem in problems)
    if scope != DATA_SET and alone:
        rubric_flags.say(
            f"no contrast: {alone} of {count_of(len(problems), 'problem')} have no two different "
            "responses; their items are made from the problem alone"
        )


def _stored(options: argparse.Namespace) -> list[StoredRubric]:
    if options.stored is None:
        return []
    source = options.stored_data or options.data
    found, count = read_stored(options.stored, source)
    if not found:
        raise DataError(
            f"--stored {options.stored}: it is for other problems: none of its {count} is in "
            f"{source}; name the file with their questions by --stored-data."
        )
    return found


def _print_data_set(found: DataSetItems) -> None:
    rubric_flags.say(
        f"{count_of(found.proposed, 'item')} proposed, {found.merged} in different words, "
        f"{len(found.items)} kept:"
    )
    for item in found.items:
        rubric_flags.say(f"  [{item.kind}, weight {item.weight:g}] {item.text}")
    for item, why in found.dropped:
        rubric_flags.say(f"  left out, as {why}: {item.text}")
    _print_failed(found.failed)


def _print_failed(failed: Counter[str]) -> None:
    for reason, count in failed.most_common():
        rubric_flags.say(f"no items, {count_of(count, 'time')}: {reason}")


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl") or "rubric"


def _short_hash(path: Path) -> str:
    return file_sha256(path)[:12]
