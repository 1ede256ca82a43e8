"""Learning the layer weights.

Source: arXiv 2508.03550. With w = softmax(theta) and a = sigmoid(alpha), one epoch of Adam on a
small set of scored rows lowers a CE + (1 - a) MSE; theta and alpha are learnt, the model is frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.lager.aggregation import Array


@dataclass(frozen=True)
class TuningPlan:
    """How to learn the weights; the defaults are the published ones.

    Attributes:
        epochs: Passes over the rows.
        learning_rate: Adam's.
        rows_per_step: Rows in a step.
        balance: What alpha starts at.
        seed: Seed of the order of the rows.

    Raises:
        OptionError: If a number is not positive.
    """

    epochs: int = 1
    learning_rate: float = 0.01
    rows_per_step: int = 4
    balance: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "rows_per_step"):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} must be positive, not {getattr(self, name)}.")


@dataclass(frozen=True)
class Tuned:
    """What was learnt.

    Attributes:
        weights: [states], summing to 1; zero for states that do not count.
        balance: The share a of the cross-entropy in the loss, at the end.
    """

    weights: Array
    balance: float


def tune(
    logits: npt.NDArray[np.floating],
    targets: Array,
    scores: Sequence[int],
    states: Sequence[int],
    combine: str,
    plan: TuningPlan,
) -> Tuned:
    """Learn the weights of the states.

    Args:
        logits: Score-token logits, [rows, all states, K].
        targets: The scores to learn, [rows], on the scale; the cross-entropy takes the nearest.
        scores: The K scores of the scale, ascending.
        states: The states that count; the others get no weight.
        combine: "logits" or "probabilities".
        plan: How to learn.

    Raises:
        DataError: If there are no rows, or a target is off the scale.
    """
    if not len(targets) or targets.min() < scores[0] or targets.max() > scores[-1]:
        raise DataError(f"Tuning needs rows with scores from {scores[0]} to {scores[-1]}.")
    values = torch.from_numpy(logits[:, list(states)].astype(np.float64))
    wanted = torch.from_numpy(targets.astype(np.float64))
    theta = torch.zeros(len(states), dtype=torch.float64, requires_grad=True)
    alpha = torch.tensor(plan.balance, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([theta, alpha], lr=plan.learning_rate)
    order = np.random.default_rng(plan.seed)
    for _ in range(plan.epochs):
        shuffled = order.permutation(len(targets))
        for start in range(0, len(shuffled), plan.rows_per_step):
            rows = torch.from_numpy(shuffled[start : start + plan.rows_per_step])
            optimiser.zero_grad()
            _loss(values[rows], wanted[rows], theta, alpha, scores, combine).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    weights = np.zeros(logits.shape[1])
    weights[list(states)] = torch.softmax(theta, dim=0).detach().numpy()
    return Tuned(weights, float(torch.sigmoid(alpha.detach())))


def _loss(
    values: Tensor,
    wanted: Tensor,
    theta: Tensor,
    alpha: Tensor,
    scores: Sequence[int],
    combine: str,
) -> Tensor:
    weights = torch.softmax(theta, dim=0)
    if combine == "probabilities":
        log_probabilities = torch.einsum("nsk,s->nk", values.softmax(-1), weights).log()
    else:
        log_probabilities = torch.einsum("nsk,s->nk", values, weights).log_softmax(-1)
    labels = (wanted.round() - scores[0]).long()
    cross_entropy = functional.nll_loss(log_probabilities, labels)
    expected = log_probabilities.exp() @ torch.tensor(scores, dtype=torch.float64)
    squared_error = functional.mse_loss(expected, wanted)
    share = torch.sigmoid(alpha)
    return share * cross_entropy + (1 - share) * squared_error
