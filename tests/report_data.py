"""Judged responses for the tests of reports, hostile ones among them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from inspector_plugin.schema import ROSCOE

HOSTILE = (
    "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
    "</pre></details></main><style>body{display:none}</style>{{ 7 * 7 }} \u202egnihtyreve $x_1$ "
    "\ud800 \x1b[31m"
)
LONG = "long answer " * 2000


def score(value: float | None, rng: random.Random, key: int, **fields: Any) -> dict[str, Any]:
    """A score on 1-5 in the judgement format."""
    cell: dict[str, Any] = {"score": value, "label": None if value is None else round(value)}
    cell |= {"scale": [1, 2, 3, 4, 5], "fingerprint": ROSCOE[key].fingerprint}
    if value is None:
        cell["reason"] = "the response is empty"
    return cell | fields


def write_run(path: Path, rows: int, seed: int = 0, **fields: Any) -> Path:
    """Write a judgement file of two models, two judges and people's scores.

    The first response is hostile and is where the judges lie furthest apart, the second is long.
    """
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            file.write(json.dumps({**row(number, rng), **fields}) + "\n")
    return path


def row(number: int, rng: random.Random) -> dict[str, Any]:
    """One row: people score from 1 to 5, `cheap` near it, `noisy` at random."""
    true = 1 + number % 5
    response = {0: HOSTILE, 1: LONG}.get(number, f"answer {number} " + "step " * (number % 40))
    near = min(max(true + rng.choice((-1, 0, 0, 1)), 1), 5)
    sure = rng.choice((0.9, 0.6))
    rest = (1 - sure) / 4
    probabilities = {str(label): sure if label == near else rest for label in range(1, 6)}
    far = 5.0 if number == 0 else float(near)
    people = {ROSCOE[k].key: score(float(true), rng, k) for k in (1, 3)}
    people[ROSCOE[1].key]["explanation"] = f"<b>people</b> gave {true}"
    cheap = {
        ROSCOE[1].key: score(far, rng, 1, probabilities=probabilities),
        ROSCOE[3].key: score(None if number == 4 else float(near), rng, 3),
    }
    noisy = {ROSCOE[k].key: score(float(rng.randint(2, 4)), rng, k) for k in (1, 3)}
    if number % 7 == 3:
        noisy[ROSCOE[3].key]["flags"] = ["truncated"]
    usage = {"calls": 2, "prompt_tokens": 100, "completion_tokens": 4, "money": 0.001}
    judgements = {
        "people": {"format_version": 2, "scores": people},
        "cheap": {"format_version": 2, "scores": cheap},
        "noisy": {"format_version": 2, "scores": noisy, "usage": usage},
    }
    return {
        "id": f"p{number // 2}",
        "model": "model-a" if number % 2 else "model-b",
        "question": f"What is {number // 2} + 1?",
        "response": response,
        "exact_match": number % 3 == 0,
        "judgements": judgements,
    }
