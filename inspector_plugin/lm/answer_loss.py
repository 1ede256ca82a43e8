"""How well a language model predicts given answers: the loss of their tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.batches import token_budget_batches
from inspector_plugin.lm.forward import pad_right
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.lora_plan import Example
from inspector_plugin.progress import Progress

# The logits of so many tokens over a whole vocabulary are in memory at once.
_TOKENS_AT_ONCE = {"cpu": 1024, "cuda": 16384}


def answer_losses(
    language_model: LanguageModel, examples: Sequence[Example], description: str = "Loss"
) -> list[float]:
    """Sum up the loss of each answer; the prompts do not count.

    Args:
        language_model: The model.
        examples: Prompts and answers.
        description: What progress says.

    Returns:
        The negative natural log-likelihood of each answer, summed over its tokens, in nats; divide
        by the number of tokens for the mean.

    Raises:
        ModelError: If an example does not fit into the context, or a loss is not a number.
    """
    lengths = [len(each.prompt) + len(each.completion) for each in examples]
    if max(lengths, default=0) > language_model.max_tokens:
        raise ModelError(
            f"The longest answer has {max(lengths)} tokens with its prompt, and "
            f"{language_model.name!r} reads {language_model.max_tokens}; leave such answers out."
        )
    losses = [0.0] * len(examples)
    budget = _TOKENS_AT_ONCE.get(language_model.device.type, 1024)
    with Progress(len(examples), description, "answer") as progress:
        for batch in token_budget_batches(lengths, budget):
            found = _batch_losses(language_model, [examples[row] for row in batch])
            for row, loss in zip(batch, found, strict=True):
                losses[row] = loss
            progress.advance(len(batch))
    if not all(map(math.isfinite, losses)):
        raise ModelError(f"The loss of {language_model.name!r} on an answer is not a number.")
    return losses


def _batch_losses(language_model: LanguageModel, examples: Sequence[Example]) -> list[float]:
    texts = [(*each.prompt, *each.completion) for each in examples]
    ids, mask = pad_right(texts, language_model.device)
    with torch.inference_mode():
        logits = language_model.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        losses = []
        for row, each in enumerate(examples):
            start, end = len(each.prompt), len(each.prompt) + len(each.completion)
            of_answer = logits[row, start - 1 : end - 1].float()
            targets = ids[row, start:end]
            losses.append(
                float(torch.nn.functional.cross_entropy(of_answer, targets, reduction="sum"))
            )
    return losses
