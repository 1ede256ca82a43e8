"""The figures of `inspector rubric eval`: of judges that follow a rule, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rubric_pairs import BAD, GOOD, SOURCE, RubricJudge, pair_rows, rule, write
from scipy.stats import spearmanr

from inspector_plugin.data.labelled import SCORES, read_labelled
from inspector_plugin.rubrics.conditions import (
    NO_RUBRIC_NAME,
    by_another_problem,
    by_human_rubric,
    by_rubric,
    rubric_in_prose,
    stuffed,
    without_rubric,
)
from inspector_plugin.rubrics.evaluate import (
    ALL,
    PAIRWISE_NAME,
    FileResult,
    GroupResult,
    evaluate_file,
)
from inspector_plugin.schema import Criterion, JudgeRequest
from inspector_plugin.schema.rubrics import RubricItem


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write(tmp_path / "pairs.jsonl", pair_rows())


def result_of(result: FileResult, condition: str, group: str = ALL) -> GroupResult:
    [found] = [r for r in result.results if (r.condition, r.group) == (condition, group)]
    return found


def value(statistic: Any) -> float:
    assert statistic is not None
    assert statistic.value is not None
    return float(statistic.value.value)


def test_pair_accuracy_ties_and_stuffed_responses_are_those_counted_by_hand(pairs: Path) -> None:
    judge = RubricJudge(rule, scale=None)
    conditions = [without_rubric(), by_rubric("sources", SOURCE)]
    result = evaluate_file(read_labelled(pairs), conditions, judge)
    plain = result_of(result, NO_RUBRIC_NAME)
    assert (value(plain.accuracy), plain.ties) == (0.5, 1.0)
    ruled = result_of(result, "sources")
    # Right, a tie, wrong, right.
    assert value(ruled.accuracy) == pytest.approx(2.5 / 4)
    assert ruled.ties == 0.25
    assert (ruled.accuracy.count, ruled.accuracy.asked) == (4, 4)
    # Only where the better response names no source do the rubric's words win.
    assert value(ruled.exploit) == 0.25
    # Neighbor and manual are pooled: one wrong, one right.
    assert value(result_of(result, "sources", "adversarial").accuracy) == 0.5
    assert value(result_of(result, "sources", "natural").accuracy) == 0.75


def test_pairwise_prompting_swaps_the_order_and_averages(pairs: Path) -> None:
    judge = RubricJudge(rule, scale=None)
    result = evaluate_file(read_labelled(pairs), [], judge, exploit=False)
    # Where both name a source the rule is for whatever stands first: a tie, once averaged.
    assert value(result_of(result, PAIRWISE_NAME).accuracy) == pytest.approx(2.5 / 4)
    assert result_of(result, PAIRWISE_NAME).ties == 0.25
    asked = [request.response for call in judge.calls for request in call]
    assert len(asked) == 8
    assert all(GOOD in text or BAD in text for text in asked)


def test_a_judge_for_whatever_stands_first_reaches_one_half(pairs: Path) -> None:
    judge = RubricJudge(lambda request, key: 1, scale=None)
    result = evaluate_file(read_labelled(pairs), [], judge, exploit=False)
    assert value(result_of(result, PAIRWISE_NAME).accuracy) == 0.5
    assert result_of(result, PAIRWISE_NAME).ties == 1.0
    estimate = result_of(result, PAIRWISE_NAME).accuracy.value
    assert estimate is not None
    assert estimate.low is None  # all alike: resamples would say nothing


def test_what_is_unscored_counts_in_the_coverage_and_not_in_the_figure(pairs: Path) -> None:
    def silent_on_c(request: JudgeRequest, key: str) -> float | str:
        return "too hard" if " C" in request.response else rule(request, key)

    judge = RubricJudge(silent_on_c, scale=None)
    conditions = [by_rubric("sources", SOURCE)]
    result = evaluate_file(read_labelled(pairs), conditions, judge, pairwise=False)
    ruled = result_of(result, "sources")
    assert (ruled.accuracy.count, ruled.accuracy.asked) == (3, 4)
    assert value(ruled.accuracy) == pytest.approx(2.5 / 3)
    assert result.reasons["sources"] == {"too hard": 2}


def test_correlation_is_scipys_and_intervals_draw_problems(tmp_path: Path) -> None:
    scores = [5, 2, 4, 4, 1, 3, 2, 5]
    labels = [4, 1, 3, 4, 2, 0, 1, 3]
    rows = [
        {
            "id": place // 2,
            "question": f"Question {place // 2}?",
            "response": f"{'x' * place}={score}",
            "scores": {"helpfulness": label, "verbosity": 9 - label},
        }
        for place, (score, label) in enumerate(zip(scores, labels, strict=True))
    ]
    file = read_labelled(write(tmp_path / "scored.jsonl", rows))
    assert (file.kind, len(file.problems)) == (SCORES, 4)
    judge = RubricJudge(lambda request, key: int(request.response[-1]), scale=None)
    result = evaluate_file(file, [without_rubric()], judge, pairwise=False, exploit=False)
    found = result_of(result, NO_RUBRIC_NAME).correlation
    assert found is not None
    assert value(found) == pytest.approx(spearmanr(scores, labels).statistic)
    assert (found.count, found.asked) == (8, 8)
    assert found.value is not None
    assert found.value.low is not None
    # The pairs are those of the problems whose labels differ: 4 > 1, 4 > 3, 2 > 0 and 3 > 1.
    pairs = result_of(result, NO_RUBRIC_NAME).accuracy
    assert (value(pairs), pairs.count, pairs.asked) == ((1 + 0.5 + 0 + 1) / 4, 4, 4)
    one = read_labelled(
        write(tmp_path / "one.jsonl", [row | {"id": 0, "question": "Q?"} for row in rows])
    )
    alone = evaluate_file(one, [without_rubric()], judge, pairwise=False, exploit=False)
    estimate = result_of(alone, NO_RUBRIC_NAME).correlation
    assert estimate is not None
    assert estimate.value is not None
    assert estimate.value.low is None  # one problem: nothing to draw


def test_a_constant_judge_has_no_correlation_and_says_why(tmp_path: Path) -> None:
    rows = [
        {"id": n, "question": f"Q {n}", "response": "r" * (n + 1), "label": n} for n in range(4)
    ]
    file = read_labelled(write(tmp_path / "scored.jsonl", rows))
    judge = RubricJudge(lambda request, key: 3, scale=None)
    found = result_of(
        evaluate_file(file, [without_rubric()], judge, pairwise=False, exploit=False),
        NO_RUBRIC_NAME,
    ).correlation
    assert found is not None
    assert (found.value, found.reason) == (None, "all scores, or all labels, are equal")


def test_rows_that_share_a_problem_are_drawn_together(tmp_path: Path) -> None:
    rows = [row | {"question": "One and the same?"} for row in pair_rows()]
    result = evaluate_file(
        read_labelled(write(tmp_path / "same.jsonl", rows)),
        [by_rubric("sources", SOURCE)],
        RubricJudge(rule, scale=None),
        pairwise=False,
    )
    estimate = result_of(result, "sources").accuracy.value
    assert estimate is not None
    assert (estimate.value, estimate.low) == (2.5 / 4, None)


def test_another_problems_rubric_is_never_the_problems_own(tmp_path: Path) -> None:
    rows = [row | {"rubric": f"[Is it about {n % 3}?]"} for n, row in enumerate(pair_rows() * 3)]
    for n, row in enumerate(rows):
        row["question"] = f"Question {n}?"
    file = read_labelled(write(tmp_path / "own.jsonl", rows))
    human = by_human_rubric()
    other = by_another_problem(human, file.problems, seed=1)
    assert other is not None
    for problem in file.problems:
        own, another = human.criterion_for(problem), other.criterion_for(problem)
        assert own is not None
        assert another is not None
        assert own.definition != another.definition
    assert by_another_problem(by_rubric("one", SOURCE), file.problems, seed=1) is None


def test_a_rubric_in_prose_with_five_scores_becomes_anchors() -> None:
    text = "[Is it exact?]\n" + "\n".join(f"Score {n}: level {n}." for n in range(1, 6))
    rubric = rubric_in_prose(text)
    assert rubric.definition == "Is it exact?"
    assert rubric.anchors == {n: f"level {n}." for n in range(1, 6)}
    assert rubric_in_prose("Score 1: bad.\nScore 5: good.").anchors == {}


def test_a_stuffed_response_holds_the_words_of_items_but_not_of_faults() -> None:
    items = (
        RubricItem("a", "The response is short."),
        RubricItem("b", "The response rambles.", kind="pitfall"),
    )
    text = stuffed("No.", Criterion("rubric", items=items))
    assert text.startswith("No.\n\n")
    assert "The response is short." in text
    assert "rambles" not in text
