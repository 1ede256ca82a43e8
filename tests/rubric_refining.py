"""Data of which tests know which responses meet what, and rubrics that are refined on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chat_server import Answer, ChatServer
from rubric_models import MetaJudge, TraitJudge, problem, trait

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.judging.judge import Judge
from inspector_plugin.rubrics.preferences import by_labels
from inspector_plugin.rubrics.refine import Refined, Refiner, Settings
from inspector_plugin.rubrics.split import Split
from inspector_plugin.rubrics.verdicts import VerdictTable, rows_of
from inspector_plugin.rubrics.writer import make_writer
from inspector_plugin.schema.rubrics import RubricItem


def of_trait(name: str, kind: str = "rule") -> RubricItem:
    return RubricItem(name, trait(name)["text"], kind)


def labelled(count: int, start: int = 0) -> list[LabelledProblem]:
    """The better response is good; both are common; half of the worse ones are odd, none good."""
    return [
        problem(
            start + n,
            [
                f"good common {'half' if n % 4 else ''} {n}",
                f"bad common {'odd' if n % 2 else ''} {n}",
            ],
            [1.0, 0.0],
        )
        for n in range(count)
    ]


def split_of(problems: Sequence[LabelledProblem], judge: Judge) -> Split:
    rows = rows_of(problems)
    preferences = by_labels(rows)
    assert preferences is not None
    return Split(VerdictTable(judge, rows, None), preferences)


def refined(
    server: ChatServer,
    items: tuple[RubricItem, ...],
    judge: Judge | None = None,
    meta_judge: Judge | None = None,
    **settings: Any,
) -> Refined:
    judge = judge or TraitJudge()
    dev, held = split_of(labelled(12), judge), split_of(labelled(8, 100), judge)
    with make_writer(f"prompt:model=m,base_url={server.url}") as writer:
        refiner = Refiner(
            dev, held, writer, meta_judge or MetaJudge(), None, Settings(**settings), ("taken",)
        )
        return refiner.refine(items)


def no_answer(body: dict[str, Any], number: int) -> Answer:
    return Answer("I would rather not.")
