"""What tuning a generator of rubrics consists of: the plan, its stages, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from inspector_plugin.lm.lora_plan import LoraSettings, Training
from inspector_plugin.rubrics.rewards import LABELS, LENGTH_RATIO
from inspector_plugin.rubrics.sampling import Draw


@dataclass(frozen=True)
class TuningPlan:
    """How a generator is tuned.

    Attributes:
        base: The generator: a causal language model, as `load_language_model` takes it.
        reward: "labels" or "meta-judge".
        draw: How candidates are drawn.
        rounds: Rounds of DPO, after the supervised start.
        shown: Whether the generator is shown two responses to each problem.
        length_ratio: How many times as long as the other the longer rubric of a pair may be.
        supervised: How the supervised start is trained.
        preference: How DPO is trained.
        device: A torch device; CUDA where there is one if None.
        dtype: The number format of the weights.
    """

    base: str
    reward: str = LABELS
    draw: Draw = field(default_factory=Draw)
    rounds: int = 2
    shown: bool = True
    length_ratio: float = LENGTH_RATIO
    supervised: LoraSettings = field(default_factory=LoraSettings)
    preference: LoraSettings = field(default_factory=lambda: LoraSettings(learning_rate=5e-5))
    device: str | None = None
    dtype: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what decides the outcome, as values that JSON can hold."""
        row = asdict(self)
        del row["device"]
        return row


@dataclass(frozen=True)
class Stage:
    """What a stage of tuning did.

    Attributes:
        name: "supervised", "round 1", ...
        problems: Problems that candidates were drawn for.
        candidates: Candidates drawn.
        valid: Candidates that are rubrics and got a reward.
        dropped: Problems with fewer than two of these, which are left out.
        unused: Further problems that gave no example: no reward above chance, or no two rubrics of
            similar length and different reward.
        mean_reward: Mean reward of the valid candidates; None if there are none.
        training: What was trained; None if there was nothing to train on.
    """

    name: str
    problems: int
    candidates: int
    valid: int
    dropped: int
    unused: int
    mean_reward: float | None
    training: Training | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the card."""
        training = None if self.training is None else self.training.to_json()
        return {**vars(self), "training": training}

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Stage:
        """Make the stage that `to_json` wrote.

        Raises:
            KeyError, TypeError: If it is malformed.
        """
        known = dict(row)
        training = known.pop("training")
        if training is not None:
            losses, accuracies = (tuple(training.get(k, ())) for k in ("losses", "accuracies"))
            training = Training(training["objective"], training["examples"], losses, accuracies)
        return Stage(**known, training=training)


@dataclass(frozen=True)
class Tuned:
    """A tuned generator.

    Attributes:
        folder: The adapter's folder.
        stages: What was done.
        problems: How many problems it was tuned on.
        too_long: How many problems were left out because the model has no room for the prompt.
    """

    folder: Path
    stages: tuple[Stage, ...]
    problems: int
    too_long: int
