"""Whatever a judge returns or raises: a judgement in order, or a JudgeError that names it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.judge import Judge, JudgementGroups, StreamingJudge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import CriterionScore, Judgement, JudgeRequest, Usage, unscored

ASKED = [JudgeRequest("q", "r", ("fluency",))]
FIVE = dict.fromkeys(range(1, 6), 0.2)


class Says(Judge):
    """Returns one answer to everything."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        return [self.answer for _ in requests]


def score(**values: Any) -> CriterionScore:
    made = CriterionScore(3.0, 3)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "a NoneType in place of a Judgement"),
        ({"fluency": 3}, "a dict in place of a Judgement"),
        (Judgement({"fluency": 3}), "a int, not a CriterionScore"),  # type: ignore[dict-item]
        (Judgement({1: score()}), r"was asked for \['fluency'\] and judged \['1'\]"),  # type: ignore[dict-item]
        (Judgement([score()]), r"judged \[\]"),  # type: ignore[arg-type]
        (Judgement({"fluency": score(score=True)}), "score True, not a number"),
        (Judgement({"fluency": score(score="3")}), "score '3', not a number"),
        (Judgement({"fluency": score(score=math.nan)}), "score nan, not a finite number"),
        (Judgement({"fluency": score(score=10**400)}), "score 1.* not a finite number"),
        (Judgement({"fluency": score(score=5.5)}), "score 5.5, outside its scale 1-5"),
        (Judgement({"fluency": score(label=True)}), "label True, not one of"),
        (Judgement({"fluency": score(label=3.0)}), "label 3.0, not one of"),
        (Judgement({"fluency": score(label=6)}), "label 6, not one of"),
        (Judgement({"fluency": score(probabilities=[0.2] * 5)}), "not one for each label"),
        (Judgement({"fluency": score(probabilities={1: 1.0})}), "not one for each label"),
        (
            Judgement({"fluency": score(probabilities={**FIVE, 1: math.inf})}),
            "probabilities inf, not a finite number",
        ),
        (Judgement({"fluency": score(probabilities={**FIVE, 1: 0.9})}), r"summing to 1 \(1.7"),
        (
            Judgement({"fluency": score(probabilities={**FIVE, 1: -0.2, 2: 0.6})}),
            "below 0, or not summing to 1",
        ),
        (Judgement({"fluency": score(explanation=b"why")}), "explanation a bytes, not a text"),
        (Judgement({"fluency": score(flags="truncated")}), "flags 'truncated', not a tuple"),
        (Judgement({"fluency": score(flags=(1,))}), "flags a int, not a text"),
        (Judgement({"fluency": score(layer_logits=[3])}), "layer_logits not rows of numbers"),
        (Judgement({"fluency": score(scale="1-5")}), "scale '1-5', and its criterion is on 1-5"),
        (
            Judgement({"fluency": score(score=None, label=None, reason=7)}),
            "reason 7, not a text",
        ),
        (Judgement({"fluency": score(score=None, reason="no")}), "label 3 and no score"),
        (Judgement({"fluency": score()}, usage={"calls": 1}), "usage as a dict"),  # type: ignore[arg-type]
        (Judgement({"fluency": score()}, Usage(calls=-1)), "usage with calls=-1"),
        (Judgement({"fluency": score()}, Usage(prompt_tokens=1.5)), "prompt_tokens=1.5"),  # type: ignore[arg-type]
        (Judgement({"fluency": score()}, Usage(money=math.inf)), "money=inf"),
    ],
)
def test_what_cannot_be_a_judgement_names_judge_and_field(answer: Any, message: str) -> None:
    with pytest.raises(JudgeError, match=f"Judge 'mine'.*{message}.*this is a bug in the judge"):
        judge_all(Says(answer), ASKED, name="mine")


def test_numbers_of_numpy_become_plain_ones() -> None:
    given = score(
        score=np.float32(2.5),
        label=np.int64(3),
        probabilities={np.int64(k): np.float64(v) for k, v in FIVE.items()},
        layer_logits=np.array([[1.0, 2.0]]),
        flags=["truncated"],
    )
    [judgement] = judge_all(Says(Judgement({"fluency": given})), ASKED)
    made = judgement.scores["fluency"]
    assert (type(made.score), made.score, type(made.label), made.label) == (float, 2.5, int, 3)
    assert made.flags == ("truncated",)
    assert json.loads(json.dumps(judgement.to_json())) == judgement.to_json()


