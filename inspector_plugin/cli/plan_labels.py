"""`inspector plan labels`: how many labels an interval takes, which rows to label, at what cost."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin import __version__
from inspector_plugin.agreement.corrected import LabelledSample
from inspector_plugin.agreement.label_choice import chances_of, choose
from inspector_plugin.agreement.label_errors import ErrorModel, error_model
from inspector_plugin.agreement.label_plan import LabelPlan, plan_group
from inspector_plugin.cli import flags
from inspector_plugin.cli.correct import PLAN_FIELD, PLAN_FIELDS, model_groups, planned_weights
from inspector_plugin.cli.judged_files import JudgedFiles, add_file_flags, read_judged_files
from inspector_plugin.data.jsonl import file_sha256, read_rows
from inspector_plugin.data.stored_scores import JUDGEMENTS, judgements_of
from inspector_plugin.errors import DataError, OptionError, count_of
from inspector_plugin.judging.resume import opened_output
from inspector_plugin.report.document import Document
from inspector_plugin.report.label_plan import plan_section
from inspector_plugin.report.printing import OUTPUT_FORMATS, print_document

Bools = NDArray[np.bool_]


def add_action(actions: flags.Commands[flags.Parser]) -> None:
    """Add the action to the parser of `inspector plan`."""
    parser = actions.add_parser(
        "labels",
        help="plan which rows a reference shall label",
        description="Say how many labels an interval of a corrected mean takes, from a pilot of "
        "labelled rows, and choose the rows to label: more of those where the judge is unsure or "
        "flagged. OUT holds them for `inspector label`, `score`, or people; `inspector correct` "
        "heeds the weights in them, so that its figures stay unbiased.",
    )
    add_file_flags(parser)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument(
        "--width",
        type=flags.above_zero,
        metavar="W",
        help="the 95%% interval of each model's mean from end to end, on the reference's scale",
    )
    size.add_argument(
        "--labels",
        type=flags.positive,
        metavar="N",
        help="new labels for each model; needs no pilot",
    )
    parser.add_argument("--out", type=Path, metavar="OUT", help="JSONL of rows to label")
    flags.add_overwrite_flag(parser)
    parser.add_argument(
        "--price",
        type=flags.above_zero,
        metavar="USD",
        help="price of a label (default: what the pilot's labels cost, where their file says so)",
    )
    flags.add_seed_flag(parser)
    parser.add_argument("--format", choices=OUTPUT_FORMATS, default="table", help="default: table")
    parser.set_defaults(run_command=run_plan_labels)


def run_plan_labels(options: argparse.Namespace) -> int:
    """Plan the labels, and write the rows chosen."""
    files = read_judged_files(options, PLAN_FIELDS)
    flags.check_output(options.out, *(source.path for source in files.table.sources))
    if len(files.judges) > 1:
        raise OptionError(
            f"The files have scores by {', '.join(files.judges)}; say whose to plan for with "
            "--judge NAME."
        )
    [judge] = files.judges
    if options.width is not None and files.reference is None:
        raise OptionError(
            "--width takes a pilot, some labelled rows, given with --reference or --outcome; "
            "--labels N chooses one."
        )
    keys = files.reported_keys(judge)
    keys = [key for key in keys if key in files.keys_of(judge)]
    stage = _next_stage(files)
    planner = _Planner(files, judge, keys, stage)
    plans: dict[str | None, LabelPlan] = {}
    chosen: dict[int, dict[str, float]] = {}
    for place, (model, rows) in enumerate(model_groups(files.models, planner.judged)):
        plan = planner.plan(rows, options.width, options.labels)
        plans[model] = plan
        candidates = planner.candidates(rows)
        sizes = plan.sizes[planner.open_rows(rows)]
        chances = chances_of(sizes, plan.new) if plan.new else np.zeros(len(sizes))
        for index in choose(chances, options.seed + place):
            chosen[int(candidates[index])] = {
                "stage": stage,
                "weight": round((1 - plan.pilot_share) / float(chances[index]), 6),
                "pilot_share": round(plan.pilot_share, 9),
            }
    price, said = _price(options, files)
    if options.out is not None and chosen:
        _write(options, files, chosen)
    section = plan_section(judge, plans, options.width, price, said)
    document = Document("Plan of labels", [("files", ", ".join(options.files))], [section])
    content = {
        "judge": judge,
        "reference": files.reference,
        "width": options.width,
        "price": price,
        "models": [{"model": model, "plan": plan.figures()} for model, plan in plans.items()],
        "rows": len(chosen),
    }
    print_document(document, content, options.format)
    if options.out is not None:
        print(_outcome(options.out, plans, len(chosen)), file=sys.stderr)
    return 0


def _outcome(out: Path, plans: Mapping[str | None, LabelPlan], chosen: int) -> str:
    """Say in a line what was written, or why nothing was."""
    if chosen:
        return f"{count_of(chosen, 'row')} to label written to {out}"
    if not plans:
        return f"{out} is not written: the judge has scored no row"
    criteria = [each for plan in plans.values() for each in plan.criteria.values()]
    if any(each.rows_needed is not None and each.needed is None for each in criteria):
        return f"{out} is not written: even labels for all rows would not give this width"
    return f"{out} is not written: no further labels are needed"


class _Planner:
    """Plans for the rows of one model after the other.

    Attributes:
        judged: Which rows the judge has scored on any criterion, [rows].
    """

    def __init__(self, files: JudgedFiles, judge: str, keys: Sequence[str], stage: int) -> None:
        self._files, self._judge, self._keys, self._stage = files, judge, keys, stage
        count = files.table.rows
        self._labelled = np.zeros(count, dtype=np.bool_)
        self.judged = np.zeros(count, dtype=np.bool_)
        for key in keys:
            self.judged |= ~np.isnan(files.values(judge, key).scores)
            reference = files.reference_values(key)
            if reference is not None:
                self._labelled |= ~np.isnan(reference.scores)
        if files.reference is not None and not (self.judged & self._labelled).any():
            raise DataError(
                f"{judge} and {files.reference} have scored no response in common, so there is no "
                "pilot; leave --reference out and give --labels N to choose one."
            )

    def open_rows(self, rows: Bools) -> Bools:
        """Which of a model's judged rows have no label yet, among those that are judged."""
        return ~self._labelled[rows & self.judged]

    def candidates(self, rows: Bools) -> NDArray[np.intp]:
        """The numbers of a model's rows that may be chosen."""
        return np.flatnonzero(rows & self.judged & ~self._labelled)

    def plan(self, rows: Bools, width: float | None, labels: int | None) -> LabelPlan:
        """Plan for the rows of a model.

        Raises:
            DataError: If there is no pilot to plan by.
        """
        chosen = rows & self.judged
        before = int(self._labelled[chosen].sum())
        unsure, flagged = self._doubts(chosen)
        if self._files.reference is None:
            # Without a pilot: in proportion to doubt, and a flag counts as doubt.
            doubt = unsure + flagged
            sizes = 0.5 * doubt.mean() + doubt if doubt.any() else np.ones(len(doubt))
            return plan_group(sizes, {}, before, width, labels)
        models: dict[str, ErrorModel] = {}
        for key in self._keys:
            try:
                models[key] = self._error_model(key, chosen)
            except ValueError as error:
                raise DataError(
                    f"{key}: the pilot does not do ({error}); label more rows at random, which "
                    "--labels N without --reference chooses."
                ) from error
        squares = [(each.sizes / each.spread) ** 2 for each in models.values()]
        return plan_group(np.sqrt(np.mean(squares, axis=0)), models, before, width, labels)

    def _error_model(self, key: str, chosen: Bools) -> ErrorModel:
        """Fit the errors of a model's rows; those of all models where its pilot is too small."""
        judge = self._files.values(self._judge, key).scores
        reference = self._files.reference_values(key)
        assert reference is not None
        judged = ~np.isnan(judge)
        weights = planned_weights(self._files, judged, judged & ~np.isnan(reference.scores))
        unsure, flagged = self._doubts(np.ones(len(judge), dtype=np.bool_), key)

        def fitted(rows: Bools) -> ErrorModel:
            rows = rows & judged
            sample = LabelledSample(
                judge, reference.scores, self._files.table.problem_codes, weights
            ).take(rows)
            return error_model(sample, unsure[rows], flagged[rows], unsure[chosen], flagged[chosen])

        try:
            return fitted(chosen)
        except ValueError:
            return fitted(self.judged)

    def _doubts(self, rows: Bools, key: str | None = None) -> tuple[NDArray[np.float64], Bools]:
        """How unsure the judge is, the mean over criteria, and whether any score is flagged."""
        columns = [
            self._files.table.column(self._judge, each)
            for each in (self._keys if key is None else [key])
        ]
        unsure = np.nan_to_num(np.mean([1 - each.confidence[rows] for each in columns], axis=0))
        flagged = np.any([each.flagged()[rows] for each in columns], axis=0)
        return unsure, flagged


