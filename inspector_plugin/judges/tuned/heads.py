"""From a text's vector to the probabilities of a criterion's labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from inspector_plugin.judges.tuned.plan import ORDINAL

_LEAST_PROBABILITY = 1e-9


class LabelHead(nn.Module):
    """Each label by itself: a linear layer and a softmax."""

    def __init__(self, width: int, labels: int) -> None:
        """Begin with small random weights.

        Args:
            width: Width of the vector.
            labels: Number of labels.
        """
        super().__init__()
        self.linear = nn.Linear(width, labels)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return log-probabilities, [rows, labels], of vectors, [rows, width]."""
        found: Tensor = functional.log_softmax(self.linear(vectors), dim=-1)
        return found


class OrdinalHead(nn.Module):
    """Labels in their order: the proportional-odds model, P(label > k) = sigmoid(w x - b_k).

    The thresholds b_k ascend, because each adds a positive step to the one before.

    Source: McCullagh, Regression models for ordinal data (1980).
    """

    def __init__(self, width: int, labels: int) -> None:
        """Begin with small random weights and evenly spaced thresholds around 0.

        Args:
            width: Width of the vector.
            labels: Number of labels.
        """
        super().__init__()
        self.linear = nn.Linear(width, 1, bias=False)
        nn.init.normal_(self.linear.weight, std=0.02)
        self.first = nn.Parameter(torch.tensor([-(labels - 2) / 2]))
        # softplus(0.5413) is 1.
        self.steps = nn.Parameter(torch.full((labels - 2,), 0.5413))

    @property
    def thresholds(self) -> Tensor:
        """The thresholds, [labels - 1], ascending."""
        steps = functional.softplus(self.steps)
        return torch.cat([self.first, self.first + torch.cumsum(steps, dim=0)])

    def forward(self, vectors: Tensor) -> Tensor:
        """Return log-probabilities, [rows, labels], of vectors, [rows, width]."""
        above = torch.sigmoid(self.linear(vectors) - self.thresholds)
        ends = above.new_ones(len(above), 1)
        at_least = torch.cat([ends, above, torch.zeros_like(ends)], dim=1)
        probabilities = (at_least[:, :-1] - at_least[:, 1:]).clamp_min(_LEAST_PROBABILITY)
        return torch.log(probabilities / probabilities.sum(dim=1, keepdim=True))


def make_head(target: str, width: int, labels: int) -> nn.Module:
    """Make the head of a criterion.

    Args:
        target: "multiclass", "binary" or "ordinal".
        width: Width of the vector.
        labels: Number of labels.
    """
    return (OrdinalHead if target == ORDINAL else LabelHead)(width, labels)
