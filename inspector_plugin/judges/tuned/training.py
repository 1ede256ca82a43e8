"""Fitting one model: AdamW, a linear schedule, class weights, early stopping by validation loss."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inspector_plugin.errors import ModelError, OptionError
from inspector_plugin.judges.tuned.examples import Array, Examples
from inspector_plugin.judges.tuned.loss import Loss
from inspector_plugin.judges.tuned.model import (
    MOST_TOKENS,
    Text,
    TunedModel,
    encode_text,
    load_base,
)
from inspector_plugin.judges.tuned.plan import ENCODER, LORA, TuningPlan
from inspector_plugin.lm.batches import is_out_of_memory
from inspector_plugin.lm.loading import resolve_device
from inspector_plugin.lm.lora_plan import LoraSettings
from inspector_plugin.lm.number_format import chosen_dtype

_WARM_UP = 0.1
_HEAD_RATE = 10.0
_WEIGHT_DECAY = 0.01
_MOST_GRADIENT = 1.0
_ROWS_AT_ONCE = 32

OnStep = Callable[[int, str], None]
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Fitted:
    """A model as it was at its best epoch; it lasts until its tuner fits the next.

    Attributes:
        model: The model, in evaluation mode.
        adapter: PEFT's model around the base, if the kind is lora.
        epochs: The epoch, from 1, whose validation loss was lowest.
        validation_loss: The loss after each epoch on the examples that were held back.
    """

    model: TunedModel
    adapter: Any
    epochs: int
    validation_loss: tuple[float, ...]

    def probabilities(self, texts: Sequence[Text]) -> dict[str, Array]:
        """Return the probabilities of the labels, [texts, labels] float64, by criterion."""
        parts: dict[str, list[Tensor]] = {key: [] for key in self.model.keys}
        with torch.inference_mode():
            for start in range(0, len(texts), _ROWS_AT_ONCE):
                found = self.model(texts[start : start + _ROWS_AT_ONCE])
                for key, logs in found.items():
                    parts[key].append(logs.double().softmax(dim=1).cpu())
        return {key: torch.cat(each).numpy() for key, each in parts.items()}


class Tuner:
    """Fits models of one plan, each from the same base model.

    Attributes:
        plan: The plan.
        base: The base model.
        dtype: What is computed in.
        max_tokens: The most tokens of a text.
    """

    def __init__(self, plan: TuningPlan, base: str, device: str | None, dtype: str | None) -> None:
        """Load the base model.

        Args:
            plan: What to fit and how.
            base: The base model, by name.
            device: A torch device; CUDA where there is one if None.
            dtype: "float32", "bfloat16" or "auto": what is computed in. float32 on a CPU and
                bfloat16 on CUDA if None. Weights that are trained are float32 always.

        Raises:
            ModelError: If it cannot be loaded.
            OptionError: If the device, the dtype or the plan's number of tokens cannot be used.
        """
        if plan.kind == LORA:
            from inspector_plugin.lm.lora import require_trainers

            require_trainers()
        chosen = chosen_dtype(dtype, resolve_device(device))
        self.plan = plan
        self.dtype = chosen
        kept = chosen if plan.kind == LORA else "float32"
        self.base = load_base(plan.kind, base, device, kept)
        self.max_tokens = min(plan.max_tokens or MOST_TOKENS, self.base.max_tokens)
        if plan.max_tokens is not None and plan.max_tokens > self.base.max_tokens:
            raise OptionError(
                f"--max-tokens {plan.max_tokens}: {base!r} reads at most {self.base.max_tokens}."
            )
        self._initial: Weights = {}
        if plan.kind == ENCODER:
            state = self.base.model.state_dict()
            self._initial = {name: value.cpu().clone() for name, value in state.items()}
        self._adapter: Any = None

    def encode(self, examples: Examples) -> list[Text]:
        """Turn the texts of examples into token ids.

        Raises:
            ModelError: If most problems leave no room for a token of the response.
        """
        texts = [
            encode_text(self.base, question, response, self.max_tokens)
            for question, response in zip(examples.questions, examples.responses, strict=True)
        ]
        questions = set(examples.questions)
        full = sum(not self._has_room(question) for question in questions)
        if 2 * full > len(questions):
            remedy = "choose a base with a longer context"
            if self.max_tokens < self.base.max_tokens:
                remedy += ", or a higher --max-tokens"
            raise ModelError(
                f"{full} of {len(questions)} problems alone have as many tokens as are read of "
                f"problem and response together ({self.max_tokens}); {remedy}."
            )
        empty = next((place for place, text in enumerate(texts) if not text.response_tokens), None)
        if empty is not None:
            raise ModelError(
                f"{self.base.name!r} has no token for the response "
                f"{examples.responses[empty]!r:.60}; leave that row out."
            )
        return texts

    def _has_room(self, question: str) -> bool:
        """Whether a problem fits whole, with a token of a response."""
        return not encode_text(self.base, question, "a", self.max_tokens).truncated

    def fit(
        self,
        texts: Sequence[Text],
        examples: Examples,
        keys: Sequence[str],
        parts: tuple[Array, Array],
        seed: int,
        on_step: OnStep,
    ) -> Fitted:
        """Fit a model from the base.

        Args:
            texts: The texts of all examples.
            examples: The examples.
            keys: The criteria that the model judges, by key.
            parts: Indices of the examples to fit on, and of those to stop by.
            seed: Seed of heads, adapter, order and dropout.
            on_step: Told of each step of the optimiser, and of what is left where it stops early.

        Raises:
            ModelError: If memory does not suffice, or the loss is not a number.
        """
        columns = [index for index, each in enumerate(examples.criteria) if each.key in keys]
        labels = torch.from_numpy(examples.labels[:, columns])
        criteria = [examples.criteria[column] for column in columns]
        counts = {each.key: len(self.plan.scale_of(each).labels) for each in criteria}
        with _seeded(seed, self.base.device):
            model = self._fresh(counts, seed)
            loss = Loss(labels[parts[0]], tuple(counts.values()), self.plan.class_weights)
            try:
                epochs, losses = self._run(model, texts, labels, parts, loss, seed, on_step)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                raise ModelError(
                    f"Tuning {self.base.name!r}: memory does not suffice for "
                    f"{self.plan.batch_size} rows at once; lower --batch-size or --max-tokens."
                ) from error
        return Fitted(model, self._adapter, epochs, tuple(losses))

    def _fresh(self, counts: dict[str, int], seed: int) -> TunedModel:
        """The base as it was at first, with fresh heads and a fresh adapter."""
        if self.plan.kind == ENCODER:
            self.base.model.load_state_dict(self._initial)
            self.base.model.requires_grad_(True)
        else:
            from inspector_plugin.lm.lora import with_adapter

            if self._adapter is not None:
                self._adapter.unload()
            rank = self.plan.rank
            settings = LoraSettings(rank=rank, alpha=2.0 * rank, seed=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # PEFT calls things by old names
                self._adapter = with_adapter(self.base, settings)
        return TunedModel(self.base, self.plan.target, counts, self.dtype == "bfloat16")

    def _run(
        self,
        model: TunedModel,
        texts: Sequence[Text],
        labels: Tensor,
        parts: tuple[Array, Array],
        loss: Loss,
        seed: int,
        on_step: OnStep,
    ) -> tuple[int, list[float]]:
        """Train; the model is left as it was at its best epoch."""
        plan, (fitting, stopping) = self.plan, parts
        steps = steps_of(len(fitting), plan)
        optimiser = _optimiser(model, plan.rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
        order = np.random.default_rng(seed)
        losses: list[float] = []
        best, best_epoch, done = _trained(model), 0, 0
        for epoch in range(1, plan.epochs + 1):
            model.train()
            shuffled = order.permutation(fitting)
            for start in range(0, len(shuffled), plan.batch_size):
                chosen = shuffled[start : start + plan.batch_size]
                value = loss(model([texts[i] for i in chosen]), labels[chosen])
                optimiser.zero_grad()
                value.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), _MOST_GRADIENT)
                optimiser.step()
                schedule.step()
                done += 1
                on_step(1, f"loss {value.item():.3f}")
            losses.append(_mean_loss(model, texts, labels, stopping, loss))
            if not math.isfinite(losses[-1]):
                raise ModelError(
                    f"Tuning {self.base.name!r}: the loss is not a number; lower --learning-rate "
                    f"({plan.rate:g})."
                )
            if losses[-1] == min(losses):
                best, best_epoch = _trained(model), epoch
            if epoch - best_epoch >= plan.patience:
                break
        on_step(steps - done, "")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in best:
                    parameter.copy_(best[name])
        model.eval()
        return best_epoch, losses


def steps_of(rows: int, plan: TuningPlan) -> int:
    """How many steps of the optimiser fitting on some rows takes at most."""
    return plan.epochs * math.ceil(rows / plan.batch_size)


def _mean_loss(
    model: TunedModel, texts: Sequence[Text], labels: Tensor, chosen: Array, loss: Loss
) -> float:
    """The loss over all of some examples."""
    model.eval()
    total = weight = 0.0
    with torch.inference_mode():
        for start in range(0, len(chosen), _ROWS_AT_ONCE):
            some = chosen[start : start + _ROWS_AT_ONCE]
            part, own = loss.total(model([texts[i] for i in some]), labels[some])
            total, weight = total + float(part), weight + float(own)
    return total / weight


def _optimiser(model: TunedModel, rate: float) -> torch.optim.Optimizer:
    """AdamW: fresh heads learn faster than the base; biases and norms do not decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kind = (name.startswith("heads."), parameter.ndim > 1)
            groups.setdefault(kind, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rate * (_HEAD_RATE if is_head else 1),
                "weight_decay": _WEIGHT_DECAY if decays else 0.0,
            }
            for (is_head, decays), parameters in groups.items()
        ]
    )


def _rate(step: int, steps: int) -> float:
    """The share of the highest rate at a step: up over a tenth of the steps, then down to 0."""
    warm = max(1, round(_WARM_UP * steps))
    return min((step + 1) / warm, (steps - step) / max(1, steps - warm))


def _trained(model: TunedModel) -> Weights:
    """A copy of what is trained."""
    return {
        name: parameter.detach().cpu().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from a seed, and leave the process's random numbers as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
