"""What a probe looks at: one layer's hidden states, over one span, pooled one way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inspector_plugin.lm.forward import FloatArray, HiddenState
from inspector_plugin.lm.pooling import POOLINGS

CONCAT = "concat"
_CONCATENATED = ("min", "max", "mean")
PROBE_POOLINGS = (*POOLINGS, CONCAT)


@dataclass(frozen=True, order=True)
class Representation:
    """The features of a probe.

    Attributes:
        layer: Decoder layer from 0, as in `HiddenState`.
        span: "all" for the whole prompt, or "question" or "response".
        pooling: "mean", "last", "min", "max", or "concat" for min, max and mean side by side.
    """

    layer: int
    span: str
    pooling: str

    def states(self) -> tuple[HiddenState, ...]:
        """The pooled hidden states that make up the features, in order."""
        poolings = _CONCATENATED if self.pooling == CONCAT else (self.pooling,)
        return tuple(HiddenState(self.layer, self.span, pooling) for pooling in poolings)

    def select(self, pooled: FloatArray, order: Sequence[HiddenState]) -> FloatArray:
        """Take this representation's features out of pooled hidden states.

        Args:
            pooled: [rows, states, hidden].
            order: What the second axis holds.

        Returns:
            [rows, features]; hidden features, or 3 * hidden for "concat".
        """
        return np.concatenate([pooled[:, order.index(state)] for state in self.states()], axis=1)
