"""`inspector audit FILE`: judges with a known fault are found guilty, an honest one is not."""

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
from conftest import UseJudges
from fake_plugin import plugin_folder, write_plugin

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
from inspector_plugin.audits.rows import MOST_NAMED, survey
from inspector_plugin.audits.scores import OTHER_SCALE
from inspector_plugin.cli.main import main
from inspector_plugin.errors import DataError, JudgeError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.report.edits import edits_to_json
from inspector_plugin.schema import BINARY, ROSCOE, JudgeRequest
from inspector_plugin.schema.records import CriterionScore
from inspector_plugin.testing import Answer, ScriptedJudge

Script = Callable[[JudgeRequest, str], Answer]
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hanna")


def problem(number: int) -> dict[str, Any]:
    """A problem of our own with its right solution, and one with an error planted."""
    who, boxes, eggs, lost = NAMES[number % 8], number % 7 + 3, number % 9 + 4, number % 5 + 1
    total = boxes * eggs
    response = (
        f"{who} starts with {boxes} boxes of {eggs} eggs.\n"
        f"That makes {boxes} * {eggs} = {total} eggs in all.\n"
        f"Then {lost} of them break on the way home.\n"
        f"So {who} has {total} - {lost} = {total - lost} eggs left."
    )
    return {
        "id": number,
        "question": f"{who} ({number}) buys {boxes} boxes of {eggs}; {lost} eggs break. And now?",
        "response": response,
        "planted": response.replace(f"= {total} eggs", f"= {total + 2} eggs"),
        "error": "random number" if number % 2 else "random operation",
    }


ROWS = [problem(number) for number in range(40)]
ORIGINALS = {row["response"] for row in ROWS}
PLANTED = {row["planted"] for row in ROWS}


