"""How fast a language model reads and writes on the machine at hand."""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass

import torch

from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.prefix import cache_of

_TOKENS, _STEPS = 64, 4


@dataclass(frozen=True)
class Speed:
    """Seconds that a language model takes.

    Attributes:
        read: To read a token of a prompt.
        step: To write one token of each of several texts.
        texts: How many texts that were.
    """

    read: float
    step: float
    texts: int


def measure_speed(language_model: LanguageModel, texts: int = 8) -> Speed:
    """Time a short pass and a few steps of writing; a second or so on a CPU.

    Args:
        language_model: The model.
        texts: How many texts to write at once.

    Returns:
        What it took. Long prompts take longer a token than the short ones of this test.
    """
    model, device = language_model.model, language_model.device
    size = model.get_input_embeddings().num_embeddings
    ids = torch.arange(texts * _TOKENS, device=device).reshape(texts, _TOKENS) % size
    with torch.inference_mode():
        model(input_ids=ids[:1, :8])  # the first pass takes longer than any other
        started = _now(device)
        # transformers changes what the argument is called.
        known = inspect.signature(model.forward).parameters
        name = "cache" if "cache" in known else "past_key_values"
        cache = cache_of(model(input_ids=ids, use_cache=True))
        has_read = _now(device)
        for _ in range(_STEPS):
            model(input_ids=ids[:, :1], use_cache=True, **{name: cache})
        has_written = _now(device)
    return Speed((has_read - started) / ids.numel(), (has_written - has_read) / _STEPS, texts)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
