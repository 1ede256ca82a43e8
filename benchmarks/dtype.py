"""Whether the judge `inspector` gives the same labels in bfloat16 as in float32, and how fast.

    python benchmarks/dtype.py --data ../shared/data --rows 200

Judges GSM8K reference responses with the packs that ship, without the judge cache, each number
format in a process of its own, in turns (float32, bfloat16, float32, ...); the median time counts.
A row counts as equal if its labels on all five criteria are. Agreement is with the reference's one
label a row, and says only what changes: packs may have learnt from these rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score

from inspector_plugin.data.scored_rows import read_scored, sample
from inspector_plugin.judges.inspector.judge import InspectorJudge
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.number_format import DTYPES, has_fast_bfloat16
from inspector_plugin.schema.records import JudgeRequest

FILE = "reference/gsm8k.deepseek-v3.jsonl"


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Judge in this process, in one number format."""
    rows = sample(read_scored(options.data / FILE), options.rows, options.seed)
    requests = [JudgeRequest(row.question, row.response, dataset="gsm8k") for row in rows]
    judge = InspectorJudge(
        InspectorOptions(dtype=options.dtype, labels=options.labels, probes=options.packs)
    )
    judge.judge(requests[:2])  # the first pass of a process is slower
    started, cpu = time.perf_counter(), time.process_time()
    judged = judge_all(judge, requests, progress=False)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "labels": [{key: s.label for key, s in each.scores.items()} for each in judged],
        "scores": [{key: s.score for key, s in each.scores.items()} for each in judged],
        "asked": [row.criterion.key for row in rows],
        "reference": [row.label if options.labels == "multiclass" else int(row.is_high)
                      for row in rows],
        "threads": torch.get_num_threads(),
    }  # fmt: skip


def start(options: argparse.Namespace, dtype: str) -> dict[str, Any]:
    """Judge in a process of its own."""
    command = [sys.executable, __file__, "--data", str(options.data), "--rows", str(options.rows)]
    command += ["--seed", str(options.seed), "--labels", options.labels, "--dtype", dtype]
    command += [] if options.packs is None else ["--packs", options.packs]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def macro_f1(side: dict[str, Any]) -> float:
    """Agreement with the reference on the criterion that each row was scored on."""
    given = [
        -1 if labels[key] is None else labels[key]
        for labels, key in zip(side["labels"], side["asked"], strict=True)
    ]
    found = f1_score(
        side["reference"], given, average="macro", labels=sorted(set(side["reference"]))
    )
    return float(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", choices=("multiclass", "binary"), default="multiclass")
    parser.add_argument("--packs", help="another folder of packs than the one that ships")
    parser.add_argument("--dtype", choices=tuple(DTYPES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.dtype is not None:
        print(json.dumps(run(options)))
        return
    runs: dict[str, list[dict[str, Any]]] = {dtype: [] for dtype in DTYPES}
    for _ in range(options.repeats):
        for dtype in DTYPES:
            runs[dtype].append(start(options, dtype))
            print(f"{dtype}: {runs[dtype][-1]['seconds']:.1f} s", file=sys.stderr)
    first, second = (runs[dtype][0] for dtype in ("float32", "bfloat16"))
    pairs = list(zip(first["labels"], second["labels"], strict=True))
    labels = np.array([[one[key] == other[key] for key in one] for one, other in pairs])
    differences = [
        abs(one[key] - other[key])
        for one, other in zip(first["scores"], second["scores"], strict=True)
        for key in one
        if one[key] is not None and other[key] is not None
    ]
    print(f"fast bfloat16 by the processor's flags: {has_fast_bfloat16()}")
    for dtype, sides in runs.items():
        speeds = [options.rows / side["seconds"] for side in sides]
        cpu = statistics.median(side["cpu_seconds"] / options.rows for side in sides)
        print(
            f"{dtype}: {statistics.median(speeds):.2f} rows per second "
            f"({min(speeds):.2f} to {max(speeds):.2f}; {sides[0]['threads']} threads), "
            f"{cpu:.3f} s of CPU time a row, "
            f"macro F1 {macro_f1(sides[0]):.4f}"
        )
    print(f"rows with equal labels: {labels.all(axis=1).mean():.2%} of {len(labels)}")
    print(f"equal labels: {labels.mean():.2%} of {labels.size}")
    print(f"difference of scores: mean {np.mean(differences):.4f}, greatest {max(differences):.4f}")


if __name__ == "__main__":
    main()
