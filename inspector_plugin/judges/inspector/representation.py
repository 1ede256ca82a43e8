"""What a probe looks at: one layer, over one span, pooled one way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inspector_plugin.lm.forward import FloatArray, Pooled
from inspector_plugin.lm.plan import Feature

CONCAT = "concat"
_CONCATENATED = ("min", "max", "mean")


@dataclass(frozen=True, order=True)
class Representation:
    """What a member of a probe takes in.

    Attributes:
        layer: Decoder layer from 0, as in `Feature`.
        span: "all" for the whole prompt, or "question", "response" or a suffix.
        pooling: As in `Feature`, or "concat" for minimum, maximum and mean side by side.
    """

    layer: int
    span: str
    pooling: str

    def features(self) -> tuple[Feature, ...]:
        """The features that make it up, in order."""
        poolings = _CONCATENATED if self.pooling == CONCAT else (self.pooling,)
        return tuple(Feature(self.layer, self.span, pooling) for pooling in poolings)

    def select(self, pooled: Pooled) -> FloatArray:
        """Take this representation out of pooled features.

        Args:
            pooled: For each feature [rows, width].

        Returns:
            [rows, width]: hidden size, three times that for "concat", or the number of heads.
        """
        return np.concatenate([pooled[feature] for feature in self.features()], axis=1)
