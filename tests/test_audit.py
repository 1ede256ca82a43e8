"""`inspector audit`: the figures of judges whose behaviour is known, by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import UseJudges
from scipy.stats import binomtest

from inspector_plugin.audits.intervals import clustered_share
from inspector_plugin.audits.run import Report, report_of, run_suite, value_of
from inspector_plugin.audits.suite import NONSENSE, RIGHT, UNCHANGED, Item, Kind, Suite, read_suite
from inspector_plugin.cli.main import main
from inspector_plugin.report.audits import report_to_json
from inspector_plugin.schema import BINARY, MULTICLASS, ROSCOE, Criterion, JudgeRequest, Scale
from inspector_plugin.schema.records import CriterionScore, Judgement
from inspector_plugin.testing import Answer, ScriptedJudge

CORRECTNESS = Criterion("correctness", definition="The solution is right.", scale=BINARY)
SUITE = read_suite().first(8)
KIND_OF = {(item.question, item.response): SUITE.kinds[item.kind] for item in SUITE.items}

KINDS = {
    kind.key: kind
    for kind in (
        Kind("good", RIGHT, "right", ()),
        Kind("fine", RIGHT, "right in another style", ()),
        Kind("slip", "flawed", "flawed", ("correctness", "logicality+factuality")),
        Kind("noise", NONSENSE, "nonsense", ("total",)),
        Kind("same", UNCHANGED, "no flaw", ()),
    )
}
Scores = Sequence[float | None]


def small_suite(problems: int = 2) -> Suite:
    """A suite of a few problems with one response of each kind: "p0 good", "p0 fine", ..."""
    items = [
        Item(f"p{n}/{kind}", f"p{n}", "gsm8k", kind, f"problem {n}", f"p{n} {kind}", made_from)
        for n in range(problems)
        for kind, made_from in zip(KINDS, (None, None, "fine", None, None), strict=True)
    ]
    return Suite("small", 1, "0", KINDS, items)


def judgement(scores: Scores, *flags: str) -> Judgement:
    return Judgement(
        {
            criterion.key: CriterionScore(
                score, reason="no idea" if score is None else None, flags=flags, scale=MULTICLASS
            )
            for criterion, score in zip(ROSCOE, scores, strict=True)
        }
    )


def judged(judge: ScriptedJudge, criteria: Sequence[Criterion] = (*ROSCOE, CORRECTNESS)) -> Report:
    return run_suite(judge, SUITE, criteria, progress=False)


def oracle(request: JudgeRequest, key: str) -> Answer:
    kind = KIND_OF[request.question, request.response]
    low = 0.1 if key == "correctness" else 2
    high = 0.9 if key == "correctness" else 4
    if kind.group == RIGHT or kind.group == UNCHANGED:
        return high
    wanted = {part for lower_on in kind.lower_on for part in lower_on.split("+")}
    return low if key in wanted or "total" in wanted else high


def test_an_oracle_orders_everything_rightly() -> None:
    report = judged(ScriptedJudge(oracle, scale=None))
    assert len(report.orderings) == 24
    for each in report.orderings:
        assert each.share is not None
        assert each.share.value == 1, each
        assert each.share.high == 1
        # Eight problems that all agree: z^2 / (n + z^2) below 1.
        assert each.share.low == pytest.approx(8 / (8 + 1.96**2), abs=1e-4)
        assert (each.ties, each.unscored) == (0, 0)
        assert each.pairs == 8 * 5 * (2 if each.kind == "wrong_calculation" else 1)
    assert report.nonsense.told_apart is not None
    assert report.nonsense.told_apart.value == 1
    assert not report.left_out
    assert report.margin == 2


def test_a_constant_judge_orders_nothing_rightly() -> None:
    report = judged(ScriptedJudge(lambda request, key: 1, scale=None))
    for each in report.orderings:
        assert each.share is not None
        assert (each.share.value, each.share.low, each.ties, each.shift) == (0, 0, 1, 0)
    assert report.nonsense.told_apart is not None
    assert report.nonsense.told_apart.value == 0


def test_a_judge_by_length_orders_by_length() -> None:
    def by_length(request: JudgeRequest, key: str) -> float:
        return 1 + 4 * min(len(request.response), 2000) / 2000

    report = judged(ScriptedJudge(by_length), ROSCOE)
    right = [item for item in SUITE.items if SUITE.kinds[item.kind].group == RIGHT]
    for each in report.orderings:
        pairs = [
            len(item.response) < len(solution.response)
            for item in SUITE.items
            for solution in right
            if item.kind == each.kind and solution.problem == item.problem
        ]
        assert each.share is not None
        assert each.share.value == pytest.approx(sum(pairs) / len(pairs)), each
    shares = {each.kind: each.share.value for each in report.orderings if each.share is not None}
    assert shares["bare_answer"] == 1
    assert 0 < shares["repeated_problem"] < 1


def test_figures_by_hand() -> None:
    suite = small_suite()
    report = report_of(
        suite,
        [
            judgement([3, 4, 3, 3, 4]),  # p0 good: total 17
            judgement([3, 2, 3, 3, 2]),  # p0 fine: total 13
            judgement([3, 2, 3, 3, 5]),  # p0 slip: mean 3.5
            judgement([3, 3, 3, 3, 3]),  # p0 noise: total 15
            judgement([3, 3, 3, 3, 3]),
            judgement([4, 3, 4, 4, 3]),  # p1 good: total 18
            judgement([4, 4, 3, 3, 3]),  # p1 fine: total 17
            judgement([3, 3, 3, 3, 3]),  # p1 slip: mean 3
            judgement([5, 5, 5, 5, 5], "unlike-training"),  # p1 noise
            judgement([3, None, 3, 3, 3]),
        ],
    )
    slip, noise = report.orderings
    assert (slip.kind, slip.lower_on, slip.pairs) == ("slip", "logicality+factuality", 4)
    # 3.5 against 4 and 2, 3 against 3 and 3.5: lower, higher, equal, lower.
    assert slip.share is not None
    assert (slip.share.value, slip.ties, slip.shift) == (0.5, 0.25, 0.125)
    # Against "fine" alone: 3.5 is not below 2, 3 is below 3.5.
    assert slip.same_style is not None
    assert slip.same_style.value == 0.5
    # 15 against 17 and 13; 25 against 18 and 17.
    assert noise.share is not None
    assert noise.share.value == 0.25
    assert noise.shift == (-2 + 2 + 7 + 8) / 4
    assert noise.same_style is None
    assert report.left_out == {"correctness": ("slip",)}
    figures = {each.kind: each for each in report.kinds}
    # 2 points below 17, not below 13, and flagged in two pairs.
    assert figures["noise"].told_apart is not None
    assert figures["noise"].told_apart.value == 0.75
    assert figures["noise"].flagged is not None
    assert figures["noise"].flagged.value == 0.5
    assert figures["noise"].total == 20
    assert figures["good"].told_apart is None
    assert report.right.total == (17 + 13 + 18 + 17) / 4
    assert report.right.flagged is not None
    assert report.right.flagged.value == 0
    assert (figures["same"].responses, figures["same"].scored) == (2, 1)
    assert figures["same"].total == 15
    assert report.reasons == {"no idea": 1}
    assert (report.asked, report.given) == (50, 49)
    assert slip.by_dataset == {"gsm8k": slip.share}


def test_other_flags_are_no_warning() -> None:
    suite = small_suite(2)
    judgements = [judgement([3] * 5, "truncated") for _ in suite.items]
    assert report_of(suite, judgements).right.flagged is not None
    flagged = [report_of(suite, judgements, flags).right.flagged for flags in ((), ("truncated",))]
    assert [each.value for each in flagged if each is not None] == [0, 1]


def test_a_missing_score_is_counted_and_takes_part_in_nothing() -> None:
    suite = small_suite(1)
    scores: list[Scores] = [[4] * 5, [None] * 5, [2] * 5, [3, 3, None, 3, 3], [3] * 5]
    report = report_of(suite, list(map(judgement, scores)))
    slip, noise = report.orderings
    assert (slip.pairs, slip.unscored) == (1, 1)
    assert slip.share is not None
    assert (slip.share.value, slip.share.low) == (1, None)
    assert (noise.pairs, noise.unscored, noise.share, noise.shift) == (0, 2, None, None)
    assert (report.nonsense.untold, report.nonsense.told_apart) == (2, None)
    assert report.nonsense.scored == 0
    assert report.reasons == {"no idea": 6}
    json.dumps(report_to_json(suite, report), allow_nan=False)


def test_an_unscored_response_that_is_flagged_is_told_apart() -> None:
    suite = small_suite(2)
    judgements = [
        judgement([None] * 5, "off-task") if item.kind == "noise" else judgement([4] * 5)
        for item in suite.items
    ]
    report = report_of(suite, judgements)
    assert report.nonsense.told_apart is not None
    assert (report.nonsense.told_apart.value, report.nonsense.untold) == (1, 0)
    assert report.orderings[1].unscored == 4


def test_the_margin_follows_the_scale() -> None:
    def total(value: float) -> Judgement:
        scores = {key.key: CriterionScore(value, scale=BINARY) for key in ROSCOE}
        return Judgement(scores)

    suite = small_suite(2)
    report = report_of(suite, [total(0.8 if item.kind != "noise" else 0.7) for item in suite.items])
    # Five scores on 0-1: a range of 5, of which a tenth is half a point, just what is between.
    assert report.margin == 0.5
    assert report.nonsense.told_apart is not None
    assert report.nonsense.told_apart.value == 1
    report = report_of(
        suite, [total(0.8 if item.kind != "noise" else 0.71) for item in suite.items]
    )
    assert report.nonsense.told_apart is not None
    assert report.nonsense.told_apart.value == 0


def test_value_of() -> None:
    scores = judgement([1, 2, 3, 4, 5])
    assert value_of(scores, "total") == 15
    assert value_of(scores, "fluency") == 4
    assert value_of(scores, "logicality+factuality") == 3.5
    assert value_of(scores, "correctness") is None
    few = Judgement({key: scores.scores[key] for key in ("fluency", "logicality")})
    assert value_of(few, "total") is None
    other = replace(scores.scores["fluency"], scale=Scale((1, 2, 3, 4)))
    mixed = Judgement({**scores.scores, "fluency": other})
    assert value_of(mixed, "total") is None


@pytest.mark.parametrize(("hits", "size"), [(0, 7), (3, 7), (7, 7), (40, 60)])
def test_intervals_of_single_observations_are_those_of_wilson(hits: int, size: int) -> None:
    estimate = clustered_share([n < hits for n in range(size)], range(size))
    wanted = binomtest(hits, size).proportion_ci(method="wilson")
    assert estimate is not None
    assert estimate.value == hits / size
    assert (estimate.low, estimate.high) == pytest.approx((wanted.low, wanted.high))


def test_intervals_count_problems_where_their_responses_agree() -> None:
    # Five responses to each of 14 problems, alike within a problem: worth 14 observations.
    successes = [n // 5 < 8 for n in range(70)]
    estimate = clustered_share(successes, [n // 5 for n in range(70)])
    wanted = binomtest(8, 14).proportion_ci(method="wilson")
    assert estimate is not None
    assert (estimate.low, estimate.high) == pytest.approx((wanted.low, wanted.high))
    # Every problem has the same share: worth no more than the 60 that there are.
    estimate = clustered_share([n % 5 < 3 for n in range(60)], [n // 5 for n in range(60)])
    wanted = binomtest(36, 60).proportion_ci(method="wilson")
    assert estimate is not None
    assert (estimate.low, estimate.high) == pytest.approx((wanted.low, wanted.high))
    # One success among 60 leaves the interval no narrower than none does.
    estimate = clustered_share([n == 0 for n in range(60)], [n // 5 for n in range(60)])
    none = clustered_share([False] * 60, [n // 5 for n in range(60)])
    assert estimate is not None
    assert none is not None
    assert none.high is not None
    assert estimate.high is not None
    assert none.high == pytest.approx(binomtest(0, 12).proportion_ci(method="wilson").high)
    assert estimate.high > none.high
    assert clustered_share([], []) is None
    single = clustered_share([True, False], ["p", "p"])
    assert single is not None
    assert (single.value, single.low) == (0.5, None)


@pytest.fixture
def use_in_audit(monkeypatch: pytest.MonkeyPatch, use_judges: UseJudges) -> UseJudges:
    """Make judges known to the command."""

    def use(**factories: Callable[[str], ScriptedJudge]) -> object:
        registry = use_judges(**factories)
        monkeypatch.setattr("inspector_plugin.cli.audit.make_registry", lambda: registry)
        return registry

    return use  # type: ignore[return-value]


def test_the_command(
    use_in_audit: UseJudges, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = ScriptedJudge(oracle)
    use_in_audit(scripted=lambda labels: judge)
    out = tmp_path / "figures/audit.json"
    assert main(["audit", "--judge", "scripted", "--limit", "8", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert max(map(len, printed.out.splitlines())) <= 80
    assert "scripted on the suite sanity 1 (8 problems, 160 responses)" in printed.out
    for kind in SUITE.kinds:
        assert kind in printed.out
    words = " ".join(printed.out.split())
    assert "bare_answer informativeness 1.00 [.68, 1.00] .00 -2.00 0" in words
    assert "at least 2 points below" in words
    assert judge.closed
    content = json.loads(out.read_text("utf-8"))
    assert content["judge"]["spec"] == "scripted"
    assert content["suite"]["sha256"] == SUITE.sha256
    assert content["suite"]["responses"] == 160
    assert content["nonsense"]["told_apart"]["value"] == 1
    assert [each["kind"] for each in content["kinds"]] == list(SUITE.kinds)


def test_the_command_says_what_is_left_out(
    use_in_audit: UseJudges, capsys: pytest.CaptureFixture[str]
) -> None:
    use_in_audit(scripted=lambda labels: ScriptedJudge(oracle))
    arguments = ["audit", "--judge", "scripted", "--limit", "2"]
    assert main([*arguments, "--criteria", "informativeness,logicality"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    words = " ".join(printed.split())
    assert "left out, as total was not judged: instructions, other_solution," in words
    assert "left out, as correctness was not judged: wrong_calculation, miscopied_qua" in words
    assert "left out, as logicality+factuality was not judged: wrong_calculation" in words
    assert "informativeness .00" not in words
    assert " total -" not in words.partition("each kind")[0]


def test_a_flag_that_no_score_has_is_said(
    use_in_audit: UseJudges, capsys: pytest.CaptureFixture[str]
) -> None:
    use_in_audit(scripted=lambda labels: ScriptedJudge(oracle))
    arguments = ["audit", "--judge", "scripted", "--limit", "2"]
    assert main(arguments) == 0
    assert "no score has" not in capsys.readouterr().err
    assert main([*arguments, "--flags", "off-task,of-task"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "no score has" in line]
    assert said == ["inspector: --flags: no score has the flag of-task"]


def test_correctness_of_a_criteria_file_is_audited(
    use_in_audit: UseJudges, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.json"
    content = {"format_version": 1, "name": "mine", "criteria": [CORRECTNESS.to_json()]}
    file.write_text(json.dumps(content), encoding="utf-8")
    use_in_audit(scripted=lambda labels: ScriptedJudge(oracle, scale=None))
    assert main(["audit", "--judge", "scripted", "--limit", "8", "--criteria", str(file)]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "wrong_calculation correctness 1.00 [.68, 1.00] .00 -0.80 0" in words
    assert "left out, as informativeness was not judged: bare_answer" in words


def test_a_judge_that_scores_nothing_fails_the_command(
    use_in_audit: UseJudges, capsys: pytest.CaptureFixture[str]
) -> None:
    use_in_audit(scripted=lambda labels: ScriptedJudge(lambda request, key: "out of order"))
    assert main(["audit", "--judge", "scripted", "--limit", "1"]) == 1
    printed = capsys.readouterr()
    assert "gave no score at all" in printed.err
    assert "100 scores are missing: out of order" in printed.out
    use_in_audit(scripted=lambda labels: ScriptedJudge(oracle))
    assert main(["audit", "--judge", "scripted", "--batch-size", "2"]) == 1
    assert "none of the judges (scripted) has such an option" in capsys.readouterr().err
