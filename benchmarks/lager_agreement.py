"""Spearman of LAGER's variants with the reference scores, from one pass over each data set.

    python benchmarks/lager_agreement.py --reference ../shared/data/reference

Prints the tables of docs/RESULTS.md. The hidden states behind the logits are kept in the cache
folder, so that a second run, and `inspector lager tune` on the same rows, take seconds. Tuned
figures are held out: on GSM8K and GPQA each problem is judged by weights learnt on the other
problems of both, on the Vicuna rows by weights learnt on GSM8K and GPQA.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin.agreement.compare import OVERALL
from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.requests import problems_of_requests
from inspector_plugin.data.scored_rows import read_scored, sample
from inspector_plugin.judges.lager.aggregation import Array, aggregate
from inspector_plugin.judges.lager.extraction import extract_logits
from inspector_plugin.judges.lager.figures import (
    Labelled,
    agreement_by_criterion,
    held_out_probabilities,
    probabilities_of,
    spearman_by_state,
    to_json,
)
from inspector_plugin.judges.lager.options import ANSWER_PREFIX, DEFAULT_MODEL
from inspector_plugin.judges.lager.plan import TuningPlan
from inspector_plugin.judges.lager.plots import plot_layers
from inspector_plugin.judges.lager.presets import PRESETS, Aggregation, altered
from inspector_plugin.judges.lager.prompts import make_prompt_form
from inspector_plugin.judges.lager.tuning import tune
from inspector_plugin.lm.feature_store import FeatureStore
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.report.tables import interval
from inspector_plugin.schema.criteria import MULTICLASS, own_rubric
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

FILES = {
    "gsm8k": "gsm8k.deepseek-v3.jsonl",
    "gpqa": "gpqa.deepseek-v3.jsonl.gz",
    "vicuna": "vicuna.gpt-4.jsonl",
}
PAPER = PRESETS["paper"]
UNTUNED: dict[str, Aggregation] = {
    "direct": PRESETS["direct"],
    "e-score": PRESETS["e-score"],
    "lager, paper": PAPER,
    "lager, released-code": PRESETS["released-code"],
    "lager, paper without final norm": altered(PAPER, final_norm=False),
    "lager, paper, probabilities": altered(PAPER, combine="probabilities"),
    "lager, paper, argmax": altered(PAPER, score="argmax"),
}
TUNED = {
    "lager, paper, tuned": PAPER,
    "lager, released-code, tuned": PRESETS["released-code"],
}


def requests_of(path: Path, rows: int | None, seed: int) -> tuple[list[JudgeRequest], list[float]]:
    """Read the rows of a reference file; Vicuna's have a rubric and three scores each."""
    if path.name == FILES["vicuna"]:
        read = sample([row for _, row in read_rows(path)], rows, seed)
        requests = [
            JudgeRequest(
                row["question"], row["response"], (own_rubric(row["rubric"]),), id=str(row["id"])
            )
            for row in read
        ]
        return requests, [statistics.fmean(row["scores"]) for row in read]
    scored = [row for row in read_scored(path) if row.question.strip() and row.response.strip()]
    scored = sample(scored, rows, seed)
    requests = [JudgeRequest(r.question, r.response, (r.criterion,), id=r.id) for r in scored]
    return requests, [row.score for row in scored]


def read_data(options: argparse.Namespace, name: str) -> dict[bool, Labelled]:
    """Read the logits of a data set, without and with the final norm."""
    language_model = load_language_model(options.model)
    form = make_prompt_form(language_model, None, ANSWER_PREFIX, reasoning=False)
    path = Path(options.reference, FILES[name])
    requests, scores = requests_of(path, getattr(options, f"{name}_rows"), options.seed)
    logits = extract_logits(language_model, form, requests, MULTICLASS, FeatureStore())
    data = Labelled(
        logits[:, 0],
        np.array(scores),
        tuple(request.keys[0] for request in requests),
        tuple(f"{name}/{problem}" for problem in problems_of_requests(requests)),
        MULTICLASS,
    )
    return {False: data, True: replace(data, logits=logits[:, 1])}


