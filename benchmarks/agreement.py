"""Measure how long reading and comparing scores take, and how much memory, as a Markdown table.

    OMP_NUM_THREADS=1 python benchmarks/agreement.py [--rows 100000] [--resamples 1000]

Two judgement files of as many responses (four to a problem, about 600 characters), each with
scores and probabilities on five criteria, rounded to four digits as `inspector score` rounds them,
are written into a temporary folder; every case runs in a process of its own. Scores are expected
values, most of them different, which is the hardest case for ranks; one case has labels as scores.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from inspector_plugin.agreement.compare import estimates_of
from inspector_plugin.agreement.comparison import compare_columns
from inspector_plugin.agreement.joined import join
from inspector_plugin.agreement.statistics import ALL_STATISTICS, LABEL_STATISTICS
from inspector_plugin.data.score_table import ScoreTable, read_score_table
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS

CASES = {
    "read both files": "read",
    "read and compare on five criteria and overall, no resamples": "compare",
    "resample label statistics and Spearman, one criterion": "labels and Spearman",
    "resample all statistics, one criterion": "all",
    "resample all statistics, one criterion, labels as scores": "all of labels",
}


def main() -> None:
    """Write the files, run each case, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.folder, options.resamples)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(("judge", "reference")):
            write_judged(Path(folder, f"{name}.jsonl"), options.rows, name, seed)
        print("| case | time | CPU time | CPU time a row | greatest memory |")
        print("| --- | --- | --- | --- | --- |")
        for title, case in CASES.items():
            command = [sys.executable, __file__, "--case", case, "--folder", folder]
            command += ["--resamples", str(options.resamples)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            print(
                f"| {title} | {found['seconds']:.1f} s | {found['cpu']:.1f} s | "
                f"{1000 * found['cpu'] / options.rows:.3f} ms | {found['megabytes']:.0f} MB |",
                flush=True,
            )


def measure(case: str, folder: Path, resamples: int) -> dict[str, float]:
    """Run a case; reading counts where it is part of it."""
    begun = time.perf_counter(), time.process_time()
    table = read_score_table([folder / "judge.jsonl", folder / "reference.jsonl"])
    if case not in ("read", "compare"):
        begun = time.perf_counter(), time.process_time()
    run(case, table, resamples)
    return {
        "seconds": time.perf_counter() - begun[0],
        "cpu": time.process_time() - begun[1],
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def run(case: str, table: ScoreTable, resamples: int) -> None:
    """Do what a case is about."""
    sides = {
        key: (table.column("judge", key), table.column("reference", key)) for key in ROSCOE_KEYS
    }
    if case == "compare":
        compare_columns(table, sides, resamples=0)
    elif case != "read":
        joined = join(table, [sides["fluency"]])
        pairs = joined.pairs
        assert pairs is not None
        names = ALL_STATISTICS if case.startswith("all") else (*LABEL_STATISTICS, "spearman")
        if case == "all of labels":
            scores = (pairs.judge_labels / 4, pairs.reference_labels / 4)
            pairs = type(pairs)(
                pairs.judge_labels, pairs.reference_labels, *scores, pairs.scale, pairs.span
            )
        estimates_of(pairs, joined.problems, names, resamples=resamples)


def write_judged(path: Path, rows: int, judge: str, seed: int) -> None:
    """Write a judgement file; the two judges agree somewhat."""
    shared, own = np.random.default_rng(9), np.random.default_rng(seed)
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            problem = row // 4
            logits = shared.normal(0, 1.5, (5, 5)) + own.normal(0, 1, (5, 5))
            probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            scores = {
                criterion.key: {
                    "score": round(float(np.arange(1, 6) @ chances), 4),
                    "label": int(chances.argmax()) + 1,
                    "scale": [1, 2, 3, 4, 5],
                    "fingerprint": criterion.fingerprint,
                    "probabilities": {
                        str(n + 1): round(float(p), 4) for n, p in enumerate(chances)
                    },
                }
                for criterion, chances in zip(ROSCOE, probabilities, strict=True)
            }
            response = f"Response {row}: " + "the sum is " * int(shared.integers(10, 100))
            question = f"Problem {problem}: how much is {problem} and {7 * problem}?"
            judgements = {judge: {"format_version": 2, "scores": scores}}
            line = {"id": str(problem), "question": question, "response": response}
            file.write(json.dumps({**line, "judgements": judgements}) + "\n")


if __name__ == "__main__":
    main()
