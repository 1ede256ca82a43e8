"""How a LoRA adapter is trained, what on, and what came of it: plain values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from inspector_plugin.errors import OptionError

_PREFERENCE_BETA = 0.1
# More than is of use for any data; beyond it, a slip of the finger takes years or all memory.
MOST_EPOCHS = 1_000
MOST_RANK = 1_024
MOST_IN_BATCH = 65_536


@dataclass(frozen=True)
class LoraSettings:
    """How an adapter is trained.

    Attributes:
        rank: The rank r of the matrices.
        alpha: Their product is multiplied by alpha / r.
        epochs: How often each example is seen.
        learning_rate: Of AdamW; it falls linearly to 0.
        batch_size: Examples for each step of the optimiser.
        at_once: Examples in memory at once; gradients are added up to `batch_size`.
        beta: DPO's beta: how close to its start a model trained on preferences stays.
        seed: Of the adapter's first weights and of the order of the examples.
    """

    rank: int = 16
    alpha: float = 32.0
    epochs: int = 1
    learning_rate: float = 1e-4
    batch_size: int = 8
    at_once: int = 1
    beta: float = _PREFERENCE_BETA
    seed: int = 0

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            require_within(name, getattr(self, name), 1, most)
        for name in ("alpha", "learning_rate", "beta"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise OptionError(f"{name} must be a number above 0, not {value}.")


_MOST = {
    "rank": MOST_RANK,
    "epochs": MOST_EPOCHS,
    "batch_size": MOST_IN_BATCH,
    "at_once": MOST_IN_BATCH,
}


def require_within(name: str, value: int, least: int, most: int) -> None:
    """Refuse a number that is too small or too large.

    Args:
        name: What it is called in the message.
        value: The number.
        least: The smallest that will do.
        most: The largest that will do.

    Raises:
        OptionError: If it is one.
    """
    if not least <= value <= most:
        bound = f"at least {least}" if value < least else f"at most {most}"
        raise OptionError(f"{name} must be {bound}, not {str(value)[:40]}.")


@dataclass(frozen=True)
class Example:
    """A prompt and what the model is to write after it, as token ids."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]


@dataclass(frozen=True)
class Preference:
    """A prompt and two continuations, the better and the worse one, as token ids."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


@dataclass(frozen=True)
class Training:
    """What a training run did.

    Attributes:
        objective: "supervised" or "preference".
        examples: How many there were.
        losses: The loss at each step of the optimiser.
        accuracies: At each step, the share of pairs whose better continuation the model has come
            to favour, against its start; none where training is supervised.
    """

    objective: str
    examples: int
    losses: tuple[float, ...]
    accuracies: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return {key: value for key, value in asdict(self).items() if value != ()}
