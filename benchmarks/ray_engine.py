"""What `inspector score --engine ray` costs beside the plain command: time and memory.

    python benchmarks/ray_engine.py --data ../shared/data --rows 150

Scores GSM8K reference responses with the judge `inspector`, without the judge cache, by the plain
command and on Ray with one actor (that has all cores) and two (that share them). Each side is a
command of its own. Rows per second are those beyond the first few: starting Python, Ray and the
judges, which a run does once, stands beside them. Memory is the greatest sum over all processes of
a side, Ray's own included, with shared pages counted once (PSS, of Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from inspector_plugin.data.jsonl import read_rows

SIDES: dict[str, list[str]] = {
    "plain command": [],
    "Ray, 1 actor": ["--engine", "ray", "--actors", "1"],
    "Ray, 2 actors": ["--engine", "ray", "--actors", "2"],
}
COMMAND = "import sys; from inspector_plugin.cli.main import main; sys.exit(main())"


def memory_of(session: int) -> float:
    """What the processes of a session and their children hold, in MiB."""
    total, parents = 0, {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(status.parent.name)] = int(fields[1])
    for process in parents:
        above: int | None = process
        while above not in (None, session):
            above = parents.get(above or 0)
        if above is None:
            continue
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def run(side: str, rows: int, folder: Path) -> tuple[float, float]:
    """Run one command; return its seconds and MiB."""
    engine = SIDES[side]
    out = folder / f"out-{time.monotonic_ns()}"
    arguments = ["score", str(folder / "in.jsonl"), "--judge", "inspector", "--dataset", "gsm8k"]
    arguments += ["--limit", str(rows), "--no-cache", "--out", str(out), *engine]
    arguments += ["--rows-per-file", "8"] if engine else []
    environment = {key: v for key, v in os.environ.items() if key != "OMP_NUM_THREADS"}
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(process.returncode)
    return time.perf_counter() - began, peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--few", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        read = [row for _, row in read_rows(options.data / "reference/gsm8k.deepseek-v3.jsonl")]
        with (folder / "in.jsonl").open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in read)
        print("| side | seconds in all | starting | rows per second beyond | greatest memory |")
        print("| --- | --- | --- | --- | --- |")
        for side in SIDES:
            few, _ = run(side, options.few, folder)
            seconds, memory = run(side, options.rows, folder)
            speed = (options.rows - options.few) / (seconds - few)
            starting = few - options.few / speed
            print(
                f"| {side} | {seconds:.0f} | {starting:.0f} s | {speed:.2f} | {memory:.0f} MB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
