"""Score tokens: which token spells which score where the score is to be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.tokens import text_ids


@dataclass(frozen=True)
class ScorePosition:
    """The place in a text where a score follows.

    Attributes:
        token_ids: The tokens of the text before the score. Where a tokenizer draws the blank
            before a number into the number's token, that blank is not among them.
        score_ids: For each score the one token that spells it at that place.
    """

    token_ids: tuple[int, ...]
    score_ids: tuple[int, ...]


def find_score_position(
    language_model: LanguageModel, text: str, scores: Sequence[int | str], trusted: bool = True
) -> ScorePosition:
    """Find the tokens that spell the scores when they follow a text.

    The text is tokenised together with each score, as the model would have read it in training.

    Args:
        language_model: Whose tokenizer counts.
        text: What stands directly before the score.
        scores: The scores; words that stand for some, such as "yes" and "no", may be among them.
        trusted: Whether special tokens that the text spells out are read as such.

    Raises:
        ModelError: If the scores are not single, different tokens after one and the same text.
    """
    tokenizer = language_model.tokenizer
    spelled = [text_ids(tokenizer, f"{text}{score}", trusted) for score in scores]
    before = spelled[0][:-1]
    score_ids = tuple(token_ids[-1] for token_ids in spelled)
    for score, token_ids in zip(scores, spelled, strict=True):
        single = token_ids[:-1] == before and score_ids.count(token_ids[-1]) == 1
        if not single or tokenizer.decode(token_ids[-1:]).strip() != str(score):
            pieces = tokenizer.convert_ids_to_tokens(token_ids)[-4:]
            raise ModelError(
                f"Language model {language_model.name!r} does not write the score {score} as one "
                f"token after {text[-20:]!r} (it writes ... {pieces}), so that its logit cannot be "
                f"read; judge on a scale of other labels, or with another answer_prefix=."
            )
    return ScorePosition(tuple(before), score_ids)
