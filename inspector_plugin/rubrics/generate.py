"""Generating rubrics without training: for a data set, for single problems, or both.

For a data set, batches of its problems with responses propose items. Those that say the same are
merged, by their words and by how alike a judge's verdicts on them are, and 5 to 12 are kept: those
that prefer better responses, where labels tell, else those that most batches propose and that
responses differ on. For a problem, items come from the problem, rubrics of similar problems, and
two contrasting responses, of which nothing is said and whose order is random.

Source: the two scopes are those of Dynamic Rubrics (arXiv 2605.30568); contrast as in OpenRubrics
(2510.07743), similar problems' rubrics as in RubricRAG (2603.20882). The prompts are ours.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt.messages import Refusal
from inspector_plugin.rubrics.merge import Proposal, chosen, merged_by_text
from inspector_plugin.rubrics.near import StoredRubric, nearest
from inspector_plugin.rubrics.preferences import by_labels
from inspector_plugin.rubrics.propose import (
    FEWEST_FOR_INSTANCE,
    MOST_FOR_INSTANCE,
    Items,
    Shown,
    data_set_ask,
    problem_ask,
    renamed,
)
from inspector_plugin.rubrics.verdicts import Row, VerdictTable, rows_of
from inspector_plugin.rubrics.writer import Ask, Writer
from inspector_plugin.schema.rubrics import MOST_ITEMS, RubricInstance, RubricItem, normal_text

BATCH_SIZE, MOST_BATCHES = 20, 5
FEWEST_ITEMS, KEPT_ITEMS = 5, 12
VERDICT_ROWS = 24
# Similar problems whose rubrics are shown, and problems that begin without any.
NEAR, FIRST_PROBLEMS = 2, 16
MakeTable = Callable[[Sequence[Row]], VerdictTable]


@dataclass(frozen=True)
class Plan:
    """How rubrics are generated.

    Attributes:
        batch_size: Problems in a batch for a data set.
        batches: The most batches.
        fewest: The fewest items to keep for a data set.
        most: The most items to keep for a data set.
        verdict_rows: Responses on which proposed items are judged.
        lines: Whether the generator is asked for lines in place of JSON.
        seed: Seed of which problems form a batch, and of the order of responses.
    """

    batch_size: int = BATCH_SIZE
    batches: int = MOST_BATCHES
    fewest: int = FEWEST_ITEMS
    most: int = KEPT_ITEMS
    verdict_rows: int = VERDICT_ROWS
    lines: bool = False
    seed: int = 0


@dataclass(frozen=True)
class DataSetItems:
    """What came of generating for a data set.

    Attributes:
        items: The items kept.
        proposed: How many were proposed.
        merged: How many of them were left once those with the same words were merged.
        dropped: Items that were left out after that, each with the reason.
        failed: Why batches gave no items, and how often.
    """

    items: Items
    proposed: int
    merged: int
    dropped: tuple[tuple[RubricItem, str], ...] = ()
    failed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class ProblemItems:
    """What came of generating for single problems.

    Attributes:
        instances: The items for each problem that got some.
        failed: Why the other problems got none, and how often.
        alone: For how many problems the generator saw no two different responses.
    """

    instances: tuple[RubricInstance, ...]
    failed: Counter[str]
    alone: int


def data_set_asks(problems: Sequence[LabelledProblem], plan: Plan) -> list[Ask[Items]]:
    """Ask for items in batches of problems, drawn by the seed.

    Args:
        problems: The problems of the data set.
        plan: How to generate.
    """
    order = np.random.default_rng(plan.seed).permutation(len(problems))
    count = min(plan.batches, math.ceil(len(problems) / plan.batch_size))
    size = min(plan.batch_size, math.ceil(len(problems) / count))
    batches = [order[start * size : (start + 1) * size] for start in range(count)]
    middle = _middle(problems)
    return [
        data_set_ask(
            [_marked(problems[place], middle) for place in batch],
            plan.fewest,
            plan.most,
            plan.lines,
        )
        for batch in batches
    ]


def generate_for_data_set(
    problems: Sequence[LabelledProblem], writer: Writer, make_table: MakeTable, plan: Plan
) -> DataSetItems:
    """Generate the items of a rubric for a data set.

    Args:
        problems: Its problems, with responses and perhaps labels.
        writer: The generator.
        make_table: Makes what judges responses on items.
        plan: How to generate.

    Raises:
        JudgeError: If no batch gives items, or fewer than `plan.fewest` different ones are left.
    """
    asks = data_set_asks(problems, plan)
    written = writer.write(asks, "Proposing items")
    failed = Counter(each.reason for each in written if isinstance(each, Refusal))
    batches = [each for each in written if not isinstance(each, Refusal)]
    if not batches:
        reason, _ = failed.most_common(1)[0]
        raise JudgeError(
            f"The generator proposed no items in {len(asks)} batches: {reason}. Use a larger "
            "language model, or smaller batches (--batch-size)."
        )
    proposals = merged_by_text(batches)[:MOST_ITEMS]
    kept, dropped = _judged(proposals, problems, make_table, plan)
    if len(kept) < plan.fewest:
        raise JudgeError(
            f"Only {len(kept)} items that differ in words and verdicts came of {len(batches)} "
            f"batches, and a rubric needs {plan.fewest}; give more problems, or lower --fewest."
        )
    items = renamed([proposals[place].item for place in kept])
    return DataSetItems(
        items,
        sum(map(len, batches)),
        len(proposals),
        tuple((proposals[place].item, why) for place, why in dropped.items()),
        failed,
    )


def verdict_rows(problems: Sequence[LabelledProblem], plan: Plan) -> list[Row]:
    """Choose the responses on which proposed items are judged: contrasting ones first."""
    order = np.random.default_rng(plan.seed + 1).permutation(len(problems))
    first: list[Row] = []
    rest: list[Row] = []
    for place in order:
        rows = rows_of([problems[place]])
        pair = problems[place].contrast or ((0, 1) if len(rows) > 1 else (0,))
        first += [row for row in rows if row.place in pair]
        rest += [row for row in rows if row.place not in pair]
    return [*first, *rest][: plan.verdict_rows]


def generate_for_problems(
    problems: Sequence[LabelledProblem],
    writer: Writer,
    plan: Plan,
    *,
    items: Items = (),
    stored: Sequence[StoredRubric] = (),
    judged: Callable[[LabelledProblem, str], bool] = lambda problem, response: True,
    source: str | None = None,
) -> ProblemItems:
    """Generate items for single problems.

    Where there are no stored rubrics, those of the first problems serve the others.

    Args:
        problems: The problems, with responses and perhaps labels.
        writer: The generator.
        plan: How to generate.
        items: Items for the whole data set, which these go with.
        stored: Rubrics of other problems to learn from.
        judged: Whether a response to a problem is among those that will be judged.
        source: What the items are made from, in words.
    """
    once = list({problem.problem: problem for problem in problems}.values())
    instances: list[RubricInstance] = []
    failed: Counter[str] = Counter()
    known = list(stored)
    first = [] if stored else once[:FIRST_PROBLEMS]
    for some in filter(None, (first, once[len(first) :])):
        asks = problem_asks(some, known, plan)
        answers = writer.write(asks, "Writing rubrics")
        for problem, written in zip(some, answers, strict=True):
            kept = written if isinstance(written, Refusal) else _for_problem(written, items)
            if isinstance(kept, Refusal):
                failed[kept.reason] += 1
                continue
            used = [text for _, text in shown_for(problem, plan.seed).responses]
            instances.append(
                RubricInstance(
                    problem.problem,
                    kept,
                    id=problem.id,
                    source=source,
                    transductive=any(judged(problem, text) for text in used),
                )
            )
            known.append(StoredRubric(problem.problem, problem.question, kept))
    alone = sum(not shown_for(problem, plan.seed).responses for problem in once)
    return ProblemItems(tuple(instances), failed, alone)


def problem_asks(
    problems: Sequence[LabelledProblem], stored: Sequence[StoredRubric], plan: Plan
) -> list[Ask[Items]]:
    """Ask for items for each problem, with the nearest of the stored rubrics."""
    near = nearest([(each.problem, each.question) for each in problems], stored, NEAR)
    return [
        problem_ask(shown_for(problem, plan.seed), rubrics, plan.lines)
        for problem, rubrics in zip(problems, near, strict=True)
    ]


def shown_for(problem: LabelledProblem, seed: int) -> Shown:
    """Show a problem with two contrasting responses, unmarked and in an order that is random.

    They are the best and the worst where labels tell, else the two with the fewest words in common.
    """
    pair = problem.contrast or _least_alike(problem.responses)
    if pair is None:
        return Shown(problem.question)
    digest = hashlib.sha256(f"{seed}:{problem.problem}".encode()).digest()
    ordered = pair if digest[0] % 2 else pair[::-1]
    return Shown(problem.question, tuple(("", problem.responses[place]) for place in ordered))


def _for_problem(written: Items, items: Items) -> Items | Refusal:
    """Leave out what the rubric of the data set says already; name the others apart from it."""
    said = {normal_text(item.text) for item in items}
    merged = [proposal.item for proposal in merged_by_text([written])]
    new = [item for item in merged if normal_text(item.text) not in said]
    if len(new) < FEWEST_FOR_INSTANCE:
        reason = f"fewer than {FEWEST_FOR_INSTANCE} different items were written"
        return Refusal(reason, transient=False)
    return renamed(new[:MOST_FOR_INSTANCE], [item.key for item in items])


def _judged(
    proposals: Sequence[Proposal],
    problems: Sequence[LabelledProblem],
    make_table: MakeTable,
    plan: Plan,
) -> tuple[list[int], dict[int, str]]:
    rows = verdict_rows(problems, plan)
    values = make_table(rows).values([proposal.item for proposal in proposals])
    preferences = by_labels(rows, plan.seed)
    worth = np.full(len(proposals), np.nan)
    if preferences is not None:
        for place in range(len(proposals)):
            gaps = preferences.gaps(values[:, place])
            worth[place] = gaps.mean() if len(gaps) else np.nan
    return chosen(proposals, values, worth, plan.fewest, plan.most)


def _marked(problem: LabelledProblem, middle: float | None) -> Shown:
    """Show a problem with its better and worse response, or with one and what is known of it."""
    if problem.contrast is not None:
        better, worse = (problem.responses[place] for place in problem.contrast)
        return Shown(problem.question, (("better", better), ("worse", worse)))
    if not problem.responses:
        return Shown(problem.question)
    label = problem.labels[0]
    known = "" if middle is None or label is None else "good" if label > middle else "poor"
    return Shown(problem.question, ((known, problem.responses[0]),))


def _middle(problems: Sequence[LabelledProblem]) -> float | None:
    """The middle between the lowest and the highest label; None if labels do not differ."""
    labels = [label for problem in problems for label in problem.labels if label is not None]
    return (min(labels) + max(labels)) / 2 if labels and min(labels) < max(labels) else None


def _least_alike(responses: Sequence[str]) -> tuple[int, int] | None:
    words = [set(normal_text(response).split()) for response in responses]
    pairs: list[tuple[float, int, int]] = [
        (len(words[one] & words[other]) / max(len(words[one] | words[other]), 1), one, other)
        for one in range(len(responses))
        for other in range(one + 1, len(responses))
        if responses[one] != responses[other]
    ]
    return min(pairs)[1:] if pairs else None
