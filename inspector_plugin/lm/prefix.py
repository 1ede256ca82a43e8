"""Reading only once what many prompts begin with, such as the criteria of an aspect.

The keys and values of the common tokens are kept, and each prompt goes on from there. What comes
out is what reading each prompt in full gives, but for the last digits of floating-point sums.
"""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from inspector_plugin.lm.forward import FloatArray, HiddenState, decoder_of, pooled_hidden_states
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.tokens import ALL, Encoding

# Of a model of 30 layers and 3 key-value heads, 16 prefixes of 150 tokens take about 110 MB.
_KEPT_PREFIXES = 16
_SHORTEST = 16

_Kept = OrderedDict[tuple[int, ...], "Prefix | None"]
_kept: weakref.WeakKeyDictionary[LanguageModel, _Kept]
_kept = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Prefix:
    """Tokens that a model has read.

    Attributes:
        length: How many.
        cache: Their keys and values, for a batch of one.
    """

    length: int
    cache: DynamicCache

    def keywords(self, attention_mask: Tensor) -> dict[str, Any]:
        """Return what the decoder needs to go on from here.

        Args:
            attention_mask: Of the tokens that follow, [batch, tokens].
        """
        rows = len(attention_mask)
        cache = copy.deepcopy(self.cache)  # the decoder appends to it
        cache.batch_repeat_interleave(rows)
        before = attention_mask.new_ones((rows, self.length))
        return {
            "attention_mask": torch.cat([before, attention_mask], dim=1),
            "past_key_values": cache,
            "use_cache": True,
        }


def last_hidden_states(
    language_model: LanguageModel,
    encodings: Sequence[Encoding],
    wanted: Sequence[HiddenState],
    batch_tokens: int = 2048,
    on_batch: Callable[[list[int], FloatArray], None] | None = None,
) -> FloatArray:
    """Read hidden states at each prompt's last token, reading common beginnings once.

    What stands before a prompt's first named span is its beginning. Args, Returns and Raises are
    those of `pooled_hidden_states`, but everything wanted is of span "all" and pooling "last".
    """
    result = np.empty((len(encodings), len(wanted), language_model.hidden_size), dtype=np.float32)
    beginnings: dict[tuple[int, ...], list[int]] = {}
    for index, encoding in enumerate(encodings):
        beginnings.setdefault(_beginning(encoding), []).append(index)
    for token_ids, indices in beginnings.items():
        prefix = _read(language_model, token_ids)
        skipped = prefix.length if prefix else 0

        def hand_on(places: list[int], rows: FloatArray, indices: list[int] = indices) -> None:
            if on_batch is not None:
                on_batch([indices[place] for place in places], rows)

        rest = [_without(encodings[index], skipped) for index in indices]
        result[indices] = pooled_hidden_states(
            language_model, rest, wanted, batch_tokens, hand_on, prefix
        )
    return result


def _beginning(encoding: Encoding) -> tuple[int, ...]:
    starts = [start for name, (start, _) in encoding.spans.items() if name != ALL]
    return encoding.token_ids[: min(starts, default=0)]


def _without(encoding: Encoding, skipped: int) -> Encoding:
    rest = encoding.token_ids[skipped:]
    return Encoding(rest, {ALL: (0, len(rest))}, encoding.truncated)


def _read(language_model: LanguageModel, token_ids: tuple[int, ...]) -> Prefix | None:
    """Read a beginning; None if it is not worth it, or the model keeps no such cache."""
    if len(token_ids) < _SHORTEST:
        return None
    kept = _kept.setdefault(language_model, OrderedDict())
    if token_ids not in kept:
        batch = torch.tensor([token_ids], device=language_model.device)
        with torch.inference_mode():
            output = decoder_of(language_model.model)(batch, use_cache=True)
        cache = getattr(output, "past_key_values", None)
        kept[token_ids] = Prefix(len(token_ids), cache) if _has_keys(cache) else None
    kept.move_to_end(token_ids)
    while len(kept) > _KEPT_PREFIXES:
        kept.popitem(last=False)
    return kept[token_ids]


def _has_keys(cache: object) -> TypeGuard[DynamicCache]:
    """Whether a cache holds keys and values alone: recurrent layers keep states of another kind."""
    return isinstance(cache, DynamicCache) and all(hasattr(layer, "keys") for layer in cache.layers)
