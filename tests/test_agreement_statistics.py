"""Statistics of agreement against independent packages, published examples and hand arithmetic."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau, somersd, spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, roc_auc_score

from inspector_plugin.agreement.annotators import alpha_of_all, by_agreement
from inspector_plugin.agreement.baselines import CHANCE, CONSTANT, LENGTH, baselines
from inspector_plugin.agreement.bootstrap import cluster_weights
from inspector_plugin.agreement.compare import estimates_of
from inspector_plugin.agreement.comparison import TOO_FEW, Comparison, compare_columns
from inspector_plugin.agreement.joined import consensus, join
from inspector_plugin.agreement.length import length_slope
from inspector_plugin.agreement.outcome import compare_with_outcome
from inspector_plugin.agreement.statistics import ALL_STATISTICS, PairCounts, Pairs
from inspector_plugin.data.score_table import ScoreTable, read_score_table
from inspector_plugin.errors import DataError
from inspector_plugin.schema import MULTICLASS

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers,
# twelve units, five values; 0 stands for a missing value.
KRIPPENDORFF_2011 = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ],
    dtype=np.float64,
)


def make_pairs(seed: int, n: int, *, continuous: bool = False) -> Pairs:
    random = np.random.default_rng(seed)
    reference = random.integers(0, 5, n)
    shares = np.clip(reference / 4 + random.normal(0, 0.3, n), 0, 1)
    judge = np.rint(shares * 4).astype(int)
    return Pairs(
        judge, reference, shares if continuous else judge / 4, reference / 4, MULTICLASS, 4.0
    )


@pytest.mark.parametrize(
    ("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_krippendorffs_worked_example(level: str, expected: float) -> None:
    labels = np.where(KRIPPENDORFF_2011 == 0, np.nan, KRIPPENDORFF_2011)
    found = alpha_of_all(labels, np.arange(12), level=level, resamples=0)
    assert found.value == pytest.approx(expected, abs=5e-4)


def test_alpha_by_hand() -> None:
    # Units (1,1), (1,2), (2,2): coincidences o11 = 2, o12 = o21 = 1, o22 = 2; n1 = n2 = 3, n = 6.
    # Nominal: 1 - (6 - 1) * 2 / (2 * 3 * 3) = 4/9; with two values all levels are alike.
    labels = np.array([[1.0, 1, 2], [1, 2, 2]])
    for level in ("nominal", "ordinal", "interval"):
        found = alpha_of_all(labels, np.arange(3), level=level, resamples=0)
        assert found.value == pytest.approx(4 / 9)
    pairs = Pairs(np.array([0, 0, 1]), np.array([0, 1, 1]), *np.zeros((2, 3)), MULTICLASS)
    assert PairCounts(pairs, np.arange(3)).statistics(["krippendorff_alpha"])[0] == 4 / 9
    # Interval, values 1 and 3 in one unit, 3 and 3 in another: D_o = 2 * 4 / 4 = 2, n1 = 1, n3 = 3,
    # D_e = 2 * 1 * 3 * 4 / (4 * 3) = 2: no better than chance.
    found = alpha_of_all(np.array([[1.0, 3], [3, 3]]), np.arange(2), level="interval", resamples=0)
    assert found.value == pytest.approx(0)
    assert alpha_of_all(np.array([[1.0, np.nan], [np.nan, 2]]), np.arange(2)) is None
    assert alpha_of_all(np.array([[2.0, 2], [2, 2]]), np.arange(2)) is None


@pytest.mark.parametrize("weights", [None, np.ones((200, 1))])
@pytest.mark.parametrize("continuous", [False, True])
def test_all_statistics_equal_independent_packages(
    continuous: bool, weights: NDArray[np.float64] | None
) -> None:
    pairs = make_pairs(0, 200, continuous=continuous)
    [values] = PairCounts(pairs, np.arange(200)).statistics(ALL_STATISTICS, weights)
    found = dict(zip(ALL_STATISTICS, values, strict=True))
    judge, reference = pairs.judge_labels, pairs.reference_labels
    difference = 4 * (pairs.judge_scores - pairs.reference_scores)
    reach = 1.96 * difference.std(ddof=1)
    expected = {
        "accuracy": accuracy_score(reference, judge),
        "macro_f1": f1_score(reference, judge, average="macro"),
        "quadratic_kappa": cohen_kappa_score(reference, judge, weights="quadratic"),
        "krippendorff_alpha": alpha_of_all(
            np.stack([judge, reference]).astype(float), np.arange(200), resamples=0
        ).value,
        "spearman": spearmanr(pairs.judge_scores, pairs.reference_scores).statistic,
        "kendall_tau_b": kendalltau(pairs.judge_scores, pairs.reference_scores).statistic,
        "somers_d": somersd(pairs.reference_scores, pairs.judge_scores).statistic,
        "mean_difference": difference.mean(),
        "lower_limit": difference.mean() - reach,
        "upper_limit": difference.mean() + reach,
    }
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("continuous", [False, True])
def test_a_resample_is_the_rows_that_were_drawn(continuous: bool) -> None:
    pairs = make_pairs(1, 60, continuous=continuous)
    problems = np.unique(np.random.default_rng(2).integers(0, 25, 60), return_inverse=True)[1]
    counts = PairCounts(pairs, problems)
    [weights] = cluster_weights(counts.problems, 0, 20, block=20)
    found = counts.statistics(ALL_STATISTICS, weights)
    for draw, values in enumerate(found):
        rows = np.repeat(np.arange(60), weights[problems, draw].astype(int))
        drawn = pairs.take(rows)
        alone = PairCounts(drawn, np.arange(len(rows))).statistics(ALL_STATISTICS)[0]
        assert values == pytest.approx(alone)


def test_blocks_make_no_difference_to_the_draws() -> None:
    whole = np.hstack(list(cluster_weights(7, 3, 10, block=10)))
    assert (np.hstack(list(cluster_weights(7, 3, 10, block=3))) == whole).all()
    assert whole.shape == (7, 10)
    assert (whole.sum(axis=0) == 7).all()
    assert not list(cluster_weights(1, 3, 10, block=10))


def test_length_slope_equals_a_regression_with_an_intercept_for_each_reference_score() -> None:
    pairs = make_pairs(3, 150, continuous=True)
    lengths = np.random.default_rng(4).integers(20, 2000, 150)
    dummies = np.eye(5)[pairs.reference_labels]
    design = np.column_stack([np.log2(lengths), dummies])
    fitted = LinearRegression(fit_intercept=False).fit(design, 4 * pairs.judge_scores)
    found = length_slope(pairs, np.arange(150), lengths, resamples=200)
    assert found.value == pytest.approx(fitted.coef_[0])
    assert found.low < found.value < found.high
    assert length_slope(pairs, np.arange(150), np.full(150, 99)) is None
    # A point more for each doubling, whatever the reference says.
    steered = Pairs(
        pairs.judge_labels,
        pairs.reference_labels,
        np.log2(lengths) / 4,
        pairs.reference_scores,
        MULTICLASS,
        4.0,
    )
    assert length_slope(steered, np.arange(150), lengths).value == pytest.approx(1)


def test_baselines() -> None:
    pairs = make_pairs(5, 20_000)
    random = np.random.default_rng(6)
    lengths = 100 + 50 * pairs.reference_labels + random.integers(0, 60, 20_000)
    found = baselines(pairs, np.arange(20_000), lengths, ALL_STATISTICS)
    dealt = Pairs(
        *(values[random.permutation(20_000)] if place in (0, 2) else values
          for place, values in enumerate((pairs.judge_labels, pairs.reference_labels))),
        pairs.judge_scores,
        pairs.reference_scores,
        MULTICLASS,
        4.0,
    )  # fmt: skip
    shuffled = PairCounts(dealt, np.arange(20_000)).statistics(("accuracy", "quadratic_kappa"))[0]
    assert found[CHANCE]["accuracy"] == pytest.approx(shuffled[0], abs=0.01)
    assert (
        found[CHANCE]["quadratic_kappa"] == pytest.approx(0) == pytest.approx(shuffled[1], abs=0.03)
    )
    assert found[CHANCE]["spearman"] == 0
    commonest = np.bincount(pairs.reference_labels).max() / 20_000
    assert found[CONSTANT]["accuracy"] == pytest.approx(commonest)
    assert found[CONSTANT]["spearman"] is None
    assert found[CONSTANT]["quadratic_kappa"] == pytest.approx(0)
    assert found[LENGTH]["spearman"] > 0.9  # the lengths tell the score here
    noise = baselines(pairs, np.arange(20_000), random.permutation(lengths), ["spearman"])
    assert abs(noise[LENGTH]["spearman"]) < 0.05
    few = baselines(pairs.take(np.arange(20)), np.arange(20), lengths[:20], ["spearman"])
    assert few[LENGTH]["spearman"] is None  # too few to learn from


FINGERPRINT = "0" * 16


def table_of(path: Path, columns: dict[str, list[float | None]], **more: Any) -> ScoreTable:
    """A table of the criterion `grip`, a question for each row."""
    count = len(next(iter(columns.values())))
    scales = more.get("scales", {})
    prints = more.get("fingerprints", {})
    rows = []
    for place in range(count):
        judgements = {}
        for name, values in columns.items():
            value = values[place]
            cell = {"score": value, "label": None, "scale": scales.get(name, [1, 2, 3, 4, 5])}
            cell |= {"reason": "no"} if value is None else {}
            cell["fingerprint"] = prints.get(name, [FINGERPRINT] * count)[place]
            judgements[name] = {"format_version": 2, "scores": {"grip": cell}}
        lengths = more.get("lengths", [20] * count)
        row = {"question": f"q{place}", "response": f"{place}".ljust(lengths[place], ".")}
        right = {"right": more["right"][place]} if "right" in more else {}
        rows.append({**row, "judgements": judgements, **right})
    path = path / "scores.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_score_table([path], outcomes=["right"])


def compare(table: ScoreTable, judge: str = "a", reference: str = "b") -> Comparison:
    sides = {"grip": (table.column(judge, "grip"), table.column(reference, "grip"))}
    [found] = compare_columns(table, sides, resamples=50)
    return found


def test_a_comparison_counts_what_both_scored(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"a": [1, 2, None, 4, 5], "b": [1, 3, 3, None, 5]})
    found = compare(table)
    assert (found.n, found.asked, found.coverage.value) == (3, 4, 0.75)
    assert found.confusion.sum() == 3
    assert found.confusion[2, 1] == 1  # the reference says 3, the judge 2
    assert found.statistics["mean_difference"].value == pytest.approx(-1 / 3)
    assert any("only 3 scores" in note for note in found.notes)


def test_undefined_figures_say_why(tmp_path: Path) -> None:
    constant = compare(table_of(tmp_path, {"a": [1, 2, 3], "b": [2, 2, 2]}))
    assert constant.statistics["spearman"] is None
    assert constant.undefined["spearman"] == "b gives all 3 responses the same score"
    assert constant.undefined["somers_d"] == "b gives all 3 responses the same score"
    assert constant.baselines[CHANCE]["spearman"] is None
    same = compare(table_of(tmp_path, {"a": [2, 2], "b": [2, 2]}))
    assert "one and the same label" in same.undefined["quadratic_kappa"]
    nothing = compare(table_of(tmp_path, {"a": [1, None], "b": [None, 3]}))
    assert (nothing.n, set(nothing.undefined.values())) == (0, {TOO_FEW})


def test_scales_that_differ_are_compared_as_low_and_high(tmp_path: Path) -> None:
    scales = {"b": [0, 1]}
    found = compare(table_of(tmp_path, {"a": [1, 3, 4, 5], "b": [0, 1, 1, 1]}, scales=scales))
    assert found.statistics["accuracy"].value == 0.75  # 3 on 1-5 is not above the middle
    assert found.scale.labels == (0, 1)
    assert found.statistics["mean_difference"] is None
    assert "different scales" in found.undefined["mean_difference"]
    assert any("the judge scores on 1-5, the reference on 0-1" in note for note in found.notes)


def test_other_criteria_of_one_key_are_left_out(tmp_path: Path) -> None:
    prints = {"a": ["f", "f", "g", None], "b": ["f", "g", "g", "g"]}
    found = compare(table_of(tmp_path, {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}, fingerprints=prints))
    assert found.n == 3
    assert any("1 pairs are left out" in note for note in found.notes)


def test_the_mean_of_annotators(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"a": [1, 2, None, None], "b": [2, 4, 5, None]})
    column = consensus([table.column(name, "grip") for name in "ab"], "people")
    assert column.scores[:3].tolist() == [1.5, 3, 5]
    assert column.labels[:3].tolist() == [2, 3, 5]
    assert np.isnan(column.scores[3])
    mixed = table_of(tmp_path, {"a": [1], "b": [0]}, scales={"b": [0, 1]})
    with pytest.raises(DataError, match="a on 1-5, b on 0-1"):
        consensus([mixed.column(name, "grip") for name in "ab"], "people")


def test_agreement_by_agreement_of_annotators(tmp_path: Path) -> None:
    columns = {
        "judge": [1, 2, 3, 4, 5, 1, 2],
        "x": [1, 2, 3, 4, 4, 1, 4],
        "y": [1, 2, 3, 3, 5, 5, None],
    }
    table = table_of(tmp_path, columns)
    people = [table.column(name, "grip") for name in "xy"]
    joined = join(table, [(table.column("judge", "grip"), consensus(people, "people"))])
    strata = by_agreement(joined, [people], [joined.n], resamples=0)
    assert [(each.apart, each.n) for each in strata] == [("0", 3), ("1", 2), ("2 or more", 1)]
    assert strata[0].statistics["accuracy"].value == 1
    assert strata[1].statistics["mean_difference"].value == pytest.approx(0.5)


def test_an_outcome(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    right = (random.random(120) < 0.4).tolist()
    values = np.clip(2 + 1.2 * np.array(right) + random.normal(0, 1, 120), 1, 5).tolist()
    values[3] = None
    table = table_of(
        tmp_path, {"a": values}, right=right, lengths=[200 + each for each in range(120)]
    )
    found = compare_with_outcome(
        table, "a", "grip", table.column("a", "grip").scores, "right", resamples=200
    )
    known = [place for place in range(120) if place != 3]
    expected = roc_auc_score([right[p] for p in known], [values[p] for p in known])
    assert found.auc.value == pytest.approx(expected)
    assert found.auc.low < expected < found.auc.high
    assert (found.n, found.reason) == (119, None)
    assert found.positive == pytest.approx(np.mean([right[p] for p in known]))
    assert abs(found.baselines[LENGTH] - 0.5) < 0.15
    alike = table_of(tmp_path, {"a": [1, 2]}, right=[True, True])
    none = compare_with_outcome(alike, "a", "grip", alike.column("a", "grip").scores, "right")
    assert (none.auc, none.reason) == (None, "right is the same for all 2 responses")


def test_intervals_are_by_problem() -> None:
    once = make_pairs(8, 40)
    copied = once.take(np.repeat(np.arange(40), 5))
    kwargs: dict[str, Any] = {"seed": 1, "resamples": 100}
    ours = estimates_of(copied, np.repeat(np.arange(40), 5), ["quadratic_kappa"], **kwargs)
    theirs = estimates_of(once, np.arange(40), ["quadratic_kappa"], **kwargs)
    for field in ("value", "low", "high"):
        assert getattr(ours["quadratic_kappa"], field) == pytest.approx(
            getattr(theirs["quadratic_kappa"], field)
        )
    assert not math.isnan(ours["quadratic_kappa"].value)
