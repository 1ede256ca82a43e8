"""Training a LoRA adapter of a causal language model: supervised, and on preferences (DPO).

The trainers are TRL's, the adapter is PEFT's; both come with the extra `tune`. Texts are tokenised
by us, as they are for generating: a special token that a text spells out is read as ordinary
characters. Nothing but safetensors and JSON is written, and nothing else is read when training goes
on from an adapter: the state of the optimiser is not kept.

Sources: Hu et al., LoRA (arXiv 2106.09685); Rafailov et al., Direct Preference Optimization (arXiv
2305.18290).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from inspector_plugin.errors import ModelError, OptionError
from inspector_plugin.lm.adapter_files import write_adapter
from inspector_plugin.lm.adapters import WEIGHTS, read_adapter
from inspector_plugin.lm.generation import encode_chat, end_ids_of
from inspector_plugin.lm.loading import LanguageModel, load_own_copy
from inspector_plugin.lm.lora_plan import Example, LoraSettings, Preference, Training
from inspector_plugin.lm.lora_trainer import quiet, run_trainer
from inspector_plugin.lm.templates import Chat
from inspector_plugin.lm.tokens import text_ids

EXTRA = "tune"


def encode_completion(language_model: LanguageModel, text: str) -> tuple[int, ...]:
    """Turn what a model is to write into token ids, ending with the token that ends an answer."""
    return (*text_ids(language_model.tokenizer, text), end_ids_of(language_model)[0])


def encode_prompt(language_model: LanguageModel, chat: Chat) -> tuple[int, ...]:
    """Turn a chat into token ids, as for generating; see `encode_chat`."""
    return tuple(encode_chat(language_model, chat))


def train_supervised(
    base: str,
    examples: Sequence[Example],
    out: Path,
    settings: LoraSettings,
    *,
    start: Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> Training:
    """Train an adapter to write the completions of examples; the prompts do not count.

    Args:
        base: The base model, a name as `load_language_model` takes it, but no adapter.
        examples: The examples, at least one.
        out: The folder to write: there whole when this returns.
        settings: How to train.
        start: An adapter of the same base to go on from; a fresh one if None.
        device: A torch device; CUDA where there is one if None.
        dtype: The number format of the base model's weights; see `load_language_model`.

    Returns:
        What was done, with the losses.

    Raises:
        ModelError: If the base cannot be loaded, memory does not suffice, or the loss is not a
            number.
        OptionError: If TRL or PEFT is not installed.
    """
    rows = [
        {
            "input_ids": [*each.prompt, *each.completion],
            "labels": [-100] * len(each.prompt) + list(each.completion),
        }
        for each in examples
    ]
    return _train("supervised", base, rows, out, settings, start, device, dtype)


def train_preference(
    base: str,
    pairs: Sequence[Preference],
    out: Path,
    settings: LoraSettings,
    *,
    start: Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> Training:
    """Train an adapter by DPO to favour the better of two continuations.

    The model that the adapter is held to is the one that it starts from: base and `start`.

    Args:
        base: The base model.
        pairs: The pairs, at least one.
        out: The folder to write.
        settings: How to train.
        start: An adapter to go on from.
        device: A torch device.
        dtype: The number format of the base model's weights.

    Returns:
        What was done, with losses and accuracies.

    Raises:
        ModelError, OptionError: As `train_supervised`.
    """
    rows = [
        {
            "prompt_ids": list(each.prompt),
            "chosen_ids": list(each.chosen),
            "rejected_ids": list(each.rejected),
        }
        for each in pairs
    ]
    return _train("preference", base, rows, out, settings, start, device, dtype)


def require_trainers() -> tuple[Any, Any]:
    """Import what training needs, or say how to install it.

    Returns:
        The modules trl and peft.

    Raises:
        OptionError: If TRL or PEFT is missing.
    """
    try:
        return importlib.import_module("trl"), importlib.import_module("peft")
    except ImportError as error:
        raise OptionError(
            f"Training an adapter needs the packages trl and peft ({error}): "
            f"pip install 'inspector_plugin[{EXTRA}]'"
        ) from error


def _train(
    objective: str,
    base: str,
    rows: Sequence[Mapping[str, list[int]]],
    out: Path,
    settings: LoraSettings,
    start: Path | None,
    device: str | None,
    dtype: str | None,
) -> Training:
    trl, _ = require_trainers()
    if not rows:
        raise ModelError("there is nothing to train an adapter on")
    language_model = load_own_copy(base, device, dtype)
    _require_room(language_model, rows)
    if language_model.device.type == "cuda" and torch.cuda.device_count() > 1:
        raise OptionError(
            "Training an adapter takes one GPU and several can be seen; set CUDA_VISIBLE_DEVICES=0."
        )
    try:
        with quiet():
            model = with_adapter(language_model, settings, start)
            losses, accuracies = run_trainer(trl, objective, model, language_model, rows, settings)
    except torch.cuda.OutOfMemoryError as error:
        raise ModelError(
            f"Training an adapter of {base!r}: memory does not suffice for {settings.at_once} "
            "examples at once; take fewer, or shorter ones."
        ) from error
    if not losses or not all(map(math.isfinite, losses)):
        raise ModelError(
            f"Training an adapter of {base!r}: the loss is not a number; lower the learning rate "
            f"({settings.learning_rate})."
        )
    write_adapter(model, language_model, base, out)
    return Training(objective, len(rows), tuple(losses), tuple(accuracies))


def with_adapter(
    language_model: LanguageModel, settings: LoraSettings, start: Path | None = None
) -> Any:
    """Put a LoRA adapter into a language model of one's own, by PEFT.

    Args:
        language_model: The model; its linear layers are replaced in place.
        settings: Rank, alpha and seed.
        start: An adapter to begin with; a fresh one, which changes nothing yet, if None.

    Returns:
        PEFT's model, in which nothing but the adapter can be trained.

    Raises:
        ModelError: If `start` does not fit.
        OptionError: If TRL or PEFT is not installed.
    """
    _, peft = require_trainers()
    torch.manual_seed(settings.seed)  # of the first weights
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        fan_in_fan_out=_has_conv1d(language_model.model),
    )
    model = peft.get_peft_model(language_model.model, config)
    if start is not None:
        read_adapter(start)
        found = peft.set_peft_model_state_dict(model, load_file(start / WEIGHTS))
        missing = [key for key in found.missing_keys if ".lora_" in key]
        if missing or found.unexpected_keys:
            raise ModelError(
                f"Adapter {start} was trained with other settings or for another model; give the "
                "rank that it was trained with, or begin anew."
            )
    return model


def _require_room(language_model: LanguageModel, rows: Sequence[Mapping[str, list[int]]]) -> None:
    def tokens(row: Mapping[str, list[int]]) -> int:
        if "input_ids" in row:
            return len(row["input_ids"])
        return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))

    longest = max(map(tokens, rows))
    if longest > language_model.max_tokens:
        raise ModelError(
            f"Training an adapter of {language_model.name!r}: an example has {longest} tokens and "
            f"the model reads {language_model.max_tokens}; leave such examples out."
        )


def _has_conv1d(model: nn.Module) -> bool:
    """Whether a model keeps its weights as GPT-2 does, the other way round."""
    return any(type(module).__name__ == "Conv1D" for module in model.modules())
