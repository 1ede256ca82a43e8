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

from inspector_plugin.errors import DataError
from inspector_plugin.judges.lager.aggregation import Array
from inspector_plugin.judges.lager.plan import TuningPlan
from inspector_plugin.schema.criteria import Scale


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
    scale: Scale,
    states: Sequence[int],
    combine: str,
    plan: TuningPlan,
) -> Tuned:
    """Learn the weights of the states.

    Args:
        logits: Score-token logits, [rows, all states, K].
        targets: The scores to learn, [rows], on the scale; the cross-entropy takes the nearest.
        scale: The scale of the targets, with K labels.
        states: The states that count; the others get no weight.
        combine: "logits" or "probabilities".
        plan: How to learn.

    Raises:
        DataError: If there are no rows, or a target is off the scale.
    """
    if not len(targets) or targets.min() not in scale or targets.max() not in scale:
        raise DataError(f"Tuning needs rows with scores from {scale.minimum} to {scale.maximum}.")
    nearest = torch.tensor([scale.nearest(float(target)) - scale.minimum for target in targets])
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
            _loss(
                values[rows], wanted[rows], nearest[rows], theta, alpha, scale, combine
            ).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    weights = np.zeros(logits.shape[1])
    weights[list(states)] = torch.softmax(theta, dim=0).detach().numpy()
    return Tuned(weights, float(torch.sigmoid(alpha.detach())))


def _loss(
    values: Tensor,
    wanted: Tensor,
    labels: Tensor,
    theta: Tensor,
    alpha: Tensor,
    scale: Scale,
    combine: str,
) -> Tensor:
    weights = torch.softmax(theta, dim=0)
    if combine == "probabilities":
        log_probabilities = torch.einsum("nsk,s->nk", values.softmax(-1), weights).log()
    else:
        log_probabilities = torch.einsum("nsk,s->nk", values, weights).log_softmax(-1)
    cross_entropy = functional.nll_loss(log_probabilities, labels)
    expected = log_probabilities.exp() @ torch.tensor(scale.labels, dtype=torch.float64)
    squared_error = functional.mse_loss(expected, wanted)
    share = torch.sigmoid(alpha)
    return share * cross_entropy + (1 - share) * squared_error
