"""Pooling what stands at the tokens of a span, padding left out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inspector_plugin.lm.plan import ATTENTION_ENTROPY

POOLINGS = ("mean", "last", "min", "max")


def pool(
    states: Tensor, spans: Sequence[tuple[int, int]], pooling: str, prefix: Tensor | None = None
) -> Tensor:
    """Pool each row's states over its own span.

    The row's padding is outside its span, so a row's result does not depend on its batch.

    Args:
        states: Hidden states or attention entropies, [batch, tokens, width].
        spans: For each row the first token of its span and the one after its last. Tokens of the
            prefix are counted backwards from -1.
        pooling: "mean", "last", "min" or "max"; "attention_entropy" is the mean of entropies.
        prefix: The states of tokens that stand before every row, [tokens, width].

    Returns:
        [batch, width] float32.

    Raises:
        ValueError: If the pooling is unknown or a span is empty.
    """
    if pooling not in (*POOLINGS, ATTENTION_ENTROPY):
        raise ValueError(f"unknown pooling {pooling!r}; choose from {POOLINGS}")
    if any(end <= start for start, end in spans):
        raise ValueError(f"a span to pool over is empty: {list(spans)}")
    rows = []
    for row, (start, end) in zip(states, spans, strict=True):
        span = _span(row, start, end, prefix).float()
        if pooling in ("mean", ATTENTION_ENTROPY):
            rows.append(span.mean(dim=0))
        elif pooling == "last":
            rows.append(span[-1])
        elif pooling == "min":
            rows.append(span.amin(dim=0))
        else:
            rows.append(span.amax(dim=0))
    return torch.stack(rows)


def _span(row: Tensor, start: int, end: int, prefix: Tensor | None) -> Tensor:
    own = row[max(start, 0) : end]
    return own if prefix is None or start >= 0 else torch.cat([prefix[start:], own])


def attention_entropy(weights: Tensor) -> Tensor:
    """The entropy of attention weights, for each token that attends.

    Args:
        weights: [batch, heads, tokens, tokens attended to]; each row sums to 1.

    Returns:
        [batch, tokens, heads] float32, in nats. Source: arXiv 2601.22588, attention features.
    """
    entropy: Tensor = torch.special.entr(weights.float()).sum(dim=-1)
    return entropy.transpose(1, 2)
