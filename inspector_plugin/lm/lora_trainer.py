"""TRL's trainers as `lm/lora.py` runs them: on token ids, quietly, nothing kept on the disk."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.lora_plan import LoraSettings
from inspector_plugin.progress import Progress


def run_trainer(
    trl: Any,
    objective: str,
    model: Any,
    language_model: LanguageModel,
    rows: Sequence[Mapping[str, list[int]]],
    settings: LoraSettings,
) -> tuple[list[float], list[float]]:
    """Train the adapter in a model, without a word on the terminal but our own progress.

    Args:
        trl: The module, as `lora.require_trainers` found it.
        objective: "supervised" or "preference".
        model: PEFT's model.
        language_model: The language model that it is of.
        rows: Token ids: `input_ids` and `labels`, or `prompt_ids`, `chosen_ids`, `rejected_ids`.
        settings: How to train.

    Returns:
        The losses and, on preferences, the accuracies of the steps.
    """
    from datasets import Dataset
    from transformers import PrinterCallback

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
def quiet() -> Iterator[None]:
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
