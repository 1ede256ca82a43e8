"""How the arms of a fine-tuning study are trained: plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from inspector_plugin.lm.lora_plan import MOST_EPOCHS, LoraSettings, require_within

QUESTION = "{question}"


@dataclass(frozen=True)
class SftPlan:
    """How the arms of a study are trained.

    Attributes:
        base: The base model.
        arms: The names of the arms.
        share: How much of the problems an arm holds.
        epochs: How often it shows each row.
        tolerance: By how much the arms may differ in tokens.
        prompt: What the model is asked; `{question}` stands for the problem.
        max_length: The most tokens of prompt and response together.
        settings: How the adapters are trained; its epochs are 1, since `epochs` is in the rows.
        dtype: The number format of the base model's weights.
        device: Where training runs.

    Raises:
        OptionError: If `epochs` is out of range.
    """

    base: str
    arms: tuple[str, ...]
    share: float
    epochs: int
    tolerance: float
    prompt: str
    max_length: int
    settings: LoraSettings
    dtype: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        require_within("--epochs", self.epochs, 1, MOST_EPOCHS)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; where it runs decides nothing."""
        return {key: value for key, value in asdict(self).items() if key != "device"}
