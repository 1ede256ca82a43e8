"""What the tests of `inspector distill` judge, and references that follow a planted rule."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from chat_server import Answer, ChatServer, judgement, response_of

from inspector_plugin.data.inputs import InputRows
from inspector_plugin.data.requests import RequestForm
from inspector_plugin.judges.inspector.plan import ClassifierSettings, TrainingPlan
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.schema import ROSCOE
from inspector_plugin.workflows.distill_plan import DATASET, DistillPlan

FLUENCY = next(criterion for criterion in ROSCOE if criterion.key == "fluency")
LOGICALITY = next(criterion for criterion in ROSCOE if criterion.key == "logicality")
CHECKED, GUESSED = "That is checked. ", "This is guessed. "
TRAINING = TrainingPlan(
    DATASET,
    folds=2,
    members=1,
    layer_step=2,
    poolings="mean",
    classifiers=(ClassifierSettings("logistic_regression"),),
)
# A dollar a million tokens: 1000 and 50 a call are $0.00105.
PRICES = {"m": {"miss": 1.0, "hit": 1.0, "output": 1.0}}
PRICE = 0.00105


def responses(problems: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """Two responses to each problem, of one length, four sentences of two kinds."""
    lots = random.Random(seed)
    rows = []
    for problem in range(problems):
        for model in ("first", "second"):
            good = lots.randrange(5)
            sentences = [CHECKED] * good + [GUESSED] * (4 - good)
            lots.shuffle(sentences)
            rows.append(
                {
                    "id": problem,
                    "question": f"A shelf holds {problem + 2} rows of 9 jars. How many jars?",
                    "response": "".join(sentences) + f"So it is {9 * (problem + 2)}, {model}.",
                    "model": model,
                }
            )
    return rows


def rule(response: str) -> int:
    return 1 + response.count(CHECKED.strip())


def by_rule(body: dict[str, Any], number: int) -> Answer:
    return Answer(content=judgement(rule(response_of(body))))


def by_lot(body: dict[str, Any], number: int) -> Answer:
    lot = hashlib.sha256(response_of(body).encode()).digest()[0]
    return Answer(content=judgement(1 + lot % 5))


def mostly_by_rule(body: dict[str, Any], number: int) -> Answer:
    """On logicality a third of the scores are dealt out by lot, on fluency none."""
    if "\nLogicality:" in body["messages"][0]["content"]:
        lot = hashlib.sha256(response_of(body).encode()).digest()[1]
        return by_lot(body, number) if lot % 3 == 0 else by_rule(body, number)
    return by_rule(body, number)


def plan_of(server: ChatServer, language_model: Path, **fields: Any) -> DistillPlan:
    given: dict[str, Any] = {
        "out": Path("out"),
        "reference": JudgeSpec.parse(f"prompt:model=m,base_url={server.url},prices=prices.json"),
        "form": RequestForm(criteria=(FLUENCY,)),
        "training": TRAINING,
        "model": str(language_model),
        "labels": 90,
        "cheap": "none",
        "audit_rows": 0,
        "resamples": 200,
    }
    made = DistillPlan(**{**given, **fields})
    return replace(made, running=replace(made.running, jobs=1))


def rows_of(plan: DistillPlan) -> InputRows:
    return InputRows([Path("in.jsonl")], plan.form)


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def summary() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out/summary.json").read_text())
    return found
