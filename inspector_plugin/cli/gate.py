"""`inspector gate`: exit with status 1 where agreement misses a bar, for continuous integration."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from inspector_plugin.agreement.bars import (
    AUC,
    COVERAGE,
    FIGURES,
    Bar,
    Figures,
    check,
    chosen_figures,
    figures_of,
    saved_figures,
)
from inspector_plugin.cli import flags
from inspector_plugin.cli.comparisons import (
    add_comparison_flags,
    judge_agreements,
    outcome_agreements,
    read_selection,
)
from inspector_plugin.errors import OptionError, count_of
from inspector_plugin.report.tables import plain


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "gate",
        description="Compare as `inspector agree` does, and exit with status 1 unless the whole "
        "95% interval of each figure clears its bar. Takes files of scores, or one JSON file that "
        "`inspector agree --format json`, `inspector score --summary` or lm_eval wrote. Figures: "
        f"{', '.join(FIGURES)}.",
    )
    add_comparison_flags(parser)
    parser.add_argument(
        "--min",
        action="append",
        default=[],
        metavar="FIGURE=NUMBER",
        help="the lower end of the figure's interval must be at least this, as in "
        "quadratic_kappa=0.4; may be given several times",
    )
    parser.add_argument(
        "--max",
        action="append",
        default=[],
        metavar="FIGURE=NUMBER",
        help="the upper end must be at most this",
    )
    parser.add_argument(
        "--each",
        action="store_true",
        help="hold every criterion against the bars, not all together alone",
    )
    parser.set_defaults(run_command=run_gate)


def run_gate(options: argparse.Namespace) -> int:
    """Hold the figures against the bars."""
    bars = [Bar.parse(text) for text in options.min]
    bars += [Bar.parse(text, is_least=False) for text in options.max]
    if not bars:
        raise OptionError("Give a bar, such as --min quadratic_kappa=0.4.")
    if any(bar.figure == AUC for bar in bars) and not (options.outcome or _is_saved(options.files)):
        raise OptionError("auc needs an outcome: --outcome FIELD, such as exact_match.")
    found, keys = _figures(options)
    checked = [
        check(figures, bar)
        for figures in chosen_figures(found, keys, each=options.each)
        for bar in bars
        if _applies(figures, bar)
    ]
    missed = [each for each in checked if not each.clears]
    for each in checked:
        print(plain(f"{'pass' if each.clears else 'FAIL'}  {each.said}"))
    if not checked:
        raise OptionError("None of the bars is for a figure that these files give.")
    print(f"{len(checked) - len(missed)} of {count_of(len(checked), 'bar')} cleared")
    return 1 if missed else 0


def _figures(options: argparse.Namespace) -> tuple[list[Figures], Sequence[str] | None]:
    """The figures, and the criteria asked for."""
    if _is_saved(options.files):
        given = flags.listed(options.criteria)
        found = [figures for text in options.files for figures in saved_figures(Path(text))]
        wanted = options.judge
        return [f for f in found if not wanted or f.judge in wanted], given or None
    if options.resamples == 0:
        raise OptionError(
            "--resamples 0: a bar is held against an interval, which takes resamples."
        )
    selection = read_selection(options)
    found = []
    for agreement in judge_agreements(selection, options, in_full=False):
        found += map(figures_of, agreement.comparisons)
    for outcome in outcome_agreements(selection, options):
        found.append(
            Figures(
                f"{outcome.judge} ({outcome.outcome})",
                outcome.key,
                {AUC: outcome.auc, "spearman": outcome.spearman},
                {AUC: outcome.reason or "no interval", "spearman": outcome.reason or "no interval"},
            )
        )
    known = {figures.key for figures in found}
    return found, None if selection.keys is None else [k for k in selection.keys if k in known]


def _is_saved(files: Sequence[str]) -> bool:
    return all(Path(text).suffix == ".json" for text in files)


def _applies(figures: Figures, bar: Bar) -> bool:
    """Whether a bar is for these figures: the AUC is that of an outcome, the others are not."""
    is_outcome = AUC in figures.estimates and COVERAGE not in figures.estimates
    if len(figures.estimates) == len(FIGURES):  # read from a file, which may hold either
        is_outcome = figures.estimates[AUC] is not None or AUC in figures.reasons
    return is_outcome == (bar.figure == AUC)
