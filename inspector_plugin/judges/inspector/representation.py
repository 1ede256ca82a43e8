"""What a probe looks at: one layer, over one span, pooled one way; or several of these at once."""

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


@dataclass(frozen=True)
class JoinedRepresentation:
    """What a classifier takes in that looks at several representations side by side.

    Attributes:
        parts: The representations, in the order of the classifier's features.
    """

    parts: tuple[Representation, ...]

    def features(self) -> tuple[Feature, ...]:
        """The features that make it up, in order."""
        return tuple(feature for part in self.parts for feature in part.features())

    def select(self, pooled: Pooled) -> FloatArray:
        """Take this representation out of pooled features; see `Representation.select`."""
        return np.concatenate([part.select(pooled) for part in self.parts], axis=1)
