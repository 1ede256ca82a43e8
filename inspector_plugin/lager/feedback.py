"""The reasoning condition: the model writes feedback, and the score is read in its own text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from inspector_plugin.lm.forward import token_budget_batches
from inspector_plugin.lm.generation import generate
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.tokens import Encoding

# "Score: 4", "**Score**: 4/5", "score is 4"; a fraction such as 4.5 is no score.
_SCORE = re.compile(r"\bscore\b[\s*_:=]*(?:is\s+)?[*_]*(\d+)(?![.,]?\d)", re.IGNORECASE)


def write_feedback(
    language_model: LanguageModel,
    encodings: Sequence[Encoding],
    max_tokens: int,
    batch_tokens: int,
) -> list[str]:
    """Let the model answer prompts, greedily.

    Args:
        language_model: The model.
        encodings: The prompts.
        max_tokens: Most tokens to write.
        batch_tokens: Most tokens in a batch, those to be written included.

    Returns:
        The feedback to each prompt, in order.
    """
    texts = [""] * len(encodings)
    lengths = [len(encoding.token_ids) + max_tokens for encoding in encodings]
    for batch in token_budget_batches(lengths, batch_tokens):
        written = generate(language_model, [encodings[i].token_ids for i in batch], max_tokens)
        for index, generation in zip(batch, written, strict=True):
            texts[index] = generation.text
    return texts


def before_score(feedback: str, scores: Sequence[int]) -> str | None:
    """Return the feedback up to the last score that it names.

    Returns:
        What stands before the score; None if the last score named is none of the scale, or if
        none is named.
    """
    named = list(_SCORE.finditer(feedback))
    if not named or int(named[-1][1]) not in scores:
        return None
    return feedback[: named[-1].start(1)]
