"""What travels between the rooms, and the names of the aspects."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from inspector_plugin.aspects import ASPECT_KEYS, ASPECTS, parse_aspects
from inspector_plugin.errors import OptionError
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    AspectScore,
    Judgement,
    JudgeRequest,
    unjudged,
    unscored,
)

PROBABILITIES = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.2, 5: 0.2}


@pytest.mark.parametrize(
    "score",
    [
        AspectScore(3.2, 3, PROBABILITIES),
        AspectScore(4.0, 4, explanation="clear", flags=("truncated",)),
        unscored("no score found", explanation="hm"),
    ],
)
def test_json_round_trip(score: AspectScore) -> None:
    judgement = Judgement({"fluency": score, "logicality": AspectScore(1.0, 1)})
    assert Judgement.from_json(json.loads(json.dumps(judgement.to_json()))) == judgement


def test_json_form() -> None:
    assert AspectScore(3.2, 3, PROBABILITIES).to_json() == {
        "score": 3.2,
        "label": 3,
        "probabilities": {"1": 0.1, "2": 0.2, "3": 0.3, "4": 0.2, "5": 0.2},
        "reason": None,
    }
    assert unscored("why").to_json() == {
        "score": None,
        "label": None,
        "probabilities": None,
        "reason": "why",
    }


@pytest.mark.parametrize(
    "values", [(None, None), (None, ""), (1.0, "a reason"), (math.nan, None), (math.inf, None)]
)
def test_either_a_finite_score_or_a_reason(values: tuple[float | None, str | None]) -> None:
    with pytest.raises(ValueError, match="score"):
        AspectScore(score=values[0], reason=values[1])


def test_total_needs_every_aspect() -> None:
    one, two = AspectScore(1.5, 2), AspectScore(2.0, 2)
    assert Judgement({"fluency": one, "logicality": two}).total == 3.5
    assert Judgement({"fluency": one, "logicality": unscored("no")}).total is None
    assert Judgement({}).total is None


def test_unjudged_gives_every_aspect_the_reason() -> None:
    judgement = unjudged(JudgeRequest("q", "r", ("fluency", "factuality")), "why")
    assert {key: score.reason for key, score in judgement.aspects.items()} == {
        "fluency": "why",
        "factuality": "why",
    }


@pytest.mark.parametrize(
    ("score", "label"), [(1.0, 1), (2.49, 2), (2.5, 3), (3.5, 4), (4.5, 5), (5.0, 5), (0.2, 1)]
)
def test_nearest_label_rounds_half_up(score: float, label: int) -> None:
    assert MULTICLASS.nearest(score) == label


def test_scales() -> None:
    assert [(s.name, s.minimum, s.middle, s.maximum) for s in (MULTICLASS, BINARY)] == [
        ("multiclass", 1, 3, 5),
        ("binary", 0, 0.5, 1),
    ]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (None, ASPECT_KEYS),
        ("all", ASPECT_KEYS),
        ("fluency, logicality,fluency", ("logicality", "fluency")),
        (["factuality"], ("factuality",)),
    ],
)
def test_parse_aspects(text: str | list[str] | None, keys: tuple[str, ...]) -> None:
    assert parse_aspects(text) == keys


@pytest.mark.parametrize(
    ("text", "message"), [("fluenzy", "Did you mean 'fluency'"), (" , ", "No aspect given")]
)
def test_unknown_aspects(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_aspects(text)


def test_each_aspect_is_told_in_five_steps() -> None:
    assert [len(aspect.criteria) for aspect in ASPECTS] == [5] * 5


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, inspector_plugin, inspector_plugin.plugins as p; p.make_registry();"
        "print(sorted({'torch', 'transformers', 'lm_eval'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
