"""What is made small: the mean negative log-likelihood of the labels that there are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inspector_plugin.judges.tuned.examples import NO_LABEL


class Loss:
    """Mean negative log-likelihood over the labels that there are, weighted by class."""

    def __init__(self, labels: Tensor, counts: Sequence[int], weighted: bool) -> None:
        """Weigh the labels.

        Args:
            labels: Those that are fitted on, [examples, criteria]; -1 where there is none.
            counts: Number of labels of each criterion.
            weighted: Whether each label of a criterion has the same total weight; else each
                example has.
        """
        self._weights = []
        for column, count in enumerate(counts):
            own = labels[:, column]
            seen = torch.bincount(own[own != NO_LABEL], minlength=count).float()
            weights = torch.ones(count)
            if weighted:
                weights = torch.where(seen > 0, seen.sum() / (count * seen.clamp_min(1)), weights)
            self._weights.append(weights)

    def total(self, found: dict[str, Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Add up a batch.

        Args:
            found: Log-probabilities, [rows, labels], by criterion.
            labels: The labels, [rows, criteria].

        Returns:
            The sum of weighted losses, and the sum of weights.
        """
        sums, weights = [], []
        for column, logs in enumerate(found.values()):
            own = labels[:, column].to(logs.device)
            rows = torch.nonzero(own != NO_LABEL)[:, 0]
            weight = self._weights[column].to(logs.device)[own[rows]]
            sums.append(-(weight * logs[rows, own[rows]]).sum())
            weights.append(weight.sum())
        return torch.stack(sums).sum(), torch.stack(weights).sum()

    def __call__(self, found: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Return the mean over a batch; see `total`."""
        total, weight = self.total(found, labels)
        return total / weight
