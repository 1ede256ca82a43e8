"""What judging adds to the time that lm_eval takes to generate.

    python benchmarks/lm_eval_share.py --data ../shared/data --limit 200

Evaluates the judge's own language model on gsm8k_inspector, all five criteria judged, and prints
the seconds of both parts, their ratio, and how long reading weights took.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM

from inspector_plugin.folders import shipped_folder
from inspector_plugin.harness import task as harness_task
from inspector_plugin.lm.catalog import installed_folder

MODEL = "smollm2-135m-instruct"


def adding_up(seconds: dict[str, float], name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    """Add the seconds of each call to a total."""

    def timed(*arguments: Any, **keywords: Any) -> Any:
        began = time.perf_counter()
        try:
            return run(*arguments, **keywords)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began

    return timed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args()
    seconds: dict[str, float] = {}
    loads: dict[str, float] = {}
    for owner, function, what, total in (
        (HFLM, "generate_until", "generating", seconds),
        (harness_task, "judge_all", "judging", seconds),
        (AutoModelForCausalLM, "from_pretrained", "weights", loads),
    ):
        setattr(owner, function, adding_up(total, what, getattr(owner, function)))
    folder = installed_folder(MODEL)
    evaluated = HFLM(pretrained=str(folder), device="cpu", batch_size=options.batch_size)
    metadata = {"judge": "inspector", "data": str(options.data), "cache": False}
    results = lm_eval.simple_evaluate(
        model=evaluated,
        tasks=["gsm8k_inspector"],
        task_manager=TaskManager(
            include_path=shipped_folder("tasks"), include_defaults=False, metadata=metadata
        ),
        limit=options.limit,
        bootstrap_iters=0,
    )
    coverage = results["results"]["gsm8k_inspector"]["coverage,inspector"]
    share = seconds["judging"] / seconds["generating"]
    print(f"{options.limit} responses, coverage {coverage:.3f}")
    print(
        f"generating {seconds['generating']:.1f} s, judging {seconds['judging']:.1f} s: {share:.1%}"
    )
    print(f"reading weights took {loads['weights']:.1f} s in all")


if __name__ == "__main__":
    main()
