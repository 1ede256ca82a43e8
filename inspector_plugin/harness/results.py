"""The figures of a judged task: once in lm_eval's results, and as tables after lm_eval's own."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin.harness.command_line import is_lm_eval_command
from inspector_plugin.harness.metrics import agreement_of
from inspector_plugin.harness.responses import JudgedDocument
from inspector_plugin.report.judge_figures import JudgeSummary, summarise_judge
from inspector_plugin.report.summary import print_summaries

# What is printed when lm_eval has printed its own tables.
_pending: list[TaskResults] = []


@dataclass(frozen=True)
class TaskResults:
    """What judging a task came to.

    Attributes:
        task: The task's name.
        summaries: The figures of each judge, the reference last.
        reference: The name of the reference judge, if there is one.
        seed: Seed of the bootstrap.
        resamples: Number of its resamples.
    """

    task: str
    summaries: Sequence[JudgeSummary]
    reference: str | None
    seed: int
    resamples: int

    def to_json(self) -> dict[str, Any]:
        """Return what the results hold of the task: `scores`, and `agreement` if there is any."""
        row: dict[str, Any] = {"scores": {each.name: each.to_json() for each in self.summaries}}
        compared = {
            each.name: each.agreement_to_json()
            for each in self.summaries
            if each.agreement is not None
        }
        if compared:
            row["agreement"] = {
                "reference": self.reference,
                "confidence": 0.95,
                "seed": self.seed,
                "resamples": self.resamples,
                "judges": compared,
            }
        return row


def summarise(
    task: str,
    documents: Mapping[str, Sequence[JudgedDocument]],
    reference: str | None,
    seed: int,
    resamples: int,
) -> TaskResults:
    """Compute the figures of a task.

    Args:
        task: The task's name.
        documents: For each judge the judgements of all documents.
        reference: The name of the reference judge, if there is one.
        seed: Seed of the bootstrap.
        resamples: Number of its resamples.
    """
    summaries = [
        summarise_judge(
            name,
            [judgement for document in judged for judgement in document.judged],
            agreement_of(judged, seed, resamples)
            if reference is not None and name != reference
            else None,
        )
        for name, judged in documents.items()
    ]
    return TaskResults(task, summaries, reference, seed, resamples)


def print_when_done(results: TaskResults) -> None:
    """Print tables once lm_eval has printed its own, if this is the command lm_eval.

    Whoever calls lm_eval from Python finds the figures in the results.
    """
    if is_lm_eval_command():
        _pending.append(results)


@atexit.register
def print_pending() -> None:
    """Print what waits to be printed: at the end of the process, if nobody does before."""
    while _pending:
        results = _pending.pop(0)
        print_summaries(results.summaries, results.reference, title=results.task)
