"""What the cross-fitted probes that ship cost beside the single ones (`probes=fast`).

With and without the likelihood of tokens (`probes=full`).

    python benchmarks/probe_cost.py --data ../shared/data --rows 96 --repeats 5

All judge the same GSM8K reference responses on the five criteria in one process, in turns, without
the judge cache; the ratios of their times count.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from inspector_plugin.data.scored_rows import read_scored, sample
from inspector_plugin.judges.inspector.inputs import text_features
from inspector_plugin.judges.inspector.judge import InspectorJudge
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.schema.records import JudgeRequest

FILE = "reference/gsm8k.deepseek-v3.jsonl"


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = sample(read_scored(options.data / FILE), options.rows, options.seed)
    requests = [JudgeRequest(row.question, row.response, dataset="gsm8k") for row in rows]
    judges = {
        "fast": InspectorJudge(InspectorOptions(dataset="gsm8k", probes="fast")),
        "cross-fitted": InspectorJudge(InspectorOptions(dataset="gsm8k")),
        "full": InspectorJudge(InspectorOptions(dataset="gsm8k", probes="full")),
    }
    for judge in judges.values():
        judge.judge(requests[:4])  # the first pass is slower
    times: dict[str, list[float]] = {name: [] for name in judges}
    counts = []
    for _ in range(options.repeats):
        for name, judge in judges.items():
            times[name].append(seconds(lambda judge=judge: judge.judge(requests)))  # type: ignore[misc]
        counts.append(
            seconds(lambda: text_features([r.question for r in rows], [r.response for r in rows]))
        )
    for name, found in times.items():
        speeds = sorted(options.rows / each for each in found)
        print(f"{name}: {statistics.median(speeds):.2f} rows a second "
              f"[{speeds[0]:.2f}, {speeds[-1]:.2f}]")  # fmt: skip
    for name, base in (("cross-fitted", "fast"), ("full", "cross-fitted"), ("full", "fast")):
        ratios = [new / old for new, old in zip(times[name], times[base], strict=True)]
        print(f"{name} / {base}: {statistics.median(ratios):.2f} times the time "
              f"[{min(ratios):.2f}, {max(ratios):.2f}]")  # fmt: skip
    share = statistics.median(c / t for c, t in zip(counts, times["cross-fitted"], strict=True))
    print(f"of which counting the texts: {share:.1%}")


if __name__ == "__main__":
    main()
