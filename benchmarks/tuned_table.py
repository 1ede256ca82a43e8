"""Tuned judges beside prompting, probes and surface baselines: tables for docs/RESULTS.md.

    python benchmarks/tuned_table.py --reference ../shared/data/reference \
        --pack "tuned encoder=PACK" --pack "tuned LoRA=PACK" ... --out build/tuned_table.json

Every --pack is what `inspector tune` wrote; its card says which data set and labels it belongs to.
The probes and the baselines are those in the cards of the packs that ship, in the same folds of
problems. Prompting asks a language model that was trained on none of this for a score of each row:
"direct" takes the likeliest score, "e-score" the label nearest to the expected one; a label above 3
is high quality. Every row counts, since nothing is fitted. The states behind the logits are kept in
the cache folder, so that an interrupted run resumes and a second one takes seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resamples_of
from inspector_plugin.agreement.compare import agreement
from inspector_plugin.data.scored_rows import ScoredRow, problems_of, read_scored, sample
from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.inspector.figures import label_indices, macro_f1
from inspector_plugin.judges.inspector.packs import read_card as read_probe_card
from inspector_plugin.judges.lager.aggregation import Array, aggregate, uniform_weights
from inspector_plugin.judges.lager.extraction import extract_logits
from inspector_plugin.judges.lager.options import ANSWER_PREFIX, DEFAULT_MODEL
from inspector_plugin.judges.lager.presets import PRESETS
from inspector_plugin.judges.lager.prompts import make_prompt_form
from inspector_plugin.judges.tuned.card_format import read_card as read_tuned_card
from inspector_plugin.lm.feature_store import FeatureStore
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.report.tables import interval, share
from inspector_plugin.schema.criteria import BINARY, LABELS, MULTICLASS
from inspector_plugin.schema.records import CriterionScore, JudgeRequest
from inspector_plugin.schema.roscoe import in_table_order

FILES = {"gsm8k": "gsm8k.deepseek-v3.jsonl", "gpqa": "gpqa.deepseek-v3.jsonl.gz"}
SCALES = dict(zip(LABELS, (MULTICLASS, BINARY), strict=True))
TUNED = "nested_cross_validation"
BASELINES = ("surface_counts", "surface_words")
# By criterion a figure with its interval.
Figures = Mapping[str, Mapping[str, float | None]]


def prompted(rows: Sequence[ScoredRow], model: str, dtype: str | None) -> dict[str, Array]:
    """Ask a language model for a score of each row.

    Returns:
        The labels on the rows' own scale, [rows], by the way of asking.
    """
    language_model = load_language_model(model, dtype=dtype)
    form = make_prompt_form(language_model, None, ANSWER_PREFIX, reasoning=False)
    requests = [JudgeRequest(r.question, r.response, (r.criterion,), id=r.id) for r in rows]
    logits = extract_logits(language_model, form, requests, MULTICLASS, FeatureStore())[:, 1]
    weights = uniform_weights(PRESETS["direct"], logits.shape[1])
    probabilities = aggregate(logits, weights, PRESETS["direct"].combine)
    scores = np.array(MULTICLASS.labels)
    expected = probabilities @ scores
    return {
        "direct": scores[probabilities.argmax(axis=1)],
        "e-score": np.array([MULTICLASS.nearest(value) for value in expected]),
    }


def figures_of(rows: Sequence[ScoredRow], given: Array, labels: str, seed: int) -> dict[str, Any]:
    """Compare labels on the scale 1-5 with the stored scores.

    Returns:
        Macro F1 of each criterion and, under "mean", their mean, each with its 95% interval by
        problem.
    """
    scale = SCALES[labels]
    right = np.array(scale.labels)[label_indices(rows, scale)]
    ours = given if labels == "multiclass" else (given > MULTICLASS.middle).astype(int)
    problems = problems_of(rows)
    own = {key: [i for i, row in enumerate(rows) if row.criterion.key == key] for key in keys(rows)}

    def scored(values: Array, places: Sequence[int]) -> list[CriterionScore]:
        return [CriterionScore(float(values[i]), int(values[i]), scale=scale) for i in places]

    figures: dict[str, Any] = {}
    for key, places in own.items():
        compared = agreement(
            scored(ours, places), scored(right, places), [problems[i] for i in places], seed=seed
        )
        figures[key] = plain_values(compared.statistics["macro_f1"])
    names = {name: number for number, name in enumerate(dict.fromkeys(problems))}
    codes = np.array([names[problem] for problem in problems])
    criteria = np.array([row.criterion.key for row in rows])

    def mean(chosen: NDArray[np.intp]) -> float:
        parts = [chosen[criteria[chosen] == key] for key in own]
        return statistics.fmean(macro_f1(right[part], ours[part]) for part in parts if len(part))

    drawn = np.array([mean(chosen) for chosen in resamples_of(codes, seed, 1000)])
    figures["mean"] = plain_values(estimate(mean(np.arange(len(rows))), drawn))
    return figures


def plain_values(found: Estimate | None) -> dict[str, float | None]:
    """An estimate as JSON has it; a single row gives none."""
    ends = ("value", "low", "high")
    return {end: None if found is None else getattr(found, end) for end in ends}


def keys(rows: Sequence[ScoredRow]) -> list[str]:
    """The criteria of rows, in the usual order."""
    return in_table_order(row.criterion.key for row in rows)


def card_figures(card: Mapping[str, Any], names: Sequence[str], asked: Sequence[str]) -> Figures:
    """The better of some figures of a card, criterion by criterion, and the mean of these."""
    found: dict[str, Mapping[str, float | None]] = {}
    for key in asked:
        if key in card["criteria"]:
            figures = card["criteria"][key]["figures"]
            each = [figures[name]["macro_f1"] for name in names]
            found[key] = max(each, key=value_of)
    if len(found) == len(asked):
        mean = statistics.fmean(map(value_of, found.values()))
        found["mean"] = {"value": mean, "low": None, "high": None}
    return found


def value_of(figure: Mapping[str, float | None]) -> float:
    """A figure without its interval."""
    value = figure["value"]
    assert value is not None
    return value


def print_table(columns: Mapping[str, Figures], counts: Mapping[str, int]) -> None:
    """Print a Markdown table: a row for each criterion, a column for each kind of judge."""
    print(f"| criterion | rows | {' | '.join(columns)} |")
    print("| --- | --- |" + " --- |" * len(columns))
    for key, count in counts.items():
        cells = []
        for figures in columns.values():
            one = figures.get(key)
            has_interval = one is not None and one["low"] is not None
            cells.append(
                "-"
                if one is None or one["value"] is None
                else interval(one["value"], one["low"], one["high"])
                if has_interval
                else share(one["value"])
            )
        print(f"| {key} | {count} | {' | '.join(cells)} |")
    print()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True, type=Path, help="folder of the scores")
    parser.add_argument("--pack", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the model that is prompted")
    parser.add_argument("--dtype", help="what it computes in (default: float32 on a CPU)")
    for name in FILES:
        help = "rows to ask about, drawn by the seed; 0 for none; default: all"
        parser.add_argument(f"--{name}-rows", type=int, metavar="N", help=help)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    options = parser.parse_args()
    tuned: dict[tuple[str, str], dict[str, Any]] = {}
    for given in options.pack:
        name, _, folder = given.partition("=")
        card = read_tuned_card(Path(folder))
        tuned.setdefault((card["dataset"], card["labels"]), {})[name] = card
    out: dict[str, Any] = {}
    for dataset, file in FILES.items():
        rows = [row for row in read_scored(options.reference / file) if row.can_be_judged]
        asked = keys(rows)
        counts = {key: sum(row.criterion.key == key for row in rows) for key in asked}
        drawn = sample(rows, getattr(options, f"{dataset}_rows"), options.seed)
        given_labels = prompted(drawn, options.model, options.dtype) if drawn else {}
        for labels in LABELS:
            folder = shipped_folder("probes") / DEFAULT_MODEL / dataset / labels
            probes = read_probe_card(folder)
            columns: dict[str, Figures] = {
                name: card_figures(card, [TUNED], asked)
                for name, card in tuned.get((dataset, labels), {}).items()
            }
            for name, values in given_labels.items():
                columns[f"prompting, {name}"] = figures_of(drawn, values, labels, options.seed)
            columns["probes, own fold"] = card_figures(probes, [TUNED], asked)
            columns["better surface baseline"] = card_figures(probes, BASELINES, asked)
            print(f"{dataset}, {labels}; {len(drawn)} rows were asked about\n")
            print_table(columns, {**counts, "mean": len(rows)})
            out[f"{dataset}, {labels}"] = columns
        for name, values in given_labels.items():
            times = {label: int((values == label).sum()) for label in MULTICLASS.labels}
            print(f"{dataset}, prompting, {name}: labels given {times}\n")
    if options.out:
        options.out.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
