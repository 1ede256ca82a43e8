"""What the likelihood of tokens buys cross-fitted probes, on problems never seen.

    python benchmarks/likelihoods.py --data FOLDER

FOLDER holds reference/{gsm8k.deepseek-v3.jsonl,gpqa.deepseek-v3.jsonl.gz} and
gsm8k/model_solutions.jsonl.gz. Probes are fitted twice in the five folds of `inspector crossfit`,
at one strength and without hurdles: on states and counts of the text, and on likelihoods as well.
The differences have 95% bootstrap intervals that draw problems (1,000 resamples, seed 0).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from crossfit_texts import STRENGTH, scored_data_sets
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resamples_of
from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.judges.inspector.crossfit_correctness import CorrectnessProbes
from inspector_plugin.judges.inspector.crossfit_data import Ints, TrainingData, training_data
from inspector_plugin.judges.inspector.crossfit_probes import ScoreProbes
from inspector_plugin.judges.inspector.figures import macro_f1
from inspector_plugin.judges.inspector.inputs import Reading
from inspector_plugin.judges.inspector.linear import Array
from inspector_plugin.judges.inspector.training_texts import FOLDS, SOLUTIONS, other_texts
from inspector_plugin.lm.feature_store import FeatureStore
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

RESAMPLES, SEED = 1000, 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    language_model = load_language_model("smollm2-135m-instruct", None, "bfloat16")
    reading = Reading(2 * language_model.layers // 3, language_model.layers - 1)
    print("| figure | states and counts | likelihoods as well | difference |")
    print("| --- | --- | --- | --- |")
    for dataset, texts in scored_data_sets(folder):
        both = training_data(texts, language_model, reading, FeatureStore())
        for labels in ("multiclass", "binary"):
            compare_scores(both, dataset, labels)
    path = folder / "gsm8k/model_solutions.jsonl.gz"
    solutions = other_texts("gsm8k", [row for _, row in read_rows(path)], SOLUTIONS)
    compare_correctness(training_data(solutions, language_model, reading, FeatureStore()))


def without_likelihoods(data: TrainingData) -> TrainingData:
    """The same texts, seen without the likelihoods."""
    inputs = replace(data.inputs, likelihoods=None)
    inputs.__dict__["text"] = data.inputs.text  # counted once for both
    return TrainingData(data.texts, inputs)


def problem_codes(data: TrainingData) -> Ints:
    """The number of each text's problem, [texts]."""
    return np.unique([text.problems[0] for text in data.texts], return_inverse=True)[1]


def compare_scores(both: TrainingData, dataset: str, labels: str) -> None:
    """Print macro F1 and Spearman's rank correlation, mean over the criteria."""
    by_key = {key: both.labels(key, labels, dataset) for key in ROSCOE_KEYS}
    everything = np.ones(len(both.texts), dtype=bool)
    sides = []
    for data in (without_likelihoods(both), both):
        probes = ScoreProbes(data, by_key)
        sides.append([probes.held_out(k, frozenset(), STRENGTH, everything) for k in by_key])
    texts = [np.flatnonzero(own >= 0) for own in by_key.values()]
    criterion = np.repeat(np.arange(len(texts)), [len(own) for own in texts])
    truth = np.concatenate([own[rows] for own, rows in zip(by_key.values(), texts, strict=True)])
    problems = np.unique(problem_codes(both)[np.concatenate(texts)], return_inverse=True)[1]

    def mean(of_rows: Callable[[Ints, Array], float], found: Array, rows: Ints) -> float:
        own = [rows[criterion[rows] == number] for number in range(len(texts))]
        return float(np.mean([of_rows(truth[each], found[each]) for each in own]))

    chosen, expected = [], []
    for logits in sides:
        own = [each[rows] for each, rows in zip(logits, texts, strict=True)]
        odds = [np.exp(each - each.max(axis=1, keepdims=True)) for each in own]
        chosen.append(np.concatenate([each.argmax(axis=1) for each in own]))
        expected.append(np.concatenate([o @ np.arange(o.shape[1]) / o.sum(axis=1) for o in odds]))
    print_row(f"{dataset}, {labels}: macro F1", chosen, problems,
              lambda found, rows: mean(macro_f1, found, rows))  # fmt: skip
    print_row(f"{dataset}, {labels}: Spearman", expected, problems,
              lambda found, rows: mean(rank_correlation, found, rows))  # fmt: skip


def compare_correctness(both: TrainingData) -> None:
    """Print the AUC of right against wrong solutions."""
    found = []
    for data in (without_likelihoods(both), both):
        probes = CorrectnessProbes(data)
        logits = np.full(len(data.texts), np.nan)
        for fold in range(FOLDS):
            rows = np.flatnonzero(data.folds == fold)
            model = probes.model(frozenset({fold}), "gsm8k")
            probabilities = model.probabilities(data.inputs.part(rows), np.ones(len(rows)))
            logits[rows] = probabilities[:, 1]
        found.append(logits)
    correct = both.correctness()
    print_row("gsm8k: correctness, AUC", found, problem_codes(both),
              lambda scores, rows: float(roc_auc_score(correct[rows], scores[rows])))  # fmt: skip


def rank_correlation(truth: Ints, found: Array) -> float:
    """Spearman's rank correlation."""
    return float(spearmanr(truth, found)[0])


def print_row(
    name: str, sides: Sequence[Array], problems: Ints, of_rows: Callable[[Array, Ints], float]
) -> None:
    """Print a figure of both sides, and the difference with its interval."""
    everything = np.arange(len(problems))
    values = [of_rows(side, everything) for side in sides]
    drawn = np.array(
        [
            of_rows(sides[1], rows) - of_rows(sides[0], rows)
            for rows in resamples_of(problems, SEED, RESAMPLES)
        ]
    )
    difference = estimate(values[1] - values[0], drawn)
    assert isinstance(difference, Estimate)
    print(
        f"| {name} | {values[0]:.3f} | {values[1]:.3f} | {difference.value:+.3f} "
        f"[{difference.low:+.3f}, {difference.high:+.3f}] |",
        flush=True,
    )


if __name__ == "__main__":
    main()
