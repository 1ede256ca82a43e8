"""Where the time of a forward pass goes, and how near it is to what a matrix product reaches.

    python benchmarks/profile_pass.py

Random tokens through the embedded language model up to layer 20, mean, minimum and maximum of two
spans of five layers pooled: the work of a probe judge with the layout bare. GFLOP per second count
the matrix products of the layers' parameters alone; "plain" is transformers' own call of the whole
decoder on the same tokens, nothing pooled.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from inspector_plugin.lm.forward import pooled_features
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.observing import decoder_layers, decoder_of
from inspector_plugin.lm.plan import Feature, ForwardPlan
from inspector_plugin.lm.tokens import Encoding

MODEL = "smollm2-135m-instruct"
LAYERS = (20, 17, 14, 11, 8)
SHAPES = ((4, 256), (8, 256), (4, 512), (16, 256))
TRIES = 4


def best(run: Callable[[], Any]) -> float:
    """The fewest seconds of several runs."""
    seconds = []
    for _ in range(TRIES):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main() -> None:
    """Measure and print."""
    language_model = load_language_model(MODEL)
    decoder = decoder_of(language_model.model)
    each = sum(parameter.numel() for parameter in decoder_layers(decoder)[0].parameters())
    plan = ForwardPlan(
        tuple(
            Feature(layer, span, pooling)
            for layer in LAYERS
            for span in ("question", "response")
            for pooling in ("mean", "min", "max")
        )
    )
    layers = plan.highest_layer + 1
    for size in (1024, 2048, 4096):
        left, right = torch.rand(size, size), torch.rand(size, size)
        seconds = best(partial(torch.matmul, left, right))
        print(f"matrix product of {size}: {2 * size**3 / seconds / 1e9:.0f} GFLOP/s")
    random.seed(0)
    for rows, length in SHAPES:
        ids = [[random.randrange(1000, 40000) for _ in range(length)] for _ in range(rows)]
        spans = {
            "all": (0, length),
            "question": (0, length // 3),
            "response": (length // 3, length),
        }
        prompts = [Encoding(tuple(row), spans, truncated=False) for row in ids]
        batch = torch.tensor(ids)

        def plain(batch: torch.Tensor = batch) -> None:
            with torch.inference_mode():
                decoder(batch, use_cache=False)

        def ours(prompts: list[Encoding] = prompts) -> None:
            pooled_features(language_model, prompts, plan)

        gflop = 2 * rows * length * each / 1e9
        print(
            f"{rows} x {length} tokens: {gflop * layers / best(ours):.0f} GFLOP/s, "
            f"plain {gflop * language_model.layers / best(plain):.0f}"
        )
    with profile(activities=[ProfilerActivity.CPU]) as measured:
        ours()
    print(measured.key_averages().table(sort_by="self_cpu_time_total", row_limit=8))


if __name__ == "__main__":
    main()
