"""What parts of cross-fitted probes buy, on problems never seen, as Markdown tables.

    python benchmarks/crossfit_ingredients.py --data FOLDER

FOLDER holds reference/{gsm8k.deepseek-v3.jsonl,gpqa.deepseek-v3.jsonl.gz}. Probes are fitted in the
five folds of `inspector crossfit` at one strength; log loss is that at the best temperature of each
criterion. "Labels changed": the share of labels that a solution laid out in another way, in the
same words, gets otherwise. Without intervals: by figures like these the method was chosen.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from crossfit_texts import STRENGTH, scored_data_sets
from scipy.stats import spearmanr

from inspector_plugin.judges.inspector.crossfit_data import Ints, TrainingData, training_data
from inspector_plugin.judges.inspector.crossfit_probes import ScoreProbes, least_loss
from inspector_plugin.judges.inspector.figures import macro_f1
from inspector_plugin.judges.inspector.inputs import Reading
from inspector_plugin.judges.inspector.linear import Array
from inspector_plugin.judges.inspector.response_forms import SOLUTION
from inspector_plugin.judges.inspector.styles import LAID_OUT, restyle
from inspector_plugin.judges.inspector.training_texts import FOLDS, TrainingText
from inspector_plugin.lm.feature_store import FeatureStore
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

SOURCES = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    language_model = load_language_model("smollm2-135m-instruct", None, "bfloat16")
    reading = Reading(2 * language_model.layers // 3)
    for form in (None, SOLUTION):
        print(f"\nResponses read {'as they are' if form is None else 'in one form'}\n")
        print("| data, labels | common share | macro F1 | log loss | Spearman | labels changed |")
        print("| --- | --- | --- | --- | --- | --- |")
        for dataset, texts in scored_data_sets(folder):
            made = restyled(texts)
            copies = {len(texts) + number: source for number, (source, _) in enumerate(made)}
            texts += [text for _, text in made]
            data = training_data(texts, language_model, reading, FeatureStore(), form=form)
            assert len(data.texts) == len(texts)
            for labels in ("multiclass", "binary"):
                for share in (0.0, 0.5):
                    row = figures(data, copies, dataset, labels, share)
                    print(
                        f"| {dataset}, {labels} | {share:g} | " + " | ".join(row) + " |", flush=True
                    )


def restyled(texts: list[TrainingText]) -> list[tuple[int, TrainingText]]:
    """Some solutions laid out in other ways, each with the place of its source."""
    found = []
    for number in random.Random(0).sample(range(len(texts)), SOURCES):
        text = texts[number]
        for style in LAID_OUT:
            response = restyle(text.response, style, random.Random(f"{style}/{text.response}"))
            if response is not None:
                found.append((number, replace(text, response=response, kind=style, scores={})))
    return found


def figures(
    data: TrainingData, copies: Mapping[int, int], dataset: str, labels: str, share: float
) -> list[str]:
    """Means over the criteria: macro F1, log loss, Spearman, labels changed by style."""
    by_key = {key: data.labels(key, labels, dataset) for key in ROSCOE_KEYS}
    probes = ScoreProbes(data, by_key, share)
    found = [of_criterion(data, probes, key, own, copies) for key, own in by_key.items()]
    return [f"{value:.3f}" for value in np.mean(found, axis=0)]


def of_criterion(
    data: TrainingData, probes: ScoreProbes, key: str, labels: Ints, copies: Mapping[int, int]
) -> tuple[float, float, float, float]:
    logits = held_out_logits(data, probes, key)
    known = labels >= 0
    own, truth = logits[known], labels[known]
    expected = own @ np.arange(own.shape[1])
    chosen = logits.argmax(axis=1)
    changed = [chosen[copy] != chosen[source] for copy, source in copies.items()]
    rank = float(spearmanr(truth, expected)[0])
    return (
        macro_f1(truth, own.argmax(axis=1)),
        least_loss(own, truth),
        rank,
        float(np.mean(changed)),
    )


def held_out_logits(data: TrainingData, probes: ScoreProbes, key: str) -> Array:
    """Logits of all texts by probes without their fold."""
    everything = np.ones(len(data.texts), dtype=bool)
    assert len(set(data.folds)) == FOLDS
    return probes.held_out(key, frozenset(), STRENGTH, everything)


if __name__ == "__main__":
    main()
