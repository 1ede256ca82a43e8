"""Judge backends for lm_eval: scores for reasoning responses, and how far to trust them.

Importing this package loads neither torch nor transformers; the names below are imported when they
are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

# Names by the module that holds them.
_HOMES = {
    "AspectScore": "schema",
    "Backend": "plugins.options",
    "Comparison": "api",
    "Criterion": "schema",
    "CriterionScore": "schema",
    "DataError": "errors",
    "InspectorError": "errors",
    "Judge": "judging.judge",
    "JudgeCache": "judging.cache",
    "JudgeRequest": "schema",
    "JudgeSpec": "plugins.options",
    "Judgement": "schema",
    "Option": "plugins.options",
    "Scale": "schema",
    "Scored": "api",
    "StreamingJudge": "judging.judge",
    "Usage": "schema",
    "compare": "api",
    "create_judge": "plugins.registry",
    "hookimpl": "plugins.hookspecs",
    "judge_all": "judging.run",
    "load_judge": "api",
    "make_registry": "plugins.registry",
    "option": "plugins.options",
    "parse_criteria": "schema",
    "score": "api",
    "unscored": "schema",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
