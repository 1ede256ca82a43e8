"""Scores in the schema of Every Eval Ever, version 0.3.0: an evaluation log of one model.

docs/inputs.md says which of its fields are filled, and how. Written from the schema that the
Python package every-eval-ever 0.3.0 brings along.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.errors import DataError
from inspector_plugin.report.judge_figures import CriterionSummary, JudgeFigures, JudgeSummary
from inspector_plugin.schema.criteria import TOTAL
from inspector_plugin.schema.records import Judgement

SCHEMA_VERSION = "0.3.0"
RELATIONSHIPS = ("first_party", "third_party", "collaborative", "other")
_HUB = {
    "gsm8k": "openai/gsm8k",
    "math": "EleutherAI/hendrycks_math",
    "gpqa": "Idavidrein/gpqa",
}
_UNKNOWN_MODEL = {"deployment_type": "unknown", "model_availability": "unknown"}


# By task and data set, the figures of each judge.
_Figures = dict[tuple[str, str | None], dict[str, JudgeFigures]]


@dataclass(frozen=True)
class JudgeInfo:
    """What is to be said of a judge.

    Attributes:
        model: Its language model; None where nothing says.
        input_prompt: The prompt by which it judges; None where nothing says.
        details: What else it is made of.
    """

    model: str | None
    input_prompt: str | None
    details: Mapping[str, str]


@dataclass(frozen=True)
class RunInfo:
    """What the schema asks for and scores do not say.

    Attributes:
        model: The evaluated model; None for that of the rows.
        organization: Who publishes the scores.
        relationship: That of the publisher to the evaluated model, one of `RELATIONSHIPS`.
        dataset: The data set of rows that name neither task nor data set.
        judges: The judges by name.
        criteria: Title and definition of each criterion by key.
        timestamp: Seconds since 1970, as text.
    """

    model: str | None
    organization: str | None
    relationship: str | None
    dataset: str | None
    judges: Mapping[str, JudgeInfo]
    criteria: Mapping[str, tuple[str, str]]
    timestamp: str


def evaluation_log(
    rows: Iterable[tuple[Mapping[str, Any], Mapping[str, Judgement]]], run: RunInfo
) -> dict[str, Any]:
    """Make the evaluation log of one model.

    Args:
        rows: The judged rows.
        run: What else is known. Of rows by several models those by `run.model` count.

    Raises:
        DataError: If something that the schema asks for is missing; the message names all of it.
    """
    by_model: dict[str | None, _Figures] = {}
    for row, judgements in rows:
        model = row.get("model")
        dataset = row.get("dataset") or run.dataset
        task = row.get("task") or dataset or ""
        figures = by_model.setdefault(model if isinstance(model, str) and model else None, {})
        by_judge = figures.setdefault((str(task), None if dataset is None else str(dataset)), {})
        for name, judgement in judgements.items():
            by_judge.setdefault(name, JudgeFigures(name)).add(judgement)
    named = [model for model in by_model if model is not None]
    if len(by_model) > 1 and run.model not in named:
        raise DataError(
            "The rows are by several models, and a log is of one; choose with --model: "
            f"{', '.join(named)[:300]}."
        )
    # One model may be given another name, such as that of the Hugging Face hub.
    model_name = run.model or next(iter(named), None)
    figures = by_model[model_name if len(by_model) > 1 else next(iter(by_model))]
    judges = list(dict.fromkeys(name for each in figures.values() for name in each))
    _require_known(run, model_name, [task for task, _ in figures], judges)
    assert model_name is not None
    tasks = "+".join(dict.fromkeys(task for task, _ in figures))
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{tasks}/{model_name}/{run.timestamp}",
        "retrieved_timestamp": run.timestamp,
        "source_metadata": {
            "source_name": "inspector_plugin",
            "source_type": "evaluation_run",
            "source_organization_name": run.organization,
            "evaluator_relationship": run.relationship,
        },
        "eval_library": {"name": "inspector_plugin", "version": __version__},
        "model_info": _model(model_name),
        "evaluation_results": [
            result
            for (task, dataset), by_judge in figures.items()
            for each in by_judge.values()
            for result in _results(task, dataset, each.summary(), run)
        ],
    }


def _require_known(
    run: RunInfo, model: str | None, tasks: Sequence[str], judges: Sequence[str]
) -> None:
    needed: dict[str, object] = {
        "the evaluated model (--model, or a field model)": model,
        "who publishes the scores (--organization)": run.organization,
        f"the publisher's relation to the model (--relationship {'|'.join(RELATIONSHIPS)})": (
            run.relationship
        ),
        "the data set (--dataset, or a field task or dataset)": all(tasks),
    }
    for name in judges:
        info = run.judges.get(name)
        needed[f"the model of judge {name} (--judge-model)"] = info and info.model
        needed[f"the prompt of judge {name} (--input-prompt FILE)"] = info and info.input_prompt
    missing = [what for what, value in needed.items() if not value]
    if missing:
        raise DataError(f"Every Eval Ever asks for what is missing here: {'; '.join(missing)}.")


def _results(
    task: str, dataset: str | None, summary: JudgeSummary, run: RunInfo
) -> list[dict[str, Any]]:
    criteria = dict(summary.criteria)
    if summary.total is not None and len(criteria) > 1:
        criteria[TOTAL] = summary.total
    return [
        _result(task, dataset, summary.name, key, each, run)
        for key, each in criteria.items()
        if each.mean is not None and each.scale is not None  # a result has a score
    ]


def _result(
    task: str,
    dataset: str | None,
    judge: str,
    key: str,
    summary: CriterionSummary,
    run: RunInfo,
) -> dict[str, Any]:
    assert summary.scale is not None
    title, definition = run.criteria.get(key, (key.replace("_", " ").capitalize(), ""))
    uncertainty: dict[str, Any] = {"num_samples": summary.scored}
    if summary.stderr is not None:
        value = round(summary.stderr, 6)
        uncertainty["standard_error"] = {"value": value, "method": "analytic"}
    described = {} if not definition else {"evaluation_description": definition}
    return {
        "evaluation_result_id": f"{task}/{judge}/{key}",
        "evaluation_name": task,
        "source_data": _source(dataset or task),
        "metric_config": {
            **described,
            "metric_id": f"inspector_plugin.{key}",
            "metric_name": title,
            "metric_kind": "judge_score",
            "metric_unit": "points",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": summary.scale[0],
            "max_score": summary.scale[1],
            "llm_scoring": _llm_scoring(judge, run.judges[judge]),
        },
        "score_details": {
            "score": round(summary.mean or 0.0, 6),
            "details": {
                "responses": str(summary.asked),
                "scored": str(summary.scored),
                "flagged": str(summary.flagged),
                "reasons_unscored": json.dumps(dict(summary.unscored), sort_keys=True),
            },
            "uncertainty": uncertainty,
        },
    }


def _llm_scoring(judge: str, info: JudgeInfo) -> dict[str, Any]:
    return {
        "judges": [
            {
                "model_info": _model(str(info.model)),
                "additional_details": {"judge": judge, **info.details},
            }
        ],
        "input_prompt": info.input_prompt,
    }


def _source(dataset: str) -> dict[str, Any]:
    if dataset in _HUB:
        return {"dataset_name": dataset, "source_type": "hf_dataset", "hf_repo": _HUB[dataset]}
    return {"dataset_name": dataset, "source_type": "other"}


def _model(name: str) -> dict[str, Any]:
    return {"name": name, "id": name, "additional_details": dict(_UNKNOWN_MODEL)}
