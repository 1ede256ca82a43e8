"""The forward pass: pooled hidden states of many prompts, nothing else kept.

Prompts are sorted by length and batched by a budget of tokens. Hidden states are pooled layer by
layer while the model runs, the layers above the highest one asked for are not run at all, and
neither is the language-modelling head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.pooling import pool
from inspector_plugin.lm.tokens import Encoding

if TYPE_CHECKING:
    from inspector_plugin.lm.prefix import Prefix

FloatArray = npt.NDArray[np.float32]
EMBEDDING = -1


@dataclass(frozen=True, order=True)
class HiddenState:
    """Which pooled hidden state: of which layer, over which span, pooled how.

    Attributes:
        layer: Decoder layer from 0. Its hidden state is the layer's output; that of the last
            layer has the final norm applied, as in Hugging Face's `output_hidden_states`.
            `EMBEDDING` is what the first layer reads.
        span: "all", or a named span of the prompt.
        pooling: "mean", "last", "min" or "max".
    """

    layer: int
    span: str
    pooling: str


def token_budget_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group prompts of similar length into batches of at most `budget` tokens, padding included.

    Args:
        lengths: Tokens in each prompt.
        budget: Most tokens in a batch; a longer prompt forms a batch of its own.

    Returns:
        Indices into `lengths`, the longest prompts first, so that a batch that does not fit into
        memory shows at once.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        # The first prompt of a batch is its longest, and the others are padded to its length.
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def pooled_hidden_states(
    language_model: LanguageModel,
    encodings: Sequence[Encoding],
    wanted: Sequence[HiddenState],
    batch_tokens: int = 2048,
    on_batch: Callable[[list[int], FloatArray], None] | None = None,
    prefix: Prefix | None = None,
) -> FloatArray:
    """Run prompts through the model and pool their hidden states.

    Args:
        language_model: The model.
        encodings: The prompts.
        wanted: What to pool.
        batch_tokens: Most tokens in a batch, padding included.
        on_batch: Called after each batch with the indices of its prompts and their rows.
        prefix: What the model has read already; the prompts go on from there.

    Returns:
        [prompts, wanted, hidden] float32, in the order of `encodings` and `wanted`.

    Raises:
        ModelError: If the model has no layer of that number, or an activation is not finite.
    """
    highest = max((state.layer for state in wanted), default=-1)
    if highest >= language_model.layers:
        raise ModelError(
            f"Language model {language_model.name!r} has layers 0-{language_model.layers - 1}, "
            f"not {highest}."
        )
    result = np.empty((len(encodings), len(wanted), language_model.hidden_size), dtype=np.float32)
    lengths = [len(encoding.token_ids) for encoding in encodings]
    for indices in token_budget_batches(lengths, batch_tokens):
        batch = [encodings[index] for index in indices]
        rows = _run_batch(language_model, batch, wanted, highest, prefix)
        if not np.isfinite(rows).all():
            raise ModelError(
                f"Language model {language_model.name!r} gave hidden states that are not finite "
                f"in {language_model.dtype}; try another dtype."
            )
        result[indices] = rows
        if on_batch is not None:
            on_batch(indices, rows)
    return result


def _run_batch(
    language_model: LanguageModel,
    batch: Sequence[Encoding],
    wanted: Sequence[HiddenState],
    highest: int,
    prefix: Prefix | None,
) -> FloatArray:
    token_ids, attention_mask = _pad_right(batch, language_model.device)
    keywords: dict[str, Any] = {"attention_mask": attention_mask, "use_cache": False}
    if prefix is not None:
        keywords = prefix.keywords(attention_mask)
    pooled: dict[HiddenState, Tensor] = {}

    def receive(layer: int, hidden: Tensor) -> None:
        for state in wanted:
            if state.layer == layer:
                spans = [encoding.spans[state.span] for encoding in batch]
                pooled[state] = pool(hidden, spans, state.pooling)

    decoder = decoder_of(language_model.model)
    last = language_model.layers - 1
    stop_after = highest if highest < last else None
    with torch.inference_mode(), _layer_outputs(decoder_layers(decoder), receive, stop_after):
        try:
            output = decoder(token_ids, **keywords)
            receive(last, output.last_hidden_state)
        except _HighestLayerReached:
            pass
    stacked = torch.stack([pooled[state] for state in wanted], dim=1)
    array: FloatArray = stacked.cpu().numpy()
    return array


def decoder_of(model: Any) -> nn.Module:
    """The part of a causal language model below its language-modelling head."""
    decoder: nn.Module = model.get_decoder() if hasattr(model, "get_decoder") else model.base_model
    return decoder


def decoder_layers(decoder: Any) -> nn.ModuleList:
    """The decoder's layers, whatever the architecture calls them.

    Raises:
        ModelError: If they cannot be told.
    """
    count = decoder.config.get_text_config().num_hidden_layers
    for module in decoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"{type(decoder).__name__}: cannot find its {count} decoder layers.")


class _HighestLayerReached(Exception):
    """Ends a forward pass from within: no layer above this one was asked for."""


@contextmanager
def _layer_outputs(
    layers: nn.ModuleList, receive: Callable[[int, Tensor], None], stop_after: int | None
) -> Iterator[None]:
    """Hand on what the first layer reads, and each layer's output but the last, which is still to
    be normalised."""

    def receive_input(module: nn.Module, arguments: Any, keywords: Any) -> None:
        receive(EMBEDDING, arguments[0] if arguments else keywords["hidden_states"])

    handles = [layers[0].register_forward_pre_hook(receive_input, with_kwargs=True)]

    def make_hook(index: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            receive(index, output[0] if isinstance(output, tuple) else output)
            if index == stop_after:
                raise _HighestLayerReached

        return hook

    for index, layer in enumerate(list(layers)[:-1]):
        handles.append(layer.register_forward_hook(make_hook(index)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pad_right(batch: Sequence[Encoding], device: torch.device) -> tuple[Tensor, Tensor]:
    longest = max(len(encoding.token_ids) for encoding in batch)
    token_ids = torch.zeros((len(batch), longest), dtype=torch.long)
    attention_mask = torch.zeros((len(batch), longest), dtype=torch.long)
    for row, encoding in enumerate(batch):
        token_ids[row, : len(encoding.token_ids)] = torch.tensor(encoding.token_ids)
        attention_mask[row, : len(encoding.token_ids)] = 1
    return token_ids.to(device), attention_mask.to(device)