def _next_stage(files: JudgedFiles) -> int:
    """The number of this plan: one more than those that the rows were chosen by."""
    stages = files.table.outcomes.get(PLAN_FIELDS[0])
    return 1 if stages is None else 1 + int(np.nanmax(stages, initial=0))


def _price(options: argparse.Namespace, files: JudgedFiles) -> tuple[float | None, str]:
    """The price of a label in US dollars, and where it comes from."""
    if options.price is not None:
        return options.price, "as given"
    if files.reference is None or files.is_outcome:
        return None, "unknown; give --price"
    places = files.table.judge_sources[files.reference]
    rows, money = 0, 0.0
    for place in places:
        path = files.table.sources[place].path
        for spent in _spent(path, files.reference):
            rows, money = rows + 1, money + spent
    if not rows or not money:
        return None, "unknown: the pilot's labels do not say what they cost; give --price"
    return money / rows, f"mean over {count_of(rows, 'label')} of the pilot with a known price"


def _spent(path: Path, reference: str) -> Iterator[float]:
    """What each judgement of the reference in a file has cost, where it says so."""
    for number, row in read_rows(path):
        if JUDGEMENTS not in row:
            continue
        by_judge = judgements_of(row, f"{path}, line {number}")
        # The table may call the judge by the name that the user gave the file.
        judgement = by_judge.get(reference.rpartition("/")[2]) or (
            next(iter(by_judge.values())) if len(by_judge) == 1 else None
        )
        usage = None if judgement is None else judgement.usage
        if usage is not None and usage.money is not None and usage.calls:
            yield usage.money


def _write(
    options: argparse.Namespace, files: JudgedFiles, chosen: Mapping[int, Mapping[str, float]]
) -> None:
    made_by = {
        "inspector_plugin": __version__,
        "command": "plan labels",
        "inputs_sha256": [file_sha256(source.path) for source in files.table.sources],
        "judges": list(files.judges),
        "reference": files.reference,
        "criteria": options.criteria,
        "width": options.width,
        "labels": options.labels,
        "seed": options.seed,
    }
    rows = files.table.read_rows(sorted(chosen))
    with opened_output(options.out, made_by, options.overwrite) as output:
        output.replace(
            json.dumps(_row_to_label(row, files.table.models[number], chosen[number])) + "\n"
            for number, row in rows.items()
        )


def _row_to_label(
    row: Mapping[str, Any], model: str | None, planned: Mapping[str, float]
) -> dict[str, Any]:
    """A row without its judgements, which whoever labels it had better not see."""
    kept = {name: value for name, value in row.items() if name != JUDGEMENTS}
    if model is not None:
        kept.setdefault("model", model)
    return {**kept, PLAN_FIELD: dict(planned)}
