"""Agreement: values against scikit-learn and scipy, intervals against what is known of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import somersd, spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from inspector_plugin.agreement.compare import Agreement, agreement, agreement_by_criterion
from inspector_plugin.agreement.statistics import STATISTICS
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    CriterionScore,
    Judgement,
    Scale,
    unscored,
)

SEVEN = Scale((1, 2, 3, 4, 5, 6, 7))


def scores(values: list[float] | np.ndarray, scale: Scale = MULTICLASS) -> list[CriterionScore]:
    return [CriterionScore(float(value), scale.nearest(value), scale=scale) for value in values]


def compare(judge: list[float], reference: list[float], **options: object) -> Agreement:
    options = {"clusters": range(len(judge)), "resamples": 0} | options
    scales = {"judge_scale": MULTICLASS, "reference_scale": MULTICLASS} | {
        key: options.pop(key) for key in list(options) if key.endswith("_scale")
    }
    return agreement(
        scores(judge, scales["judge_scale"]),
        scores(reference, scales["reference_scale"]),
        **options,
    )


def values(result: Agreement) -> list[float | None]:
    return [None if estimate is None else estimate.value for estimate in result.statistics.values()]


def test_hand_computed() -> None:
    # Labels: 2 of 4 agree. F1: label 1: 2/3, 2: 1/2, 3: 0 -> mean 0.3889.
    # Kappa: squared distances 1 + 1 = 2; by chance (judge 1,1,2,3 x reference 1,2,2,2) / 4:
    # rows 1: 0+0+1+4, rows 2: 3 * (1+1+0+1) -> 14 / 4; 1 - 2 / 3.5.
    # Somers' D: the reference tells 3 pairs apart (1 against each 2): tied, 1<2, 1<3 -> 2/3.
    result = compare([1, 1, 2, 3], [1, 2, 2, 2])
    assert tuple(result.statistics) == STATISTICS
    macro_f1, accuracy, kappa, _, somers_d = values(result)
    assert macro_f1 == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert (accuracy, kappa, somers_d) == pytest.approx((0.5, 1 - 2 / 3.5, 2 / 3))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("continuous", [False, True])
def test_equals_sklearn_and_scipy(seed: int, continuous: bool) -> None:
    random = np.random.default_rng(seed)
    reference = random.integers(1, 6, 80)
    noise = random.normal(size=80) if continuous else random.integers(-2, 3, 80)
    judge = np.clip(reference + noise, 1, 5)
    ours = [MULTICLASS.nearest(score) for score in judge]
    assert values(compare(judge, reference)) == pytest.approx(
        [
            f1_score(reference, ours, average="macro"),
            accuracy_score(reference, ours),
            cohen_kappa_score(reference, ours, weights="quadratic"),
            spearmanr(judge, reference).statistic,
            somersd(reference, judge).statistic,
        ]
    )


@pytest.mark.parametrize(
    ("judge", "reference", "undefined"),
    [
        ([2, 2, 2], [2, 2, 2], {"quadratic_kappa", "spearman", "somers_d"}),
        ([1, 2, 3], [4, 4, 4], {"spearman", "somers_d"}),
        ([4, 4, 4], [1, 2, 3], {"spearman"}),
        ([4], [4], set(STATISTICS)),
        ([], [], set(STATISTICS)),
    ],
)
def test_undefined_is_none(judge: list[float], reference: list[float], undefined: set[str]) -> None:
    result = compare(judge, reference, resamples=20)
    assert {name for name, value in result.statistics.items() if value is None} == undefined
    assert result.n == len(judge)


def test_only_pairs_scored_by_both_count() -> None:
    judge = [*scores([1, 2, 3]), unscored("no")]
    reference = [*scores([1, 2]), unscored("no"), *scores([5])]
    result = agreement(judge, reference, "abcd", resamples=0)
    assert (result.n, values(result)) == (2, pytest.approx([1, 1, 1, 1, 1]))
    with pytest.raises(ValueError, match="shorter"):
        agreement(judge, reference[1:], "abcd")


@pytest.mark.parametrize("swap", [False, True])
def test_mixed_scales_compare_high_and_low(swap: bool) -> None:
    binary, multiclass = [0, 0, 1, 1], [3, 4, 4, 5]  # high: no, yes, yes, yes
    sides = {"judge_scale": BINARY, "reference_scale": MULTICLASS}
    if swap:
        sides = dict(zip(sides, reversed(sides.values()), strict=True))
        result = compare(multiclass, binary, **sides)
    else:
        result = compare(binary, multiclass, **sides)
    assert result.statistics["accuracy"].value == 0.75
    assert result.statistics["spearman"].value == pytest.approx(
        spearmanr(binary, multiclass).statistic
    )


def test_scores_on_another_scale_are_compared_on_it() -> None:
    # Labels: 3 of 4 agree (6.5 is nearest to 7). Squared distances: 1; by chance, judge
    # 1, 4, 7, 7 x reference 1, 4, 6, 7: (0+9+25+36 + 9+0+4+9 + 2 * (36+9+1+0)) / 4 = 184 / 4.
    sides = {"judge_scale": SEVEN, "reference_scale": SEVEN}
    result = compare([1, 4, 6.5, 7], [1, 4, 6, 7], **sides)
    assert result.scale == SEVEN
    assert result.statistics["accuracy"].value == 0.75
    assert result.statistics["quadratic_kappa"].value == pytest.approx(1 - 1 / 46)


def test_scales_that_differ_from_pair_to_pair_compare_high_and_low() -> None:
    # High is above the midpoint of each score's own scale: 3.2 on 1-5 is, 4 on 1-7 is not.
    judge = [*scores([3.2, 2.0]), *scores([4, 5], SEVEN)]
    reference = [*scores([5, 3]), *scores([1, 4], SEVEN)]
    result = agreement(judge, reference, "abcd", resamples=0)
    assert (result.n, result.scale) == (4, BINARY)
    assert result.statistics["accuracy"].value == 0.75
    # Shares of the scale: 0.55, 0.25, 0.5, 0.667 against 1, 0.5, 0, 0.5.
    assert result.statistics["spearman"].value == pytest.approx(
        spearmanr([0.55, 0.25, 0.5, 2 / 3], [1, 0.5, 0, 0.5]).statistic
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "n"), [("f", "f", 2), ("f", "g", 0), ("f", None, 2), (None, "f", 2)]
)
def test_only_scores_on_one_criterion_are_compared(
    ours: str | None, theirs: str | None, n: int
) -> None:
    judge = [replace(score, fingerprint=ours) for score in scores([1, 2])]
    reference = [replace(score, fingerprint=theirs) for score in scores([1, 2])]
    assert agreement(judge, reference, "ab", resamples=0).n == n


def test_the_nearest_label_stands_in_for_one_that_is_missing() -> None:
    judge = [CriterionScore(2.5), CriterionScore(1.0)]
    accuracy = agreement(judge, scores([3, 1]), "ab", resamples=0).statistics["accuracy"]
    assert accuracy.value == 1
    with pytest.raises(ValueError, match="label 9 is not on the scale"):
        agreement([CriterionScore(2.5, 9), *judge[1:]], scores([3, 1]), "ab")


def test_interval_and_stderr_of_independent_pairs() -> None:
    random = np.random.default_rng(0)
    reference = random.integers(1, 6, 400)
    judge = np.where(random.random(400) < 0.7, reference, reference % 5 + 1)
    accuracy = compare(judge, reference, resamples=1000, seed=3).statistics["accuracy"]
    expected = math.sqrt(accuracy.value * (1 - accuracy.value) / 400)
    assert accuracy.stderr == pytest.approx(expected, rel=0.1)
    assert accuracy.low == pytest.approx(accuracy.value - 1.96 * expected, abs=0.01)
    assert accuracy.high == pytest.approx(accuracy.value + 1.96 * expected, abs=0.01)


def test_copies_within_a_question_add_no_certainty() -> None:
    random = np.random.default_rng(1)
    reference, judge = random.integers(1, 6, 30), random.integers(1, 6, 30)
    once = compare(judge, reference, resamples=200)
    copied = compare(
        np.repeat(judge, 7),
        np.repeat(reference, 7),
        clusters=np.repeat(np.arange(30), 7).tolist(),
        resamples=200,
    )
    assert copied.n == 210
    for name in ("macro_f1", "accuracy", "quadratic_kappa"):
        ours, theirs = copied.statistics[name], once.statistics[name]
        assert (ours.low, ours.high, ours.stderr) == pytest.approx(
            (theirs.low, theirs.high, theirs.stderr)
        )


def test_no_interval_where_the_bootstrap_says_nothing() -> None:
    assert (
        compare([1, 2, 3], [1, 2, 4], clusters="aaa", resamples=50).statistics["accuracy"].low
        is None
    )
    # Spearman needs both odd rows, which most resamples of ten clusters miss.
    judge, reference = [5] + [1] * 9, [1] * 9 + [5]
    result = compare(judge, reference, resamples=400)
    assert result.statistics["spearman"].low is None
    assert result.statistics["accuracy"].low is not None


def test_same_seed_same_interval() -> None:
    random = np.random.default_rng(2)
    judge, reference = random.integers(1, 6, 40), random.integers(1, 6, 40)
    first, again, other = (compare(judge, reference, resamples=50, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_by_criterion_and_overall() -> None:
    ours, theirs = scores([1, 2, 3, 4]), scores([1, 2, 3, 5])
    judged = [
        Judgement({"fluency": ours[0], "logicality": ours[2]}),
        Judgement({"fluency": ours[1]}),
        Judgement({"logicality": ours[3]}),
    ]
    reference = [
        Judgement({"fluency": theirs[0], "logicality": theirs[2], "factuality": theirs[0]}),
        Judgement({"fluency": theirs[1]}),
        Judgement({"logicality": theirs[3]}),
    ]
    result = agreement_by_criterion(judged, reference, "abc", resamples=0)
    assert list(result) == ["logicality", "fluency", "overall"]  # the order of every table
    assert {key: (a.n, a.statistics["accuracy"].value) for key, a in result.items()} == {
        "logicality": (2, 0.5),
        "fluency": (2, 1.0),
        "overall": (4, 0.75),
    }
