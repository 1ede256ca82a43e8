"""Cross-fitted models: what judges a response never saw its problem.

Problems are split into folds by a hash of their identity, one split for all data. The chain of
models of a fold (hurdles, probes, calibration, thresholds) is fitted without that fold. A problem
that the data holds is judged by its own fold's chain, any other problem by the average of all.

The probability of a label is that of a hurdle model, as for counts with many zeros: with
probability p the response has not the flaws that responses are made to have on purpose, and the
probe's probabilities hold; with 1 - p it gets the lowest label. Below that, the probe's logits are
tilted by where the response stands among real ones before the hurdle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from inspector_plugin.data.folds import fold_of
from inspector_plugin.judges.inspector.inputs import Array, Inputs, Reading
from inspector_plugin.judges.inspector.linear import LinearModel

OFF_TASK = "off-task"
UNLIKE_TRAINING = "unlike-training"
# Real responses clear a hurdle by far or not at all: few stand in between.
_STEEPNESS = 2.0
_FURTHEST = 3.0


@dataclass(frozen=True)
class Hurdle:
    """Whether a response is free of what made responses have on purpose.

    Attributes:
        model: Made responses (0) against real ones (1), on `Inputs.narrow`.
        threshold: The logit at which the probability is one half.
        center: The median logit of real responses.
        spread: Half the distance between the 16th and the 84th percentile of their logits.
    """

    model: LinearModel
    threshold: float
    center: float
    spread: float

    def probability(self, inputs: Inputs) -> Array:
        """Return [rows] float64, 0 to 1."""
        above = self.model.logits(inputs.narrow)[:, 1] - self.threshold
        found: Array = expit(_STEEPNESS * above)
        return found

    def standing(self, inputs: Inputs) -> Array:
        """Where each response stands among real ones, in standard deviations: [rows], -3 to 3."""
        return self.standing_of(self.model.logits(inputs.narrow)[:, 1])

    def standing_of(self, logits: Array) -> Array:
        """The same for logits of the model."""
        found: Array = np.clip((logits - self.center) / self.spread, -_FURTHEST, _FURTHEST)
        return found


@dataclass(frozen=True)
class Familiarity:
    """How far a response is from those that the models were fitted on.

    Attributes:
        center: The mean of the training responses' states, [hidden size].
        directions: Principal directions, each divided by the standard deviation along it,
            [directions, hidden size].
        threshold: The squared Mahalanobis distance above which a response is unlike them.
    """

    center: Array
    directions: Array
    threshold: float

    def excess(self, inputs: Inputs) -> Array:
        """Return the squared distance divided by the threshold, [rows]."""
        states = inputs.states[:, : len(self.center)].astype(np.float64)
        along = (states - self.center) @ self.directions.T
        found: Array = (along**2).sum(axis=1) / self.threshold
        return found


@dataclass(frozen=True)
class CriterionModel:
    """What one chain says of one criterion.

    Attributes:
        hurdle: Whether the response is free of the flaws that break the criterion; None where
            only an attempt is asked for.
        probe: The probe.
        wide: Whether the probe looks at `Inputs.wide`, else at `Inputs.narrow`.
        temperature: What its logits are divided by.
        bias: What is added to them then, [labels].
        tilt: How much a response's standing before the hurdle counts for higher labels, 0 or more:
            a flaw too small for the hurdle still lowers the score.
    """

    hurdle: Hurdle | None
    probe: LinearModel
    wide: bool
    temperature: float
    bias: Array
    tilt: float = 0.0

    def probabilities(self, inputs: Inputs, attempted: Array) -> Array:
        """Return the probability of each label.

        Args:
            inputs: The responses.
            attempted: The probability that each is an attempt at its problem, [rows].

        Returns:
            [rows, labels] float64; each row sums to 1.
        """
        logits = self.probe.logits(inputs.wide if self.wide else inputs.narrow) / self.temperature
        passed = attempted[:, None]
        if self.hurdle is not None:
            passed = passed * self.hurdle.probability(inputs)[:, None]
            logits += self.tilt * tilted(self.hurdle.standing(inputs), logits.shape[1])
        found: Array = softmax(logits + self.bias, axis=1) * passed
        found[:, 0] += 1 - passed[:, 0]
        return found


def tilted(standing: Array, labels: int) -> Array:
    """What a tilt of 1 adds to the logits: the lowest label's falls as the highest one's rises.

    Args:
        standing: [rows], see `Hurdle.standing`.
        labels: How many labels there are.

    Returns:
        [rows, labels] float64.
    """
    found: Array = standing[:, None] * np.linspace(-1, 1, labels)
    return found


@dataclass(frozen=True)
class Chain:
    """All that was fitted without one fold.

    Attributes:
        attempt: Whether the response is an attempt at the problem at all.
        familiarity: Whether it is like those that the chain was fitted on.
        criteria: The models by criterion.
    """

    attempt: Hurdle
    familiarity: Familiarity
    criteria: Mapping[str, CriterionModel]

    def probabilities(self, inputs: Inputs, key: str) -> Array:
        """Return the probability of each label of a criterion, [rows, labels] float64."""
        return self.criteria[key].probabilities(inputs, self.attempt.probability(inputs))


@dataclass(frozen=True)
class CrossFitted:
    """The chains of a pack, one for each fold.

    Attributes:
        reading: What they look at.
        chains: By fold.
        known: Identities of the problems that any component was fitted on.
    """

    reading: Reading
    chains: tuple[Chain, ...]
    known: frozenset[str]

    def shares(self, problems: Sequence[str]) -> Array:
        """How much each chain counts: all for a known problem's own fold, else the same.

        Args:
            problems: The identity of each row's problem.

        Returns:
            [rows, folds] float64; each row sums to 1.
        """
        folds = len(self.chains)
        shares = np.full((len(problems), folds), 1 / folds)
        for row, problem in enumerate(problems):
            if problem in self.known:
                shares[row] = np.eye(folds)[fold_of(problem, folds)]
        return shares

    def probabilities(self, inputs: Inputs, key: str) -> Array:
        """Return the probability of each label of a criterion, [rows, labels] float64."""
        each = np.stack([chain.probabilities(inputs, key) for chain in self.chains])
        found: Array = np.einsum("frl,rf->rl", each, self.shares(inputs.problems))
        return found

    def flags(self, inputs: Inputs) -> list[tuple[str, ...]]:
        """Say of each response whether it is no attempt, or unlike those of the training data."""
        shares = self.shares(inputs.problems)
        attempts = np.stack([chain.attempt.probability(inputs) for chain in self.chains], axis=1)
        excess = np.stack([chain.familiarity.excess(inputs) for chain in self.chains], axis=1)
        off_task: npt.NDArray[np.bool_] = (attempts * shares).sum(axis=1) < 0.5
        unlike: npt.NDArray[np.bool_] = (excess * shares).sum(axis=1) > 1
        return [
            (*((OFF_TASK,) if off else ()), *((UNLIKE_TRAINING,) if far else ()))
            for off, far in zip(off_task, unlike, strict=True)
        ]
