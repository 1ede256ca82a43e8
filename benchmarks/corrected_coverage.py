"""Simulate how often the intervals of corrected figures hold the truth, and print a Markdown table.

    python benchmarks/corrected_coverage.py [--draws 1000] [--seed 0]

Scores 1-5 with a true mean of 3.15 and a share of high quality of .40. Judges: perfect; biased
(regresses to the top, with noise); nearly perfect (3% of its scores at random); useless (scores at
random); constant. The last two tables cluster rows by problem, and choose rows by a plan.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.corrected import LabelledSample, corrected_mean, corrected_share
from inspector_plugin.agreement.label_choice import (
    PlannedWeights,
    chances_of,
    choose,
    combined_weights,
)
from inspector_plugin.agreement.label_errors import error_model

Floats = NDArray[np.float64]
LABELS, SHARES = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), (0.1, 0.2, 0.3, 0.25, 0.15)
MEAN, HIGH = 3.15, 0.40
JUDGES: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "perfect": lambda truth, random: truth.copy(),
    "nearly perfect": lambda truth, random: np.where(
        random.random(len(truth)) < 0.03, random.choice(LABELS, size=len(truth)), truth
    ),
    "biased": lambda truth, random: np.clip(
        np.round(0.6 * truth + 2 + random.normal(0, 0.7, len(truth))), 1, 5
    ),
    "useless": lambda truth, random: random.choice(LABELS, size=len(truth)),
    "constant": lambda truth, random: np.full(len(truth), 4.0),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| judge | rows, labels | mean, PPI++ | labels saved | share, Rogan-Gladen | defined |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rows, labels in ((500, 50), (1000, 100), (2000, 200)):
        for name, judge in JUDGES.items():
            print(simulated(name, judge, rows, labels, options.draws, options.seed))
    print("\n| setting | covered | bias / standard error | width |\n| --- | --- | --- | --- |")
    for name, draw in (
        ("100 of 300 problems labelled, 4 rows each", clustered),
        ("1,000 rows, 200 labels by equal chances", equal),
        ("1,000 rows, pilot of 50, 150 labels by a plan", planned),
    ):
        print(summarised(name, draw, options.draws, options.seed))


def simulated(
    name: str,
    judge: Callable[[Floats, np.random.Generator], Floats],
    rows: int,
    labels: int,
    draws: int,
    seed: int,
) -> str:
    """One row of the first table."""
    random = np.random.default_rng(seed)
    means, shares, saved = [], [], []
    for _ in range(draws):
        truth = random.choice(LABELS, p=SHARES, size=rows)
        reference = np.full(rows, np.nan)
        chosen = random.choice(rows, labels, replace=False)
        reference[chosen] = truth[chosen]
        sample = LabelledSample(judge(truth, random), reference, np.arange(rows))
        mean = corrected_mean(sample)
        means.append(covers(mean.corrected, MEAN))
        saved.append(mean.labels_saved or 0.0)
        high = np.where(np.isnan(reference), np.nan, reference > 3)
        share = corrected_share(
            LabelledSample((sample.judge > 3).astype(float), high, np.arange(rows))
        )
        if share.corrected is not None and share.corrected.low is not None:
            shares.append(covers(share.corrected, HIGH))
    by_share = f"{100 * np.mean(shares):.1f}%" if shares else "-"
    return (
        f"| {name} | {rows}, {labels} | {100 * np.mean(means):.1f}% | {np.mean(saved):.0f} | "
        f"{by_share} | {100 * len(shares) / draws:.0f}% |"
    )


def summarised(
    name: str, draw: Callable[[np.random.Generator, int], LabelledSample], draws: int, seed: int
) -> str:
    """One row of the second table."""
    random = np.random.default_rng(seed)
    found = [corrected_mean(draw(random, each)).corrected for each in range(draws)]
    estimates = [each for each in found if each is not None]
    errors = np.array([each.value - MEAN for each in estimates])
    widths = [(each.high or 0) - (each.low or 0) for each in estimates]
    covered = np.mean([covers(each, MEAN) for each in estimates])
    return (
        f"| {name} | {100 * covered:.1f}% | {errors.mean() / errors.std():+.2f} | "
        f"{np.mean(widths):.3f} |"
    )


def covers(estimate: Estimate | None, truth: float) -> bool:
    """Whether an interval holds the truth."""
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


def clustered(random: np.random.Generator, draw: int) -> LabelledSample:
    """Four rows a problem, all labelled or none; problems differ for truth and judge."""
    problems = np.repeat(np.arange(300), 4)
    truth = MEAN + random.normal(size=300)[problems] + random.normal(0, 0.3, 1200)
    judge = truth + random.normal(size=300)[problems]
    return LabelledSample(judge, np.where(problems < 100, truth, np.nan), problems)


def rows_of_doubt(
    random: np.random.Generator,
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """A judge that is further off where it is unsure, and too low where it is flagged."""
    truth = random.choice(LABELS, p=SHARES, size=1000)
    unsure, flagged = random.beta(1, 3, 1000), random.random(1000) < 0.1
    judge = 0.8 * truth + 1 + random.normal(size=1000) * (0.2 + 2 * unsure)
    return judge - 1.5 * flagged * (truth - 1), truth, unsure, flagged


def equal(random: np.random.Generator, draw: int) -> LabelledSample:
    """200 labels of rows that were all as likely."""
    judge, truth, _, _ = rows_of_doubt(random)
    reference = np.full(1000, np.nan)
    chosen = random.choice(1000, 200, replace=False)
    reference[chosen] = truth[chosen]
    return LabelledSample(judge, reference, np.arange(1000))


def planned(random: np.random.Generator, draw: int) -> LabelledSample:
    """A pilot of 50 labels, and 150 more of rows that the plan made of it chose."""
    judge, truth, unsure, flagged = rows_of_doubt(random)
    reference = np.full(1000, np.nan)
    pilot = random.choice(1000, 50, replace=False)
    reference[pilot] = truth[pilot]
    model = error_model(LabelledSample(judge, reference, np.arange(1000)), unsure, flagged)
    left = np.flatnonzero(np.isnan(reference))
    chances = chances_of(model.sizes[left], 150)
    chosen = choose(chances, draw)
    stages, weights, shares = (np.full(1000, np.nan) for _ in range(3))
    rows = left[chosen]
    stages[rows], shares[rows], weights[rows] = 1, 0.25, 0.75 / chances[chosen]
    reference[rows] = truth[rows]
    combined = combined_weights(~np.isnan(reference), PlannedWeights(stages, weights, shares))
    return LabelledSample(judge, reference, np.arange(1000), combined)


if __name__ == "__main__":
    main()
