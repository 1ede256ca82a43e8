"""What to train and how: the options of `inspector train`, each written once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from inspector_plugin.errors import OptionError, one_of
from inspector_plugin.judges.running import require_seed
from inspector_plugin.plugins.options import option
from inspector_plugin.schema.criteria import LABELS

_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CLASSIFIERS = ("logistic_regression", "linear_svm", "rbf_svm", "random_forest", "mlp")


@dataclass(frozen=True)
class ClassifierSettings:
    """Which classifier to fit, after standardising each feature.

    Attributes:
        kind: One of `CLASSIFIERS`.
        strength: The inverse regularisation C of logistic regression and the SVMs, the number of
            trees / 100 of a random forest, 1 / alpha of an MLP.
        components: Keep this many principal components; None keeps the features as they are.
    """

    kind: str
    strength: float = 1.0
    components: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return {"kind": self.kind, "strength": self.strength, "components": self.components}


DEFAULT_CLASSIFIERS = (
    *(
        ClassifierSettings("logistic_regression", strength, components)
        for strength in (0.001, 0.01, 0.1, 1.0)
        for components in (None, 50)
    ),
    ClassifierSettings("linear_svm", 0.01, 50),
    ClassifierSettings("rbf_svm", 1.0, 50),
)
LAYOUT_NAMES = ("bare", "suffix", "published")
# Those of lm/pooling.py, and what is made of them; named here so that --help loads no torch.
PROBE_POOLINGS = ("mean", "last", "min", "max", "concat", "attention_entropy")


def require_dataset_name(name: str) -> None:
    """Refuse names of data sets that no folder of packs can have.

    Raises:
        OptionError: If there are other characters in it than those of plain names.
    """
    if not _DATASET.fullmatch(name):
        raise OptionError(
            f"The data set's name {name!r} must be letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit: it names a folder."
        )


@dataclass(frozen=True)
class TrainingPlan:
    """What to train and how.

    Attributes:
        dataset: The name under which the probes are kept.
        labels: "multiclass" or "binary".
        classifiers: The classifiers to choose from.
        calibrated: Whether to fit a temperature on the predictions for held-out problems.

    Raises:
        OptionError: If a pooling is unknown.
    """

    dataset: str
    labels: str = "multiclass"
    layout: str = option(
        "bare",
        "bare: question and response, one pass for all criteria; suffix: the same, then a line for "
        "each criterion; published: a prompt for each criterion",
        LAYOUT_NAMES,
    )
    folds: int = option(5, "outer folds, and inner folds of each choice")
    members: int = option(5, "how many representations a probe averages over")
    highest_layer: int | None = option(
        None, "look at no layer above, and run none when judging; default: two thirds up"
    )
    layer_step: int = option(3, "screen every so many layers, counted down from the highest")
    poolings: str = option("mean,last,concat", "comma-separated; poolings to screen")
    seed: int = option(0, "seed of folds, classifiers and intervals")
    classifiers: tuple[ClassifierSettings, ...] = field(default=DEFAULT_CLASSIFIERS)
    calibrated: bool = False

    def __post_init__(self) -> None:
        for pooling in self.screened_poolings:
            if pooling not in PROBE_POOLINGS:
                raise OptionError(one_of(pooling, PROBE_POOLINGS, "pooling"))
        for name, least in (("folds", 2), ("members", 1), ("layer_step", 1)):
            if getattr(self, name) < least:
                flag = "--" + name.replace("_", "-")
                raise OptionError(f"{flag} must be at least {least}, not {getattr(self, name)}.")
        require_seed(self.seed)
        require_dataset_name(self.dataset)
        if self.labels not in LABELS:
            raise OptionError(one_of(self.labels, LABELS, "labels"))

    @property
    def screened_poolings(self) -> tuple[str, ...]:
        """The poolings to screen, one by one."""
        return tuple(part.strip() for part in self.poolings.split(",") if part.strip())

    def top(self, layers: int) -> int:
        """The highest layer to look at in a model of so many layers."""
        return 2 * layers // 3 if self.highest_layer is None else self.highest_layer
