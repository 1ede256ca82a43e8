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
import json
import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from inspector_plugin.errors import ModelError, OptionError
from inspector_plugin.lm.adapters import CARD, CONFIG, WEIGHTS, read_adapter
from inspector_plugin.lm.generation import encode_chat, end_ids_of
from inspector_plugin.lm.loading import LanguageModel, load_own_copy
from inspector_plugin.lm.lora_plan import Example, LoraSettings, Preference, Training
from inspector_plugin.lm.templates import Chat
from inspector_plugin.progress import Progress

EXTRA = "tune"


def encode_completion(language_model: LanguageModel, text: str) -> tuple[int, ...]:
    """Turn what a model is to write into token ids, ending with the token that ends an answer."""
    ids = language_model.tokenizer(
        text, add_special_tokens=False, split_special_tokens=True, verbose=False
    ).input_ids
    return (*ids, end_ids_of(language_model)[0])


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
    require_trainers()
    if not rows:
        raise ModelError("there is nothing to train an adapter on")
    language_model = load_own_copy(base, device, dtype)
    _require_room(language_model, rows)
    if language_model.device.type == "cuda" and torch.cuda.device_count() > 1:
        raise OptionError(
            "Training an adapter takes one GPU and several can be seen; set CUDA_VISIBLE_DEVICES=0."
        )
    try:
        with _quiet():
            model = with_adapter(language_model, settings, start)
            losses, accuracies = _run_trainer(objective, model, language_model, rows, settings)
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


def _run_trainer(
    objective: str,
    model: Any,
    language_model: LanguageModel,
    rows: Sequence[Mapping[str, list[int]]],
    settings: LoraSettings,
) -> tuple[list[float], list[float]]:
    """Train, and return the losses and accuracies of the steps."""
    from datasets import Dataset
    from transformers import PrinterCallback

    trl, _ = require_trainers()

    preference_trainer: Any = trl.DPOTrainer

    class TokenPreferences(preference_trainer):  # type: ignore[misc]
        """Takes pairs that are token ids already, which TRL's own has no option for."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    steps = math.ceil(len(rows) / settings.batch_size) * settings.epochs
    with (
        tempfile.TemporaryDirectory() as scratch,
        Progress(steps, "Training", "step") as progress,
    ):
        common = _arguments(settings, len(rows), scratch, language_model.device.type == "cuda")
        trainer_class: Any = TokenPreferences
        if objective == "supervised":
            trainer_class = trl.SFTTrainer
            arguments = trl.SFTConfig(**common, dataset_kwargs={"skip_prepare_dataset": True})
        else:
            arguments = trl.DPOConfig(**common, beta=settings.beta)
        note = _callback(progress)
        trainer = trainer_class(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([dict(row) for row in rows]),
            processing_class=language_model.tokenizer,
            callbacks=[note],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return note.losses, note.accuracies


def _arguments(
    settings: LoraSettings, examples: int, scratch: str, on_cuda: bool
) -> dict[str, Any]:
    """What both of TRL's trainers are told."""
    at_once = min(settings.at_once, settings.batch_size, examples)
    return {
        "output_dir": scratch,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "linear",
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": max(1, settings.batch_size // at_once),
        "seed": settings.seed,
        "use_cpu": not on_cuda,
        "bf16": on_cuda,
        "gradient_checkpointing": on_cuda,
        "max_length": None,
        "dataloader_pin_memory": on_cuda,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the terminal what is not for the user: bars, and TRL's use of old names."""
    from datasets.utils import logging as datasets_logging

    shown = datasets_logging.is_progress_bar_enabled()
    datasets_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            datasets_logging.enable_progress_bar()


def _callback(progress: Progress) -> Any:
    from transformers import TrainerCallback

    class Note(TrainerCallback):
        """Keeps the loss of each step, and shows progress."""

        def __init__(self) -> None:
            self.losses: list[float] = []
            self.accuracies: list[float] = []

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            logs = logs or {}
            if "loss" in logs:
                self.losses.append(float(logs["loss"]))
                progress.advance(note=f"loss {self.losses[-1]:.3f}")
            if "rewards/accuracies" in logs:
                self.accuracies.append(float(logs["rewards/accuracies"]))

    return Note()


def write_adapter(model: Any, language_model: LanguageModel, base: str, out: Path) -> None:
    """Write the adapter to a folder that is there whole or not at all."""
    draft = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.parent.mkdir(parents=True, exist_ok=True)
        # PEFT names the folder that the model was read from; people use the name they know it by.
        model.peft_config["default"].base_model_name_or_path = base
        model.save_pretrained(
            draft,
            selected_adapters=["default"],
            safe_serialization=True,
            save_embedding_layers=False,  # else PEFT looks for the base model at the hub
        )
        card = {"base": base, "base_fingerprint": language_model.fingerprint}
        (draft / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        for path in draft.iterdir():
            if path.name not in (CONFIG, WEIGHTS, CARD):
                path.unlink()
        shutil.rmtree(out, ignore_errors=True)
        draft.rename(out)
    except OSError as error:
        raise ModelError(f"Cannot write the adapter {out}: {error}.") from error


def write_card(folder: Path, card: Mapping[str, Any], readme: str) -> None:
    """Add what there is to say of an adapter to the card that training wrote, and a README.

    Args:
        folder: The adapter's folder.
        card: What to add, as values that JSON can hold.
        readme: The same for people, in Markdown.

    Raises:
        ModelError: If they cannot be written.
    """
    from inspector_plugin.data.files import write_whole
    from inspector_plugin.lm.adapters import read_adapter_card

    content = {**read_adapter_card(folder), **card}
    try:
        write_whole(folder / CARD, (json.dumps(content, indent=2) + "\n").encode())
        write_whole(folder / "README.md", readme.encode("utf-8", "replace"))
    except OSError as error:
        raise ModelError(f"Cannot write the card of {folder}: {error}.") from error


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
