"""Judge backends for lm_eval: scores for reasoning responses, and how far to trust them.

Importing this package loads neither torch nor transformers; the names below are imported when they
are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Backend": "judge",
    "Judge": "judge",
    "JudgeSpec": "judge",
    "StreamingJudge": "judge",
    "Option": "judge",
    "InspectorError": "errors",
    "hookimpl": "hookspecs",
    "create_judge": "plugins",
    "make_registry": "plugins",
    "JudgeCache": "cache",
    "judge_all": "judging",
    "AspectScore": "schema",
    "JudgeRequest": "schema",
    "Judgement": "schema",
    "Scale": "schema",
    "Usage": "schema",
    "unscored": "schema",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