def written(path: Path, rows: list[Any]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


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


def test_bad_rows_are_counted_and_named(tmp_path: Path) -> None:
    bad: list[Any] = [
        "not json",
        {"question": "q"},
        {"question": "q", "response": " "},
        {"question": "q", "response": 5},
        {"question": 7, "response": "r"},
        {"question": "q", "response": "\ud800"},
        {"question": "q", "response": "r", "planted": 3},
        {"question": "q", "response": "r", "planted": ""},
        {"question": "q", "response": "r", "error": 5},
        "[1, 2]",
        *[{"question": "q", "response": None}] * 5,
    ]
    path = written(tmp_path / "bad.jsonl", [ROWS[0], *bad, ROWS[0], ROWS[1], ""])
    found = survey(path)
    assert (found.bad, found.repeated, len(found.named)) == (len(bad), 1, MOST_NAMED)
    assert found.numbers == [1, len(bad) + 3]
    for line, words in ((2, "not a JSON object"), (3, "'response' or 'prediction' is missing"),
                        (4, "'response' is empty"), (6, "'question' must be text"),
                        (7, "not valid Unicode"), (9, "'planted' is empty")):  # fmt: skip
        [message] = [each for each in found.named if f"line {line}:" in each]
        assert words in message
    assert [row.number for row in found.rows()] == found.numbers
    with pytest.raises(DataError, match=r"holds no rows to audit \(15 cannot be used\)"):
        survey(written(tmp_path / "all.jsonl", bad))


def test_rows_are_drawn_by_seed_and_a_larger_draw_holds_the_smaller(pairs: Path) -> None:
    drawn = {limit: survey(pairs, limit=limit, seed=5).numbers for limit in (5, 12, 40, 99)}
    assert set(drawn[5]) < set(drawn[12]) < set(drawn[40])
    assert drawn[40] == drawn[99] == list(range(1, 41))
    assert drawn[5] == sorted(drawn[5]) == survey(pairs, limit=5, seed=5).numbers
    assert drawn[5] != survey(pairs, limit=5, seed=6).numbers
    assert survey(pairs, limit=5).not_drawn == 35


def test_types_of_errors_are_chosen_and_counted(tmp_path: Path) -> None:
    kinds = ("random number", "swap steps", "random operation", "of their own")
    rows = [{**row, "error": kinds[n % 4]} for n, row in enumerate(ROWS)]
    rows += [{"question": "q", "response": "not planted in"}]
    path = written(tmp_path / "kinds.jsonl", rows)
    assert survey(path).errors == dict.fromkeys(kinds, 10)
    found = survey(path, errors=["random number", "random operation"])
    assert (len(found.numbers), found.other_errors) == (20, 21)
    edits = all_edits((), survey(path), planted=True)
    assert list(edits) == [
        "planted of their own",
        "planted wrong calculation",
        "planted swap steps",
    ]
    scores = judge_edits(
        ScriptedJudge(lambda request, key: 3), survey(path), ROSCOE, edits, progress=False
    )
    assert [sum(scored.made) for scored in scores.edited.values()] == [10, 20, 10]
    with pytest.raises(DataError, match="None of its 41 rows has such an error planted"):
        survey(path, errors=["random"])
    many = [{**row, "error": f"kind {n}"} for n, row in enumerate(ROWS)]
    with pytest.raises(DataError, match="40 types of errors; an audit takes 20 at most"):
        survey(written(tmp_path / "many.jsonl", many))


def test_other_forms_of_files(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text('question,response\nq1,"r, 1"\nq2,\nq3,r3\n', encoding="utf-8")
    found = survey(rows, dataset="gsm8k")
    assert [(row.number, row.response, row.dataset) for row in found.rows()] == [
        (1, "r, 1", "gsm8k"),
        (3, "r3", "gsm8k"),
    ]
    assert "row 2: field 'response' is empty" in found.named[0]
    listed = tmp_path / "rows.json"
    listed.write_text(json.dumps(ROWS[:3]), encoding="utf-8")
    assert survey(listed).errors == {"random operation": 2, "random number": 1}


def test_a_file_that_changes_meanwhile_is_noticed(pairs: Path) -> None:
    found = survey(pairs)
    written(pairs, ROWS[:3])
    with pytest.raises(DataError, match="was changed while it was audited"):
        list(found.rows())


PLUGIN = """
class ByLength(Judge):
    def judge(self, requests):
        return [
            Judgement({key: AspectScore(score=(s := min(5.0, 1 + len(r.response) / 200)),
                                        label=round(s)) for key in r.aspects})
            for r in requests
        ]

@hookimpl
def register_judges(register):
    register(Backend("by_length", "longer is better", ByLength))
"""


def test_the_command_on_a_judge_of_a_plugin(
    tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plugin(tmp_path, "length-judge", PLUGIN)
    out, judged = tmp_path / "new/audit.json", tmp_path / "judged.jsonl"
    command = ["audit", str(pairs), "--judge", "by_length", "--limit", "30"]
    with plugin_folder(tmp_path):
        assert main([*command, "--out", str(out), "--judged", str(judged)]) == 0
        printed = capsys.readouterr()
        assert max(map(len, printed.out.splitlines())) <= 80
        words = " ".join(printed.out.split())
        assert "padding Fault: semantic_consistency rises by" in words
        assert "30 rows of pairs.jsonl, on 30 problems; 10 more were not drawn" in words
        assert "edits show a fault of the judge (padding, flattery, instructions," in words
        # No key and no figure is broken, however wide the figures are.
        assert printed.out.count("\nsemantic_consistency ") == 10
        assert printed.out.count("\nlogicality+factuality ") == 10
        content = json.loads(out.read_text("utf-8"))
        assert content["judge"]["spec"] == "by_length"
        assert (content["source"]["rows"], content["scores_asked"]) == (30, 30 * 11 * 5)
        padding = content["edits"][0]
        assert (padding["edit"], padding["verdict"], padding["made"]) == ("padding", "fault", 30)
        fluency = next(each for each in padding["findings"] if each["measure"] == "fluency")
        assert fluency["shift"]["low"] < fluency["shift"]["value"] < fluency["shift"]["high"]
        assert 0 < fluency["smallest_detectable"] < 1
        assert fluency["q"] < 0.05
        assert len(fluency["largest"]) == 3
        rows = [json.loads(line) for line in judged.read_text("utf-8").splitlines()]
        assert len(rows) == 30 * 11
        assert Counter(row["edit"] for row in rows) == dict.fromkeys(
            [None, *EDITS, "planted wrong calculation"], 30
        )
        assert {"question", "response", "judgements", "row", "id"} <= rows[0].keys()
        for suffix, start in ((".md", "# Audit of by\\_length on pairs"), (".json", "{")):
            written_to = tmp_path / f"again{suffix}"
            assert main([*command, "--out", str(written_to), "--format", "md"]) == 0
            assert written_to.read_text("utf-8").startswith(start)
            assert "| criterion | aim | shift" in capsys.readouterr().out
        assert main([*command, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["edits"] == content["edits"]


def test_the_command_refuses(
    tmp_path: Path,
    pairs: Path,
    use_judges: UseJudges,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry = use_judges(scripted=lambda labels: ScriptedJudge(lambda request, key: "no"))
    monkeypatch.setattr("inspector_plugin.cli.audit.make_registry", lambda: registry)

    def error(*arguments: str) -> str:
        assert main(["audit", "--judge", "scripted", *arguments]) == 1
        return capsys.readouterr().err

    assert "--edits goes with a FILE" in error("--edits", "padding")
    assert "--repeats goes with a FILE" in error("--repeats", "1")
    assert "the input itself" in error(str(pairs), "--out", str(pairs))
    assert "the input itself" in error(str(pairs), "--judged", str(pairs))
    both = str(tmp_path / "both.json")
    assert "the input itself" in error(str(pairs), "--judged", both, "--out", both)
    assert "Unknown edit 'paddin'" in error(str(pairs), "--edits", "paddin")
    assert "Cannot read" in error(str(tmp_path / "none.jsonl"))
    assert "gave no score at all" in error(str(pairs), "--edits", "padding")
    with pytest.raises(SystemExit):
        main(["audit", str(pairs), "--judge", "scripted", "--tolerance", "1.5"])
    assert "must be at least 0 and below 1" in capsys.readouterr().err
