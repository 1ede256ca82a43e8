"""Throughput and safety of the prompt judge against a chat-completions server on loopback.

The server (tests/chat_server.py) is a process of its own and answers each call after 50 ms. Three
measurements: the time of 2000 calls at concurrency 64 beside the ideal (calls * delay /
concurrency); the same with 10% mixed faults; and a run killed with SIGKILL at half way and started
again. Run from the repository's root: python benchmarks/prompt_throughput.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema.records import JudgeRequest, total_usage
from inspector_plugin.schema.roscoe import ROSCOE

SERVER = Path(__file__).parent.parent / "tests" / "chat_server.py"


@contextmanager
def serving(delay: float, fault_share: float, seed: int) -> Iterator[str]:
    """Run the server in a process of its own; yield its base URL."""
    command = [sys.executable, str(SERVER), "--delay", str(delay)]
    command += ["--fault-share", str(fault_share), "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # By name, as users write addresses: one of digits is parsed anew for each call.
        yield process.stdout.readline().strip().replace("127.0.0.1", "localhost")
        process.terminate()


def served(url: str) -> dict[str, int]:
    """Ask the server for its counts."""
    with urllib.request.urlopen(url.replace("/v1", "/counts")) as answer:
        counts: dict[str, int] = json.load(answer)
    return counts


def requests(calls: int) -> list[JudgeRequest]:
    """Word problems with responses that all differ, five calls each."""
    return [
        JudgeRequest(
            question=f"A train of {n + 3} wagons carries 12 crates in each. How many crates?",
            response=f"{n + 3} * 12 = {(n + 3) * 12}. " + "So that is the number. " * 8,
        )
        for n in range(calls // len(ROSCOE))
    ]


def run(url: str, folder: str, calls: int, concurrency: int) -> tuple[float, str, int, int]:
    """Judge; return seconds, what it cost, and how many scores there are and are not."""
    spec = f"prompt:model=deepseek-chat,base_url={url},reply_format=json,concurrency={concurrency}"
    with create_judge(spec) as judge, JudgeCache(Path(folder) / "judgements.sqlite") as cache:
        judge_all(judge, [JudgeRequest("warm", "up", ROSCOE[:1])])
        started = time.perf_counter()
        judged = judge_all(judge, requests(calls), cache=cache)
        seconds = time.perf_counter() - started
    scores = [score.score for judgement in judged for score in judgement.scores.values()]
    unscored = scores.count(None)
    return seconds, str(total_usage(judged)), len(scores) - unscored, unscored


def measure_speed(options: argparse.Namespace, fault_share: float) -> None:
    """Time one run."""
    ideal = options.calls * options.delay / options.concurrency
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(options.delay, fault_share, options.seed) as url,
    ):
        seconds, usage, scored, unscored = run(url, folder, options.calls, options.concurrency)
        counts = served(url)
    print(f"faults {fault_share:.0%}: {seconds:.2f} s, {seconds / ideal:.2f} times {ideal:.2f} s")
    print(f"  {scored} scored, {unscored} unscored; {usage}")
    print(f"  the server counted {counts}")


def measure_kill(options: argparse.Namespace) -> None:
    """Kill a run at half way, start it again, and count the calls that were made twice."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(options.delay, 0.0, options.seed) as url,
    ):
        command = [sys.executable, __file__, "--client", url, "--folder", folder]
        command += ["--calls", str(options.calls), "--concurrency", str(options.concurrency)]
        with subprocess.Popen(command) as first:
            while served(url)["calls"] < options.calls / 2:
                time.sleep(0.01)
            os.kill(first.pid, signal.SIGKILL)
        before = served(url)["calls"]
        subprocess.run(command, check=True)
        # Each of the two clients made one call to warm up.
        repeated = served(url)["calls"] - 2 - options.calls
    print(f"killed after {before} calls and started again: {repeated} calls made twice")
    print(f"  (at most those in flight: {options.concurrency})")


def main() -> None:
    """Run all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--client", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client is not None:
        run(options.client, options.folder, options.calls, options.concurrency)
        return
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    measure_speed(options, 0.0)
    measure_speed(options, 0.1)
    measure_kill(options)


if __name__ == "__main__":
    main()
