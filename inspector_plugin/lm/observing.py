"""Watching a decoder while it runs: what each layer puts out, and where to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import EMBEDDING, ForwardPlan
from inspector_plugin.lm.pooling import attention_entropy

# Takes layer, whether these are attention entropies (else hidden states), [batch, tokens, width].
Receive = Callable[[int, bool, Tensor], None]


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


def run_decoder(
    language_model: LanguageModel,
    token_ids: Tensor,
    keywords: dict[str, Any],
    plan: ForwardPlan,
    receive: Receive,
    stop_early: bool = True,
) -> Any:
    """Run the decoder, handing on what a plan's features are made of.

    Args:
        language_model: The model.
        token_ids: [batch, tokens].
        keywords: What else the decoder takes.
        plan: What to hand on.
        receive: Takes it, layer by layer.
        stop_early: Whether to stop after the plan's highest layer.

    Returns:
        The decoder's output; None if it was stopped.

    Raises:
        ModelError: If the model hands out no attention weights, and the plan asks for some.
    """
    decoder = decoder_of(language_model.model)
    last = language_model.layers - 1
    stop_after = plan.highest_layer if stop_early and plan.highest_layer < last else None
    with torch.inference_mode(), ExitStack() as stack:
        layers = decoder_layers(decoder)
        stack.enter_context(_layer_outputs(layers, receive, stop_after))
        if plan.attention_layers:
            stack.enter_context(_attention_weights(language_model, layers, plan, receive))
        try:
            output = decoder(token_ids, **keywords)
        except _HighestLayerReached:
            return None
        receive(last, False, output.last_hidden_state)
        return output


class _HighestLayerReached(Exception):
    """Ends a forward pass from within: no layer above this one was asked for."""


@contextmanager
def _layer_outputs(
    layers: nn.ModuleList, receive: Receive, stop_after: int | None
) -> Iterator[None]:
    """Hand on what the first layer reads, and each layer's output but the last, not yet normed."""

    def receive_input(module: nn.Module, arguments: Any, keywords: Any) -> None:
        receive(EMBEDDING, False, arguments[0] if arguments else keywords["hidden_states"])

    def make_hook(index: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            receive(index, False, output[0] if isinstance(output, tuple) else output)
            if index == stop_after:
                raise _HighestLayerReached

        return hook

    with ExitStack() as stack:
        handle = layers[0].register_forward_pre_hook(receive_input, with_kwargs=True)
        stack.callback(handle.remove)
        for index, layer in enumerate(list(layers)[:-1]):
            stack.callback(layer.register_forward_hook(make_hook(index)).remove)
        yield


@contextmanager
def _attention_weights(
    language_model: LanguageModel, layers: nn.ModuleList, plan: ForwardPlan, receive: Receive
) -> Iterator[None]:
    """Make the weights of attention, and hand on the entropies of the layers that are wanted.

    Only the plainest implementation of attention has weights to show.
    """
    model = language_model.model
    usual = model.config._attn_implementation

    def make_hook(index: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
            if not isinstance(weights, Tensor) or weights.dim() != 4:
                raise ModelError(
                    f"Language model {language_model.name!r} ({type(model).__name__}) hands out no "
                    "attention weights; leave out the pooling attention_entropy."
                )
            receive(index, True, attention_entropy(weights))

        return hook

    with ExitStack() as stack:
        model.set_attn_implementation("eager")
        stack.callback(model.set_attn_implementation, usual)
        for index in plan.attention_layers:
            module = _attention_module(layers[index])
            stack.callback(module.register_forward_hook(make_hook(index)).remove)
        yield


def _attention_module(layer: nn.Module) -> nn.Module:
    for name, module in layer.named_children():
        # A norm beside it may be named after it.
        if ("attn" in name or "attention" in name) and "norm" not in name:
            return module
    raise ModelError(f"{type(layer).__name__}: cannot find its attention.")
