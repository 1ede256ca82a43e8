"""Running our tasks in lm_eval with a model that says what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lm_eval
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from inspector_plugin.folders import shipped_folder
from inspector_plugin.schema import JudgeRequest
from inspector_plugin.testing import ScriptedJudge


class Parrot(LM):
    """Answers every prompt with the next of a few texts; remembers the prompts."""

    def __init__(self, *answers: str) -> None:
        super().__init__()
        self.answers, self.prompts = answers, []

    def generate_until(self, requests: list[Any]) -> list[str]:
        first = len(self.prompts)
        self.prompts += [request.args[0] for request in requests]
        return [self.answers[(first + n) % len(self.answers)] for n in range(len(requests))]

    def loglikelihood(self, requests: list[Any]) -> Any:
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def manager(**metadata: Any) -> TaskManager:
    """Know our tasks only, which is faster than knowing all of lm_eval's."""
    folder = shipped_folder("tasks")
    return TaskManager(include_path=folder, include_defaults=False, metadata=metadata)


def evaluate(task: str, model: LM, metadata: dict[str, Any], **options: Any) -> dict[str, Any]:
    given = {"bootstrap_iters": 0, "task_manager": manager(**metadata), **options}
    results = lm_eval.simple_evaluate(model=model, tasks=[task], **given)
    assert results is not None
    return dict(results)


def scripted(script: Any, **options: Any) -> Callable[..., ScriptedJudge]:
    return lambda labels: ScriptedJudge(script, **options)


def sure(request: JudgeRequest, key: str) -> int:
    return 1 + (len(request.response) + len(key)) % 5
