"""Speed and memory of the judge `lager` against the published procedure, re-created naively.

    python benchmarks/lager.py --data ../shared/data/reference/gsm8k.deepseek-v3.jsonl

The naive side does what the published code does: prompts padded to 2048 tokens, `generate` of 10
tokens with all hidden states, and the head over the whole vocabulary on every layer. Both sides
judge the same rows by the same aggregate (released-code) and must give the same scores. They take
turns, a few rows each, so that whatever else the machine does hits both. Peak memory is that of a
process of its own for each side.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inspector_plugin.data.scored_rows import read_scored
from inspector_plugin.judges.lager.judge import LagerJudge
from inspector_plugin.judges.lager.options import DEFAULT_MODEL, LagerOptions
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.schema.records import JudgeRequest

PADDED = 2048
NEW_TOKENS = 10
ROWS_PER_TURN = 8
Scores = list[float]


class Naive:
    """The published procedure."""

    def __init__(self, judge: LagerJudge, model: str) -> None:
        language_model = load_language_model(model)
        self._judge = judge
        self._model: Any = language_model.model
        self._tokenizer = language_model.tokenizer

    def scores(self, requests: Sequence[JudgeRequest]) -> Scores:
        """Judge requests one by one."""
        return [self._score(request) for request in requests]

    @torch.inference_mode()
    def _score(self, request: JudgeRequest) -> float:
        point = self._judge.point(request, request.criteria[0])
        token_ids = point.encoding.token_ids
        ids = torch.zeros((1, PADDED), dtype=torch.long)
        mask = torch.zeros((1, PADDED), dtype=torch.long)
        ids[0, -len(token_ids) :] = torch.tensor(token_ids)
        mask[0, -len(token_ids) :] = 1
        output = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            do_sample=False,
            output_hidden_states=True,
            return_dict_in_generate=True,
            pad_token_id=self._tokenizer.pad_token_id,
        )
        logits = [self._model.lm_head(state[:, -1]) for state in output.hidden_states[0][:-1]]
        mean = torch.stack([row[0, list(point.score_ids)] for row in logits]).double().mean(0)
        return float(torch.softmax(mean, 0) @ torch.arange(1.0, 6.0, dtype=torch.float64))


def judge_scores(judge: LagerJudge, requests: Sequence[JudgeRequest]) -> Scores:
    """Judge requests by the judge."""
    judged = judge.judge(requests)
    scores = [next(iter(judgement.scores.values())).score for judgement in judged]
    return [float("nan") if score is None else score for score in scores]


def make_sides(model: str) -> dict[str, Callable[[Sequence[JudgeRequest]], Scores]]:
    """Make both sides over one loaded model."""
    judge = LagerJudge(LagerOptions(model=model, preset="released-code"))
    naive = Naive(judge, model)
    return {"naive": naive.scores, "lager": lambda requests: judge_scores(judge, requests)}


def measure_speed(model: str, requests: Sequence[JudgeRequest]) -> None:
    """Let both sides judge in turns; print rows per second and the largest difference."""
    sides = make_sides(model)
    seconds = dict.fromkeys(sides, 0.0)
    scores: dict[str, Scores] = {name: [] for name in sides}
    for start in range(0, len(requests), ROWS_PER_TURN):
        for name, judge in sides.items():
            began = time.perf_counter()
            scores[name] += judge(requests[start : start + ROWS_PER_TURN])
            seconds[name] += time.perf_counter() - began
    for name, taken in seconds.items():
        print(f"{name}: {len(requests) / taken:.3f} rows per second ({taken:.0f} s)")
    difference = np.abs(np.subtract(scores["naive"], scores["lager"])).max()
    print(f"lager is {seconds['naive'] / seconds['lager']:.1f} times faster")
    print(f"largest difference of a score: {difference:.1e}")


def measure_memory(options: argparse.Namespace) -> None:
    """Start a process for each side; print how much more memory it took than the loaded model."""
    for side in ("naive", "lager"):
        command = [sys.executable, __file__, "--data", options.data, "--model", options.model]
        command += ["--rows", str(options.memory_rows), "--side", side]
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"{side}: peak memory {finished.stdout.strip()}")


def run_side(model: str, requests: Sequence[JudgeRequest], side: str) -> None:
    """Judge by one side and print by how much this process grew at its peak."""
    judge = make_sides(model)[side]
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    before = _memory("VmRSS")
    judge(requests)
    print(f"{_memory('VmHWM') - before:.0f} MiB above the {before:.0f} MiB of the loaded model")


def _memory(field: str) -> float:
    """Read a figure of this process in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="scored rows, JSONL")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--memory-rows", type=int, default=8)
    parser.add_argument("--side", choices=("naive", "lager"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    requests = [
        JudgeRequest(row.question, row.response, (row.criterion,))
        for row in read_scored(options.data)[: options.rows]
    ]
    if options.side:
        run_side(options.model, requests, options.side)
        return
    measure_speed(options.model, requests)
    measure_memory(options)


if __name__ == "__main__":
    main()