class Streams(StreamingJudge):
    """Hands over what it is told."""

    def __init__(self, groups: Any) -> None:
        self.groups = groups

    def judge_each(self, requests: Sequence[JudgeRequest]) -> JudgementGroups:
        yield from self.groups


DONE = Judgement({"fluency": CriterionScore(3.0, 3)})


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], "judged 0 of 2 requests and stopped"),
        ([[(0, DONE)]], "judged 1 of 2 requests and stopped"),
        ([[(0, DONE)], [(0, DONE)]], "judged position 0 twice"),
        ([[(2, DONE)]], "judged position 2 of 2 requests"),
        ([[(-1, DONE)]], "judged position -1 of 2 requests"),
        ([[(True, DONE)]], "judged position True"),
        ([[("0", DONE)]], "judged position '0'"),
        ([[DONE]], "handed over list, not pairs of position and judgement"),
        ([7], "handed over int, not pairs"),
    ],
)
def test_positions_are_complete_and_once_each(groups: Any, message: str) -> None:
    asked = [JudgeRequest("q", "r", ("fluency",)), JudgeRequest("q", "s", ("fluency",))]
    with pytest.raises(JudgeError, match=f"Judge 'mine' {message}.*a bug in the judge"):
        judge_all(Streams(groups), asked, name="mine")


class Raises(Says):
    """Raises what it is told where it is told."""

    def __init__(self, place: str, error: BaseException) -> None:
        super().__init__(DONE)
        self.place, self.error = place, error

    def _at(self, place: str) -> None:
        if self.place == place:
            raise self.error

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        self._at("judge")
        return super().judge(requests)

    def cannot_judge(self, criterion: Any, dataset: str | None) -> str | None:
        self._at("cannot_judge")
        return None

    def describe(self) -> Mapping[str, Any]:
        self._at("describe")
        return {}

    def close(self) -> None:
        self._at("close")


@pytest.mark.parametrize("place", ["judge", "cannot_judge", "describe", "close"])
@pytest.mark.parametrize("error", [ValueError("two\nlines"), SystemExit(3), BaseException("odd")])
def test_what_a_plugin_raises_is_one_line(place: str, error: BaseException) -> None:
    kind = type(error).__name__
    with (
        pytest.raises(JudgeError, match=rf"failed in {place}\(\): {kind}: .*; this is a bug in"),
        Raises(place, error) as judge,
    ):
        judge_all(judge, ASKED)


def test_ctrl_c_stays_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt):
        judge_all(Raises("judge", KeyboardInterrupt()), ASKED)


@pytest.mark.parametrize("described", [None, ["a"], {"a": {1, 2}}, {"a": math.nan}, {"a": b"x"}])
def test_a_description_is_something_that_json_can_hold(described: Any) -> None:
    judge = Says(DONE)
    judge.describe = lambda: described  # type: ignore[method-assign]
    with pytest.raises(JudgeError, match=r"describe\(\) returned what JSON cannot hold"):
        judge_all(judge, ASKED)


@pytest.mark.parametrize("reason", [7, "", " \n", b"no", True])
def test_a_reason_against_a_criterion_is_text(reason: Any) -> None:
    judge = Says(DONE)
    judge.cannot_judge = lambda criterion, dataset: reason  # type: ignore[method-assign]
    with pytest.raises(JudgeError, match=r"cannot_judge\(\) returned"):
        judge_all(judge, ASKED)


def test_a_judge_of_this_package_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Says, "__module__", "inspector_plugin.judges.mine")
    judge = Says(DONE)
    judge.judge = lambda requests: 1 / 0  # type: ignore[method-assign,return-value]
    with pytest.raises(ZeroDivisionError):
        judge_all(judge, ASKED)


def test_unscored_answers_pass() -> None:
    [judgement] = judge_all(Says(Judgement({"fluency": unscored("no idea")})), ASKED)
    assert judgement.scores["fluency"].reason == "no idea"
    assert "inspector_plugin" in sys.modules
