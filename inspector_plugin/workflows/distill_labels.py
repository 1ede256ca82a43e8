"""Labelling by the reference: resumed where it stopped, every cent counted in a file of its own."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.data.inputs import InputRows
from inspector_plugin.data.jsonl import file_sha256, read_rows
from inspector_plugin.data.requests import RequestForm, RequestRow
from inspector_plugin.data.stored_scores import judgements_of
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import cannot_judge
from inspector_plugin.judging.score_file import score_to_file
from inspector_plugin.judging.validate import description_of
from inspector_plugin.plugins.registry import JudgeRegistry, create_judge
from inspector_plugin.schema.records import Judgement
from inspector_plugin.workflows.distill_choice import FIELD
from inspector_plugin.workflows.distill_plan import DistillPlan

# With more of its scores missing than this, a run that may yet get them stops.
MOST_MISSING = 0.1


class PaidCache(JudgeCache):
    """The judge cache, which also writes down what every judgement has cost when it comes in.

    The file of labels is written some hundred rows at a time. What was paid for and had not been
    written there when a run was interrupted is in the cache and on this list.
    """

    def __init__(self, path: Path | None, spending: Path) -> None:
        """Open the cache.

        Args:
            path: Its file; the user's own if None.
            spending: Where to write down the cost, a line for each group of judgements.
        """
        super().__init__(path)
        self._spending = spending

    def put(self, judge: Judge, judgements: Sequence[tuple[str, Judgement]]) -> None:
        """Write the cost down, and keep the judgements."""
        counted = [each.usage for _, each in judgements if each.usage is not None]
        money = [usage.money for usage in counted if usage.money]
        if money:
            with self._spending.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"money": math.fsum(money)}) + "\n")
        super().put(judge, judgements)


@contextmanager
def opened_paid_cache(plan: DistillPlan) -> Iterator[JudgeCache]:
    """Open the judge cache that the reference's labels go through."""
    with PaidCache(None if plan.cached else plan.own_cache, plan.spending) as cache:
        yield cache


@dataclass(frozen=True)
class Labels:
    """What came of labelling.

    Attributes:
        rows: How many rows there are.
        asked: How many scores were asked for.
        scored: How many there are.
        transient: How many of the others may be had by asking again.
        reasons: Why the others are missing.
        spent: US dollars, over all calls of the command.
        price: Mean US dollars of a row that was paid for; None if none was, as far as it is known.
    """

    rows: int
    asked: int
    scored: int
    transient: int
    reasons: Mapping[str, int]
    spent: float
    price: float | None


def label(plan: DistillPlan, registry: JudgeRegistry) -> Labels:
    """Label the chosen rows.

    Raises:
        OptionError: If the reference cannot judge one of the criteria.
        DataError: If too many scores are missing to go on.
    """
    name = plan.reference.name
    rows = InputRows([plan.rows], chosen_form(plan))
    options = _reference_options(plan, registry)
    with (
        create_judge(plan.reference, options, registry) as judge,
        opened_paid_cache(plan) as cache,
    ):
        _require_able(judge, rows, name)
        score_to_file(
            rows, {name: judge}, plan.labelled, _made_by(plan, judge, rows.sha256()), cache=cache
        )
    labels = read_labels(plan)
    _require_enough(plan, labels)
    return labels


def _require_able(judge: Judge, rows: InputRows, name: str) -> None:
    reasons = cannot_judge(judge, rows.asked)
    if reasons:
        raise OptionError(
            f"--reference: {name!r} cannot give {reasons.total()} of {rows.asked.total()} scores "
            f"({'; '.join(reasons)}); leave such criteria out with --criteria."
        )


def chosen_form(plan: DistillPlan) -> RequestForm:
    """How rows of our own files become requests: they have the usual fields."""
    return RequestForm(criteria=plan.form.criteria)


