"""`inspector rank`: which of several models is better, and whether the sample can tell."""

from __future__ import annotations

import argparse

import numpy as np

from inspector_plugin.agreement.rank_agreement import RankAgreement, rank_agreement
from inspector_plugin.agreement.ranking import Ranking, rank_models
from inspector_plugin.cli import flags
from inspector_plugin.cli.judged_files import (
    JudgedFiles,
    add_file_flags,
    read_judged_files,
)
from inspector_plugin.errors import DataError
from inspector_plugin.report.document import Document, Section
from inspector_plugin.report.printing import OUTPUT_FORMATS, print_document
from inspector_plugin.report.ranking import ranking_section
from inspector_plugin.schema.criteria import TOTAL


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "rank",
        description="Rank models by a judge's scores: means and win rates with intervals, a paired "
        "bootstrap test of every pair with Holm's correction, and the rank correlation with the "
        "reference's ranking. Says which models the sample cannot tell apart, and how many "
        "problems would. Models come from the rows' field model, or from one file for each.",
    )
    add_file_flags(parser)
    parser.add_argument(
        "--resamples",
        type=flags.resamples,
        metavar="N",
        help="resamples of the bootstrap (default: 10000, or what many pairs or problems ask for)",
    )
    flags.add_seed_flag(parser)
    parser.add_argument(
        "--each",
        action="store_true",
        help="show every criterion in full, not the total alone (other formats always do)",
    )
    parser.add_argument("--format", choices=OUTPUT_FORMATS, default="table", help="default: table")
    parser.set_defaults(run_command=run_rank)


def run_rank(options: argparse.Namespace) -> int:
    """Rank the models."""
    files = read_judged_files(options)
    sections, content, unranked = [], [], []
    has_each = options.each or options.format != "table"
    for judge in files.judges:
        keys, notes = files.keys_of(judge), list(files.notes(judge))
        has_total = files.has_total(judge)
        for key in [*keys, *([TOTAL] if has_total else [])]:
            reason = _no_models(files, judge, key)
            if reason is not None:
                unranked.append(reason)
                notes.append(reason)
                continue
            ranking = _rank(files, judge, key, options)
            agreement = _agreement(files, judge, key, options.seed)
            title = f"{key} by {judge}"
            in_full = key == TOTAL or has_each or not has_total
            sections.append(ranking_section(title, ranking, agreement, files.reference, in_full))
            content.append(
                {
                    "judge": judge,
                    "criterion": key,
                    "reference": files.reference,
                    "ranking": ranking,
                    "agreement": agreement,
                }
            )
        if notes:
            sections.append(Section(f"notes on {judge}", f"Notes on {judge}", "\n".join(notes)))
    if not content:
        raise DataError(
            f"{unranked[0]}; give a file for each model, MODEL=FILE, or rows with a field 'model'."
        )
    document = Document("Ranking of models", [("files", ", ".join(options.files))], sections)
    print_document(document, {"rankings": content}, options.format)
    return 0


def _no_models(files: JudgedFiles, judge: str, key: str) -> str | None:
    """Say why there is nothing to rank; None if there are two models or more."""
    scored = ~np.isnan(files.values(judge, key).scores)
    names = sorted(set(files.models[scored].tolist()) - {""})
    if len(names) > 1:
        return None
    found = f"only the model {names[0]}" if names else "no model"
    return f"{key} by {judge}: {found} has scores, and a ranking takes two"


def _rank(files: JudgedFiles, judge: str, key: str, options: argparse.Namespace) -> Ranking:
    values, models = files.values(judge, key), files.models
    chosen = ~np.isnan(values.scores) & (models != "")
    return rank_models(
        values.scores[chosen],
        models[chosen].tolist(),
        files.table.problem_codes[chosen],
        seed=options.seed,
        resamples=options.resamples,
    )


def _agreement(files: JudgedFiles, judge: str, key: str, seed: int) -> RankAgreement | None:
    if files.reference is None:
        return None
    is_total = key == TOTAL and not files.is_outcome
    if is_total and not files.has_total(files.reference):
        return RankAgreement(0, reason=f"{files.reference} has no total")
    reference = files.reference_values(key)
    if reference is None:
        return RankAgreement(0, reason=f"{files.reference} has no scores on {key}")
    chosen = files.models != ""
    return rank_agreement(
        files.values(judge, key).scores[chosen],
        reference.scores[chosen],
        files.models[chosen].tolist(),
        files.table.problem_codes[chosen],
        seed=seed,
    )
