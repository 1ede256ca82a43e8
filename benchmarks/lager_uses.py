"""LAGER's other uses: the rows to judge, and the figures that no command prints.

    python benchmarks/lager_uses.py prepare --data FOLDER --out rows
    python benchmarks/lager_uses.py correlations rows/eq.judged.jsonl --outcome score
    python benchmarks/lager_uses.py selection rows/helpsteer.judged.jsonl --outcome helpfulness

`prepare` draws seeded samples, whole dialogues and problems at a time, and writes rows that
`inspector score` and `inspector lager tune` read; FOLDER holds uses/eq_bench.jsonl.gz,
uses/self_aware.jsonl.gz and human/helpsteer2.jsonl.gz. Intervals are 95% percentile intervals of a
bootstrap that draws dialogues or problems. docs/lager-uses.md says what the uses are.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resamples_of
from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.score_table import ScoreTable, read_score_table
from inspector_plugin.report.tables import interval

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], float]
# What HelpSteer2's people judged, and the criterion of ours that asks for the same.
SAME = {
    "correctness": "accurate_answer",
    "coherence": "consistent_reasoning",
    "helpfulness": "relevance",
}
CORRELATIONS: dict[str, Statistic] = {
    "Pearson": lambda ours, theirs: float(stats.pearsonr(ours, theirs).statistic),
    "Spearman": lambda ours, theirs: float(stats.spearmanr(ours, theirs).statistic),
}


def drawn(path: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """Draw all rows of some ids."""
    rows = [row for _, row in read_rows(path)]
    ids = sorted({row["id"] for row in rows})
    chosen = set(random.Random(seed).sample(ids, min(count, len(ids))))
    return [row for row in rows if row["id"] in chosen]


def prepare(options: argparse.Namespace) -> None:
    """Write the rows of all uses."""
    data, out, seed = options.data, options.out, options.seed
    out.mkdir(parents=True, exist_ok=True)
    emotions = drawn(data / "uses/eq_bench.jsonl.gz", options.dialogues, seed)
    write(
        out / "eq.jsonl",
        (
            {
                "id": str(row["id"]),
                "question": f"{row['dialogue']}\n\nPerson: {row['person']}\n"
                f"Emotion: {row['emotion']}",
                "response": "",
                "criterion": "emotion_strength",
                "score": 1 + 0.8 * row["score"],  # 0-10 to 1-9
            }
            for row in emotions
        ),
    )
    people = drawn(data / "human/helpsteer2.jsonl.gz", options.problems, seed)
    texts = [
        {"id": str(row["id"]), "question": row["question"], "response": row["response"]}
        for row in people
    ]
    write(
        out / "helpsteer.jsonl",
        (text | row["scores"] for text, row in zip(texts, people, strict=True)),
    )
    write(
        out / "helpsteer-tuning.jsonl",
        (
            text | {"criterion": ours, "score": row["scores"][theirs] + 1}  # 0-4 to 1-5
            for text, row in zip(texts, people, strict=True)
            for theirs, ours in SAME.items()
        ),
    )
    questions = drawn(data / "uses/self_aware.jsonl.gz", options.questions, seed)
    write(out / "self_aware.jsonl", ({**row, "id": str(row["id"])} for row in questions))


def write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSONL."""
    lines = [json.dumps(row) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    print(f"{path}: {len(lines)} rows")


def measured(
    statistic: Statistic, ours: Floats, theirs: Floats, problems: NDArray[np.intp], seed: int
) -> Estimate | None:
    """Compute a statistic with its interval; None where it is not defined."""
    if len(set(ours)) < 2 or len(set(theirs)) < 2:
        return None
    _, codes = np.unique(problems, return_inverse=True)
    draws = [
        statistic(ours[rows], theirs[rows]) if len(set(ours[rows])) > 1 else np.nan
        for rows in resamples_of(codes, seed, 1000)
    ]
    return estimate(statistic(ours, theirs), np.array(draws))


def columns(table: ScoreTable) -> Iterable[tuple[str, Floats]]:
    """The scores by each judge and criterion, and each judge's total."""
    for judge in table.judges:
        keys = table.keys_of(judge)
        for key in keys:
            yield f"{judge}, {key}", table.column(judge, key).scores
        if len(keys) > 1:
            yield f"{judge}, total", np.sum([c.scores for c in table.total_columns(judge)], axis=0)


def written(found: Estimate | None) -> str:
    """Write a figure, or that there is none."""
    return "not defined" if found is None else interval(found.value, found.low, found.high)


def correlations(options: argparse.Namespace) -> None:
    """Print Pearson's and Spearman's correlation of every column with an outcome."""
    table = read_score_table([options.file], outcomes=[options.outcome])
    outcome = table.outcome(options.outcome)
    print(f"| | n | {' | '.join(CORRELATIONS)} |\n| --- | --- | {'--- | ' * len(CORRELATIONS)}")
    for name, scores in columns(table):
        both = ~np.isnan(scores) & ~np.isnan(outcome)
        cells = [
            written(
                measured(each, scores[both], outcome[both], table.problem_codes[both], options.seed)
            )
            for each in CORRELATIONS.values()
        ]
        print(f"| {name} | {both.sum()} | {' | '.join(cells)} |")


def selection(options: argparse.Namespace) -> None:
    """Print how much better an outcome is among the best rows than among all."""
    table = read_score_table([options.file], outcomes=[options.outcome])
    outcome = table.outcome(options.outcome)

    def lift(ours: Floats, theirs: Floats) -> float:
        size = max(1, round(options.top * len(ours)))
        best = np.argsort(-ours, kind="stable")[:size]
        return float(theirs[best].mean() - theirs.mean())

    print(f"Mean {options.outcome} of all: {np.nanmean(outcome):.2f}\n")
    print(f"| best {options.top:.0%} by | n | {options.outcome} above the mean of all |")
    print("| --- | --- | --- |")
    for name, scores in columns(table):
        both = ~np.isnan(scores) & ~np.isnan(outcome)
        found = measured(lift, scores[both], outcome[both], table.problem_codes[both], options.seed)
        print(f"| {name} | {both.sum()} | {written(found)} |")


def main() -> None:
    """Run one of the actions."""
    parser = argparse.ArgumentParser(description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    preparing = actions.add_parser("prepare")
    preparing.add_argument("--data", type=Path, required=True)
    preparing.add_argument("--out", type=Path, required=True)
    preparing.add_argument("--dialogues", type=int, default=171)
    preparing.add_argument("--problems", type=int, default=100)
    preparing.add_argument("--questions", type=int, default=1200)
    preparing.set_defaults(run=prepare)
    for name, run in (("correlations", correlations), ("selection", selection)):
        action = actions.add_parser(name)
        action.add_argument("file", type=Path)
        action.add_argument("--outcome", required=True)
        action.set_defaults(run=run)
        if name == "selection":
            action.add_argument("--top", type=float, default=0.25)
    for action in actions.choices.values():
        action.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
