"""`inspector rubric refine`: make a rubric better on a development split, without training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inspector_plugin.cli import flags, rubric_files, rubric_flags, rubric_models
from inspector_plugin.data.files import require_further_output
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.errors import DataError
from inspector_plugin.rubrics.conditions import made_from
from inspector_plugin.rubrics.local_work import LocalWork
from inspector_plugin.rubrics.meta_judge import QUALITIES, rating_requests
from inspector_plugin.rubrics.preferences import (
    pairs_to_ask,
    preference_requests,
)
from inspector_plugin.rubrics.propose import Items, rewrite_ask
from inspector_plugin.rubrics.refine import REWRITES, ROUNDS, Refined, Refiner, Settings
from inspector_plugin.rubrics.refine_data import AUTO, better_by, preferences, two_splits
from inspector_plugin.rubrics.refine_log import as_lines, as_text
from inspector_plugin.rubrics.rewards import LABELS, META_JUDGE
from inspector_plugin.rubrics.split import Split
from inspector_plugin.rubrics.verdicts import Row, VerdictTable
from inspector_plugin.rubrics.writer import Ask
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.rubric_files import RubricFile, read_rubric_file

_MOST_PAIRS = 100


def add_action(actions: flags.Commands[flags.Parser]) -> None:
    """Add the action to the parser of `inspector rubric`."""
    parser = actions.add_parser(
        "refine",
        help="make a rubric better on a development split, without training",
        description="Judge the responses of DEV by rubric R. Split items that nearly every "
        "response meets, drop those that prefer worse responses or repeat another, weigh the "
        "others, and have a language model rewrite the rubric; what results is accepted only if it "
        "does better on problems that were held back. Which responses are better is known from "
        "labels, or else from the meta-judge. OUT.log.jsonl and OUT.log.txt say what changed and "
        "why. A run that was interrupted resumes when it is called again.",
    )
    parser.add_argument("rubric", type=Path, metavar="R", help="the rubric file to refine")
    parser.add_argument(
        "--data",
        required=True,
        type=Path,
        metavar="DEV",
        help="JSONL of a development split: rows of question and response, and a label if known; "
        "or of question, responses and which is preferred",
    )
    parser.add_argument(
        "--held",
        type=Path,
        metavar="FILE",
        help="JSONL of other problems to accept changes on (default: 40%% of DEV's)",
    )
    rubric_flags.add_out_flags(parser)
    rubric_flags.add_model_flags(parser)
    parser.add_argument(
        "--meta-judge",
        metavar="SPEC",
        help="the judge that rates rubrics, and compares responses without labels (default: the "
        "generator)",
    )
    parser.add_argument(
        "--by",
        choices=(AUTO, LABELS, META_JUDGE),
        default=AUTO,
        help="what says which response is better (default: labels where there are any)",
    )
    rubric_flags.add_data_flags(parser)
    count = rubric_flags.add_count
    count(parser, "--rounds", ROUNDS, "rounds")
    count(parser, "--rewrites", REWRITES, "rewrites in each round; 0 for none", least=0)
    count(parser, "--pairs", _MOST_PAIRS, "most pairs of a split that the meta-judge compares")
    parser.set_defaults(run_command=run_rubric_refine)


def run_rubric_refine(options: argparse.Namespace) -> int:
    """Refine, write the rubric and the log, and say what came of it.

    Returns:
        0, whether a change was accepted or not.
    """
    inputs = [options.rubric, options.data, *([options.held] if options.held else [])]
    rubric_files.check_out(options, *inputs)
    if options.out is not None and not options.dry_run:
        for path in _logs(options.out):
            require_further_output(path, "--out", inputs)
    file = read_rubric_file(options.rubric)
    if not file.criterion.items:
        raise DataError(
            f"{options.rubric} has items for single problems only; what is refined are the items "
            "for a data set (inspector rubric generate --scope dataset)."
        )
    held_back = None if options.held is None else rubric_files.read_problems(options.held, options)
    problems = rubric_files.read_problems(options.data, options)
    dev, held = two_splits(problems, held_back, options.seed, options.data)
    settings = Settings(
        rounds=options.rounds,
        rewrites=options.rewrites,
        lines=rubric_models.writer_is_local(options.generator),
        seed=options.seed,
    )
    by = better_by(options.by, dev, held, options.data)
    with rubric_models.opened_models(options) as models:
        models.say_time(
            lambda tokens: _local_work(
                file.criterion, (dev, held), by, models, settings, options.pairs, tokens
            )
        )
        if options.dry_run:
            return _estimate(file.criterion, dev, held, by, models, settings, options)
        refined = _refined(file.criterion, (dev, held), by, models, settings, options)
        models.say_cost_of_writing()
        _write(file, refined, dev, held, by, models, options)
    return 0


def _refined(
    criterion: Criterion,
    splits: Sequence[Sequence[Row]],
    by: str,
    models: rubric_models.Models,
    settings: Settings,
    options: argparse.Namespace,
) -> Refined:
    with models.judge() as judge, models.meta_judge(judge) as meta_judge:
        tables = [
            VerdictTable(judge, rows, models.cache, models.judge_spec.name) for rows in splits
        ]
        dev, held = (
            Split(
                table,
                preferences(
                    table.rows,
                    by,
                    meta_judge,
                    models.cache,
                    most_pairs=options.pairs,
                    seed=options.seed,
                ),
            )
            for table in tables
        )
        taken = [item.key for each in criterion.instances for item in each.items]
        refiner = Refiner(dev, held, models.writer, meta_judge, models.cache, settings, taken)
        refined = refiner.refine(criterion.items)
    for name, table in zip(("development", "held"), tables, strict=True):
        if table.usage is not None:
            rubric_flags.say(f"judge, {name} split: {table.usage}")
    return refined


def _write(
    file: RubricFile,
    refined: Refined,
    dev: Sequence[Row],
    held: Sequence[Row],
    by: str,
    models: rubric_models.Models,
    options: argparse.Namespace,
) -> None:
    print(as_text(refined.log))
    used = {row.problem.problem for row in (*dev, *held)} | made_from(file.generator)
    generator: dict[str, Any] = {
        **file.generator,
        "refined_by": dict(models.writer.describe()),
        "refined_on": f"{options.data.name} (sha256 {file_sha256(options.data)[:12]})",
        "refined_from": file.criterion.fingerprint,
        "judge": str(models.judge_spec),
        f"held_pair_accuracy_by_{by.replace('-', '_')}": {
            "before": refined.first,
            "after": refined.last,
        },
        "problems": sorted(used),
    }
    criterion = replace(file.criterion, items=refined.items)
    lines, text = _logs(options.out)
    rubric_files.write_text(lines, "".join(as_lines(refined.log)))
    rubric_files.write_text(text, as_text(refined.log) + "\n")
    figures = f"{_share(refined.first)} before, {_share(refined.last)} after"
    rubric_flags.say(
        f"pair accuracy by {by} on the held split: {figures}. It chose among rubrics, so it is no "
        "estimate for other problems; inspector rubric eval gives one"
    )
    if refined.items == file.criterion.items:
        rubric_flags.say("no change did better on the held split: the rubric is as it was")
    rubric_files.write_rubric(RubricFile(file.name, criterion, file.source, generator), options.out)


def _estimate(
    criterion: Criterion,
    dev: Sequence[Row],
    held: Sequence[Row],
    by: str,
    models: rubric_models.Models,
    settings: Settings,
    options: argparse.Namespace,
) -> int:
    """Say what the run would cost if each round judges one rewrite as long as the rubric."""
    models.writer.write(_rewrite_asks(criterion, settings), "Estimating")
    models.say_cost_of_writing()
    whole = replace(criterion, instances=())
    requests = [
        JudgeRequest(row.problem.question, row.response, (whole,), row.problem.dataset)
        for row in (*dev, *held)
    ]
    rounds = 1 + settings.rounds * (settings.rewrites > 0)
    models.say_cost_of_judging(requests * rounds)
    rewrites = settings.rewrites * settings.rounds
    asked = rating_requests([row.problem for row in dev[:3]], [criterion.items] * rewrites)
    if by == META_JUDGE:
        for rows in (dev, held):
            asked += preference_requests(rows, pairs_to_ask(rows, options.pairs))
    models.say_cost_of_meta_judging(asked)
    rubric_flags.say(
        "an estimate: no call was made, no prefix cache is counted on, and splits of items are "
        "not counted"
    )
    return 0


def _rewrite_asks(criterion: Criterion, settings: Settings) -> list[Ask[Items]]:
    """Ask for all rewrites of a run, without what judging will have shown."""
    findings = "\n".join(f"- [{item.kind}] {item.text}" for item in criterion.items)
    most = max(12, len(criterion.items))
    return [
        rewrite_ask(findings, [], number, (5, most), settings.lines)
        for number in range(settings.rounds * settings.rewrites)
    ]


def _local_work(
    criterion: Criterion,
    splits: Sequence[Sequence[Row]],
    by: str,
    models: rubric_models.Models,
    settings: Settings,
    most_pairs: int,
    tokens: int,
) -> LocalWork:
    """Say what the models on this machine have to do if each round judges a rubric as long."""
    work = LocalWork()
    every = [row for rows in splits for row in rows]
    # Of four problems, or responses: as many tokens as one has characters.
    shown = sum(len(row.problem.question + row.response) for row in every) // len(every)
    for _ in range(settings.rounds):
        # Each rewrite is shown up to four pairs of responses.
        asks = _rewrite_asks(criterion, replace(settings, rounds=1))
        work.add_writing(asks, tokens, more_tokens=2 * shown)
    if models.judges_here:
        for _ in range(1 + settings.rounds * (settings.rewrites > 0)):
            work.add_judging(every, len(criterion.items))
    if models.meta_reply_tokens is not None:
        ratings = len(QUALITIES) * settings.rewrites * settings.rounds
        pairs = sum(len(pairs_to_ask(rows, most_pairs)) for rows in splits if by == META_JUDGE)
        work.add_replies(ratings + 2 * pairs, models.meta_reply_tokens, 2 * shown + 600)
    return work


def _logs(out: Path) -> tuple[Path, Path]:
    return out.with_name(out.name + ".log.jsonl"), out.with_name(out.name + ".log.txt")


def _share(accuracy: float | None) -> str:
    return "not defined" if accuracy is None else f"{accuracy:.3f}"
