"""`inspector correct`: what the reference would say of all rows, from its labels of some."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.corrected import (
    CorrectedMean,
    CorrectedShare,
    LabelledSample,
    corrected_mean,
    corrected_share,
)
from inspector_plugin.agreement.label_choice import PlannedWeights, combined_weights
from inspector_plugin.cli import flags
from inspector_plugin.cli.judged_files import (
    JudgedFiles,
    Values,
    add_file_flags,
    read_judged_files,
)
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.report.corrected import corrected_section
from inspector_plugin.report.document import Document
from inspector_plugin.report.printing import OUTPUT_FORMATS, print_document
from inspector_plugin.schema.criteria import TOTAL

# What `inspector plan labels` writes into rows: stage, weight and pilot_share.
PLAN_FIELD = "label_plan"
PLAN_FIELDS = tuple(f"{PLAN_FIELD}.{name}" for name in ("stage", "weight", "pilot_share"))
_NO_MODEL = "(no model)"


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "correct",
        description="Estimate what the reference would say of all rows, where a cheap judge has "
        "scored all of them and the reference some, drawn at random or by `inspector plan "
        "labels`: means by PPI++, shares of high quality by Rogan and Gladen, the judge's own "
        "figures beside them, and the labels that the judge saves. For each model and criterion.",
    )
    add_file_flags(parser)
    parser.add_argument(
        "--by-row",
        action="store_true",
        help="take the rows of one problem for independent (default: intervals by problem)",
    )
    parser.add_argument("--format", choices=OUTPUT_FORMATS, default="table", help="default: table")
    parser.set_defaults(run_command=run_correct)


def run_correct(options: argparse.Namespace) -> int:
    """Correct the figures."""
    if options.reference is None and options.outcome is None:
        raise OptionError("correct: say what to correct by, with --reference or --outcome.")
    files = read_judged_files(options, PLAN_FIELDS)
    assert files.reference is not None
    sections, content = [], []
    for judge in files.judges:
        _require_overlap(files, judge)
        notes = [*files.notes(judge), *_differing_scales(files, judge)]
        groups = list(model_groups(files.models, ~np.isnan(_any_score(files, judge))))
        if options.by_row:
            notes.append("rows of one problem are taken for independent (--by-row)")
        for place, (model, rows) in enumerate(groups):
            means: dict[str, CorrectedMean] = {}
            shares: dict[str, tuple[CorrectedShare, CorrectedMean] | str] = {}
            for key in files.reported_keys(judge):
                pair = _pair(files, judge, key)
                judged, labelled = (each.scores for each in pair)
                sample = _sample(files, judged, labelled, rows, options.by_row)
                if not sample.rows:
                    continue
                means[key] = corrected_mean(sample)
                if key != TOTAL:
                    shares[key] = _share(files, pair, rows, options.by_row)
            if means:
                sections.append(
                    corrected_section(
                        judge,
                        files.reference,
                        model,
                        means,
                        shares,
                        # Once is enough: what holds for all stands below the last.
                        notes if place == len(groups) - 1 else (),
                        legend=place == len(groups) - 1,
                    )
                )
                content.append(_content(judge, files.reference, model, means, shares, notes))
    document = Document("Corrected figures", [("files", ", ".join(options.files))], sections)
    print_document(document, {"corrected": content}, options.format)
    return 0


def model_groups(
    models: NDArray[np.str_], judged: NDArray[np.bool_]
) -> Iterator[tuple[str | None, NDArray[np.bool_]]]:
    """Name each model with its rows.

    Args:
        models: The model of each row, "" where nothing says so, [rows].
        judged: Which rows count, [rows].

    Yields:
        A model, None where no row names one, and which rows are its, [rows].
    """
    names = sorted(set(models[judged].tolist()))
    for name in names:
        unnamed = _NO_MODEL if len(names) > 1 else None
        yield name or unnamed, judged & (models == name)


def planned_weights(
    files: JudgedFiles, judged: NDArray[np.bool_], labelled: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """The weights of labelled rows, by what plans wrote into them, apart for each model.

    Args:
        files: The files.
        judged: Which rows have a score of the judge, [rows].
        labelled: Which rows have a label, [rows].

    Returns:
        None if no labelled row was chosen by a plan.

    Raises:
        DataError: If what stands there was not written by a plan.
    """
    stages, weights, shares = (files.table.outcomes.get(name) for name in PLAN_FIELDS)
    if stages is None or np.isnan(stages[labelled]).all():
        return None
    chosen = labelled & ~np.isnan(stages)
    if weights is None or shares is None or not _are_of_a_plan(weights[chosen], shares[chosen]):
        row = int(np.flatnonzero(chosen)[0])
        raise DataError(
            f"{files.table.where(row)}: the field {PLAN_FIELD!r} of some rows is not as `inspector "
            "plan labels` writes it; leave the field as it is, or take it out of all rows."
        )
    combined = np.full(len(stages), np.nan)
    for name in np.unique(files.models[judged]):
        rows = judged & (files.models == name)
        planned = PlannedWeights(stages[rows], weights[rows], shares[rows])
        combined[rows] = combined_weights(labelled[rows], planned)
    return combined


def _are_of_a_plan(weights: NDArray[np.float64], shares: NDArray[np.float64]) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(((weights > 0) & (shares >= 0) & (shares < 1)).all())


def _any_score(files: JudgedFiles, judge: str) -> NDArray[np.float64]:
    """A score of each row on whichever criterion; NaN for rows that have none, [rows]."""
    scores = np.full(files.table.rows, np.nan)
    for key in files.reported_keys(judge):
        scores = np.where(np.isnan(scores), files.values(judge, key).scores, scores)
    return scores


def _pair(files: JudgedFiles, judge: str, key: str) -> tuple[Values, Values]:
    reference = files.reference_values(key)
    assert reference is not None  # of the keys reported
    return files.values(judge, key), reference


def _share(
    files: JudgedFiles, pair: tuple[Values, Values], rows: NDArray[np.bool_], by_row: bool
) -> tuple[CorrectedShare, CorrectedMean] | str:
    judge, reference = pair
    if reference.scale is None:
        return f"the values of {files.reference} are not all 0 or 1, so none is high or low"
    sample = _sample(files, judge.high, reference.high, rows, by_row)
    return corrected_share(sample), corrected_mean(sample)


def _sample(
    files: JudgedFiles,
    judge: NDArray[np.float64],
    reference: NDArray[np.float64],
    rows: NDArray[np.bool_],
    by_row: bool,
) -> LabelledSample:
    """The rows that the judge has scored; those it has not are left out, with their labels."""
    judged = ~np.isnan(judge)
    weights = planned_weights(files, judged, judged & ~np.isnan(reference))
    problems = np.arange(len(judge)) if by_row else files.table.problem_codes
    return LabelledSample(judge, reference, problems, weights).take(judged & rows)


def _require_overlap(files: JudgedFiles, judge: str) -> None:
    for key in files.reported_keys(judge):
        ours, theirs = (each.scores for each in _pair(files, judge, key))
        if (~np.isnan(ours) & ~np.isnan(theirs)).any():
            return
    raise DataError(
        f"{judge} and {files.reference} have scored no response in common (responses are matched "
        "by the texts of question and response); label some of the rows that the judge has scored."
    )


def _differing_scales(files: JudgedFiles, judge: str) -> Iterator[str]:
    found: dict[tuple[str, str], list[str]] = {}
    for key in files.reported_keys(judge):
        ours, theirs = _pair(files, judge, key)
        if ours.scale and theirs.scale and ours.scale != theirs.scale:
            found.setdefault((ours.scale.name, theirs.scale.name), []).append(key)
    for (own, other), keys in found.items():
        yield (
            f"{', '.join(keys)}: {judge} scores on {own}, {files.reference} on {other}; the naive "
            "mean is on the judge's scale, the others on the reference's"
        )


def _content(
    judge: str,
    reference: str,
    model: str | None,
    means: dict[str, CorrectedMean],
    shares: dict[str, tuple[CorrectedShare, CorrectedMean] | str],
    notes: list[str],
) -> dict[str, Any]:
    return {
        "judge": judge,
        "reference": reference,
        "model": model,
        "means": means,
        "shares": {
            key: {"reason": pair}
            if isinstance(pair, str)
            else {"rogan_gladen": pair[0], "ppi": pair[1]}
            for key, pair in shares.items()
        },
        "notes": notes,
    }
