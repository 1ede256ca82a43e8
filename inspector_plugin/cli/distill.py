"""`inspector distill`: from an expensive judge to a cheap one that is measured."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from inspector_plugin.agreement.bars import AUC, Bar
from inspector_plugin.agreement.replacement import DEFAULT_BAR
from inspector_plugin.cli import flags
from inspector_plugin.cli.row_flags import add_field_flags, read_form
from inspector_plugin.data.files import require_no_input
from inspector_plugin.data.inputs import InputRows
from inspector_plugin.data.tables import InputFile
from inspector_plugin.errors import OptionError, count_of
from inspector_plugin.judges.inspector.plan import TrainingPlan
from inspector_plugin.judges.running import RunningOptions
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.plugins.registry import JudgeRegistry, make_registry
from inspector_plugin.report.distill import (
    JUDGES,
    distill_document,
    dollars,
    figures_to_json,
    judge_flags,
)
from inspector_plugin.report.distill_figures import DistillFigures
from inspector_plugin.report.printing import OUTPUT_FORMATS, OutputFormat, print_document
from inspector_plugin.report.tables import plain
from inspector_plugin.workflows.distill import distill, planned
from inspector_plugin.workflows.distill_plan import (
    AUTO,
    DATASET,
    PROBE_LABELS,
    DistillPlan,
    Running,
)


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "distill",
        description="Choose responses of LOGS, have the reference label them within a budget, hold "
        "problems back, train probes on the others, and say whether these may replace the "
        "reference, where not, and what that saves. Writes the probes, a cascade where the probes "
        "alone will not do, and a report to the folder OUT. A run that was interrupted resumes "
        "when it is called again: no label is paid for twice.",
    )
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="LOGS", help="what inspector score takes"
    )
    parser.add_argument(
        "--reference", required=True, metavar="SPEC", help=f"the expensive judge: {flags.SPEC_HELP}"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of all outputs")
    _add_label_flags(parser)
    flags.add_criteria_flag(parser)
    flags.add_dataset_flag(parser)
    add_field_flags(parser)
    flags.add_limit_flag(parser)
    parser.add_argument(
        "--min",
        action="append",
        default=[],
        metavar="FIGURE=VALUE",
        help="what agreement with the reference has to clear, by the lower end of its interval; "
        "may be given several times; the exit status is then 1 if a criterion does not (default: "
        f"{DEFAULT_BAR.figure}={DEFAULT_BAR.value:g})",
    )
    _add_training_flags(parser)
    parser.add_argument(
        "--audit-rows",
        type=flags.count,
        default=20,
        metavar="N",
        help="held-out responses to edit, and problems of the sanity suite to judge; 0 for no "
        "audits (default: 20)",
    )
    flags.add_judge_option(parser, "concurrency")
    flags.add_cache_flag(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan and its cost, make no call"
    )
    flags.add_overwrite_flag(parser)
    parser.add_argument("--format", choices=OUTPUT_FORMATS, default="table", help="default: table")
    parser.set_defaults(run_command=run_distill, criterion_field=None, rubric_field=None)


def _add_label_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-cost",
        type=float,
        metavar="USD",
        help="what the labels may cost, over all calls of the command; as many rows are labelled "
        "as that is estimated to buy",
    )
    parser.add_argument("--labels", type=flags.positive, metavar="N", help="the most rows to label")
    parser.add_argument(
        "--held-out",
        type=float,
        default=0.4,
        metavar="SHARE",
        help="share of the problems, and of the labels, that is held back (default: 0.4)",
    )
    parser.add_argument(
        "--cheap",
        default=AUTO,
        metavar="SPEC",
        help="the judge whose doubt guides the choice of rows to train on; auto: inspector, where "
        "it can judge the rows; none: equal chances (default: auto)",
    )


def _add_training_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="smollm2-135m-instruct", help="language model")
    parser.add_argument(
        "--probe-labels",
        choices=PROBE_LABELS,
        default=AUTO,
        help="multiclass: the criteria's scales; binary: low/high quality; auto: whichever more "
        "criteria have labels enough for (default: auto)",
    )
    flags.add_options(parser, TrainingPlan)
    parser.add_argument(
        "--jobs", type=flags.positive, metavar="N", help="processes; default: one per core"
    )
    flags.add_options(parser, RunningOptions)


def run_distill(options: argparse.Namespace) -> int:
    """Distil, print the conclusions, and say where everything is.

    Returns:
        1 if a bar was given and a criterion does not clear it.
    """
    registry = make_registry()
    plan = _plan(options, registry)
    rows = InputRows(_inputs(options), plan.form, options.limit)
    _check_out(options, rows, plan)
    for note in rows.notes:
        _say(note)
    if options.dry_run:
        _print_plan(rows, plan, registry)
        return 0
    figures = distill(rows, plan, registry, overwrite=options.overwrite, say=_say)
    _print(figures, options.format)
    _say(f"everything is in {plan.out}; the report is {plan.report}")
    return 1 if options.min and not all(each.may_replace for each in figures.found) else 0


def _print(figures: DistillFigures, output_format: OutputFormat) -> None:
    document = distill_document(figures)
    if output_format == "table":
        shown = [section for section in document.sections if section.key != JUDGES]
        document = dataclasses.replace(document, sections=shown)
    print_document(document, figures_to_json(figures), output_format)
    if output_format == "table":
        for line in judge_flags(figures):
            print(plain(line))


def _plan(options: argparse.Namespace, registry: JudgeRegistry) -> DistillPlan:
    reference = JudgeSpec.parse(options.reference)
    given = {"concurrency": options.concurrency, "max_cost": options.max_cost}
    given = {name: value for name, value in given.items() if value is not None}
    flags.require_use(given, [reference], registry)
    given.pop("max_cost", None)
    running = flags.chosen_options(options, RunningOptions)
    return DistillPlan(
        options.out,
        reference,
        read_form(options),
        TrainingPlan(DATASET, **flags.chosen_options(options, TrainingPlan)),
        model=options.model,
        max_cost=options.max_cost,
        labels=options.labels,
        held_out=options.held_out,
        bars=_bars(options.min),
        cheap=options.cheap,
        probe_labels=options.probe_labels,
        reference_options=given,
        running=Running(**running, jobs=options.jobs),
        audit_rows=options.audit_rows,
        cached=not options.no_cache,
    )


def _bars(texts: list[str]) -> tuple[Bar, ...]:
    bars = tuple(Bar.parse(text) for text in texts)
    if any(bar.figure == AUC for bar in bars):
        raise OptionError("--min auc: there is no outcome here to compare with; give another one.")
    return bars or (DEFAULT_BAR,)


def _inputs(options: argparse.Namespace) -> list[Path | InputFile]:
    if any(str(path) == "-" for path in options.paths):
        raise OptionError(
            "distill cannot read standard input: a call that resumes reads the rows again; save "
            "them to a file."
        )
    return [
        path if path.is_dir() else InputFile(path, encoding=options.encoding)
        for path in options.paths
    ]


def _check_out(options: argparse.Namespace, rows: InputRows, plan: DistillPlan) -> None:
    """Refuse a folder that is no folder, or holds an input where an output would go."""
    if plan.out.exists() and not plan.out.is_dir():
        raise OptionError(f"--out {plan.out} is a file; give a folder.")
    inputs = [file.path for file in rows.files]
    inputs += flags.named_files([plan.reference], options.criteria)
    for written in plan.written:
        require_no_input(written, "--out", inputs)


def _print_plan(rows: InputRows, plan: DistillPlan, registry: JudgeRegistry) -> None:
    found = planned(rows, plan, registry)
    print(
        f"{found.labels} of {count_of(found.candidates, 'row')} would be labelled: "
        f"{found.labels - found.held_out} to train on, {found.held_out} on held-out problems."
    )
    for reason, count in found.left_out.items():
        print(f"{count_of(count, 'row')} would be left out: {reason}.")
    price, cost = found.estimate.price, found.cost
    if price is None or cost is None:
        print(f"What {plan.reference.name} costs is not known.")
        return
    print(
        f"Estimate, without the provider's prefix cache: {dollars(cost)}, ${price:.6f} a row; "
        f"{dollars(price * found.candidates)} for all rows."
    )


def _say(text: str) -> None:
    print(plain(f"inspector distill: {text}"), file=sys.stderr)
