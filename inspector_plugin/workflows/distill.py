"""From an expensive judge to a cheap one that is measured, in one go.

Each step leaves a file in the output folder and is skipped, or resumed, by a second call: rows are
chosen (`distill_choice`), labelled (`distill_labels`), learnt from (`distill_training`), and what
came of it is measured (`distill_measure`) and concluded from (`distill_conclusion`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.data.files import locked, read_json, run_file, write_whole
from inspector_plugin.data.inputs import InputRows
from inspector_plugin.errors import DataError
from inspector_plugin.judging.resume import opened_output, writing
from inspector_plugin.plugins.registry import JudgeRegistry
from inspector_plugin.report.distill_figures import DistillFigures
from inspector_plugin.workflows.distill_choice import (
    FEWEST_HELD_OUT,
    HELD_OUT,
    TRAINING,
    Bools,
    Candidates,
    choose_rows,
    chosen_lines,
    held_out_rows,
    read_candidates,
)
from inspector_plugin.workflows.distill_conclusion import conclude
from inspector_plugin.workflows.distill_doubts import guided, opened_cache
from inspector_plugin.workflows.distill_labels import label
from inspector_plugin.workflows.distill_measure import audit, judge_held_out, make_distilled
from inspector_plugin.workflows.distill_plan import (
    DistillPlan,
    Estimate,
    describes,
    estimated,
    label_count,
)
from inspector_plugin.workflows.distill_training import load_probed_model, train_pack

Say = Callable[[str], None]


@dataclass(frozen=True)
class LabellingPlan:
    """What would be labelled, and what that would cost.

    Attributes:
        candidates: How many rows can be labelled.
        left_out: How many cannot, by reason.
        labels: How many are to be.
        held_out: How many of these on held-out problems.
        estimate: The cost of some rows.
    """

    candidates: int
    left_out: Mapping[str, int]
    labels: int
    held_out: int
    estimate: Estimate

    @property
    def cost(self) -> float | None:
        """US dollars for all labels; None if that is not known."""
        price = self.estimate.price
        return None if price is None else self.labels * price


def planned(rows: InputRows, plan: DistillPlan, registry: JudgeRegistry) -> LabellingPlan:
    """Say what would be labelled; calls nothing and writes nothing.

    Raises:
        InspectorError: If the rows, or the budget, do not do.
    """
    return _planned(rows, plan, registry)[0]


def distill(
    rows: InputRows,
    plan: DistillPlan,
    registry: JudgeRegistry,
    *,
    overwrite: bool = False,
    say: Say = print,
) -> DistillFigures:
    """Do all steps that an earlier call has not done.

    Args:
        rows: The user's responses.
        plan: What is asked for.
        registry: Where judges come from.
        overwrite: Whether to begin anew.
        say: Takes a line on each step.

    Raises:
        InspectorError: If a step cannot be done; what is done is kept.
    """
    # Held to the end: a judge of probes below that loads the same gets this one.
    language_model = load_probed_model(plan)
    with locked(plan.out):
        if overwrite:
            _remove_outputs(plan)
        with writing(plan.out):
            plan.out.mkdir(parents=True, exist_ok=True)
        say("1 of 5: choosing rows")
        choice = _choose(rows, plan, registry, say)
        say(f"2 of 5: labelling by {plan.reference.name}")
        labels = label(plan, registry)
        say(f"3 of 5: training on the labels ({plan.model})")
        pack = train_pack(plan, language_model)
        say("4 of 5: judging held-out problems")
        with make_distilled(plan, pack, registry) as judge, opened_cache(plan) as cache:
            speed = judge_held_out(plan, pack, judge)
            say("5 of 5: audits and conclusions")
            audited = audit(plan, pack, judge, cache)
        return conclude(plan, choice, labels, pack, speed, audited)


def _planned(
    rows: InputRows, plan: DistillPlan, registry: JudgeRegistry
) -> tuple[LabellingPlan, Candidates, Bools]:
    candidates = read_candidates(rows)
    held_out = held_out_rows(candidates, plan.held_out, plan.seed)
    estimate = estimated(plan, rows, candidates.numbers.tolist(), registry)
    count = label_count(plan, estimate, len(candidates))
    held = min(round(plan.held_out * count), int(held_out.sum()))
    _require_enough(plan, count, held)
    return (
        LabellingPlan(len(candidates), candidates.left_out, count, held, estimate),
        candidates,
        held_out,
    )


def _require_enough(plan: DistillPlan, count: int, held: int) -> None:
    """Refuse, before anything is paid for, what can only fail."""
    # A probe of two labels takes so many problems of each.
    least = 2 * (plan.training.folds + 2)
    if held < FEWEST_HELD_OUT or count - held < least:
        raise DataError(
            f"{count} labels are too few: {held} to measure with and {count - held} to train on, "
            f"and at least {FEWEST_HELD_OUT} and {least} are needed; give more rows, --labels or "
            "--max-cost, or fewer --folds."
        )


def _choose(
    rows: InputRows, plan: DistillPlan, registry: JudgeRegistry, say: Say
) -> Mapping[str, Any]:
    """Choose the rows to label, unless an earlier call has; return what is to be said of them."""
    made_by = {
        "inspector_plugin": __version__,
        "input_sha256": rows.sha256(),
        "rows": len(rows),
        **describes(plan),
    }
    with opened_output(plan.rows, made_by, False) as output:
        if output.resumed:
            choice = _choice_made(plan)
            say(f"{choice['training'] + choice['held_out']} rows, as an earlier call chose them")
            return choice
        found, candidates, held_out = _planned(rows, plan, registry)
        doubts, guided_by = guided(
            rows, plan, registry, candidates, held_out, found.labels - found.held_out
        )
        chosen = choose_rows(candidates, held_out, found.labels, plan.held_out, plan.seed, doubts)
        choice = {
            "candidates": found.candidates,
            "left_out": dict(found.left_out),
            "guided_by": guided_by,
            "training": chosen.count(TRAINING),
            "held_out": chosen.count(HELD_OUT),
            "estimated_price": found.estimate.price,
        }
        write_whole(plan.choice, (json.dumps(choice, indent=1) + "\n").encode())
        lines = chosen_lines(rows, chosen, plan.seed)
        output.replace(json.dumps(line) + "\n" for line in lines)
    say(f"{len(chosen.parts)} rows of {found.candidates} chosen. {guided_by}")
    return choice


def _choice_made(plan: DistillPlan) -> Mapping[str, Any]:
    path = plan.choice
    try:
        found: Mapping[str, Any] = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"Cannot read {path} ({error}); pass --overwrite to begin anew, or another --out."
        ) from error
    return found


def _remove_outputs(plan: DistillPlan) -> None:
    """Remove what an earlier run of this command has left, and nothing else."""
    if not run_file(plan.rows).exists():
        return
    with writing(plan.out):
        for path in plan.written:
            path.unlink(missing_ok=True)
        if plan.probes.exists():
            shutil.rmtree(plan.probes)
