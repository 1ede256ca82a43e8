"""What a cheap judge is unsure of, which guides the choice of rows to train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from inspector_plugin.data.inputs import InputRows
from inspector_plugin.data.requests import RequestRow
from inspector_plugin.errors import InspectorError, OptionError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import cannot_judge, judge_all
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.plugins.registry import JudgeRegistry, create_judge
from inspector_plugin.schema.records import CriterionScore
from inspector_plugin.workflows.distill_choice import Bools, Candidates, Doubts, pool_of
from inspector_plugin.workflows.distill_plan import AUTO, NONE, DistillPlan

_EQUAL_CHANCES = "Each had the same chance in its part."


def guided(
    rows: InputRows,
    plan: DistillPlan,
    registry: JudgeRegistry,
    candidates: Candidates,
    held_out: Bools,
    labels: int,
) -> tuple[Doubts | None, str]:
    """Ask the cheap judge for its doubts of the rows that can be trained on.

    Args:
        rows: All rows.
        plan: Names the cheap judge.
        registry: Where judges come from.
        candidates: The rows that can be labelled.
        held_out: Which of these are responses to held-out problems, [candidates].
        labels: How many of the others are to be labelled.

    Returns:
        Its doubts, if there is one, and what is to be said of them.

    Raises:
        InspectorError: If a cheap judge was named and cannot be used.
    """
    if plan.cheap == NONE:
        return None, _EQUAL_CHANCES
    spec = JudgeSpec.parse("inspector" if plan.cheap == AUTO else plan.cheap)
    try:
        with create_judge(spec, plan.running.judge_options, registry) as judge:
            reasons = cannot_judge(judge, rows.asked)
            if reasons.total() == rows.asked.total():
                why = "; ".join(reasons)
                raise OptionError(f"--cheap {spec}: it can judge none of the rows ({why}).")
            pool = pool_of(candidates, ~held_out, labels, plan.seed)
            numbers = set(candidates.numbers[pool].tolist())
            shown: list[RequestRow] = [row for number, row in enumerate(rows) if number in numbers]
            with opened_cache(plan) as cache:
                doubts = doubts_of(judge, shown, pool.tolist(), cache)
    except InspectorError as error:
        if plan.cheap != AUTO:
            raise
        return None, f"{_EQUAL_CHANCES} No cheap judge guided the choice: {error}"
    return doubts, (
        f"Of the rows to train on, those that {spec.name} is unsure of had a higher chance; "
        f"{len(pool)} were shown to it."
    )


def doubts_of(
    judge: Judge,
    rows: Sequence[RequestRow],
    numbers: Sequence[int],
    cache: JudgeCache | None,
) -> Doubts:
    """Ask a cheap judge for its doubts.

    Args:
        judge: The judge.
        rows: Some candidates.
        numbers: Which candidates they are, ascending.
        cache: Where its judgements are kept.
    """
    judged = judge_all(judge, [row.request for row in rows], name="cheap judge", cache=cache)
    unsure, shares = [], []
    for judgement in judged:
        scores = judgement.scores.values()
        unsure.append(float(np.mean([_doubt(score) for score in scores])))
        known = [_share(each) for each in scores if each.score is not None]
        shares.append(float(np.mean(known)) if known else 0.0)
    return Doubts(np.array(numbers, dtype=np.intp), np.array(unsure), np.array(shares))


def _doubt(score: CriterionScore) -> float:
    if score.score is None or score.flags or score.probabilities is None or score.label is None:
        return 1.0
    return 1.0 - float(score.probabilities[score.label])


def _share(score: CriterionScore) -> float:
    assert score.score is not None
    assert score.scale is not None  # judge_all has filled it in
    return (score.score - score.scale.minimum) / (score.scale.maximum - score.scale.minimum)


@contextmanager
def opened_cache(plan: DistillPlan) -> Iterator[JudgeCache]:
    """The cache of what costs time only."""
    with JudgeCache(None if plan.cached else plan.own_cache) as cache:
        yield cache
