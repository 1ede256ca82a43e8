"""How to learn layer weights: the options of `inspector lager tune`, each written once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from inspector_plugin.errors import OptionError
from inspector_plugin.judges.running import require_seed
from inspector_plugin.plugins.options import option

_MOST_EPOCHS = 10_000


@dataclass(frozen=True)
class TuningPlan:
    """How to learn the weights; the defaults are the published ones.

    Attributes:
        balance: What alpha starts at.

    Raises:
        OptionError: If a number is not positive.
    """

    epochs: int = option(1, "passes over the rows")
    learning_rate: float = option(0.01, "Adam's learning rate")
    rows_per_step: int = option(4, "rows in a step")
    balance: float = 0.5
    seed: int = option(0, "seed of the order of the rows, of folds and of intervals")

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "rows_per_step"):
            if not getattr(self, name) > 0:
                flag = "--" + name.replace("_", "-")
                raise OptionError(f"{flag} must be positive, not {getattr(self, name)}.")
        if self.epochs > _MOST_EPOCHS or not math.isfinite(self.learning_rate):
            raise OptionError(
                f"At most {_MOST_EPOCHS} --epochs, and a --learning-rate that is finite."
            )
        require_seed(self.seed)
