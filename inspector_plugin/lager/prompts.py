"""The prompts: one question for one score, by an aspect's criteria or by the caller's rubric.

What the caller and the response say stands in spans: special tokens in it are ordinary characters.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from inspector_plugin.aspects import ASPECTS, RUBRIC, Aspect, get_aspect
from inspector_plugin.errors import OptionError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.tokens import Segment
from inspector_plugin.schema import JudgeRequest

_PLACE = "USER-MESSAGE-CONTENT"


@dataclass(frozen=True)
class PromptForm:
    """What surrounds a request.

    Attributes:
        maximum: The highest score; the lowest is 1.
        opening: What the chat template puts before the user's message; "" for a raw prompt.
        closing: What follows the response, up to where the model begins to write.
        chat: Whether the chat template is used.
    """

    maximum: int
    opening: str
    closing: str
    chat: bool

    def segments(self, request: JudgeRequest, aspect: str) -> list[Segment]:
        """Lay out a request up to the end of the response; `closing` follows.

        Args:
            request: The question, the response and perhaps a rubric.
            aspect: The key of the aspect, or `RUBRIC`.
        """
        return [
            *self._task(request, aspect),
            Segment(request.question, "question"),
            Segment("\n\nResponse:\n"),
            Segment(request.response, "response"),
        ]

    def fingerprint(self) -> str:
        """Hash all that the prompts say.

        Returns:
            16 hexadecimal digits.
        """
        digest = hashlib.sha256(f"{self.opening}\x1f{self.closing}".encode())
        request = JudgeRequest("", "", rubric="")
        for aspect in (*(aspect.key for aspect in ASPECTS), RUBRIC):
            for segment in self.segments(request, aspect):
                digest.update(segment.text.encode() + b"\x1f")
        return digest.hexdigest()[:16]

    def _task(self, request: JudgeRequest, aspect: str) -> list[Segment]:
        if aspect == RUBRIC:
            return [
                Segment(f"{self.opening}Rate a response to a problem by this rubric.\n\n"),
                Segment(request.rubric or "", "rubric"),
                Segment("\n\nProblem:\n"),
            ]
        known = get_aspect(aspect)
        anchors = "\n".join(f"{score}: {text}" for score, text in _anchors(known, self.maximum))
        return [
            Segment(
                f"{self.opening}Rate the {known.title.lower()} of a response to a problem. "
                f"{known.definition}\n\n{anchors}\n\nProblem:\n"
            )
        ]


def make_prompt_form(
    language_model: LanguageModel,
    maximum: int,
    chat: bool | None,
    answer_prefix: str,
    reasoning: bool,
) -> PromptForm:
    """Decide on chat template or raw prompt, and write what follows the response.

    Args:
        language_model: Whose chat template counts.
        maximum: The highest score.
        chat: Whether to use the chat template; None uses it where there is one.
        answer_prefix: What the model's answer begins with; the score comes right after it.
        reasoning: Whether the model writes feedback first. The prefix is then left to the model.

    Raises:
        OptionError: If the chat template is asked for and there is none.
    """
    has_template = bool(language_model.tokenizer.chat_template)
    if chat and not has_template:
        raise OptionError(
            f"chat=true: language model {language_model.name!r} has no chat template; leave chat "
            "out, or give chat=false."
        )
    opening, closing = (
        _template(language_model) if chat or (chat is None and has_template) else ("", "\n")
    )
    return PromptForm(
        maximum,
        opening,
        _ask(maximum, reasoning) + closing + ("" if reasoning else answer_prefix),
        chat=bool(opening),
    )


def _template(language_model: LanguageModel) -> tuple[str, str]:
    """What the chat template puts before and after a user's message."""
    text: str = language_model.tokenizer.apply_chat_template(
        [{"role": "user", "content": _PLACE}], tokenize=False, add_generation_prompt=True
    )
    before, _, after = text.partition(_PLACE)
    return before, after


def _ask(maximum: int, reasoning: bool) -> str:
    if not reasoning:
        return f"\n\nReturn only the score, a whole number from 1 to {maximum}."
    return (
        "\n\nWrite brief feedback on the response. Then end with a line of the form "
        f'"Score: N", where N is a whole number from 1 to {maximum}.'
    )


def _anchors(aspect: Aspect, maximum: int) -> list[tuple[int, str]]:
    """Spread the five criteria evenly over the scale; only the ends where they do not fall even."""
    step, uneven = divmod(maximum - 1, len(aspect.criteria) - 1)
    if uneven:
        return [(1, aspect.criteria[0]), (maximum, aspect.criteria[-1])]
    return [(1 + index * step, text) for index, text in enumerate(aspect.criteria)]
