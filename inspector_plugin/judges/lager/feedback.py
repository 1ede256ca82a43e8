"""The reasoning condition: the model writes feedback, and the score is read in its own text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from inspector_plugin.lm.batches import OnFault, run_in_batches
from inspector_plugin.lm.generation import NOT_FINITE, Generation, generate
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.tokens import Encoding

# "Score: 4", "**Score**: 4/5", "score is 4"; a fraction such as 4.5 is no score.
_SCORE = re.compile(r"\bscore\b[\s*_:=]*(?:is\s+)?[*_]*(\d+)(?![.,]?\d)", re.IGNORECASE)


def write_feedback(
    language_model: LanguageModel,
    encodings: Sequence[Encoding],
    max_tokens: int,
    batch_size: int | None = None,
    on_fault: OnFault | None = None,
) -> list[str]:
    """Let the model answer prompts, greedily.

    Args:
        language_model: The model.
        encodings: The prompts.
        max_tokens: Most tokens to write.
        batch_size: The most prompts in a batch; None for as many as fit.
        on_fault: Told the index of a prompt that could not be answered, and why; its feedback is
            empty then. If None, that is an error.

    Returns:
        The feedback to each prompt, in order.
    """
    texts = [""] * len(encodings)
    lengths = [len(encoding.token_ids) + max_tokens for encoding in encodings]

    def run(batch: list[int]) -> list[Generation]:
        return generate(language_model, [encodings[i].token_ids for i in batch], max_tokens)

    for batch, written in run_in_batches(language_model, lengths, batch_size, run, on_fault):
        for index, generation in zip(batch, written, strict=True):
            texts[index] = generation.text
            if on_fault is not None and not generation.is_finite:
                on_fault(index, NOT_FINITE)
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
