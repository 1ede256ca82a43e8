"""Reading only once what many prompts begin with, such as the words of a criterion.

The keys and values of the common tokens are kept, and each prompt continues from there. What comes
out is what reading each prompt in full gives, but for the last digits of floating-point sums.
"""

from __future__ import annotations

import copy
import inspect
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.observing import run_decoder
from inspector_plugin.lm.plan import ForwardPlan
from inspector_plugin.lm.tokens import ALL, Encoding

# Of a model of 30 layers and 3 key-value heads, 16 prefixes of 150 tokens take about 110 MB.
_KEPT_PREFIXES = 16
_SHORTEST = 16

_Kept = OrderedDict[tuple[Any, ...], "Prefix | None"]
_kept: weakref.WeakKeyDictionary[LanguageModel, _Kept]
_kept = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Prefix:
    """Tokens that a model has read.

    Attributes:
        length: How many.
        cache: Their keys and values, for a batch of one.
        states: What is pooled of them, [tokens, width], by layer and whether it is of attention.
    """

    length: int
    cache: DynamicCache
    states: Mapping[tuple[int, bool], Tensor] = field(default_factory=dict)

    def keywords(self, decoder: nn.Module, attention_mask: Tensor) -> dict[str, Any]:
        """Return what the decoder needs to continue from here.

        Args:
            decoder: The decoder.
            attention_mask: Of the tokens that follow, [batch, tokens].
        """
        # transformers renames the argument; versions from 5.0 on know one name or the other.
        known = inspect.signature(decoder.forward).parameters
        name = "cache" if "cache" in known else "past_key_values"
        rows = len(attention_mask)
        before = attention_mask.new_ones((rows, self.length))
        return {
            "attention_mask": torch.cat([before, attention_mask], dim=1),
            name: _repeated(self.cache, rows),
            "use_cache": True,
        }


def by_beginning(
    encodings: Sequence[Encoding], plan: ForwardPlan
) -> dict[tuple[int, ...], list[int]]:
    """Group prompts by what stands before their first named span, if that is to be read once."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, encoding in enumerate(encodings):
        starts = [start for name, (start, _) in encoding.spans.items() if name != ALL]
        shared = encoding.token_ids[: min(starts, default=0)]
        branches = len(encoding.suffixes) > 1
        # A token's likelihood is read from the state before it, which a prefix does not keep.
        can_be = plan.reuse_prefix and not branches and not plan.has_likelihoods
        worth_it = can_be and len(shared) >= _SHORTEST
        groups.setdefault(shared if worth_it else (), []).append(index)
    return groups


def read_prefix(
    language_model: LanguageModel, token_ids: tuple[int, ...], plan: ForwardPlan
) -> Prefix | None:
    """Read a beginning, or return it if it was read before.

    Returns:
        The prefix; None if there are no tokens, or the model keeps no such cache.
    """
    if not token_ids:
        return None
    kept = _kept.setdefault(language_model, OrderedDict())
    # What is pooled over the whole prompt needs the states of its beginning as well.
    pooled = {(f.layer, f.is_attention) for f in plan.features if f.span == ALL}
    key = (token_ids, frozenset(pooled))
    if key not in kept:
        kept[key] = _read(language_model, token_ids, plan, pooled)
    kept.move_to_end(key)
    while len(kept) > _KEPT_PREFIXES:
        kept.popitem(last=False)
    return kept[key]


def _read(
    language_model: LanguageModel,
    token_ids: tuple[int, ...],
    plan: ForwardPlan,
    pooled: set[tuple[int, bool]],
) -> Prefix | None:
    states: dict[tuple[int, bool], Tensor] = {}

    def receive(layer: int, attention: bool, tensor: Tensor) -> None:
        if (layer, attention) in pooled:
            states[layer, attention] = tensor[0].clone()

    batch = torch.tensor([token_ids], device=language_model.device)
    # Stopping early would lose the cache.
    output = run_decoder(
        language_model, batch, {"use_cache": True}, plan, receive, stop_early=False
    )
    cache = cache_of(output)
    return Prefix(len(token_ids), cache, states) if _has_keys(cache) else None


def cache_of(output: object) -> object:
    """Take the cache of a model's output; transformers warns of the name that it gives up."""
    name = "cache" if hasattr(output, "cache") else "past_key_values"
    return getattr(output, name, None)


def _has_keys(cache: object) -> TypeGuard[DynamicCache]:
    """Whether a cache holds keys and values alone: recurrent layers keep states of another kind."""
    return isinstance(cache, DynamicCache) and all(hasattr(layer, "keys") for layer in cache.layers)


def _repeated(cache: DynamicCache, rows: int) -> DynamicCache:
    """A cache for a batch. Nothing is copied until a layer appends to its own part."""
    repeated = copy.copy(cache)
    repeated.layers = []
    layers: list[Any] = cache.layers
    for layer in layers:
        own = copy.copy(layer)
        own.keys = layer.keys.expand(rows, -1, -1, -1)
        own.values = layer.values.expand(rows, -1, -1, -1)
        repeated.layers.append(own)
    return repeated
