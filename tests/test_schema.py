"""Requests, scores and judgements, their JSON form, and the built-in criteria."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from inspector_plugin import schema
from inspector_plugin.errors import CriteriaError
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    ROSCOE,
    ROSCOE_KEYS,
    AspectScore,
    Criterion,
    CriterionScore,
    Judgement,
    JudgeRequest,
    Scale,
    Usage,
    expected_score,
    unjudged,
    unscored,
)
from inspector_plugin.schema.criteria import own_rubric

PROBABILITIES = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.2, 5: 0.2}


SEVEN = Scale((1, 2, 3, 4, 5, 6, 7))


@pytest.mark.parametrize(
    "score",
    [
        CriterionScore(3.2, 3, PROBABILITIES),
        CriterionScore(4.0, 4, explanation="clear", flags=("truncated",)),
        CriterionScore(6.5, 7, scale=SEVEN, fingerprint="0123456789abcdef"),
        CriterionScore(1.0, 1, layer_logits=((0.5, 0.25), (0.0, 1.0)), scale=BINARY),
        unscored("no score found", explanation="hm"),
        unscored("busy", transient=True),
    ],
)
def test_json_round_trip(score: CriterionScore) -> None:
    scores = {"fluency": score, "logicality": CriterionScore(1.0, 1)}
    for judgement in (
        Judgement(scores),
        Judgement(scores, Usage(calls=2, money=None, seconds=0.5)),
    ):
        assert Judgement.from_json(json.loads(json.dumps(judgement.to_json()))) == judgement


def test_json_form() -> None:
    assert CriterionScore(3.2, 3, PROBABILITIES, scale=MULTICLASS, fingerprint="f").to_json() == {
        "score": 3.2,
        "label": 3,
        "scale": [1, 2, 3, 4, 5],
        "fingerprint": "f",
        "probabilities": {"1": 0.1, "2": 0.2, "3": 0.3, "4": 0.2, "5": 0.2},
    }
    assert unscored("why", transient=True).to_json() == {
        "score": None,
        "label": None,
        "reason": "why",
        "transient": True,
    }
    usage = Usage(calls=1, prompt_tokens=9, seconds=0.12345, money=0.00000149)
    assert Judgement({"fluency": unscored("why")}, usage).to_json() == {
        "format_version": 2,
        "scores": {"fluency": {"score": None, "label": None, "reason": "why"}},
        "usage": {
            "calls": 1,
            "prompt_tokens": 9,
            "cached_prompt_tokens": 0,
            "completion_tokens": 0,
            "seconds": 0.123,
            "money": 0.000001,
            "reused": 0,
        },
    }


def test_version_1_is_still_read() -> None:
    row = {
        "fluency": {
            "score": 3.2,
            "label": 3,
            "probabilities": {"1": 0.4, "5": 0.6},
            "reason": None,
        },
        "logicality": {
            "score": None,
            "label": None,
            "probabilities": None,
            "reason": "busy",
            "flags": ["truncated", "passing"],
        },
    }
    assert Judgement.from_json(row) == Judgement(
        {
            "fluency": CriterionScore(3.2, 3, {1: 0.4, 5: 0.6}),
            "logicality": unscored("busy", flags=("truncated",), transient=True),
        }
    )


@pytest.mark.parametrize("version", [0, 1, 3, "2", True, None])
def test_other_versions_are_refused(version: object) -> None:
    with pytest.raises(ValueError, match="is not one that this version reads"):
        Judgement.from_json({"format_version": version, "scores": {}})


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


@pytest.mark.parametrize(
    ("scales", "total"),
    [
        ((None, None), 2.0),
        ((None, MULTICLASS), 2.0),
        ((SEVEN, SEVEN), 2.0),
        ((None, SEVEN), None),
        ((MULTICLASS, BINARY), None),
    ],
)
def test_total_needs_one_common_scale(
    scales: tuple[Scale | None, Scale | None], total: float | None
) -> None:
    first, second = (CriterionScore(1.0, 1, scale=scale) for scale in scales)
    assert Judgement({"fluency": first, "logicality": second}).total == total


def test_unjudged_gives_every_criterion_the_reason() -> None:
    judgement = unjudged(JudgeRequest("q", "r", ("fluency", "factuality")), "why")
    assert {key: score.reason for key, score in judgement.scores.items()} == {
        "fluency": "why",
        "factuality": "why",
    }
    assert [(s.scale, s.fingerprint) for s in judgement.scores.values()] == [
        (MULTICLASS, ROSCOE[3].fingerprint),
        (MULTICLASS, ROSCOE[4].fingerprint),
    ]


def test_a_request_takes_criteria_or_keys_of_the_built_in_ones() -> None:
    own = Criterion("care", definition="It checks its steps.", scale=SEVEN)
    request = JudgeRequest("q", "r", ("fluency", own))
    assert request.criteria == (ROSCOE[3], own)
    assert request.keys == request.aspects == ("fluency", "care")
    assert JudgeRequest("q", "r").criteria == ROSCOE
    assert JudgeRequest("q", "r", [*ROSCOE_KEYS]).criteria == ROSCOE
    with pytest.raises(CriteriaError, match=r"'fluenzy'.*Did you mean 'fluency'"):
        JudgeRequest("q", "r", ("fluenzy",))
    with pytest.raises(CriteriaError, match="two criteria have the key 'care'"):
        JudgeRequest("q", "r", (own, own))


def test_a_rubric_is_a_criterion_like_any_other() -> None:
    request = JudgeRequest("q", "r", (own_rubric("1: bad. 5: good."),))
    assert (request.keys, request.rubric) == (("rubric",), "1: bad. 5: good.")
    assert request.criteria[0].scale == MULTICLASS
    assert JudgeRequest("q", "r").rubric is None


def test_names_of_version_0_1_still_work() -> None:
    assert JudgeRequest("q", "r", aspects=("fluency",)) == JudgeRequest("q", "r", ("fluency",))
    score = AspectScore(1.0, 1)
    judgement = Judgement(aspects={"fluency": score})
    assert judgement == Judgement({"fluency": score})
    assert judgement.aspects == judgement.scores
    assert unscored("busy", flags=(schema.PASSING,)) == unscored("busy", transient=True)
    assert schema.SCALES == {"multiclass": MULTICLASS, "binary": BINARY}
    assert schema.DATASETS == ("gsm8k", "math", "gpqa")
    with pytest.raises(AttributeError, match="has no attribute 'OTHER'"):
        schema.OTHER  # noqa: B018


@pytest.mark.parametrize(
    ("probabilities", "scale", "score", "label"),
    [
        ((0.1, 0.2, 0.3, 0.2, 0.2), MULTICLASS, 3.2, 3),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.75), SEVEN, 6.75, 7),
        ((0.0, 1.0000001), BINARY, 1.0, 1),
    ],
)
def test_expected_score(
    probabilities: tuple[float, ...], scale: Scale, score: float, label: int
) -> None:
    made = expected_score(probabilities, scale)
    assert (made.score, made.label) == (pytest.approx(score), label)
    assert made.score in scale
    assert made.probabilities == dict(zip(scale.labels, probabilities, strict=True))


def test_binary_from_a_score_and_from_probabilities() -> None:
    # High on 1-5 means above 3: of the probabilities those of 4 and 5, 0.2 + 0.2.
    of_probabilities = CriterionScore(3.2, 3, PROBABILITIES).as_binary(MULTICLASS)
    assert (of_probabilities.score, of_probabilities.label) == (pytest.approx(0.4), 0)
    assert of_probabilities.probabilities == pytest.approx({0: 0.6, 1: 0.4})
    assert of_probabilities.scale == BINARY
    assert CriterionScore(3.2, 3).as_binary(MULTICLASS) == CriterionScore(1.0, 1, scale=BINARY)
    assert CriterionScore(3.0, 3).as_binary(MULTICLASS) == CriterionScore(0.0, 0, scale=BINARY)
    assert CriterionScore(4.5, 5).as_binary(SEVEN).label == 1
    assert unscored("why").as_binary(SEVEN) == CriterionScore(None, reason="why", scale=BINARY)


def test_each_built_in_criterion_is_told_in_five_steps() -> None:
    assert [tuple(criterion.anchors) for criterion in ROSCOE] == [(1, 2, 3, 4, 5)] * 5


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, inspector_plugin, inspector_plugin.plugins.registry as p; p.make_registry();"
        "print(sorted({'torch', 'transformers', 'lm_eval'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score", 10**400),
        ("score", math.nan),
        ("score", "3"),
        ("score", True),
        ("reason", 5),
        ("explanation", ["x"]),
        ("fingerprint", 5),
        ("flags", "truncated"),
        ("flags", [1]),
        ("probabilities", {"1": "x", "2": 0.5}),
        ("probabilities", {"1": math.nan, "2": 0.5}),
        ("members", {"a": {"score": 10**400, "label": 1}}),
    ],
)
def test_fields_of_a_stored_score_hold_what_they_should(name: str, value: object) -> None:
    row = {"score": 3, "label": 3, name: value}
    with pytest.raises((TypeError, ValueError), match=r"a value must be"):
        CriterionScore.from_json(row)


def test_stored_probabilities_sum_to_1_up_to_rounding() -> None:
    row = {"score": 3, "label": 3}
    thirds = {"1": 0.3333, "2": 0.3333, "3": 0.3333}
    stored = CriterionScore.from_json({**row, "probabilities": thirds})
    assert stored.probabilities == {1: 0.3333, 2: 0.3333, 3: 0.3333}
    for wrong in ({"3": 0.5}, {"3": 1.2}, {"2": 0.5, "3": 0.502}, {"2": -0.5, "3": 1.5}):
        with pytest.raises(ValueError, match="0 or more and sum to 1"):
            CriterionScore.from_json({**row, "probabilities": wrong})


@pytest.mark.parametrize(
    "usage",
    [
        "x",
        [1],
        {"calls": "1"},
        {"calls": True},
        {"seconds": math.inf},
        {"money": -math.inf},
        {"x": 1},
    ],
)
def test_a_stored_usage_holds_numbers(usage: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        Judgement.from_json({"format_version": 2, "scores": {}, "usage": usage})


def test_no_score_is_infinite() -> None:
    with pytest.raises(ValueError, match="finite"):
        CriterionScore(math.inf, 1)