def joined(first: Labelled, second: Labelled) -> Labelled:
    """Put the rows of two data sets together."""
    return Labelled(
        np.concatenate([first.logits, second.logits]),
        np.concatenate([first.scores, second.scores]),
        first.keys + second.keys,
        first.problems + second.problems,
        MULTICLASS,
    )


def tuned_probabilities(
    data: Mapping[str, dict[bool, Labelled]], aggregation: Aggregation, seed: int
) -> dict[str, Array]:
    """Judge every data set by tuned weights that did not see the problem judged."""
    plan = TuningPlan(seed=seed)
    own = {name: variants[aggregation.final_norm] for name, variants in data.items()}
    both = joined(own["gsm8k"], own["gpqa"])
    held_out = held_out_probabilities(both, aggregation, plan, folds=5)
    states = aggregation.states(both.logits.shape[1])
    learnt = tune(both.logits, both.scores, MULTICLASS, states, aggregation.combine, plan)
    size = len(own["gsm8k"].scores)
    vicuna = aggregate(own["vicuna"].logits, learnt.weights, aggregation.combine)
    return {"gsm8k": held_out[:size], "gpqa": held_out[size:], "vicuna": vicuna}


def measure(data: Mapping[str, dict[bool, Labelled]], seed: int) -> dict[str, Any]:
    """Compare all variants on all data sets."""
    figures: dict[str, Any] = {}
    for name, aggregation in (UNTUNED | TUNED).items():
        own = {source: variants[aggregation.final_norm] for source, variants in data.items()}
        if name in TUNED:
            probabilities = tuned_probabilities(data, aggregation, seed)
        else:
            probabilities = {k: probabilities_of(part, aggregation) for k, part in own.items()}
        figures[name] = {
            source: {
                key: to_json(compared)
                for key, compared in agreement_by_criterion(
                    part, probabilities[source], aggregation.score, seed
                ).items()
            }
            for source, part in own.items()
        }
    return figures


def cell(estimate: Mapping[str, float | None] | None) -> str:
    """Write a figure with its interval, without leading zeros."""
    if estimate is None or estimate["value"] is None:
        return "-"
    return interval(estimate["value"], estimate["low"], estimate["high"])


def print_table(figures: Mapping[str, Any], columns: Mapping[str, tuple[str, str]]) -> None:
    """Print a Markdown table of Spearman: a row for each variant."""
    print(f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, by_source in figures.items():
        cells = [cell(by_source[source][key]["spearman"]) for source, key in columns.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    print()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True, help="folder of the reference scores")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--seed", type=int, default=0)
    for name in FILES:
        parser.add_argument(f"--{name}-rows", type=int, metavar="N", help="default: all")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    parser.add_argument("--plot", type=Path, help="SVG file for the curves over layers")
    options = parser.parse_args()
    data = {name: read_data(options, name) for name in FILES}
    figures = measure(data, options.seed)
    counts = {name: len(variants[True].scores) for name, variants in data.items()}
    print(f"Spearman with the reference scores, 95% interval; rows: {counts}\n")
    print_table(figures, {f"{name}, all": (name, OVERALL) for name in FILES})
    for name in ("gsm8k", "gpqa"):
        keys = [key for key in ROSCOE_KEYS if key in figures["direct"][name]]
        print_table(figures, {f"{name}, {key}": (name, key) for key in keys})
    curves = {
        f"{name}, {label}": spearman_by_state(variants[norm])
        for name, variants in data.items()
        for norm, label in ((True, "final norm"), (False, "no norm"))
    }
    for name, curve in curves.items():
        print(name, " ".join("-" if value is None else f"{value:.2f}" for value in curve))
    if options.out:
        content = {"rows": counts, "figures": figures, "spearman_by_state": curves}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        both = joined(data["gsm8k"][True], data["gpqa"][True])
        states = range(both.logits.shape[1])
        plan = TuningPlan(seed=options.seed)
        learnt = tune(both.logits, both.scores, MULTICLASS, states, "logits", plan)
        normed = {name: curves[f"{name}, final norm"] for name in FILES}
        plot_layers(options.plot, normed, learnt.weights)


if __name__ == "__main__":
    main()
