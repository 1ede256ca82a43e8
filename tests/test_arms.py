"""Which rows the arms of a fine-tuning study hold, by hand arithmetic; means by numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inspector_plugin.agreement.paired_means import paired_means
from inspector_plugin.data.arms import ARMS, Arms, choose_arms
from inspector_plugin.errors import DataError

SCORES = np.array([1.0, 5.0, 3.0, 2.0, 4.0, 3.5, 2.5, 1.5])
TOKENS = np.full(8, 10, dtype=np.intp)
PROBLEMS = [f"p{number}" for number in range(8)]


def choose(
    scores: Any = SCORES, tokens: Any = TOKENS, problems: Any = None, **options: Any
) -> Arms:
    given = {"names": ARMS, "share": 0.25, "epochs": 4, **options}
    names = given.pop("names")
    return choose_arms(problems or PROBLEMS[: len(scores)], scores, tokens, names, **given)


def test_the_best_the_worst_and_as_many_showings_of_all() -> None:
    arms = choose().arms
    assert arms["top"].rows == (1, 4)
    assert arms["bottom"].rows == (0, 7)
    assert len(arms["random"].rows) == 2
    assert arms["all"].rows == tuple(range(8))
    assert {len(arm.shown) for arm in arms.values()} == {8}
    assert sorted(arms["top"].shown) == [1] * 4 + [4] * 4
    assert {arm.tokens for arm in arms.values()} == {80}


def test_with_fewer_epochs_all_holds_as_many_rows_as_it_can_show() -> None:
    arms = choose(epochs=3).arms
    assert len(arms["all"].rows) == len(arms["all"].shown) == 6
    # Once all rows are shown it begins again.
    assert len(choose(epochs=6).arms["all"].shown) == 12
    assert len(choose(epochs=6).arms["all"].rows) == 8


def test_the_seed_decides_the_draws_and_ties_alone() -> None:
    draws = {choose(names=("random",), seed=n).arms["random"].rows for n in range(20)}
    assert len(draws) > 5
    assert choose(seed=3) == choose(seed=3)
    assert {choose(names=("top", "bottom"), seed=n).arms["top"].rows for n in range(9)} == {(1, 4)}
    tied = np.array([3.0, 3.0, 3.0, 1.0])
    tops = {
        choose(tied, TOKENS[:4], names=("top",), seed=seed).arms["top"].rows for seed in range(30)
    }
    assert tops == {(0,), (1,), (2,)}


def test_one_response_to_each_problem() -> None:
    problems = ["a", "a", "a", "b", "b", "c", "c", "d"]
    arms = choose(problems=problems, share=0.5, names=("top", "bottom", "random", "all")).arms
    # Best of each problem: 5, 4, 3.5, 1.5; worst: 1, 2, 2.5, 1.5.
    assert arms["top"].rows == (1, 4)
    assert arms["bottom"].rows == (0, 7)
    for name in ("random", "all"):
        held = [problems[row] for row in arms[name].rows]
        assert len(held) == len(set(held))


def test_bands_of_length_make_the_tokens_equal() -> None:
    # The better, the longer: without bands the best have 4 times the tokens of the worst.
    scores = np.arange(40.0)
    tokens = np.repeat(np.arange(1, 5), 10) * 100
    assert choose(scores, tokens, [f"{n}" for n in range(40)], tolerance=5.0).bands == 1
    arms = choose(scores, tokens, [f"{n}" for n in range(40)], share=0.2)
    assert arms.bands == 4
    assert arms.spread == 0
    assert arms.arms["top"].rows == (8, 9, 18, 19, 28, 29, 38, 39)
    assert arms.arms["bottom"].rows == (0, 1, 10, 11, 20, 21, 30, 31)
    assert {arm.tokens for arm in arms.arms.values()} == {8000}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.05}, "A share of 0.05 of 8 problems is no row to train on"),
        ({"scores": np.full(8, 2.0)}, "All 8 rows have the score 2"),
        ({"share": 1.0, "epochs": 2}, "top and random would be the same 8 rows"),
        ({"epochs": 1}, "random and all would be the same"),
        (
            {"tokens": np.array([1, 1000, 1, 1, 1, 1, 1, 1]), "names": ("top", "bottom")},
            "cannot be made equal in tokens within 2.0%: the closest",
        ),
    ],
)
def test_what_makes_no_study(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        choose(**options)


def test_means_and_their_differences_are_those_of_numpy() -> None:
    random = np.random.default_rng(1)
    values = {"random": random.random(60), "top": random.random(60) + 0.2}
    weights = random.integers(1, 9, 60).astype(float)
    found = paired_means(values, np.arange(60), weights, against="random", seed=0, resamples=2000)
    for name, arm in found.items():
        assert arm.mean.value == pytest.approx(np.average(values[name], weights=weights))
    difference = found["top"].difference
    assert difference is not None
    assert found["random"].difference is None
    gap = values["top"] - values["random"]
    assert difference.value == pytest.approx(np.average(gap, weights=weights))
    draws = [
        np.average(gap[rows], weights=weights[rows])
        for rows in np.random.default_rng(9).integers(0, 60, (2000, 60))
    ]
    assert difference.low == pytest.approx(np.quantile(draws, 0.025), abs=0.02)
    assert difference.high == pytest.approx(np.quantile(draws, 0.975), abs=0.02)
    alone = paired_means({"top": values["top"][:1]}, np.zeros(1, dtype=np.intp))
    assert alone["top"].mean.low is None
