"""The alternative annotator test against hand arithmetic and scipy's t-test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from inspector_plugin.agreement.alt_test import AltTest, alternative_annotator_test

NAMES = ("ann", "bob", "cem")


def run(judged: np.ndarray, labels: np.ndarray, **options: object) -> AltTest:
    names = NAMES[: len(labels)]
    return alternative_annotator_test(
        "j", judged.astype(float), names, labels.astype(float), np.arange(len(judged)), **options
    )


def test_advantage_by_hand() -> None:
    # Ann left out: the others say 3 and 3. The judge says 3 (distance 0), ann 1 (distance 2).
    # Bob left out: the others say 1 and 3. Judge 3: sqrt((4 + 0) / 2), bob 3: the same, a tie.
    judged, labels = np.full(30, 3), np.repeat([[1], [3], [3]], 30, axis=1)
    found = run(judged, labels, epsilon=0.1)
    ann, bob, cem = found.annotators
    assert (ann.judge_ahead, ann.annotator_ahead, ann.won) == (1, 0, True)
    assert (bob.judge_ahead, bob.annotator_ahead, bob.won) == (1, 1, True)  # ties: 0 < epsilon
    assert (found.winning_rate, found.advantage, found.passed) == (1, 1, True)
    assert (cem.judge_ahead, cem.annotator_ahead, cem.items) == (1, 1, 30)
    assert found.verdict.startswith("Yes: j wins against 3 of 3 annotators")
    tied = run(judged, labels, epsilon=0.0)
    assert [each.won for each in tied.annotators] == [True, False, False]
    assert (tied.winning_rate, tied.passed) == (pytest.approx(1 / 3), False)
    assert tied.verdict.startswith("No: j wins against 1 of 3")


@pytest.mark.parametrize("alignment", ["rmse", "accuracy"])
def test_p_values_by_the_formulas_of_the_paper(alignment: str) -> None:
    random = np.random.default_rng(0)
    truth = random.integers(1, 6, 80)
    labels = np.clip(truth + random.integers(-1, 2, (3, 80)), 1, 5)
    judged = np.clip(truth + random.integers(-1, 2, 80), 1, 5)
    found = run(judged, labels, alignment=alignment, epsilon=0.15)
    expected = []
    for place in range(3):
        differences = []
        for item in range(80):
            others = [labels[k, item] for k in range(3) if k != place]

            def closeness(label: int, others: list[int] = others) -> float:
                if alignment == "accuracy":
                    return sum(label == each for each in others) / 2
                return -((sum((label - each) ** 2 for each in others) / 2) ** 0.5)

            ours, theirs = closeness(judged[item]), closeness(labels[place, item])
            differences.append(int(theirs >= ours) - int(ours >= theirs))
        mean, spread = np.mean(differences), np.std(differences, ddof=1)
        expected.append(student.cdf((mean - 0.15) / (spread / 80**0.5), 79))
    assert [each.p for each in found.annotators] == pytest.approx(expected)
    # Benjamini and Yekutieli: the i-th smallest of m times m / i times 1 + 1/2 + 1/3.
    ordered = np.sort(expected)
    scaled = ordered * 3 / np.arange(1, 4) * (1 + 1 / 2 + 1 / 3)
    adjusted = np.minimum(1, np.minimum.accumulate(scaled[::-1])[::-1])
    assert sorted(each.adjusted_p for each in found.annotators) == pytest.approx(adjusted)
    assert [each.won for each in found.annotators] == [
        each.adjusted_p <= 0.05 for each in found.annotators
    ]


def test_a_judge_as_good_as_the_annotators_passes_and_noise_does_not() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(1, 6, 400)
    labels = np.clip(truth + random.integers(-1, 2, (3, 400)), 1, 5)
    assert run(truth, labels, epsilon=0.2).passed is True
    assert run(random.integers(1, 6, 400), labels, epsilon=0.2).passed is False


def test_too_few_annotators_or_items_give_no_verdict() -> None:
    judged, labels = np.full(30, 3), np.full((2, 30), 3)
    two = run(judged, labels)
    assert (two.passed, two.winning_rate, two.annotators) == (None, None, ())
    assert "needs 3 annotators with at least 30 responses" in two.verdict
    sparse = np.full((3, 40), 3.0)
    sparse[2, 29:] = np.nan
    few = run(np.full(40, 3), sparse)
    assert few.left_out == (("cem", 29),)
    assert few.passed is None
    sparse[2, 29] = 3
    assert run(np.full(40, 3), sparse).passed is True


def test_an_item_counts_where_a_second_annotator_has_labelled_it() -> None:
    labels = np.full((3, 70), np.nan)
    labels[:, :30] = 3
    labels[0, 30:] = 1  # ann alone: nobody to be held against
    found = run(np.full(70, 3), labels)
    assert [each.items for each in found.annotators] == [30, 30, 30]
    assert found.items == 30
