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
from inspector_plugin.lm.plan import LIKELIHOODS, TOKEN_LIKELIHOODS, Feature

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


@dataclass(frozen=True)
class Reading:
    """What a cross-fitted model reads of the language model.

    Attributes:
        layer: The layer whose hidden states it looks at.
        last_layer: The model's last layer, where the likelihoods of tokens are looked at as well;
            None where they are not.
    """

    layer: int
    last_layer: int | None = None

    @property
    def states(self) -> tuple[Feature, ...]:
        """The pooled states: mean, last and maximum of the response."""
        return tuple(Feature(self.layer, "response", pooling) for pooling in _WIDE_POOLINGS)

    @property
    def likelihoods(self) -> tuple[Feature, ...]:
        """The likelihoods of the response's tokens, one feature or none."""
        if self.last_layer is None:
            return ()
        return (Feature(self.last_layer, "response", TOKEN_LIKELIHOODS),)

    @property
    def features(self) -> tuple[Feature, ...]:
        """All that a forward pass is asked for."""
        return (*self.states, *self.likelihoods)

    @property
    def counted_width(self) -> int:
        """How many numbers stand beside the states: likelihoods and text features."""
        return len(self.likelihoods) * len(LIKELIHOODS) + len(TEXT_FEATURES)


@dataclass(frozen=True)
class Inputs:
    """Responses as a cross-fitted model sees them.

    Attributes:
        states: Mean, last and maximum of the response's hidden states side by side,
            [rows, 3 * hidden size].
        questions: The problems.
        responses: The responses.
        likelihoods: How likely the response's tokens are, [rows, 13], see `plan.LIKELIHOODS`;
            None where they are not looked at.
    """

    states: Array
    questions: Sequence[str]
    responses: Sequence[str]
    likelihoods: Array | None = None

    @staticmethod
    def of(
        pooled: Pooled, reading: Reading, questions: Sequence[str], responses: Sequence[str]
    ) -> Inputs:
        """Take what is needed out of pooled features."""
        states = np.concatenate([pooled[feature] for feature in reading.states], axis=1)
        likelihoods = [pooled[feature].astype(np.float64) for feature in reading.likelihoods]
        return Inputs(states, questions, responses, likelihoods[0] if likelihoods else None)

    def part(self, rows: npt.NDArray[np.int64]) -> Inputs:
        """Take some rows, without counting anything anew."""
        chosen = Inputs(
            self.states[rows],
            [self.questions[row] for row in rows],
            [self.responses[row] for row in rows],
            None if self.likelihoods is None else self.likelihoods[rows],
        )
        chosen.__dict__["text"] = self.text[rows]
        return chosen

    @cached_property
    def text(self) -> Array:
        """[rows, 44]; see `text_features`."""
        return text_features(self.questions, self.responses)

    @cached_property
    def counted(self) -> Array:
        """What stands beside the states: likelihoods, if there are any, and text features."""
        return self.text if self.likelihoods is None else np.hstack([self.likelihoods, self.text])

    @cached_property
    def narrow(self) -> Array:
        """The mean of the states, and what stands beside them: [rows, hidden size + counted]."""
        states = self.states[:, : self.states.shape[1] // len(_WIDE_POOLINGS)]
        return np.hstack([states, self.counted])

    @cached_property
    def wide(self) -> Array:
        """All states, and what stands beside them: [rows, 3 * hidden size + counted]."""
        return np.hstack([self.states, self.counted])

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """The identity of each problem."""
        return tuple(problem_identity(question) for question in self.questions)


def emphasis(features: int, counted: int, on_counted: float) -> Array:
    """Weights of standardised features for `fit_linear`: 1 for states, else `on_counted`."""
    weights = np.ones(features)
    weights[-counted:] = on_counted
    return weights
