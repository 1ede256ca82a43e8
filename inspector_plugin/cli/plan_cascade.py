"""`inspector plan cascade`: the threshold for a cost or an agreement, and what it saves."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np

from inspector_plugin.agreement.cascade_choice import pilot_of
from inspector_plugin.agreement.cascade_plan import (
    CascadePoint,
    PilotScores,
    cascade_points,
    for_agreement,
    for_share,
)
from inspector_plugin.agreement.statistics import LABEL_STATISTICS
from inspector_plugin.cli import flags
from inspector_plugin.cli.judged_files import JudgedFiles, add_file_flags, read_judged_files
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.judges.cascade import ANY, NONE, doubted_flags
from inspector_plugin.report.cascade_plan import PlannedCost, cascade_section
from inspector_plugin.report.document import Document
from inspector_plugin.report.printing import OUTPUT_FORMATS, print_document


def add_action(actions: flags.Commands[flags.Parser]) -> None:
    """Add the action to the parser of `inspector plan`."""
    parser = actions.add_parser(
        "cascade",
        help="choose the threshold of a cascade of two judges",
        description="Choose the confidence below which a dear judge is asked in place of a cheap "
        "one, from responses that both have judged: for an agreement with the dear judge, for a "
        "share of its work, or for a cost. Says what is saved and what is given up, with 95%% "
        "intervals, and writes the judge's specification.",
    )
    add_file_flags(parser)
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument(
        "--agreement",
        type=flags.probability,
        metavar="A",
        help="least agreement with the dear judge, by the lower end of its interval: the lowest "
        "threshold that has it",
    )
    goal.add_argument(
        "--asked",
        type=flags.probability,
        metavar="SHARE",
        help="largest share of scores that the dear judge is asked for: the highest threshold",
    )
    goal.add_argument(
        "--max-cost",
        type=_price,
        metavar="USD",
        help="most that judging --scores scores may cost; needs --price",
    )
    parser.add_argument(
        "--statistic", choices=LABEL_STATISTICS, default="accuracy", help="default: accuracy"
    )
    parser.add_argument("--price", type=_price, metavar="USD", help="price of a dear score")
    parser.add_argument(
        "--cheap-price", type=_price, default=0.0, metavar="USD", help="of a cheap one (default: 0)"
    )
    parser.add_argument(
        "--scores",
        type=flags.positive,
        metavar="N",
        help="scores to be judged (default: those that the cheap judge was asked for)",
    )
    parser.add_argument(
        "--flags",
        default=ANY,
        metavar="LIST",
        help="flags that the dear judge is asked for: any, none or names (default: any)",
    )
    flags.add_seed_flag(parser)
    parser.add_argument("--format", choices=OUTPUT_FORMATS, default="table", help="default: table")
    parser.set_defaults(run_command=run_plan_cascade)


def _price(text: str) -> float:
    number = flags.number(text)
    if not 0 <= number < 1e9:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {text[:40]}")
    return number


def run_plan_cascade(options: argparse.Namespace) -> int:
    """Choose the threshold and print what it comes to."""
    if options.max_cost is not None and options.price is None:
        raise OptionError("--max-cost needs --price USD, what a score by the dear judge costs.")
    files = read_judged_files(options)
    if files.reference is None or files.is_outcome:
        raise OptionError(
            "plan cascade needs --reference NAME|FILE: the scores of the dear judge on some of the "
            "responses."
        )
    if len(files.judges) > 1:
        raise OptionError(
            f"The files have scores by {', '.join(files.judges)}; say which is the cheap judge "
            "with --judge NAME."
        )
    [cheap] = files.judges
    pilot, asked = _pilot(files, cheap, options.flags)
    points = cascade_points(pilot, options.statistic, options.seed)
    cost = None
    if options.price is not None:
        cost = PlannedCost(options.scores or asked, options.price, options.cheap_price)
    chosen = _chosen(options, points, cost)
    named_flags = "" if options.flags == ANY else f",flags={options.flags}"
    members = "|".join(map(_member, (cheap, files.reference)))
    spec = f"cascade:of={members},threshold={chosen.threshold:g}{named_flags}"
    section = cascade_section(
        cheap,
        files.reference,
        options.statistic,
        points,
        chosen,
        spec,
        len(pilot.dear),
        cost,
    )
    content = {
        "judge": cheap,
        "reference": files.reference,
        "statistic": options.statistic,
        "spec": spec,
        "chosen": chosen,
        "saved": chosen.saved,
        "given_up": chosen.given_up,
        "scores_by_both": len(pilot.dear),
        "cost": None
        if cost is None
        else {
            "scores": cost.scores,
            "cascade": cost.of(chosen.asked.value),
            "reference_alone": cost.of_dear_alone,
        },
        "thresholds": points,
    }
    document = Document("Plan of a cascade", [("files", ", ".join(options.files))], [section])
    print_document(document, content, options.format)
    return 0


def _chosen(
    options: argparse.Namespace, points: Sequence[CascadePoint], cost: PlannedCost | None
) -> CascadePoint:
    """Choose the threshold.

    Raises:
        DataError: If none does.
    """
    if options.agreement is not None:
        found = for_agreement(points, options.agreement)
        if found is None:
            best = max((p.agreement.low or 0.0 for p in points if p.agreement), default=math.nan)
            raise DataError(
                f"No threshold has an agreement of {options.agreement:g} by the lower end of its "
                f"interval (the best: {best:.3f}); judge more responses by both, or ask for less."
            )
        return found
    share = options.asked
    if share is None:
        assert cost is not None
        each = options.max_cost / cost.scores - cost.cheap_price
        share = each / cost.price if cost.price else float(each >= 0)
    found = for_share(points, share)
    if found is None:
        least = points[0].asked.value
        raise DataError(
            f"No threshold keeps to this: scores that are flagged or missing are {least:.3f} of "
            f"all, and at most {max(share, 0.0):.3f} may be asked for; allow more, or leave flags "
            "out with --flags none."
        )
    return found


def _pilot(files: JudgedFiles, cheap: str, chosen_flags: str) -> tuple[PilotScores, int]:
    """The scores of both judges on all criteria, one after the other; how many were asked for.

    Raises:
        DataError: If there are none, on one scale, or the cheap judge has no confidence.
    """
    assert files.reference is not None
    table, sides, asked = files.table, [], 0
    for key in [key for key in files.reported_keys(cheap) if key in files.keys_of(cheap)]:
        ours, theirs = table.column(cheap, key), table.column(files.reference, key)
        files.values(cheap, key)  # refuses scores on several criteria of one key
        if ours.scale != theirs.scale:
            raise DataError(
                f"{key}: {cheap} scores on {ours.scale.name}, {files.reference} on "
                f"{theirs.scale.name}; judge by both on one scale, as with --labels binary."
            )
        asked += int(ours.asked.sum())
        rows = ours.asked & theirs.scored
        if (ours.scored & np.isnan(ours.confidence))[rows].any():
            raise DataError(
                f"{key}: {cheap} has scores without probabilities, so that there is no confidence "
                "to choose a threshold of; use a judge that has them, such as inspector or lager."
            )
        sides.append((ours, theirs))
    scales = {ours.scale for ours, _ in sides}
    if len(scales) > 1:
        raise DataError(
            f"The criteria have different scales ({', '.join(s.name for s in scales)}); plan for "
            "those of one scale with --criteria."
        )
    names = sorted(doubted_flags(chosen_flags))
    flags.warn_of_unseen_flags("--flags", names, {ANY, NONE} | table.flags_by(cheap))
    pilot = pilot_of(
        table, sides, [None if each == ANY else each for each in names if each != NONE]
    )
    if pilot is None:
        raise DataError(f"{cheap} and {files.reference} have scored no response in common.")
    return pilot, asked


def _member(name: str) -> str:
    return f"[{name}]" if any(each in name for each in ",|") else name
