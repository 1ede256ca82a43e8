"""Time and memory that `inspector score` takes for a row beyond the judge.

A judge that costs nothing scores a made file of rows on the five built-in criteria, with and
without the judge cache, as JSONL, CSV and Parquet, and is compared with itself. Each case runs in a
process of its own, so that its greatest memory is its own.

    python benchmarks/score_throughput.py --rows 100000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from inspector_plugin.cli.main import main as inspector
from inspector_plugin.judging.judge import Judge
from inspector_plugin.plugins import registry
from inspector_plugin.plugins.options import Backend, Option
from inspector_plugin.schema import Judgement, JudgeRequest
from inspector_plugin.schema.records import CriterionScore

CASES = ("jsonl", "jsonl, cache", "jsonl, cache, again", "csv", "parquet", "jsonl, reference")


class Constant(Judge):
    """Gives every response the same scores."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._made: dict[tuple[str, ...], Judgement] = {}

    def describe(self) -> dict[str, str]:
        return {"name": f"constant {self._name}"}

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        return [self._judgement(request.keys) for request in requests]

    def _judgement(self, keys: tuple[str, ...]) -> Judgement:
        if keys not in self._made:
            chances = {1: 0.03, 2: 0.05, 3: 0.1, 4: 0.31, 5: 0.51}
            self._made[keys] = Judgement({key: CriterionScore(4.22, 5, chances) for key in keys})
        return self._made[keys]


def rows(count: int) -> Iterator[dict[str, str]]:
    """Rows about as long as those of GSM8K."""
    for number in range(count):
        yield {
            "id": str(number // 4),
            "question": f"A shelf holds {number // 4} rows of 9 jars. " + "Seven are sold. " * 12,
            "response": f"There are {number} * 9 jars at first. " + "Then seven are sold. " * 15,
        }


def write(folder: Path, count: int) -> None:
    """Write the rows in each form."""
    import pandas

    with open(folder / "rows.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows(count))
    frame = pandas.DataFrame(rows(count))
    frame.to_csv(folder / "rows.csv", index=False)
    frame.to_parquet(folder / "rows.parquet")


def peak_megabytes() -> float:
    """The most memory that this process has had (getrusage would count its parent's, too)."""
    status = Path("/proc/self/status").read_text()
    (peak,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak.split()[1]) / 1024


def run(case: str, folder: Path, count: int) -> None:
    """Score in this process, and print seconds and megabytes."""
    form, *more = case.split(", ")
    arguments = ["score", str(folder / f"rows.{form}"), "--judge", "constant"]
    arguments += ["--out", str(folder / "out.jsonl"), "--overwrite"]
    arguments += [] if "cache" in more else ["--no-cache"]
    arguments += ["--reference", "constant:name=reference"] if "reference" in more else []
    original = registry.make_registry

    def with_constant() -> registry.JudgeRegistry:
        made = original()
        options = (Option("name", "", default=""),)
        made.add(Backend("constant", "", Constant, options), "benchmark", "0")
        return made

    from inspector_plugin.cli import score

    score.make_registry = with_constant  # type: ignore[attr-defined,assignment]
    clocks = (time.perf_counter, time.process_time)
    started = [clock() for clock in clocks]
    status = inspector(arguments)
    wall, cpu = (
        1000 * (clock() - start) / count for clock, start in zip(clocks, started, strict=True)
    )
    figures = f"{wall:7.3f} ms a row, {cpu:7.3f} ms of CPU, {peak_megabytes():6.0f} MB"
    print(f"{case:20} {figures}", file=sys.stderr)
    sys.exit(status)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.case is not None:
        run(options.case, options.folder, options.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options.rows)
        for case in CASES:
            command = [sys.executable, __file__, "--rows", str(options.rows), "--case", case]
            subprocess.run(
                [*command, "--folder", name],
                check=True,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "INSPECTOR_CACHE_DIR": str(folder / "cache")},
            )


if __name__ == "__main__":
    main()
