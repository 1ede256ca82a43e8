"""What `inspector rubric tune` learns from: candidates as read, rewards and pairs by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

pytest.importorskip("trl", reason="needs inspector_plugin[tune]")
pytest.importorskip("peft", reason="needs inspector_plugin[tune]")

from rubric_pairs import RubricJudge
from tuning_problems import PROSE, RIGHT, WRONG, problem, rule

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.rubrics.candidates import (
    Candidate,
    NoRubric,
    parse_items,
    read_candidate,
    write_items,
)
from inspector_plugin.rubrics.rewards import (
    META_CRITERIA,
    Reward,
    best_against_worst,
    best_of,
    length_matched,
    rewards_by_labels,
    rewards_by_meta_judge,
)
from inspector_plugin.rubrics.sampling import chat_for
from inspector_plugin.rubrics.tuning_examples import best_examples
from inspector_plugin.rubrics.tuning_stages import TuningPlan


@pytest.mark.parametrize(
    ("text", "items"),
    [
        (RIGHT, [("The response counts jars.", "rule"), ("The response says it.", "rule")]),
        (
            "Here it is:\n1. The response is short.\n2) PITFALL: The response rambles on.\nEnd.",
            [("The response is short.", "rule"), ("The response rambles on.", "pitfall")],
        ),
        (
            '```json\n{"items": [{"text": "The response is short.", "kind": "principle"}, '
            '"The response has units."]}\n```',
            [("The response is short.", "principle"), ("The response has units.", "rule")],
        ),
    ],
)
def test_lists_and_json_are_read(text: str, items: list[tuple[str, str]]) -> None:
    read = parse_items(text)
    assert [(item.text, item.kind) for item in read] == items
    assert parse_items(write_items(read)) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PROSE, "0 statements"),
        ("- The response is short.\n- The response, is SHORT", "1 statements"),
        ("", "0 statements"),
        ('{"items": 3}', "no list of items"),
        ('{"items": [', "cannot be read"),
        ('[{"kind": "rule"}]', "no text"),
        ("\n".join(f"- The response is number {n}." for n in range(70)), "70 statements"),
    ],
)
def test_what_is_no_rubric_says_why(text: str, message: str) -> None:
    with pytest.raises(NoRubric, match=message):
        parse_items(text)
    assert read_candidate(text).criterion is None


def test_a_reward_is_the_accuracy_of_the_order_that_the_rubric_gives() -> None:
    candidates = [read_candidate(text) for text in (RIGHT, WRONG, PROSE)]
    judge = RubricJudge(rule, scale=None)
    [rewards] = rewards_by_labels([problem(0)], [candidates], judge)
    assert [each.value for each in rewards] == [1.0, 0.0, None]
    # 5 against 1, of a scale that is 4 wide.
    assert [each.margin for each in rewards[:2]] == [1.0, -1.0]
    assert rewards[2].reason == "0 statements in a list; a rubric has at least 2"
    assert best_of(rewards) == 0
    # Two responses under each of two rubrics.
    assert sum(map(len, judge.calls)) == 4


def test_with_more_than_two_responses_it_is_the_rank_correlation() -> None:
    candidates = [read_candidate(text) for text in (RIGHT, WRONG)]
    judge = RubricJudge(rule, scale=None)
    [rewards] = rewards_by_labels([problem(0, (3, 1, 2))], [candidates], judge)
    # Scores 5, 1, 3 and 1, 5, 3 against labels 3, 1, 2: correlations 1 and -1.
    assert [each.value for each in rewards] == pytest.approx([1.0, 0.0])


def test_a_constant_judge_gives_chance_and_an_unscored_response_no_reward() -> None:
    candidates = [[read_candidate(RIGHT)]]
    [[even]] = rewards_by_labels(
        [problem(0)], candidates, RubricJudge(lambda request, key: 3, scale=None)
    )
    assert (even.value, even.margin) == (0.5, 0.0)
    [[none]] = rewards_by_labels(
        [problem(0)], candidates, RubricJudge(lambda request, key: "too hard", scale=None)
    )
    assert (none.value, none.reason) == (None, "too hard")


def test_a_meta_judges_reward_is_its_mean_score_as_a_share_of_the_scale() -> None:
    scores = dict(zip((each.key for each in META_CRITERIA), (5, 4, 3, 2), strict=True))
    judge = RubricJudge(lambda request, key: scores[key], scale=None)
    candidates = [[read_candidate(RIGHT), read_candidate(PROSE)]]
    [[reward, none]] = rewards_by_meta_judge([problem(0, (None, None))], candidates, judge)
    assert reward.value == pytest.approx((1 + 0.75 + 0.5 + 0.25) / 4)
    assert none.value is None
    [request] = judge.calls[0]
    assert request.response == RIGHT


def candidate(length: int) -> Candidate:
    return Candidate("x" * length, read_candidate(RIGHT).items)


@pytest.mark.parametrize(
    ("lengths", "values", "chosen"),
    [
        ((100, 100, 100), (0.2, 0.9, 0.5), (1, 0)),
        # The best is twice as long as the worst, which the one in the middle is not.
        ((100, 200, 140), (0.2, 0.9, 0.5), (1, 2)),
        ((100, 200), (0.2, 0.9), None),
        ((100, 100), (0.5, 0.5), None),
        ((100, 100), (None, 0.5), None),
    ],
)
def test_best_against_worst_are_of_similar_length(
    lengths: Sequence[int], values: Sequence[float | None], chosen: tuple[int, int] | None
) -> None:
    rewards = [Reward(value, reason="none" if value is None else None) for value in values]
    assert best_against_worst([candidate(length) for length in lengths], rewards) == chosen


def test_margins_decide_between_equal_rewards() -> None:
    rewards = [Reward(1.0, 0.1), Reward(1.0, 0.4), Reward(0.0, -0.1), Reward(0.0, -0.4)]
    assert best_of(rewards) == 1
    assert best_against_worst([candidate(100)] * 4, rewards) == (1, 3)


def test_the_better_response_is_longer_as_often_as_shorter() -> None:
    def of(better: str, worse: str, number: int) -> LabelledProblem:
        return LabelledProblem(str(number), "", "q", (better, worse), (1.0, 0.0))

    longer = [of("long one", "short", number) for number in range(5)]
    shorter = [of("short", "long one", number) for number in range(5, 7)]
    same = [of("same", "size", 7)]
    kept, said = length_matched([*longer, *shorter, *same], seed=0)
    sides = Counter(len(each.responses[0]) - len(each.responses[1]) for each in kept)
    assert sides == {3: 2, -3: 2, 0: 1}
    assert said == "3 of 8 problems left out, so that the better response is not mostly longer"
    assert length_matched(longer, seed=0) == (
        longer,
        "lengths cannot be matched: the better response is longer in every problem",
    )
    assert length_matched([*longer[:2], *shorter], seed=0)[1] is None


def test_the_order_in_which_responses_are_shown_says_nothing_of_their_labels() -> None:
    firsts = Counter()
    for number in range(40):
        chat = chat_for(problem(number), shown=True)
        text = chat[-1]["content"]
        firsts[text.index("29 jars") < text.index("36 rows")] += 1
        assert chat == chat_for(problem(number, (0, 1)), shown=True)
    assert min(firsts.values()) > 10
    assert "29 jars" not in chat_for(problem(0), shown=False)[-1]["content"]


@pytest.mark.parametrize(
    ("reward", "values", "taken", "unused"),
    [
        ("labels", [0.5, 0.4], 0, 1),  # no better than a rubric that says nothing
        ("labels", [0.6, 0.4], 1, 0),
        ("meta-judge", [0.5, 0.4], 1, 0),  # where 1/2 is no chance
        ("labels", [0.9, None], 0, 0),  # dropped: one valid rubric
    ],
)
def test_the_first_stage_learns_from_rubrics_that_are_better_than_chance(
    reward: str, values: Sequence[float | None], taken: int, unused: int
) -> None:
    rewards = [Reward(value, reason="none" if value is None else None) for value in values]
    written = [read_candidate(RIGHT), read_candidate(WRONG)]
    plan = TuningPlan("base", reward)
    examples, others = best_examples(
        [(1, 2)], [written], [rewards], lambda text: (len(text),), plan
    )
    assert (len(examples), others) == (taken, unused)
    if examples:
        assert examples[0].completion == (len(write_items(written[0].items)),)
