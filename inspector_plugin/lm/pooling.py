"""Pooling hidden states over the tokens of a span, padding left out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

POOLINGS = ("mean", "last", "min", "max")


def pool(hidden: Tensor, spans: Sequence[tuple[int, int]], pooling: str) -> Tensor:
    """Pool each row's hidden states over its own span.

    The row's padding is outside its span, so a row's result does not depend on its batch.

    Args:
        hidden: Hidden states, [batch, tokens, hidden].
        spans: For each row the first token of its span and the one after its last.
        pooling: "mean", "last", "min" or "max".

    Returns:
        [batch, hidden] float32.

    Raises:
        ValueError: If the pooling is unknown or a span is empty.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"unknown pooling {pooling!r}; choose from {POOLINGS}")
    if any(end <= start for start, end in spans):
        raise ValueError(f"a span to pool over is empty: {list(spans)}")
    rows = []
    for states, (start, end) in zip(hidden, spans, strict=True):
        span = states[start:end].float()
        if pooling == "mean":
            rows.append(span.mean(dim=0))
        elif pooling == "last":
            rows.append(span[-1])
        elif pooling == "min":
            rows.append(span.amin(dim=0))
        else:
            rows.append(span.amax(dim=0))
    return torch.stack(rows)
