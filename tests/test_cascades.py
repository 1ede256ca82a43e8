"""Cascades: what the second judge is asked for and why, what it costs, and the chosen threshold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import Answer, ChatServer

from inspector_plugin.agreement.cascade_plan import (
    PilotScores,
    cascade_points,
    for_agreement,
    for_share,
)
from inspector_plugin.cli.main import main
from inspector_plugin.errors import JudgeError, OptionError
from inspector_plugin.judges.cascade import CascadeJudge, CascadeOptions, is_chosen
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import BINARY, MULTICLASS, CriterionScore, JudgeRequest
from inspector_plugin.schema.records import expected_score, unscored
from inspector_plugin.schema.roscoe import ROSCOE
from inspector_plugin.testing import OTHER_CRITERIA, ScriptedJudge, check_judge

FLUENCY = next(criterion for criterion in ROSCOE if criterion.key == "fluency")


def sure(label: int, confidence: float, flags: tuple[str, ...] = ()) -> CriterionScore:
    shares = [(1 - confidence) / 4] * 5
    shares[label - 1] = confidence
    return replace(expected_score(shares, MULTICLASS), flags=flags)


def confidence_of(response: str) -> float:
    """The scripted cheap judge is as sure as the response says."""
    return float(response.split()[0])


def cheap(**flagged: tuple[str, ...]) -> ScriptedJudge:
    return ScriptedJudge(
        lambda request, key: sure(
            2, confidence_of(request.response), flagged.get(request.response[4:], ())
        )
    )


def cascade(first: Judge, second: Judge, **options: Any) -> CascadeJudge:
    return CascadeJudge({"cheap": first, "dear": second}, CascadeOptions(**options))


def requests(*responses: str, keys: tuple[str, ...] = ("fluency",)) -> list[JudgeRequest]:
    return [JudgeRequest("How many?", response, keys) for response in responses]


def test_the_dear_judge_is_asked_where_the_cheap_one_is_unsure() -> None:
    dear = ScriptedJudge(lambda r, k: CriterionScore(5.0, 5, explanation="read it", flags=("new",)))
    first = cheap()
    judge = cascade(first, dear, threshold=0.6)
    asked = requests("0.59 a", "0.60 b", "0.99 c", "0.30 d")
    found = [judged.scores["fluency"] for judged in judge_all(judge, asked)]
    assert [score.label for score in found] == [5, 2, 2, 5]
    assert [len(call) for call in first.calls] == [4]
    assert [[r.response for r in call] for call in dear.calls] == [["0.59 a", "0.30 d"]]
    assert found[0].flags == ("new", "asked-unsure")
    assert found[0].explanation == "read it"
    assert found[0].members is not None
    assert found[0].members["cheap"].label == 2
    assert found[0].spread == pytest.approx(5 - found[0].members["cheap"].score, abs=1e-4)  # type: ignore[operator]
    assert list(found[1].members or ()) == ["cheap"]
    assert found[1].probabilities is not None


def test_only_the_criteria_in_doubt_are_asked_for() -> None:
    first = ScriptedJudge(lambda r, key: sure(2, 0.9 if key == "fluency" else 0.3))
    dear = ScriptedJudge(lambda r, k: 4)
    asked = requests("text", keys=("fluency", "logicality"))
    [judged] = judge_all(cascade(first, dear, threshold=0.5), asked)
    assert [dear.calls[0][0].keys] == [("logicality",)]
    assert {key: score.label for key, score in judged.scores.items()} == {
        "fluency": 2,
        "logicality": 4,
    }


def test_flags_and_missing_scores() -> None:
    answers = [
        sure(2, 0.9, ("truncated",)),
        sure(2, 0.9, ("trained-on",)),
        unscored("too long"),
        sure(2, 0.9),
    ]
    expected = {
        "any": ["asked-flagged", "asked-flagged", "asked-unscored", None],
        "none": [None, None, "asked-unscored", None],
        "truncated,other": ["asked-flagged", None, "asked-unscored", None],
    }
    for flags, reasons in expected.items():
        judge = cascade(
            ScriptedJudge(answers), ScriptedJudge(lambda r, k: 5), threshold=0.5, flags=flags
        )
        judged = judge_all(judge, requests(*"abcd"))
        said = [each.scores["fluency"].flags[-1:] for each in judged]
        assert [
            flag[0] if flag and flag[0].startswith("asked") else None for flag in said
        ] == reasons


def test_the_audit_is_a_random_share_that_depends_on_the_texts_alone() -> None:
    asked = requests(*(f"0.99 {n}" for n in range(2000)))
    chosen = {r.response for r in asked if is_chosen(r, 0.1, 0)}
    assert 150 < len(chosen) < 250  # 200 expected, standard deviation 13
    assert chosen == {r.response for r in reversed(asked) if is_chosen(replace(r, id="7"), 0.1, 0)}
    assert chosen < {r.response for r in asked if is_chosen(r, 0.2, 0)}
    assert chosen != {r.response for r in asked if is_chosen(r, 0.1, 1)}
    dear = ScriptedJudge(lambda r, k: 5)
    judged = judge_all(cascade(cheap(), dear, threshold=0.5, audit=0.1), asked)
    audited = {
        r.response
        for r, each in zip(asked, judged, strict=True)
        if "asked-audit" in each.scores["fluency"].flags
    }
    assert audited == chosen == {r.response for call in dear.calls for r in call}
    assert not any(is_chosen(r, 0.0, 0) for r in asked)
    assert all(is_chosen(r, 1.0, 0) for r in asked)


def test_where_the_dear_judge_gives_no_score_there_is_none() -> None:
    dear = ScriptedJudge(lambda r, k: unscored("no connection", transient=True))
    [judged] = judge_all(cascade(cheap(), dear, threshold=0.5), requests("0.40 a"))
    found = judged.scores["fluency"]
    assert (found.score, found.reason, found.transient) == (None, "no connection", True)
    assert found.members is not None
    assert found.members["cheap"].label == 2


def test_a_cheap_judge_without_confidence() -> None:
    dear = ScriptedJudge(lambda r, k: 5)
    judge = cascade(ScriptedJudge(lambda r, k: 2), dear, threshold=0.5)
    with pytest.raises(JudgeError, match="'cheap' gives scores without probabilities") as caught:
        judge_all(judge, requests("a"))
    assert "\n" not in str(caught.value)
    assert dear.calls == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a threshold from 0 to 1, not none; `inspector plan cascade`"),
        ({"threshold": 1.5}, "needs a threshold from 0 to 1, not 1.5"),
        ({"threshold": float("nan")}, "needs a threshold from 0 to 1, not nan"),
        ({"threshold": 0.5, "audit": -0.1}, "'audit' must be from 0 to 1"),
        ({"threshold": 0.5, "flags": "any,truncated"}, "must be any, none, or names, not 'any,tr"),
        ({"threshold": 0.5, "flags": ""}, "must be any, none, or names, not ''"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        cascade(cheap(), cheap(), **options)


def test_three_members_and_different_scales() -> None:
    with pytest.raises(OptionError, match="takes two members, not 3"):
        CascadeJudge(dict.fromkeys("abc", cheap()), CascadeOptions(threshold=0.5))
    binary = ScriptedJudge(lambda r, k: 1, scale=BINARY)
    with pytest.raises(OptionError, match="cheap on 1-5, dear on 0-1"):
        cascade(cheap(), binary, threshold=0.5)
    judge = cascade(cheap(), binary, threshold=0.9, labels="binary")
    judged = judge_all(judge, requests("0.40 a", "0.99 b"))
    # 0.4 on label 2 leaves 0.15 each: P(high) = P(4) + P(5) = 0.3, so that low has 0.7 < 0.9.
    assert [each.scores["fluency"].score for each in judged] == [1, pytest.approx(0.005)]


def test_a_criterion_that_one_of_them_cannot_judge() -> None:
    own = ScriptedJudge(lambda r, k: 5, scale=None)
    request = JudgeRequest("q", "0.40 a", (OTHER_CRITERIA[0],))
    [judged] = judge_all(cascade(cheap(), own, threshold=0.5), [request])
    assert judged.scores["care"].reason == (
        "cheap, a member of the cascade, cannot judge this: this judge scores on 1-5, not on 1-7"
    )
    assert own.calls == []


def test_it_keeps_the_contract_also_within_a_cascade() -> None:
    def script(request: JudgeRequest, key: str) -> CriterionScore:
        return sure(1 + len(request.response) % 5, 0.3 + len(key) % 5 / 10)

    inner = cascade(ScriptedJudge(script), ScriptedJudge(script), threshold=0.5, audit=0.5)
    check_judge(
        cascade(inner, ScriptedJudge(lambda r, k: 3), threshold=0.6, flags="none", audit=0.2)
    )


# -- the plan ---------------------------------------------------------------------------------

PILOT = PilotScores(
    cheap=np.array([0, 1, 2, 3, 4, 0, 1, 2, 0, 0]),
    dear=np.array([0, 1, 2, 3, 3, 1, 2, 2, 4, 4]),
    confidence=np.array([0.95, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, np.nan, 0.99]),
    doubted=np.array([False] * 8 + [True, True]),
    problems=np.arange(10),
    scale=MULTICLASS,
)


def test_thresholds_by_hand() -> None:
    points = cascade_points(PILOT, "accuracy", resamples=200)
    shares = {point.threshold: (point.asked.value, point.agreement) for point in points}
    assert list(shares) == [0, 0.41, 0.51, 0.61, 0.71, 0.81, 0.91, 0.96]
    assert [asked for asked, _ in shares.values()] == pytest.approx(
        [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0]
    )
    assert [each.value for _, each in shares.values() if each] == pytest.approx(
        [0.7, 0.7, 0.8, 0.9, 1, 1, 1, 1]
    )
    agreement = shares[0.51][1]
    assert agreement is not None
    assert agreement.low is not None
    assert agreement.low < 0.8 < 1
    assert points[2].saved.value == pytest.approx(0.6)
    assert points[2].given_up is not None
    assert points[2].given_up.value == pytest.approx(0.2)
    found = for_share(points, 0.45)
    assert found is not None
    assert found.threshold == 0.51
    assert for_share(points, 0.1) is None
    found = for_agreement(points, 0.999)
    assert found is not None
    assert found.threshold == 0.71


def test_intervals_are_those_of_resampled_problems() -> None:
    """The interval of a share is near the binomial one where problems have one score each."""
    random = np.random.default_rng(3)
    n = 800
    right, confidence = random.random(n) < 0.7, random.choice([0.4, 0.9], n)
    dear = random.integers(0, 5, n)
    pilot = PilotScores(
        cheap=np.where(right, dear, (dear + 1) % 5),
        dear=dear,
        confidence=confidence,
        doubted=np.zeros(n, dtype=bool),
        problems=np.arange(n),
        scale=MULTICLASS,
    )
    point = cascade_points(pilot, "accuracy", seed=1)[1]
    for estimate in (point.asked, point.agreement):
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        half = 1.96 * np.sqrt(estimate.value * (1 - estimate.value) / n)
        assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.15)


def stored(score: CriterionScore) -> dict[str, Any]:
    filled = replace(score, scale=score.scale or MULTICLASS, fingerprint=FLUENCY.fingerprint)
    return {"format_version": 2, "scores": {"fluency": filled.to_json()}}


def judged_file(path: Path, with_confidence: bool = True) -> Path:
    random = np.random.default_rng(11)
    with path.open("w") as file:
        for number in range(300):
            confidence = float(random.uniform(0.3, 1))
            dear = int(random.integers(1, 6))
            label = dear if random.random() < confidence else 1 + dear % 5
            ours = sure(label, confidence)
            if not with_confidence:
                ours = replace(ours, probabilities=None)
            judgements: Mapping[str, Any] = {
                "inspector": stored(ours),
                "deepseek": stored(CriterionScore(float(dear), dear)),
            }
            row = {"question": f"q{number}", "response": "r", "judgements": judgements}
            file.write(json.dumps(row) + "\n")
    return path


def plan(file: Path, *arguments: str) -> int:
    pair = ("--judge", "inspector", "--reference", "deepseek")
    return main(["plan", "cascade", str(file), *pair, *arguments])


def test_a_plan_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = judged_file(tmp_path / "judged.jsonl")
    assert plan(file, "--asked", "0.4", "--price", "0.001", "--scores", "100000") == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    words = " ".join(printed.split())
    assert "--judge 'cascade:of=inspector|deepseek,threshold=" in words
    assert "in place of $100.00" in words
    assert "given up" in words
    assert plan(file, "--asked", "0.4", "--price", "0.001", "--format", "json") == 0
    content = json.loads(capsys.readouterr().out)
    chosen = content["chosen"]
    assert chosen["asked"]["value"] <= 0.4
    assert chosen["asked"]["low"] < chosen["asked"]["value"] < chosen["asked"]["high"]
    assert content["saved"]["value"] == pytest.approx(1 - chosen["asked"]["value"], abs=1e-5)
    assert content["cost"] == {
        "scores": 300,
        "cascade": pytest.approx(0.3 * chosen["asked"]["value"], abs=1e-5),
        "reference_alone": pytest.approx(0.3),
    }
    # 0.12 USD for 300 scores at 0.001 is the same share of 0.4.
    assert plan(file, "--max-cost", "0.12", "--price", "0.001", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["spec"] == content["spec"]
    assert plan(file, "--agreement", "0.9", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["chosen"]["agreement"]["low"] >= 0.9
    earlier = [p for p in found["thresholds"] if p["threshold"] < found["chosen"]["threshold"]]
    assert earlier
    assert all(point["agreement"]["low"] < 0.9 for point in earlier)


def test_flags_of_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = judged_file(tmp_path / "judged.jsonl")
    assert plan(file, "--asked", "0.4", "--flags", "none") == 0
    assert "no score has" not in capsys.readouterr().err
    assert plan(file, "--asked", "0.4", "--flags", "nosuch") == 0
    assert "inspector: --flags: no score has the flag nosuch" in capsys.readouterr().err
    assert plan(file, "--asked", "0.4", "--flags", "any,nosuch") == 1
    assert "must be any, none, or names, not 'any,nosuch'" in capsys.readouterr().err


def test_plans_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = judged_file(tmp_path / "judged.jsonl")
    bare = judged_file(tmp_path / "bare.jsonl", with_confidence=False)
    cases = [
        (bare, ["--asked", "0.4"], "scores without probabilities"),
        (file, ["--max-cost", "1"], "--max-cost needs --price"),
        (file, ["--max-cost", "0", "--price", "1", "--cheap-price", "1"], "No threshold keeps to"),
    ]
    for path, arguments, message in cases:
        assert plan(path, *arguments) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert main(["plan", "cascade", str(file), "--judge", "inspector", "--asked", "1"]) == 1
    assert "needs --reference" in capsys.readouterr().err


def test_a_cascade_on_the_command_line_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The endpoint is asked for what a first judge of probabilities is unsure of, once."""
    monkeypatch.setenv("TEST_KEY", "sk-test")
    rows = tmp_path / "in.jsonl"
    lines = [{"question": "How many?", "response": "x" * n} for n in range(1, 9)]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with ChatServer(lambda body, number: Answer()) as server:
        voters = [f"[prompt:model=m{n},base_url={server.url},key_env=TEST_KEY]" for n in range(3)]
        votes = f"[panel:of={voters[0]}|{voters[1]},rule=majority]"
        command = ["score", str(rows), "--criteria", "fluency", "--out", str(tmp_path / "out")]
        spec = f"cascade:of={votes}|{voters[2]},threshold=0.6,audit=0.5,seed=3"
        assert main([*command, "--judge", spec]) == 0
        calls = len(server.calls)
        chosen = sum(
            is_chosen(JudgeRequest(line["question"], line["response"]), 0.5, 3) for line in lines
        )
        assert 0 < chosen < 8
        assert calls == 16 + chosen
        assert main([*command, "--judge", spec]) == 0  # resumed: nothing left to judge
        assert len(server.calls) == calls
    written = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    usages = [row["judgements"]["cascade"]["usage"]["calls"] for row in written]
    assert sum(usages) == calls
    capsys.readouterr()