def _reference_options(plan: DistillPlan, registry: JudgeRegistry) -> dict[str, Any]:
    """The options of the reference, with what is left of the budget."""
    names = {option.name for option in registry.get(plan.reference.name).backend.option_list}
    options = {name: value for name, value in plan.reference_options.items() if name in names}
    if plan.max_cost is not None and "max_cost" in names:
        spent = _spent(plan, _prices(labelled_judgements(plan)))
        # A limit of nothing is no limit that a judge takes.
        options["max_cost"] = max(plan.max_cost - spent, 1e-9)
    return options


def _made_by(plan: DistillPlan, judge: Judge, rows_sha256: str) -> dict[str, Any]:
    return {
        "inspector_plugin": __version__,
        "command": "distill",
        "rows_sha256": rows_sha256,
        "criteria": [criterion.described() for criterion in plan.form.criteria],
        "judges": {
            plan.reference.name: {
                "spec": str(plan.reference),
                "made_of": description_of(judge, plan.reference.name),
            }
        },
    }


def _spent(plan: DistillPlan, prices: Iterable[float]) -> float:
    """US dollars that the labels have cost so far, those of runs that were interrupted included."""
    listed = 0.0
    if plan.spending.exists():
        rows = read_rows(plan.spending, _ignore)
        listed = math.fsum(float(row["money"]) for _, row in rows)
    return max(listed, math.fsum(prices))


def _ignore(message: str) -> None:
    """A line whose writing was interrupted is removed when its file is written again."""


def _prices(judgements: Iterable[Judgement]) -> Iterator[float]:
    """What each labelled row has cost, where it was paid for."""
    for judgement in judgements:
        usage = judgement.usage
        if usage is not None and usage.money and usage.calls:
            yield usage.money


def labelled_judgements(plan: DistillPlan) -> Iterator[Judgement]:
    """The reference's judgements, row by row."""
    if not plan.labelled.exists():
        return
    for number, row in read_rows(plan.labelled, _ignore):
        yield judgements_of(row, f"{plan.labelled}, line {number}")[plan.reference.name]


def read_labels(plan: DistillPlan) -> Labels:
    """Count what there is."""
    reasons: Counter[str] = Counter()
    judgements = list(labelled_judgements(plan))
    asked = transient = 0
    for judgement in judgements:
        asked += len(judgement.scores)
        transient += sum(s.transient for s in judgement.scores.values())
        reasons.update(s.reason for s in judgement.scores.values() if s.reason is not None)
    prices = list(_prices(judgements))
    price = math.fsum(prices) / len(prices) if prices else None
    scored = asked - reasons.total()
    return Labels(len(judgements), asked, scored, transient, reasons, _spent(plan, prices), price)


def _require_enough(plan: DistillPlan, labels: Labels) -> None:
    missing = labels.asked - labels.scored
    if missing <= MOST_MISSING * labels.asked:
        return
    said = "; ".join(f"{count} times: {reason}" for reason, count in labels.reasons.items())
    remedy = (
        f"Call the command again to ask for {labels.transient} of them, with a larger --max-cost "
        "if that is what stopped it."
        if labels.transient
        else "Asking again would not help: give another reference, or other rows."
    )
    raise DataError(
        f"{missing} of {labels.asked} labels are missing ({said}); what there is stays in "
        f"{plan.labelled}. {remedy}"
    )


def split_labels(plan: DistillPlan, part: str) -> list[dict[str, Any]]:
    """The labelled rows of one part."""
    return [row for _, row in read_rows(plan.labelled) if row[FIELD]["part"] == part]


def request_rows(plan: DistillPlan, rows: Sequence[Mapping[str, Any]]) -> list[RequestRow]:
    """Make requests of rows of our own files."""
    form = chosen_form(plan)
    return [form.request_row(row, str(plan.labelled)) for row in rows]


def labels_sha256(plan: DistillPlan) -> str:
    """Hash the labels."""
    return file_sha256(plan.labelled)
