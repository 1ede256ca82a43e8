"""From hidden states to logits, as the language model itself does it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel


def unembed(language_model: LanguageModel, states: Tensor) -> Tensor:
    """Turn states of the last layer into logits over the vocabulary.

    Args:
        language_model: The model.
        states: The final norm applied, [..., hidden size].

    Returns:
        [..., vocabulary], in the model's number format.
    """
    head = language_model.model.get_output_embeddings()
    return scaled(head(states), language_model.model.config.get_text_config())


def scaled(logits: Tensor, config: Any) -> Tensor:
    """Scale logits and cap them softly, as a model's configuration says."""
    # Cohere and Falcon-H1 multiply by the one, Granite divides by the other.
    multiplier = _number(config, "logit_scale") * _number(config, "lm_head_multiplier")
    factor = multiplier / _number(config, "logits_scaling")
    if factor != 1:  # for most models it is, and the logits are many
        logits = logits * factor
    softcap = getattr(config, "final_logit_softcapping", None)
    return torch.tanh(logits / softcap) * softcap if softcap else logits


def unknown_head(language_model: LanguageModel) -> ModelError:
    """Say that what `unembed` or `scaled` gives is not what the model itself does."""
    return ModelError(
        f"Language model {language_model.name!r} ({type(language_model.model).__name__}) turns "
        "hidden states into logits in a way that is not known here; choose another model."
    )


def _number(config: Any, name: str) -> float:
    value = getattr(config, name, None)
    return 1.0 if value is None else float(value)
