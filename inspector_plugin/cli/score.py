"""`inspector score`: judge responses that are there already, without lm_eval."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.agreement.collected import PairedScores, Problems
from inspector_plugin.cli import flags
from inspector_plugin.cli.row_flags import add_field_flags, add_form_flags, read_form
from inspector_plugin.cli.score_ray import add_engine_flags, require_engine, score_by_ray
from inspector_plugin.data.files import (
    require_further_output,
    require_no_input,
    run_file,
    write_whole,
)
from inspector_plugin.data.inputs import InputRows
from inspector_plugin.data.merged_logs import require_new_filters, write_merged_log
from inspector_plugin.data.requests import RequestForm, RequestRow
from inspector_plugin.data.sample_logs import SampleLog
from inspector_plugin.data.tables import InputFile
from inspector_plugin.errors import DataError, OptionError, count_of
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import cannot_judge
from inspector_plugin.judging.score_file import score_rows, score_to_file
from inspector_plugin.judging.validate import description_of
from inspector_plugin.plugins.options import JudgeSpec, unique_names
from inspector_plugin.plugins.registry import create_judge, make_registry
from inspector_plugin.report.judge_figures import JudgeFigures, JudgeSummary
from inspector_plugin.report.summary import print_summaries
from inspector_plugin.report.tables import plain
from inspector_plugin.schema.flags import DroppedFlags
from inspector_plugin.schema.records import Judgement

STANDARD_INPUT = "-"


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "score",
        description="Judge each response and write it to OUT with its judgements added. PATH is a "
        "sample log of lm_eval or a folder of its results (the newest log of each model and task), "
        "a file of rows (JSONL, JSON, CSV, Parquet) with question and response, or - for standard "
        "input. A run that was interrupted resumes when it is called again. Without --out, the "
        "rows go to standard output and the tables to standard error.",
    )
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH", help="what to judge, see above"
    )
    parser.add_argument("--out", type=Path, metavar="OUT", help="JSONL to write")
    flags.add_overwrite_flag(parser)
    parser.add_argument(
        "--merge-log",
        type=Path,
        metavar="PATH",
        help="also write a copy of the sample log with the judgements in it (a folder for several)",
    )
    parser.add_argument("--summary", type=Path, metavar="PATH", help="write the figures as JSON")
    flags.add_drop_flagged_flag(parser)
    flags.add_judge_flags(parser)
    flags.add_judge_option(parser, "concurrency", "max_cost", "keep")
    flags.add_cache_flag(parser)
    add_form_flags(parser)
    add_field_flags(parser)
    flags.add_limit_flag(parser)
    flags.add_seed_flag(parser)
    add_engine_flags(parser)
    parser.set_defaults(run_command=run_score)


def run_score(options: argparse.Namespace) -> int:
    """Judge the files, write the output and print the figures.

    Returns:
        1 if a judge gave no score at all.
    """
    specs = [JudgeSpec.parse(text) for text in options.judge]
    if options.reference is not None:
        specs.append(JudgeSpec.parse(options.reference))
    require_engine(options)
    named = [path for path in options.paths if str(path) != STANDARD_INPUT]
    if options.engine == "local":
        _check_outputs(options, named, specs)
    form = read_form(options)
    names = unique_names(specs)
    reference = names[-1] if options.reference is not None else None
    registry, defaults = make_registry(), flags.judge_defaults(options)
    flags.require_use(defaults, specs, registry)
    if options.engine == "ray":
        figures = _Figures(names, reference, options.drop_flagged)
        by_name = dict(zip(names, specs, strict=True))
        count, made_by = score_by_ray(options, form, by_name, defaults, figures.add)
        return _conclude(options, figures, reference, made_by, count)
    with ExitStack() as stack:
        rows = InputRows(_inputs(options, stack), form, options.limit)
        _check_outputs(options, [file.path for file in rows.files], specs)
        _check_merging(options, rows, names)
        for note in rows.notes:
            print(plain(f"inspector: {note}"), file=sys.stderr)
        judges = {
            name: stack.enter_context(create_judge(spec, defaults, registry))
            for name, spec in zip(names, specs, strict=True)
        }
        warn_of_unscored(judges, rows)
        made_by = describe_run(rows, form, judges, specs)
        cache = stack.enter_context(opened_cache(not options.no_cache))
        figures = _Figures(names, reference, options.drop_flagged)
        if options.out is None:
            score_rows(rows, judges, sys.stdout.writelines, on_row=figures.add, cache=cache)
        else:
            score_to_file(
                rows,
                judges,
                options.out,
                made_by,
                overwrite=options.overwrite,
                on_row=figures.add,
                cache=cache,
            )
        _merge(options, rows, names)
    return _conclude(options, figures, reference, made_by, len(rows))


def _conclude(
    options: argparse.Namespace,
    figures: _Figures,
    reference: str | None,
    made_by: Mapping[str, Any],
    count: int,
) -> int:
    """Print the figures of a run, and write them if asked; return the exit status."""
    summaries = figures.summaries(options.seed)
    print_summaries(summaries, reference, file=sys.stderr if options.out is None else sys.stdout)
    figures.warn_of_unknown_flags()
    if options.out is not None:
        print(plain(f"{count_of(count, 'row')} written to {options.out}"), file=sys.stderr)
    if options.summary is not None:
        _write_summary(options.summary, made_by, reference, summaries)
    return _status(summaries)


class _Figures:
    """The figures of a run, row by row."""

    def __init__(
        self, names: Sequence[str], reference: str | None, dropped: DroppedFlags | None
    ) -> None:
        self._reference, self._dropped = reference, dropped
        self._figures = {name: JudgeFigures(name) for name in names}
        others = [name for name in names if name != reference] if reference is not None else []
        self._pairs = {name: PairedScores() for name in others}
        self._problems = Problems()
        self._flags: set[str] = set()

    def add(self, row: RequestRow, judged: Mapping[str, Judgement]) -> None:
        if self._dropped is not None:
            for judgement in judged.values():
                for score in judgement.scores.values():
                    self._flags.update(score.flags)
            judged = {name: self._dropped.without(each) for name, each in judged.items()}
        for name, judgement in judged.items():
            self._figures[name].add(judgement)
        if self._reference is not None:
            self._problems.add(row.request)
            for name, pairs in self._pairs.items():
                pairs.add(judged[name], judged[self._reference])

    def summaries(self, seed: int) -> list[JudgeSummary]:
        codes = self._problems.codes() if self._reference is not None else []
        return [
            figures.summary(
                self._pairs[name].agreement(codes, seed=seed) if name in self._pairs else None
            )
            for name, figures in self._figures.items()
        ]

    def warn_of_unknown_flags(self) -> None:
        """Say which flags that were to be left out no score has."""
        wanted = self._dropped.names if self._dropped is not None else ()
        flags.warn_of_unseen_flags("--drop-flagged", wanted, self._flags)


def _inputs(options: argparse.Namespace, stack: ExitStack) -> list[Path | InputFile]:
    """The inputs; what comes on standard input is put into a file of its own first."""
    inputs: list[Path | InputFile] = []
    for path in options.paths:
        if str(path) == STANDARD_INPUT:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inspector-")))
            spooled = folder / "standard-input"
            with spooled.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            inputs.append(InputFile(spooled, "standard input", options.encoding))
        elif path.is_dir():
            inputs.append(path)
        else:
            inputs.append(InputFile(path, encoding=options.encoding))
    return inputs


def _check_outputs(
    options: argparse.Namespace, inputs: Sequence[Path], specs: Sequence[JudgeSpec]
) -> None:
    """Refuse outputs that are inputs, or each other."""
    files = [path for path in inputs if not path.is_dir()]
    flags.check_output(options.out, *files, specs=specs, criteria=options.criteria)
    files += flags.named_files(specs, options.criteria)
    files += [] if options.out is None else [options.out, run_file(options.out)]
    if options.summary is not None:
        require_further_output(options.summary, "--summary", files)
    if options.merge_log is not None:
        files += [] if options.summary is None else [options.summary]
        require_no_input(options.merge_log, "--merge-log", files)


def _check_merging(options: argparse.Namespace, rows: InputRows, names: Sequence[str]) -> None:
    """Refuse a copy of a log that cannot be written, before anything is judged."""
    if options.merge_log is None:
        return
    if options.out is None:
        raise OptionError("--merge-log needs --out: the copy is made of what is written there.")
    if not rows.logs:
        raise DataError("--merge-log: none of the inputs is a sample log of lm_eval.")
    for _, copy in _copies(options, rows):
        require_further_output(copy, "--merge-log", [file.path for file in rows.files])
    require_new_filters(rows.logs, names)


def _copies(options: argparse.Namespace, rows: InputRows) -> list[tuple[SampleLog, Path]]:
    """Where the copy of each log goes."""
    folder: Path = options.merge_log
    if len(rows.logs) == 1 and not folder.is_dir():
        return [(rows.logs[0], folder)]
    names = [log.path.name.removesuffix(".gz") for log in rows.logs]
    return [
        (log, folder / (name if names.count(name) == 1 else f"{log.path.parent.name}/{name}"))
        for log, name in zip(rows.logs, names, strict=True)
    ]


def _merge(options: argparse.Namespace, rows: InputRows, names: Sequence[str]) -> None:
    if options.merge_log is None:
        return
    for log, copy in _copies(options, rows):
        write_merged_log(log, options.out, rows.start_of(log), names, copy)
        print(plain(f"{log} with judgements written to {copy}"), file=sys.stderr)


def warn_of_unscored(judges: Mapping[str, Judge], rows: InputRows) -> None:
    """Say before judging what a judge will leave unscored, and refuse one that can judge nothing.

    Raises:
        OptionError: If a judge can judge none of the rows on any criterion.
    """
    asked = rows.asked.total()
    for name, judge in judges.items():
        reasons = cannot_judge(judge, rows.asked)
        if asked and reasons.total() == asked:
            raise OptionError(f"Judge {name!r} can judge none of the rows: {'; '.join(reasons)}.")
        for reason, count in reasons.items():
            print(
                plain(
                    f"inspector: {name}: {count} of {count_of(asked, 'score')} will be missing: "
                    f"{reason}"
                ),
                file=sys.stderr,
            )


def describe_run(
    rows: InputRows,
    form: RequestForm,
    judges: Mapping[str, Judge],
    specs: Sequence[JudgeSpec],
) -> dict[str, Any]:
    """Say what decides the content of the output's rows."""
    return {
        "inspector_plugin": __version__,
        "input_sha256": rows.sha256(),
        "criteria": None
        if form.rubric_field
        else [criterion.described() for criterion in form.criteria],
        "criterion_field": form.criterion_field,
        "rubric_field": form.rubric_field,
        "dataset": form.dataset,
        "fields": {name: value for name, value in vars(form.fields).items() if value is not None},
        "judges": {
            name: {"spec": str(spec), "made_of": description_of(judge, name)}
            for (name, judge), spec in zip(judges.items(), specs, strict=True)
        },
    }


def _status(summaries: Sequence[JudgeSummary]) -> int:
    """Return 1, and say so, if a judge gave no score at all."""
    empty = [summary.name for summary in summaries if not summary.overall.scored]
    for name in empty:
        print(
            plain(f"inspector score: judge {name!r} gave no score at all; the reasons are above"),
            file=sys.stderr,
        )
    return 1 if empty else 0


def _write_summary(
    path: Path, made_by: Mapping[str, Any], reference: str | None, summaries: Sequence[JudgeSummary]
) -> None:
    content = {
        "made_by": made_by,
        "reference": reference,
        "judges": {
            summary.name: {**summary.to_json(), "agreement": summary.agreement_to_json()}
            if summary.agreement is not None
            else summary.to_json()
            for summary in summaries
        },
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise OptionError(f"Cannot write --summary {path}: {error}.") from error
