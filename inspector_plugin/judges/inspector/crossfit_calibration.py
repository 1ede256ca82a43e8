"""Temperature and tilt of a chain: how sure its probes are, and what a made flaw counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from inspector_plugin.judges.inspector.crossfit import tilted
from inspector_plugin.judges.inspector.crossfit_data import Ints
from inspector_plugin.judges.inspector.linear import Array

_MOST_TILT = 1.0
# A planted wrong calculation is to lower the scores of this share of the solutions that held one.
ORDERED = 0.85
_STEPS = 100


@dataclass(frozen=True)
class Scored:
    """What held-out models say of a criterion's scored texts.

    Attributes:
        labels: Index of each label, [rows].
        logits: The probe's, [rows, labels].
        standing: Where each text stands before the criterion's hurdle, [rows].
    """

    labels: Ints
    logits: Array
    standing: Array


@dataclass(frozen=True)
class Planted:
    """What held-out models say of solutions and of the same with a flaw planted.

    Attributes:
        logits: The probe's for the flawed ones, and for the others, [pairs, labels] each.
        standing: Where they stand before the hurdle, [pairs] each.
    """

    logits: tuple[Array, Array]
    standing: tuple[Array, Array]

    def difference(self, temperature: float, tilt: float) -> Array:
        """How much higher the expected label of the sound one is, [pairs]."""
        flawed, sound = (
            softmax(logits / temperature + tilt * tilted(standing, logits.shape[1]), axis=1)
            @ np.arange(logits.shape[1])
            for logits, standing in zip(self.logits, self.standing, strict=True)
        )
        found: Array = sound - flawed
        return found


def fit_calibration(scored: Sequence[Scored]) -> tuple[float, float]:
    """One temperature and one tilt for all criteria: those of the least log loss."""

    def loss(parameters: Array) -> float:
        total = 0.0
        for each in scored:
            direction = tilted(each.standing, each.logits.shape[1])
            moved = each.logits / np.exp(parameters[0]) + parameters[1] * direction
            found = log_softmax(moved, axis=1)
            total -= float(found[np.arange(len(each.labels)), each.labels].sum())
        return total

    fitted = minimize(loss, (0.0, 0.0), bounds=((-3, 3), (0, _MOST_TILT)))
    return float(np.exp(fitted.x[0])), float(fitted.x[1])


def least_tilt(planted: Mapping[str, Planted], temperature: float, least: float) -> float:
    """The tilt of the criteria that a planted flaw breaks.

    Args:
        planted: Pairs by criterion, the same ones for each.
        temperature: The chain's.
        least: The tilt that the scores bear out.

    Returns:
        The least tilt, from `least` on, at which `ORDERED` of the flawed ones score lower than the
        sound ones on the mean of the criteria; the greatest that is allowed if none does.
    """
    for tilt in np.linspace(least, max(least, _MOST_TILT), _STEPS):
        differences = [each.difference(temperature, float(tilt)) for each in planted.values()]
        if (np.sum(differences, axis=0) > 0).mean() >= ORDERED:
            return float(tilt)
    return max(least, _MOST_TILT)
