"""The rules of refining, each at its bounds: weights, splits, repeats, what is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from endpoint_judges import Serve
from rubric_models import MetaJudge, TraitJudge, items_reply, problem, trait
from rubric_refining import labelled, no_answer, of_trait, refined, split_of
from scipy.optimize import nnls

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.errors import DataError
from inspector_plugin.judges.prompt import endpoint
from inspector_plugin.rubrics.meta_judge import QUALITIES
from inspector_plugin.rubrics.preferences import by_labels
from inspector_plugin.rubrics.refine import Refiner, Settings
from inspector_plugin.rubrics.refine_data import better_by, two_splits
from inspector_plugin.rubrics.rewards import META_CRITERIA
from inspector_plugin.rubrics.split import signed
from inspector_plugin.rubrics.verdicts import rows_of
from inspector_plugin.rubrics.weights import ridge_weights, whitening_weights
from inspector_plugin.rubrics.writer import make_writer
from inspector_plugin.schema.rubrics import RubricItem

NAN = float("nan")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_FIRST_PAUSE", 0.01)


def test_whitening_by_hand() -> None:
    """Two equal items and one apart from them: S^(-1/2) 1 gives 1/sqrt(2) of the weight each."""
    x = np.array([0, 0, 1, 1] * 200, dtype=float)
    y = np.array([0, 1, 0, 1] * 200, dtype=float)
    weights = whitening_weights(np.stack([x, x, y, np.ones(800)], axis=1))
    assert weights is not None
    assert weights[0] == pytest.approx(weights[1])
    # Shrinking by Ledoit and Wolf moves a regular covariance of 800 rows by a few hundredths.
    assert weights[0] / weights[2] == pytest.approx(1 / np.sqrt(2), abs=0.03)
    assert weights[3] == 1
    assert whitening_weights(np.ones((20, 2))) is None
    assert whitening_weights(x[:7, None]) is None


def test_planted_weights_are_recovered() -> None:
    random = np.random.default_rng(0)
    values = random.integers(0, 2, (400, 4)).astype(float)
    problems = [str(n // 4) for n in range(400)]
    # Each problem has a level of its own; the fourth item counts for nothing.
    labels = values @ [3, 2, 1, 0] + np.repeat(random.normal(0, 5, 100), 4)
    weights = ridge_weights(values, labels, problems)
    assert weights is not None
    assert weights * 1.5 == pytest.approx([3, 2, 1, 0], abs=0.05)
    assert weights.mean() == pytest.approx(1)
    assert ridge_weights(values[:, :3], -labels, problems) is None
    assert ridge_weights(values[:7], labels[:7], problems[:7]) is None


def test_pair_accuracy_by_hand() -> None:
    rows = rows_of([problem(1, ["a", "b", "c"], [2, 1, None]), problem(2, ["d", "e"], [0, 1])])
    preferences = by_labels(rows)
    assert preferences is not None
    assert list(zip(preferences.better, preferences.worse, strict=True)) == [(0, 1), (4, 3)]
    assert preferences.accuracy(np.array([2, 1, 0, 5, 5.0])) == 0.75
    assert preferences.accuracy(np.array([2, NAN, 0, NAN, 5.0])) is None
    across = by_labels(rows_of([problem(1, ["a"], [1]), problem(2, ["b"], [0])]))
    assert across is not None
    assert not across.within_problems
    assert by_labels(rows_of([problem(1, ["a", "b"], [1, 1])])) is None


def with_words(*pairs: tuple[str, str], start: int = 0) -> list[LabelledProblem]:
    """Problems whose better and worse response have these words."""
    return [problem(start + n, list(pair), [1.0, 0.0]) for n, pair in enumerate(pairs)]


def cleaned(problems: list[LabelledProblem], items: tuple[RubricItem, ...], server: Any) -> Any:
    judge = TraitJudge()
    dev = split_of(problems, judge)
    with make_writer(f"prompt:model=m,base_url={server.url}") as writer:
        settings = Settings(rounds=1, rewrites=0)
        refiner = Refiner(dev, dev, writer, MetaJudge(), None, settings)
        return refiner.refine(items).log


@pytest.mark.parametrize(("pairs", "is_dropped"), [(21, True), (19, False)])
def test_an_item_repeats_another_from_a_correlation_of_nine_tenths(
    serve: Serve, pairs: int, is_dropped: bool
) -> None:
    """Of n pairs all but one have both words in the better: r = 1 - 4 / 2n, .905 or .895."""
    words = [("a b 1", "x"), *[("a b 1", "x")] * (pairs - 2), ("a", "b x")]
    log = cleaned(with_words(*words), (of_trait("a"), of_trait("b")), serve(no_answer))
    dropped = [e for e in log if e.step == "dropped"]
    assert [e.before[0].key for e in dropped] == (["b"] if is_dropped else [])
    assert all("it repeats (r = 0.90)" in e.why for e in dropped)


def test_an_item_that_is_always_the_contrary_repeats_too(serve: Serve) -> None:
    """Neither prefers a side; "b" stands where "a" does not."""
    words = [
        ("a", "b"),
        ("b", "a"),
        ("c a", "c a"),
        ("c b", "c b"),
        ("good a", "a"),
        ("good b", "b"),
    ]
    items = (of_trait("good"), of_trait("a"), of_trait("b"))
    log = cleaned(with_words(*words), items, serve(no_answer))
    assert [(e.before[0].key, e.why[:22]) for e in log if e.step == "dropped"] == [
        ("b", "it repeats (r = -1.00)")
    ]


@pytest.mark.parametrize(("met", "is_split"), [(19, True), (18, False)])
def test_items_are_split_that_95_percent_meet(serve: Serve, met: int, is_split: bool) -> None:
    responses = [f"common good {n}" for n in range(met)] + [f"rare {n}" for n in range(20 - met)]
    words = list(zip(responses[:10], responses[10:], strict=True))
    server = serve(no_answer)
    cleaned(with_words(*words), (of_trait("common"),), server)
    assert bool(server.calls) == is_split


def test_a_rewrite_that_orders_as_well_is_refused(serve: Serve) -> None:
    server = serve(lambda body, number: items_reply(trait("half"), trait("common")))
    found = refined(server, (of_trait("half"), of_trait("rare")), rounds=1, rewrites=1)
    entry = found.log[-1]
    assert (entry.step, entry.accepted) == ("rewritten", False)
    assert entry.figures["before"] == entry.figures["after"] == 0.875


def test_weights_are_those_of_least_squares_without_negative_ones() -> None:
    """An item that worse responses meet gets 0, and the others what they get without it."""
    random = np.random.default_rng(1)
    first = random.integers(0, 2, 500).astype(float)
    second = np.where(random.random(500) < 0.7, first, 1 - first)  # goes with the first
    values = np.stack([first, second, random.integers(0, 2, 500).astype(float)], axis=1)
    labels = values @ [3.0, -2.0, 1.0]
    weights = ridge_weights(values, labels, [str(n) for n in range(500)])
    centred = values - values.mean(axis=0)
    expected, _ = nnls(centred, labels - labels.mean())
    assert expected[1] == 0
    assert weights == pytest.approx(expected / expected.mean(), abs=0.03)


def test_no_problem_is_in_both_splits() -> None:
    """Of 20 problems with two labels and 10 with one, 40% of each are held back."""
    many = [*labelled(20), *(problem(500 + n, ["alone"], [1.0]) for n in range(10))]
    dev, held = two_splits(many, None, 0, Path("dev.jsonl"))
    names = [{row.problem.problem for row in rows} for rows in (dev, held)]
    assert [len(each) for each in names] == [18, 12]
    assert not names[0] & names[1]
    assert sum(row.response == "alone" for row in held) == 4
    assert two_splits(many, None, 1, Path("dev.jsonl"))[1] != held
    # Problems of a file to hold back are left out of the others.
    dev, held = two_splits(many[:6], many[4:9], 0, Path("dev.jsonl"))
    assert [row.problem.id for row in dev[::2]] == ["0", "1", "2", "3"]
    assert len(held) == 10


def test_figures_of_labels_and_of_the_meta_judge_are_never_mixed() -> None:
    """One response with a label is enough for labels to be asked for, in both splits."""
    rows, bare = (rows_of(some) for some in (labelled(4), [problem(9, ["a", "b"])]))
    path = Path("dev.jsonl")
    assert better_by("auto", rows, rows, path) == "labels"
    assert better_by("auto", bare, bare, path) == "meta-judge"
    assert better_by("meta-judge", rows, rows, path) == "meta-judge"
    for dev, held in ((rows, bare), (bare, rows)):
        with pytest.raises(DataError, match=r"dev.jsonl holds no contrast: the labels do not"):
            better_by("auto", dev, held, path)
    with pytest.raises(DataError, match="there are no labels"):
        better_by("labels", bare, bare, path)


def test_the_meta_judge_is_asked_for_the_four_qualities() -> None:
    for criteria, start in ((QUALITIES, "data_set_rubric_"), (META_CRITERIA, "rubric_")):
        assert [each.key.removeprefix(start) for each in criteria] == [
            "specificity",
            "coverage",
            "discrimination",
            "fit",
        ]


def test_a_generator_is_shown_pairs_that_the_rubric_does_not_order() -> None:
    """Of 12 better responses, those of every fourth problem lack "half": three ties."""
    split = split_of(labelled(12), TraitJudge())
    shown = split.errors((of_trait("half"),), [0])
    assert sorted(each.question[-2:] for each in shown) == ["0?", "4?", "8?"]
    assert [mark for mark, _ in shown[0].responses] == ["better", "worse"]
    # Four of them at most, each time others.
    assert len(split.errors((of_trait("odd"),), [0])) == 4
    assert split.errors((of_trait("odd"),), [0]) != split.errors((of_trait("odd"),), [1])
    assert split.errors((of_trait("good"),), [0]) == []


def test_small_differences_are_not_written_as_none() -> None:
    assert [signed(each) for each in (0.254, -0.004, 0.0, -0.5)] == [
        "+0.25",
        "-0.004",
        "+0.00",
        "-0.50",
    ]
