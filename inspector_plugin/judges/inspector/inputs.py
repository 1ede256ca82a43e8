"""What a cross-fitted model looks at: hidden states of the response, and counts of its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from inspector_plugin.data.problems import problem_identity
from inspector_plugin.judges.inspector.arithmetic import ARITHMETIC_FEATURES, arithmetic_features
from inspector_plugin.judges.inspector.overlap import OVERLAP_FEATURES, overlap_features
from inspector_plugin.judges.inspector.surface import SURFACE_COUNTS, surface_counts
from inspector_plugin.lm.forward import Pooled
from inspector_plugin.lm.plan import Feature

Array = npt.NDArray[np.float64]
TEXT_FEATURES = (*ARITHMETIC_FEATURES, *SURFACE_COUNTS, *OVERLAP_FEATURES)
_WIDE_POOLINGS = ("mean", "last", "max")


def text_features(questions: Sequence[str], responses: Sequence[str]) -> Array:
    """Sum up texts without a language model: checked arithmetic, form, and words in common.

    Calculator annotations `<<2+3=5>>` are left out: whether a model writes them tells the model.

    Returns:
        [responses, 44] float64, in the order of `TEXT_FEATURES`.
    """
    if not responses:
        return np.zeros((0, len(TEXT_FEATURES)))
    own = [
        np.concatenate(
            [arithmetic_features(question, response, annotations=False),
             overlap_features(question, response)]
        )
        for question, response in zip(questions, responses, strict=True)
    ]  # fmt: skip
    stacked = np.stack(own)
    arithmetic = stacked[:, : len(ARITHMETIC_FEATURES)]
    overlap = stacked[:, len(ARITHMETIC_FEATURES) :]
    return np.hstack([arithmetic, np.log1p(surface_counts(responses)), overlap])


def state_features(layer: int) -> tuple[Feature, ...]:
    """The pooled states that a model of a layer needs: mean, last and maximum of the response."""
    return tuple(Feature(layer, "response", pooling) for pooling in _WIDE_POOLINGS)


@dataclass(frozen=True)
class Inputs:
    """Responses as a cross-fitted model sees them.

    Attributes:
        states: Mean, last and maximum of the response's hidden states side by side,
            [rows, 3 * hidden size].
        questions: The problems.
        responses: The responses.
    """

    states: Array
    questions: Sequence[str]
    responses: Sequence[str]

    @staticmethod
    def of(
        pooled: Pooled, layer: int, questions: Sequence[str], responses: Sequence[str]
    ) -> Inputs:
        """Take what is needed out of pooled features."""
        states = np.concatenate([pooled[feature] for feature in state_features(layer)], axis=1)
        return Inputs(states, questions, responses)

    def part(self, rows: npt.NDArray[np.int64]) -> Inputs:
        """Take some rows, without counting anything anew."""
        chosen = Inputs(
            self.states[rows],
            [self.questions[row] for row in rows],
            [self.responses[row] for row in rows],
        )
        chosen.__dict__["text"] = self.text[rows]
        return chosen

    @cached_property
    def text(self) -> Array:
        """[rows, 44]; see `text_features`."""
        return text_features(self.questions, self.responses)

    @cached_property
    def narrow(self) -> Array:
        """The mean of the states, and the text features: [rows, hidden size + 44]."""
        return np.hstack([self.states[:, : self.states.shape[1] // len(_WIDE_POOLINGS)], self.text])

    @cached_property
    def wide(self) -> Array:
        """All states, and the text features: [rows, 3 * hidden size + 44]."""
        return np.hstack([self.states, self.text])

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """The identity of each problem."""
        return tuple(problem_identity(question) for question in self.questions)


def emphasis(features: int, on_text: float) -> Array:
    """Weights of standardised features for `fit_linear`: 1 for states, `on_text` for the others."""
    weights = np.ones(features)
    weights[-len(TEXT_FEATURES) :] = on_text
    return weights
