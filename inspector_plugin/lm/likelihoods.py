"""How likely a language model finds the tokens of a span, summed up in a few numbers.

A wrong figure is often one that the model would not have written. The probability of each token
given all before it comes from the states of the last layer, in the pass that they are pooled from.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import LIKELIHOODS
from inspector_plugin.lm.unembedding import unembed, unknown_head

# The logits of so many tokens over a whole vocabulary are in memory at once: more do not fit into a
# processor's cache, and take twice the time.
_TOKENS_AT_ONCE = 64
# A step of fewer tokens counts with the one before.
_SHORTEST_STEP = 4
_SENTENCE_ENDS = (".", "!", "?")

_checked: weakref.WeakSet[LanguageModel] = weakref.WeakSet()


def token_likelihoods(
    language_model: LanguageModel,
    states: Tensor,
    token_ids: Sequence[Sequence[int]],
    spans: Sequence[tuple[int, int]],
) -> Tensor:
    """Sum up how likely the tokens of each row's span are, given those before.

    Args:
        language_model: The model.
        states: States of its last layer, the final norm applied, [batch, tokens, hidden size].
        token_ids: The tokens of each row.
        spans: For each row the first token of its span and the one after its last. A row's first
            token is predicted by nothing and left out.

    Returns:
        [batch, 13] float32, in the order of `plan.LIKELIHOODS`: natural logarithms of
        probabilities, shares from 0 to 1, entropies in nats.

    Raises:
        ModelError: If a span holds no token that is predicted.
    """
    rows = []
    for row, ids, (start, end) in zip(states, token_ids, spans, strict=True):
        first = max(start, 1)
        if end <= first:
            raise ModelError("A span whose likelihood is wanted holds no token but a first one.")
        own = list(ids[first:end])
        texts = language_model.tokenizer.batch_decode([[token] for token in own])
        rows.append(_summary(texts, *_predicted(language_model, row[first - 1 : end - 1], own)))
    return torch.stack(rows)


def require_own_logits(language_model: LanguageModel) -> None:
    """Compare with the logits of the model itself on a short prompt, once for each model.

    Raises:
        ModelError: If they differ.
    """
    if language_model in _checked:
        return
    token_ids = torch.tensor([[3, 4, 5, 6]], device=language_model.device)
    with torch.inference_mode():
        output = language_model.model(token_ids, output_hidden_states=True)
        found = unembed(language_model, output.hidden_states[-1])
    tolerance = 1e-3 * float(output.logits.abs().max())
    if not torch.allclose(found.float(), output.logits.float(), rtol=0, atol=tolerance):
        raise unknown_head(language_model)
    _checked.add(language_model)


def _predicted(
    language_model: LanguageModel, before: Tensor, tokens: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token, from the state before it: log-probability, whether the likeliest, entropy."""
    targets = torch.tensor(tokens, device=before.device)
    parts = []
    for start in range(0, len(targets), _TOKENS_AT_ONCE):
        chunk = slice(start, start + _TOKENS_AT_ONCE)
        own = targets[chunk]
        with torch.inference_mode():
            logits = unembed(language_model, before[chunk]).float()
            logits -= logits.amax(dim=-1, keepdim=True)
            of_token = logits.gather(1, own[:, None])[:, 0]
            odds = logits.exp()
            total = odds.sum(dim=-1)
            entropy = total.log() - torch.linalg.vecdot(odds, logits) / total
            parts.append((of_token - total.log(), (of_token == 0).float(), entropy))
    logs, likeliest, entropies = (torch.cat(each) for each in zip(*parts, strict=True))
    return logs, likeliest, entropies


def _summary(texts: Sequence[str], logs: Tensor, likeliest: Tensor, entropies: Tensor) -> Tensor:
    """The numbers of `LIKELIHOODS`. Without any digit, all tokens stand for those with one."""
    has_digit = torch.tensor([any(map(str.isdigit, text)) for text in texts], device=logs.device)
    at_digits = has_digit if has_digit.any() else torch.ones_like(has_digit)
    levels = torch.tensor([0.05, 0.1, 0.25], device=logs.device)
    digits = logs[at_digits]
    steps = torch.stack([logs[start:end].mean() for start, end in steps_of(texts)])
    found = [
        logs.mean(),
        *logs.quantile(levels),
        logs.min(),
        digits.mean(),
        digits.quantile(levels[1]),
        digits.min(),
        steps.min(),
        likeliest.mean(),
        likeliest[at_digits].mean(),
        entropies.mean(),
        entropies[at_digits].mean(),
    ]
    assert len(found) == len(LIKELIHOODS)
    return torch.stack(found)


def steps_of(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Split tokens into steps: lines and sentences.

    Args:
        texts: The text of each token, one at least.

    Returns:
        For each step its first token and the one after its last.
    """
    ends = [
        place
        for place, (text, following) in enumerate(pairwise(texts), start=1)
        if "\n" in text or (text.rstrip().endswith(_SENTENCE_ENDS) and following[:1].isspace())
    ]
    steps: list[tuple[int, int]] = []
    start = 0
    for end in (*ends, len(texts)):
        if end - start >= _SHORTEST_STEP or not steps:
            steps.append((start, end))
        else:
            steps[-1] = (steps[-1][0], end)
        start = end
    return steps
