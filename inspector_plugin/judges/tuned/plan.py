"""What to fine-tune and how: plain values, checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from inspector_plugin.data import shapes
from inspector_plugin.errors import OptionError, one_of
from inspector_plugin.judges.running import require_seed
from inspector_plugin.lm.lora_plan import MOST_EPOCHS, MOST_IN_BATCH, MOST_RANK, require_within
from inspector_plugin.plugins.options import option
from inspector_plugin.schema.criteria import BINARY, LABELS, Criterion, Scale

JUDGE = "tuned"
ENCODER, LORA = KINDS = ("encoder", "lora")
MULTICLASS, BINARY_LABELS = LABELS
ORDINAL = "ordinal"
TARGETS = (*LABELS, ORDINAL)
# Small encoders and adapters bear higher rates than RoBERTa's 1e-5 to 3e-5.
_LEARNING_RATES = {ENCODER: 1e-4, LORA: 2e-4}


@dataclass(frozen=True)
class TuningPlan:
    """What to fine-tune and how.

    Attributes:
        kind: "encoder" or "lora".

    Raises:
        OptionError: If a value cannot be used.
    """

    kind: str
    target: str = option(
        MULTICLASS,
        "multiclass: each label by itself; ordinal: labels in their order; binary: low/high "
        "quality",
        TARGETS,
    )
    per_criterion: bool = option(False, "a model for each criterion; else one shared by all")
    dataset: str | None = option(
        None, "the data set of SCORED; scores on others are then flagged transferred"
    )
    max_tokens: int | None = option(
        None, "most tokens of question and response together; default: 512, or what the base reads"
    )
    epochs: int = option(4, "most passes over the training rows")
    patience: int = option(1, "stop after so many epochs without a lower validation loss")
    validation: float = option(0.15, "share of the training problems that early stopping looks at")
    learning_rate: float | None = option(
        None, "highest rate; heads get ten times it; default: 1e-4 for encoder, 2e-4 for lora"
    )
    batch_size: int = option(16, "rows for each step of the optimiser")
    class_weights: bool = option(True, "let rare labels count as much as frequent ones")
    rank: int = option(16, "rank of LoRA's matrices")
    folds: int = option(5, "folds of problems for the figures")
    seed: int = option(0, "seed of everything that is drawn")

    def __post_init__(self) -> None:
        for name, choices in (("kind", KINDS), ("target", TARGETS)):
            if getattr(self, name) not in choices:
                raise OptionError(one_of(getattr(self, name), choices, name))
        for name, bounds in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None:
                require_within("--" + name.replace("_", "-"), value, *bounds)
        if not 0 < self.validation < 0.9:
            raise OptionError(f"--validation must be above 0 and below 0.9, not {self.validation}.")
        if not 0 < self.rate <= 1:
            raise OptionError(f"--learning-rate must be above 0 and at most 1, not {self.rate}.")
        require_seed(self.seed)
        if self.dataset is not None:
            try:
                shapes.name(self.dataset, "--dataset")
            except ValueError as error:
                raise OptionError(f"{error}.") from error

    @property
    def labels(self) -> str:
        """What comes out, "multiclass" or "binary"."""
        return BINARY_LABELS if self.target == BINARY_LABELS else MULTICLASS

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        given = self.learning_rate
        return _LEARNING_RATES[self.kind] if given is None else given

    def scale_of(self, criterion: Criterion) -> Scale:
        """The labels that are learnt for a criterion."""
        return label_scale(criterion, self.labels)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return {**asdict(self), "learning_rate": self.rate}


# Of --max-tokens the base's own context is the limit that counts.
_BOUNDS = {
    "max_tokens": (16, 2**20),
    "epochs": (1, MOST_EPOCHS),
    "patience": (1, MOST_EPOCHS),
    "batch_size": (1, MOST_IN_BATCH),
    "rank": (1, MOST_RANK),
    "folds": (2, 100),
}


def label_scale(criterion: Criterion, labels: str) -> Scale:
    """The scale of scores: the criterion's own, or low/high quality."""
    return BINARY if labels == BINARY_LABELS else criterion.scale
