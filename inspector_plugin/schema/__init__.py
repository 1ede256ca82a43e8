"""The vocabulary of the package: criteria and scales, requests and judgements.

Plugins import from here; nothing here loads torch, transformers or lm_eval.
"""

from typing import Any

from inspector_plugin.schema.criteria import BINARY, LABELS, MULTICLASS, Criterion, Scale
from inspector_plugin.schema.criteria_files import CriteriaSet, parse_criteria, read_criteria_file
from inspector_plugin.schema.old_names import OLD_NAMES
from inspector_plugin.schema.records import (
    AspectScore,
    CriterionScore,
    Judgement,
    JudgeRequest,
    expected_score,
    reused,
    total_usage,
    unjudged,
    unscored,
)
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS
from inspector_plugin.schema.rubric_files import RubricFile, read_rubric_file
from inspector_plugin.schema.rubric_scores import rubric_score
from inspector_plugin.schema.rubrics import ItemVerdict, RubricInstance, RubricItem
from inspector_plugin.schema.usage import Usage

__all__ = [
    "BINARY",
    "LABELS",
    "MULTICLASS",
    "ROSCOE",
    "ROSCOE_KEYS",
    "AspectScore",
    "CriteriaSet",
    "Criterion",
    "CriterionScore",
    "ItemVerdict",
    "JudgeRequest",
    "Judgement",
    "RubricFile",
    "RubricInstance",
    "RubricItem",
    "Scale",
    "Usage",
    "expected_score",
    "parse_criteria",
    "read_criteria_file",
    "read_rubric_file",
    "reused",
    "rubric_score",
    "total_usage",
    "unjudged",
    "unscored",
]


def __getattr__(name: str) -> Any:
    if name not in OLD_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return OLD_NAMES[name]
