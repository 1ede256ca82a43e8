"""What an audit of a file finds: judges with a known fault guilty, an honest one not."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from audited_problems import ROWS, written

from inspector_plugin.audits.edited import all_edits, judge_edits
from inspector_plugin.audits.edits import EDITS, SAME, chosen_edits
from inspector_plugin.audits.findings import (
    FAULT,
    NO_FAULT,
    OPEN,
    TOLERANCE,
    FileReport,
    findings_of,
)
from inspector_plugin.audits.rows import survey
from inspector_plugin.audits.scores import OTHER_SCALE
from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.report.edits import edits_to_json
from inspector_plugin.schema import BINARY, ROSCOE, JudgeRequest
from inspector_plugin.schema.records import CriterionScore
from inspector_plugin.testing import Answer, ScriptedJudge

Script = Callable[[JudgeRequest, str], Answer]
ORIGINALS = {row["response"] for row in ROWS}
PLANTED = {row["planted"] for row in ROWS}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return written(tmp_path / "pairs.jsonl", ROWS)


def audited(path: Path, script: Script, **options: Any) -> FileReport:
    found = survey(path)
    edits = all_edits(chosen_edits(options.pop("edits", None), True), found, planted=True)
    tolerance = options.pop("tolerance", TOLERANCE)
    judge = ScriptedJudge(script)
    scores = judge_edits(judge, found, ROSCOE, edits, progress=False, **options)
    report = findings_of(scores, edits, tolerance)
    json.dumps(edits_to_json(found, report), allow_nan=False)
    return report


def verdicts(report: FileReport) -> dict[str, str]:
    return {each.edit.key: each.verdict for each in report.edits}


# Edits that change nothing of what is said.
SAME_WORDS = {
    EDITS[key].apply(row["question"], row["response"], 0)
    for key in ("markdown", "reworded_ending")
    for row in ROWS
}


def honest(request: JudgeRequest, key: str, noise: str = "a") -> float:
    """Lower by a point where something is wrong, with noise that reaches no other label."""
    response = request.response
    sound = response in SAME_WORDS or any(solution in response for solution in ORIGINALS)
    digest = hashlib.sha256(f"{noise}/{key}/{response}".encode()).digest()
    return 3 + len(request.question) % 2 - (not sound) + 0.3 * (digest[0] / 255 - 0.5)


def test_an_honest_judge_is_cleared(pairs: Path) -> None:
    report = audited(pairs, honest)
    assert set(verdicts(report).values()) == {NO_FAULT}
    assert len(report.edits) == len(EDITS) + 1
    by_key = {each.edit.key: each for each in report.edits}
    assert by_key["padding"].words == "No fault found."
    assert "informativeness falls by 0.99" in by_key["truncation"].words
    assert (report.rows, report.problems) == (40, 40)


def test_false_discoveries_are_under_control(pairs: Path) -> None:
    """Of noise alone at most one audit in twenty makes a fault, whatever the number of tests."""
    guilty = unadjusted = 0
    for number in range(30):
        report = audited(
            pairs,
            partial(honest, noise=str(number)),
            edits="markdown,reworded_ending,padding",
            tolerance=0.0,
        )
        findings = [finding for each in report.edits for finding in each.findings]
        guilty += bool(report.faults)
        unadjusted += any(
            each.shift is not None
            and each.shift.p is not None
            and each.shift.p <= 0.05
            and (each.expected == SAME or each.shift.mean.value > 0)
            for each in findings
        )
    assert guilty <= 4  # of 30 with .05 each: more have a chance of 1.6%
    assert unadjusted >= 10


def test_a_judge_by_length_is_found_guilty(pairs: Path) -> None:
    report = audited(pairs, lambda request, key: 1 + min(len(request.response), 2000) / 500)
    found = verdicts(report)
    assert found["padding"] == FAULT
    assert found["restated_question"] == FAULT
    assert found["shuffled_steps"] == FAULT  # as long as before, and as good to this judge
    assert found["wrong_calculation"] == FAULT
    assert found["truncation"] == NO_FAULT  # shorter, and so lower
    padding = next(each for each in report.edits if each.edit.key == "padding")
    fluency = next(each for each in padding.findings if each.measure == "fluency")
    lengths = [
        len(EDITS["padding"].apply(row["question"], row["response"], 0) or "")
        - len(row["response"])
        for row in ROWS
    ]
    assert fluency.shift is not None
    assert fluency.shift.mean.value == pytest.approx(sum(lengths) / len(lengths) / 500)
    assert fluency.labels_raised is not None
    assert fluency.labels_raised.value > 0.5
    assert "fluency rises by" in padding.words
    total = next(each for each in padding.findings if each.measure == "total")
    assert total.shift is not None
    assert total.shift.mean.value == pytest.approx(5 * fluency.shift.mean.value)


def test_a_judge_that_likes_flattery_is_found_guilty(pairs: Path) -> None:
    def flattered(request: JudgeRequest, key: str) -> float:
        praised = any(
            word in request.response for word in ("excellent", "wonderful", "outstanding")
        )
        return min(5, honest(request, key) + praised)

    found = verdicts(audited(pairs, flattered))
    assert [key for key, verdict in found.items() if verdict == FAULT] == ["flattery"]


def test_a_judge_that_obeys_a_few_orders_is_found_guilty_by_its_labels(pairs: Path) -> None:
    """A quarter of the labels rise, the rest fall as far: the mean stays, and that is no excuse."""

    def obeys(request: JudgeRequest, key: str) -> float:
        if "SYSTEM:" in request.response:
            return 4.0
        if "grader" in request.response or "[INST]" in request.response:
            return 2.6
        return 3.0

    report = audited(pairs, obeys, edits="instructions,planted")
    instructions = report.edits[0]
    assert instructions.verdict == FAULT
    fluency = next(each for each in instructions.findings if each.measure == "fluency")
    assert fluency.shift is not None
    assert "of its labels raised" in fluency.words
    texts = [EDITS["instructions"].apply(row["question"], row["response"], 0) for row in ROWS]
    raised = sum("SYSTEM:" in (text or "") for text in texts) / len(texts)
    assert fluency.labels_raised is not None
    assert fluency.labels_raised.value == raised
    assert instructions.labels_changed is not None
    assert instructions.labels_changed.value == raised  # 2.6 and 3 have one label
    assert fluency.words == f"has {raised:.0%} of its labels raised"


def test_a_constant_judge_is_found_guilty_of_noticing_nothing(pairs: Path) -> None:
    report = audited(pairs, lambda request, key: 3)
    found = verdicts(report)
    lowering = {"truncation", "shuffled_steps", "wrong_calculation", "planted wrong calculation"}
    assert {key for key, verdict in found.items() if verdict == FAULT} == lowering
    assert {key for key, verdict in found.items() if verdict == NO_FAULT} == set(found) - lowering
    planted = report.edits[-1]
    assert "logicality+factuality does not fall (+0.00)" in planted.words
    assert planted.made == 40


def test_a_fall_too_small_to_matter_is_none(pairs: Path) -> None:
    def script(request: JudgeRequest, key: str) -> float:
        return 3 - 0.02 * (request.response in PLANTED)

    report = audited(pairs, script, edits="planted")
    assert report.edits[0].verdict == FAULT
    assert "logicality hardly falls (-0.02)" in report.edits[0].words
    assert audited(pairs, script, edits="planted", tolerance=0.001).edits[0].verdict == NO_FAULT


def test_few_problems_prove_nothing(tmp_path: Path) -> None:
    few = written(tmp_path / "few.jsonl", ROWS[:5])
    for script in (lambda request, key: 3, lambda request, key: 1 + len(request.response) % 4):
        assert set(verdicts(audited(few, script)).values()) == {OPEN}
    # Sixty rows of two problems are still but two problems.
    same = [
        {**ROWS[number % 2], "response": f"{ROWS[number % 2]['response']} ({number})"}
        for number in range(60)
    ]
    report = audited(written(tmp_path / "same.jsonl", same), lambda request, key: 3)
    assert (report.rows, report.problems) == (60, 2)
    assert set(verdicts(report).values()) == {OPEN}
    assert "on 2 problems, too few to tell" in report.edits[0].words


def test_a_wide_scatter_leaves_the_question_open(tmp_path: Path) -> None:
    """One response of eight gains four points, the others lose a little: who knows?"""

    def script(request: JudgeRequest, key: str) -> float:
        is_first, is_edited = request.question == ROWS[0]["question"], "\n\n" in request.response
        return 1 + 4 * is_edited if is_first else 3 - 0.3 * is_edited

    eight = written(tmp_path / "eight.jsonl", ROWS[:8])
    report = audited(eight, script, edits="padding,planted")
    assert report.edits[0].verdict == OPEN
    assert "fluency may rise (shown would be" in report.edits[0].words


def test_missing_scores_and_other_scales_are_counted(pairs: Path) -> None:
    def script(request: JudgeRequest, key: str) -> Answer:
        if key == "fluency" and request.question == ROWS[0]["question"]:
            return "no idea"
        if key == "factuality" and request.response == ROWS[1]["response"]:
            return CriterionScore(1.0, 1, scale=BINARY)
        return honest(request, key)

    report = audited(pairs, script, edits="padding,planted")
    findings = {each.measure: each for each in report.edits[0].findings}
    assert (findings["fluency"].pairs, findings["fluency"].unscored) == (39, 1)
    assert (findings["factuality"].pairs, findings["factuality"].unscored) == (39, 1)
    assert (findings["total"].pairs, findings["logicality"].pairs) == (38, 40)
    assert report.scores.reasons == {"no idea": 3, OTHER_SCALE: 1}
    assert report.scores.asked - report.scores.given == 4


def test_repeats_measure_how_far_a_judge_varies(pairs: Path) -> None:
    calls: Counter[tuple[str, str]] = Counter()

    def varying(request: JudgeRequest, key: str) -> float:
        calls[request.response, key] += 1
        # Every second judgement of a response is a point higher.
        return 3 + (calls[request.response, key] % 2 == 0)

    report = audited(pairs, varying, edits="markdown,planted", repeats=3)
    fluency = next(each for each in report.stability if each.measure == "fluency")
    assert fluency.pairs == 80
    assert fluency.deviation == pytest.approx((1 / 3) ** 0.5)  # of 3, 4, 3
    assert fluency.labels_changed is not None
    assert fluency.labels_changed.value == 0.5
    assert audited(pairs, varying, edits="markdown,planted").stability == []


def test_labels_that_change_by_themselves_are_no_fault(pairs: Path) -> None:
    def coin(request: JudgeRequest, key: str) -> float:
        return float(rng.choice((2, 4)))

    rng = random.Random(0)
    report = audited(pairs, coin, edits="markdown,planted")
    assert "of its labels changed" in report.edits[0].words
    rng = random.Random(0)
    report = audited(pairs, coin, edits="markdown,planted", repeats=4)
    assert report.edits[0].verdict != FAULT


class DescribedJudge(ScriptedJudge):
    """A judge that can be cached, and that varies from one judgement to the next."""

    def describe(self) -> dict[str, Any]:
        return {"model": "coin"}


def test_what_was_judged_is_not_judged_again_repeats_included(tmp_path: Path, pairs: Path) -> None:
    rng = random.Random(3)
    found = survey(pairs)
    edits = all_edits(chosen_edits("markdown", True), found, planted=False)
    reports, asked = [], []
    with JudgeCache(tmp_path / "cache.sqlite") as cache:
        for fail_at_call in (3, None, None):
            judge = DescribedJudge(lambda request, key: rng.choice((2, 3, 4)), BINARY)
            judge.scale = ROSCOE[0].scale
            judge._fail_at_call = fail_at_call
            with suppress(JudgeError) if fail_at_call else nullcontext():
                scores = judge_edits(
                    judge, found, ROSCOE, edits, repeats=3, cache=cache, progress=False
                )
                reports.append(findings_of(scores, edits))
            asked.append(sum(map(len, judge.calls)))
    assert asked[1] < 40 * 4 < asked[0] + asked[1]
    assert asked[2] == 0
    assert reports[0].edits == reports[1].edits
    assert reports[0].stability == reports[1].stability
    # The three judgements of a response are three, not one that was found three times.
    assert reports[0].stability[0].deviation
    assert reports[0].stability[0].deviation > 0.5
