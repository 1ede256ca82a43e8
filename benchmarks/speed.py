"""How fast the judge `inspector` is, by prompt layout, against the published procedure.

    python benchmarks/speed.py --data ../shared/data --packs build/packs --out build/speed.json

`make bench` trains the packs first, one folder for each layout, and then runs this. Every side
judges the same rows on all five criteria, in a process of its own with its own peak of memory. The
naive side, which takes a third of a minute for a row, re-creates the published procedure: a full
pass for each criterion over batches of 16 in the order of the file, padded; eager attention whose
weights are kept, all hidden states kept, the language-modelling head; the classifiers read anew for
every batch. Like the published code it then makes features of all layers, attention entropies
included, whatever the probe uses; the time without that is given as well.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.scored_rows import read_scored, sample
from inspector_plugin.judges.inspector import judge as judge_module
from inspector_plugin.judges.inspector.judge import InspectorJudge
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.pack_folders import find_pack, model_folder
from inspector_plugin.judges.inspector.packs import card_entries, read_card, read_pack
from inspector_plugin.judges.inspector.probe import Probe
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.forward import pooled_features
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.observing import decoder_layers, decoder_of
from inspector_plugin.lm.prefix import by_beginning
from inspector_plugin.lm.tokens import encode
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

MODEL = "smollm2-135m-instruct"
# Folders of --packs: prompt layouts, the last with fewer layers.
SIDES = ("published", "suffix", "bare", "bare-to-11")
NAIVE_BATCH = 16
GROWTH = (100, 1000, 5276)
LENGTHS = (64, 128, 256, 512, 1024)
_POOLINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean": lambda span: span.mean(0),
    "last": lambda span: span[-1],
    "min": lambda span: span.amin(0),
    "max": lambda span: span.amax(0),
}


def reference_requests(data: Path, rows: int) -> list[JudgeRequest]:
    """The first rows of the reference file, each to be judged on all criteria."""
    scored = read_scored(data / "reference" / "gsm8k.deepseek-v3.jsonl")
    return [JudgeRequest(r.question, r.response, dataset="gsm8k") for r in scored[:rows]]


def solution_requests(data: Path, rows: int) -> list[JudgeRequest]:
    """Model solutions, drawn by seed."""
    read = [row for _, row in read_rows(data / "gsm8k" / "model_solutions.jsonl.gz")]
    read = [row for row in read if row["response"].strip()]
    return [
        JudgeRequest(row["question"], row["response"], dataset="gsm8k")
        for row in sample(read, min(rows, len(read)), 0)
    ]


def requests_of_length(tokens: int, count: int) -> list[JudgeRequest]:
    """Responses of about so many tokens, all alike."""
    sentence = "Then 12 + 7 = 19 apples are left. "
    return [JudgeRequest("How many apples?", sentence * (tokens // 12), dataset="gsm8k")] * count


class Naive:
    """The published procedure."""

    def __init__(self, packs: Path) -> None:
        self._folder = find_pack(model_folder(packs, MODEL), "gsm8k", "multiclass")
        self._language_model = load_language_model(MODEL)
        self._language_model.model.set_attn_implementation("eager")
        self.unused_seconds = 0.0

    @torch.inference_mode()
    def labels(self, requests: Sequence[JudgeRequest]) -> list[dict[str, int]]:
        """The likeliest label on each criterion. Padding is not pooled, so that labels compare."""
        found: list[dict[str, int]] = [{} for _ in requests]
        for key in ROSCOE_KEYS:
            for start in range(0, len(requests), NAIVE_BATCH):
                batch = requests[start : start + NAIVE_BATCH]
                for place, label in enumerate(self._batch(batch, key)):
                    found[start + place][key] = label
        return found

    def _batch(self, requests: Sequence[JudgeRequest], key: str) -> list[int]:
        probe = read_pack(self._folder).probes[key]
        assert isinstance(probe, Probe), f"{self._folder}: cross-fitted probes cost something else"
        lm = self._language_model
        prompts = [encode(lm, probe.layout.segments(request)) for request in requests]
        longest = max(len(prompt.token_ids) for prompt in prompts)
        ids = torch.zeros((len(prompts), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt.token_ids)] = torch.tensor(prompt.token_ids)
            mask[row, : len(prompt.token_ids)] = 1
        output = lm.model(
            ids, attention_mask=mask, output_hidden_states=True, output_attentions=True
        )
        self.unused_seconds += timed(lambda: _features_of_all_layers(output))[0]
        pooled = {}
        for feature in probe.features():
            states = output.hidden_states[feature.layer + 1]
            spans = [states[row, slice(*p.spans[feature.span])] for row, p in enumerate(prompts)]
            reduce = _POOLINGS[feature.pooling]
            pooled[feature] = torch.stack([reduce(span) for span in spans]).numpy()
        return [int(row.argmax()) + 1 for row in probe.probabilities(pooled)]


def _features_of_all_layers(output: Any) -> list[torch.Tensor]:
    """What the published code makes of a pass: poolings of each layer, attention entropies."""
    features = []
    for states in output.hidden_states[1:]:
        features += [states.mean(1), states[:, -1], states.amin(1), states.amax(1)]
    for weights in output.attentions:
        features.append(-(weights * (weights + 1e-12).log()).sum(-1).mean(-1))
    return features


class Counter:
    """Runs the forward pass for a judge, and counts what it must compute."""

    def __init__(self) -> None:
        self.tokens = 0
        self.tokens_times_layers = 0
        judge_module.pooled_features = self.run  # type: ignore[attr-defined,assignment]

    def run(self, language_model: Any, encodings: Any, plan: Any, *rest: Any) -> Any:
        """Count, then run."""
        for beginning, indices in by_beginning(encodings, plan).items():
            tokens = sum(len(encodings[i].token_ids) - len(beginning) for i in indices)
            self.tokens += tokens
            self.tokens_times_layers += tokens * (plan.highest_layer + 1)
        return pooled_features(language_model, encodings, plan, *rest)


def judged_labels(
    judge: InspectorJudge, requests: Sequence[JudgeRequest]
) -> list[dict[str, int | None]]:
    """Judge, and return the label on each criterion, None where there is no score."""
    return [
        {key: score.label for key, score in judgement.scores.items()}
        for judgement in judge_all(judge, requests, progress=False)
    ]


def run_side(options: argparse.Namespace) -> dict[str, Any]:
    """Judge in this process, and say how long it took and how much memory there was at the peak."""
    if options.kind == "reference":
        requests = reference_requests(options.data, options.rows)
    elif options.kind == "solutions":
        requests = solution_requests(options.data, options.rows)
    else:
        requests = requests_of_length(options.length, options.rows)
    if options.side == "naive":
        naive = Naive(options.packs / "published")
        seconds, labels = timed(lambda: naive.labels(requests))
        without = seconds - naive.unused_seconds
        peak = peak_memory()
        return {"seconds": seconds, "passes": without, "labels": labels, "peak_mib": peak}
    counter = Counter()
    judge = InspectorJudge(InspectorOptions(model=MODEL, probes=str(options.packs / options.side)))
    judge.judge(requests[:2])  # the first pass of a process is slower
    counter.tokens = counter.tokens_times_layers = 0
    seconds, labels = timed(lambda: judged_labels(judge, requests))
    each = decoder_layers(decoder_of(load_language_model(MODEL).model))[0]
    parameters = sum(parameter.numel() for parameter in each.parameters())
    return {
        "seconds": seconds,
        "labels": labels,
        "peak_mib": peak_memory(),
        "tokens": counter.tokens,
        "layers": counter.tokens_times_layers / counter.tokens,
        "gflop": counter.tokens_times_layers * 2 * parameters / 1e9,
        "matrix_product_gflops": matrix_product_peak(),
    }


def timed(run: Any) -> tuple[float, Any]:
    """Seconds, and what it gave."""
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def matrix_product_peak(size: int = 2048, tries: int = 8) -> float:
    """The best of several products of square float32 matrices, in GFLOP per second."""
    left, right = torch.rand(size, size), torch.rand(size, size)
    seconds = min(timed(lambda: left @ right)[0] for _ in range(tries))
    return 2 * size**3 / seconds / 1e9


def peak_memory() -> float:
    """Peak resident memory of this process, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def start_side(options: argparse.Namespace, side: str, kind: str, **more: Any) -> dict[str, Any]:
    """Run a side in a process of its own."""
    command = [sys.executable, __file__, "--data", str(options.data), "--packs", str(options.packs)]
    command += ["--side", side, "--kind", kind]
    for name, value in more.items():
        command += [f"--{name}", str(value)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return {"rows": more["rows"], "rows_per_second": more["rows"] / result["seconds"], **result}


def macro_f1(packs: Path) -> dict[str, float]:
    """The mean over criteria of nested macro F1, by kind of labels, from the cards."""
    means = {}
    for labels in ("multiclass", "binary"):
        card = read_card(find_pack(model_folder(packs, MODEL), "gsm8k", labels))
        values = [
            entry["figures"]["nested_cross_validation"]["macro_f1"]["value"]
            for entry in card_entries(card).values()
        ]
        means[labels] = statistics.fmean(values)
    return means


def compare_sides(options: argparse.Namespace) -> dict[str, Any]:
    """Run all sides over the same rows; ours several times in turns, the median counts."""
    sides: dict[str, Any] = {}
    runs: dict[str, list[dict[str, Any]]] = {layout: [] for layout in SIDES}
    for repeat in range(options.repeats):
        for layout in SIDES:
            runs[layout].append(start_side(options, layout, "reference", rows=options.rows))
        if repeat == 0:
            sides["naive"] = start_side(options, "naive", "reference", rows=options.rows)
    for layout, results in runs.items():
        middle = sorted(results, key=lambda result: result["seconds"])[len(results) // 2]
        speeds = [result["rows_per_second"] for result in results]
        peak = max(result["matrix_product_gflops"] for result in results)
        middle["range_rows_per_second"] = [min(speeds), max(speeds)]
        middle["share_of_matrix_product_peak"] = middle["gflop"] / middle["seconds"] / peak
        middle["macro_f1"] = macro_f1(options.packs / layout)
        sides[layout] = middle
    naive = sides["naive"]
    for side in sides.values():
        side["times_naive"] = side["rows_per_second"] / naive["rows_per_second"]
        side["times_passes"] = side["rows_per_second"] * naive["passes"] / naive["rows"]
    pairs = zip(naive["labels"], sides["published"]["labels"], strict=True)
    sides["published"]["rows_with_the_labels_of_naive"] = float(np.mean([a == b for a, b in pairs]))
    for side in sides.values():
        del side["labels"]
    return sides


def growth(options: argparse.Namespace) -> dict[str, Any]:
    """How time grows with the number of rows and with the length of responses."""
    layout = SIDES[-1]
    by_rows = [start_side(options, layout, "solutions", rows=rows) for rows in options.growth]
    by_length = [
        start_side(options, layout, "length", rows=max(8, 16384 // length), length=length)
        for length in LENGTHS
    ]
    for result in by_rows + by_length:
        del result["labels"]
        result["tokens_per_second"] = result["tokens"] / result["seconds"]
    for length, result in zip(LENGTHS, by_length, strict=True):
        result["response_tokens"] = length
    return {"rows": by_rows, "response_length": by_length}


def machine() -> dict[str, Any]:
    """What this ran on."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((li.split(":")[1].strip() for li in info.splitlines() if "model name" in li), "?")
    return {
        "processor": model,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def print_tables(results: dict[str, Any]) -> None:
    """Print what docs/RESULTS.md shows."""
    print("| side | rows per second | times naive | times its passes alone |", end="")
    print(" peak memory, MiB | layers | share of matrix-product peak |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, side in results["sides"].items():
        share = side.get("share_of_matrix_product_peak")
        cells = [
            name,
            f"{side['rows_per_second']:.3f}",
            f"{side['times_naive']:.1f}",
            f"{side['times_passes']:.1f}",
            f"{side['peak_mib']:.0f}",
            f"{side.get('layers', 30):.1f}",
            "-" if share is None else f"{share:.2f}",
        ]
        print("| " + " | ".join(cells) + " |")
    for title, rows in results["growth"].items():
        print(f"\n| {title} | seconds | tokens | tokens per second | peak memory, MiB |")
        print("| --- | --- | --- | --- | --- |")
        for row in rows:
            first = row.get("response_tokens", row["rows"])
            print(
                f"| {first} | {row['seconds']:.1f} | {row['tokens']} | "
                f"{row['tokens_per_second']:.0f} | {row['peak_mib']:.0f} |"
            )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--packs", type=Path, required=True, help="a folder for each layout")
    parser.add_argument("--rows", type=int, default=2 * NAIVE_BATCH)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each of our sides")
    parser.add_argument("--growth", type=int, nargs="*", default=GROWTH, metavar="ROWS")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--side", choices=("naive", *SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run_side(options)))
        return
    results = {"machine": machine(), "sides": compare_sides(options), "growth": growth(options)}
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_tables(results)


if __name__ == "__main__":
    main()
