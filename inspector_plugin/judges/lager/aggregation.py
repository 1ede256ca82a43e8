"""From the score-token logits of all states to probabilities over the scale. Numbers only.

Source: arXiv 2508.03550, section 3: s = sum_k k softmax_k(sum_l w_l z_l).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inspector_plugin.judges.lager.presets import Aggregation

Array = npt.NDArray[np.float64]


def softmax(values: Array) -> Array:
    """Softmax over the last axis."""
    exponentials: Array = np.exp(values - values.max(axis=-1, keepdims=True))
    exponentials /= exponentials.sum(axis=-1, keepdims=True)
    return exponentials


def uniform_weights(aggregation: Aggregation, states: int) -> Array:
    """Weigh all states that count alike.

    Returns:
        [states], summing to 1; zero for the states that do not count.
    """
    weights = np.zeros(states)
    chosen = aggregation.states(states)
    weights[chosen] = 1 / len(chosen)
    return weights


def aggregate(logits: npt.NDArray[np.floating], weights: Array, combine: str) -> Array:
    """Combine the states' score-token logits.

    Args:
        logits: [prompts, states, K].
        weights: [states].
        combine: "logits" takes the softmax of the weighted sum of the logits, "probabilities" the
            weighted sum of the softmax of each state's logits.

    Returns:
        Probabilities, [prompts, K].
    """
    values = logits.astype(np.float64)
    if combine == "probabilities":
        mixture: Array = np.einsum("psk,s->pk", softmax(values), weights)
        return mixture
    return softmax(np.einsum("psk,s->pk", values, weights))


def expected_scores(probabilities: Array, scores: Sequence[int]) -> Array:
    """Take the expected value over the scale, along the last axis."""
    expected: Array = probabilities @ np.array(scores, dtype=np.float64)
    return expected.clip(min(scores), max(scores))


def scores_by_state(logits: npt.NDArray[np.floating], scores: Sequence[int]) -> Array:
    """Score by each state alone.

    Args:
        logits: [prompts, states, K].
        scores: The K scores.

    Returns:
        Expected scores, [prompts, states].
    """
    return expected_scores(softmax(logits.astype(np.float64)), scores)
