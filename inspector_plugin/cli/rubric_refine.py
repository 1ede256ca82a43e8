"""`inspector rubric refine`: make a rubric better on a development split, without training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin.cli import flags, rubric_flags
from inspector_plugin.data.files import require_no_input
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.errors import DataError
from inspector_plugin.judging.cache import JudgeCache, opened_cache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.plugins.registry import make_registry
from inspector_plugin.rubrics.conditions import made_from
from inspector_plugin.rubrics.meta_judge import rating_requests
from inspector_plugin.rubrics.preferences import (
    Preferences,
    by_labels,
    by_meta_judge,
    pairs_to_ask,
    preference_requests,
)
from inspector_plugin.rubrics.propose import rewrite_ask
from inspector_plugin.rubrics.refine import (
    REWRITES,
    ROUNDS,
    Refined,
    Refiner,
    Settings,
    Split,
)
from inspector_plugin.rubrics.refine_log import as_lines, as_text
from inspector_plugin.rubrics.rewards import LABELS, META_JUDGE
from inspector_plugin.rubrics.verdicts import Row, VerdictTable, rows_of
from inspector_plugin.rubrics.writer import Writer, make_writer, usage_line
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.rubric_files import RubricFile, read_rubric_file

AUTO = "auto"
_HELD_SHARE = 0.4
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
    rubric_flags.check_out(options, *inputs)
    if options.out is not None and not options.dry_run:
        for path in _logs(options.out):
            require_no_input(path, "--out", inputs)
    file = read_rubric_file(options.rubric)
    if not file.criterion.items:
        raise DataError(
            f"{options.rubric} has items for single problems only; what is refined are the items "
            "for a data set (inspector rubric generate --scope dataset)."
        )
    dev, held = _splits(options)
    settings = Settings(
        rounds=options.rounds,
        rewrites=options.rewrites,
        lines=rubric_flags.writer_is_local(options.generator),
        seed=options.seed,
    )
    by = _by(dev, held, options)
    with (
        rubric_flags.writing_rubric(options),
        make_writer(
            options.generator,
            rubric_flags.model_defaults(options),
            cached=not options.no_cache,
            dry_run=options.dry_run,
        ) as writer,
        opened_cache(not options.no_cache) as cache,
    ):
        if options.dry_run:
            return _estimate(file.criterion, dev, held, by, writer, settings, options)
        refined = _refined(file.criterion, dev, held, by, writer, cache, settings, options)
        rubric_flags.say(usage_line("generator", writer.usage))
        _write(file, refined, dev, held, by, writer, options)
    return 0


def _splits(options: argparse.Namespace) -> tuple[list[Row], list[Row]]:
    """Read the two splits; no problem is in both.

    Raises:
        DataError: If one of them is empty.
    """
    problems = rubric_flags.read_problems(options.data, options)
    if options.held is not None:
        held = rubric_flags.read_problems(options.held, options)
        known = {each.problem for each in held}
        dev = [each for each in problems if each.problem not in known]
    else:
        held, dev = _halves(problems, options.seed)
    rows = rows_of(dev), rows_of(held)
    for name, some in zip(("development", "held"), rows, strict=True):
        if not some:
            raise DataError(
                f"{options.data}: the {name} split holds no responses; give more problems"
                + (", or a --held file of other problems." if options.held else ".")
            )
    return rows


def _halves(
    problems: Sequence[LabelledProblem], seed: int
) -> tuple[list[LabelledProblem], list[LabelledProblem]]:
    """Hold problems back: first shares of those with two labels, then of the others."""
    order = np.random.default_rng(seed).permutation(len(problems))
    shuffled = [problems[place] for place in order]
    held: list[LabelledProblem] = []
    dev: list[LabelledProblem] = []
    for contrast in (True, False):
        some = [each for each in shuffled if (each.contrast is not None) == contrast]
        count = round(_HELD_SHARE * len(some))
        held, dev = held + some[:count], dev + some[count:]
    return held, dev


def _by(dev: Sequence[Row], held: Sequence[Row], options: argparse.Namespace) -> str:
    """Say what tells which response is better, in both splits alike.

    Raises:
        DataError: If labels are asked for, or are there, and do not differ in one of the splits.
    """
    if options.by == META_JUDGE:
        return META_JUDGE
    known = [by_labels(rows) is not None for rows in (dev, held)]
    if all(known):
        return LABELS
    labelled = any(not np.isnan(row.label) for row in (*dev, *held))
    if options.by == AUTO and not labelled:
        return META_JUDGE
    raise DataError(
        f"{options.data} holds no contrast: "
        + ("the labels do not differ" if labelled else "there are no labels")
        + " in the development or the held split; name their field with --label-field, give more "
        "rows, or take --by meta-judge."
    )


def _refined(
    criterion: Criterion,
    dev: Sequence[Row],
    held: Sequence[Row],
    by: str,
    writer: Writer,
    cache: JudgeCache | None,
    settings: Settings,
    options: argparse.Namespace,
) -> Refined:
    registry, defaults = make_registry(), rubric_flags.model_defaults(options)
    spec = rubric_flags.judge_spec(options.judge, options.generator)
    meta_spec = rubric_flags.judge_spec(options.meta_judge, options.generator)
    judge = rubric_flags.make_judge(spec, registry, defaults, dry_run=False)
    assert judge is not None
    rubric_flags.require_items(judge, spec)
    with judge:
        meta_judge = (
            judge
            if str(meta_spec) == str(spec)
            else rubric_flags.make_judge(meta_spec, registry, defaults, dry_run=False)
        )
        assert meta_judge is not None
        with meta_judge:
            tables = [VerdictTable(judge, rows, cache, spec.name) for rows in (dev, held)]
            splits = [
                Split(table, _preferences(table.rows, by, meta_judge, cache, options))
                for table in tables
            ]
            taken = [item.key for each in criterion.instances for item in each.items]
            refiner = Refiner(splits[0], splits[1], writer, meta_judge, cache, settings, taken)
            refined = refiner.refine(criterion.items)
    for name, table in zip(("development", "held"), tables, strict=True):
        if table.usage is not None:
            rubric_flags.say(f"judge, {name} split: {table.usage}")
    return refined


def _preferences(
    rows: Sequence[Row],
    by: str,
    meta_judge: Judge,
    cache: JudgeCache | None,
    options: argparse.Namespace,
) -> Preferences:
    if by == META_JUDGE:
        found = by_meta_judge(rows, meta_judge, cache, options.pairs)
        if not len(found):
            raise DataError(
                "The meta-judge prefers no response whatever the order they stand in, so that "
                "nothing says which are better; give labels, or another --meta-judge."
            )
        return found
    labelled = by_labels(rows, options.seed)
    assert labelled is not None
    return labelled


def _write(
    file: RubricFile,
    refined: Refined,
    dev: Sequence[Row],
    held: Sequence[Row],
    by: str,
    writer: Writer,
    options: argparse.Namespace,
) -> None:
    print(as_text(refined.log))
    used = {row.problem.problem for row in (*dev, *held)} | made_from(file.generator)
    generator: dict[str, Any] = {
        **file.generator,
        "refined_by": dict(writer.describe()),
        "refined_on": f"{options.data.name} (sha256 {file_sha256(options.data)[:12]})",
        "refined_from": file.criterion.fingerprint,
        "judge": str(rubric_flags.judge_spec(options.judge, options.generator)),
        f"held_pair_accuracy_by_{by.replace('-', '_')}": {
            "before": refined.first,
            "after": refined.last,
        },
        "problems": sorted(used),
    }
    criterion = replace(file.criterion, items=refined.items)
    lines, text = _logs(options.out)
    rubric_flags.write_text(lines, "".join(as_lines(refined.log)))
    rubric_flags.write_text(text, as_text(refined.log) + "\n")
    figures = f"{_share(refined.first)} before, {_share(refined.last)} after"
    rubric_flags.say(
        f"pair accuracy by {by} on the held split: {figures}. It chose among rubrics, so it is no "
        "estimate for other problems; inspector rubric eval gives one"
    )
    if refined.items == file.criterion.items:
        rubric_flags.say("no change did better on the held split: the rubric is as it was")
    rubric_flags.write_rubric(RubricFile(file.name, criterion, file.source, generator), options.out)


def _estimate(
    criterion: Criterion,
    dev: Sequence[Row],
    held: Sequence[Row],
    by: str,
    writer: Writer,
    settings: Settings,
    options: argparse.Namespace,
) -> int:
    """Say what the run would cost if each round judges one rewrite as long as the rubric."""
    registry, defaults = make_registry(), rubric_flags.model_defaults(options)
    spec = rubric_flags.judge_spec(options.judge, options.generator)
    meta_spec = rubric_flags.judge_spec(options.meta_judge, options.generator)
    findings = "\n".join(f"- [{item.kind}] {item.text}" for item in criterion.items)
    most = max(12, len(criterion.items))
    asks = [
        rewrite_ask(findings, [], number, (5, most), settings.lines)
        for number in range(settings.rounds * settings.rewrites)
    ]
    writer.write(asks, "Estimating")
    rubric_flags.say(usage_line("generator", writer.usage))
    whole = replace(criterion, instances=())
    requests = [
        JudgeRequest(row.problem.question, row.response, (whole,), row.problem.dataset)
        for row in (*dev, *held)
    ]
    judge = rubric_flags.make_judge(spec, registry, defaults, dry_run=True)
    rounds = 1 + settings.rounds * (settings.rewrites > 0)
    rubric_flags.say(rubric_flags.estimated(judge, "judge", requests * rounds))
    rewrites = settings.rewrites * settings.rounds
    asked = rating_requests([row.problem for row in dev[:3]], [criterion.items] * rewrites)
    if by == META_JUDGE:
        for rows in (dev, held):
            asked += preference_requests(rows, pairs_to_ask(rows, options.pairs))
    meta_judge = rubric_flags.make_judge(meta_spec, registry, defaults, dry_run=True)
    rubric_flags.say(rubric_flags.estimated(meta_judge, "meta-judge", asked))
    rubric_flags.say(
        "an estimate: no call was made, no prefix cache is counted on, and splits of items are "
        "not counted"
    )
    return 0


def _logs(out: Path) -> tuple[Path, Path]:
    return out.with_name(out.name + ".log.jsonl"), out.with_name(out.name + ".log.txt")


def _share(accuracy: float | None) -> str:
    return "not defined" if accuracy is None else f"{accuracy:.3f}"
