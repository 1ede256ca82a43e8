"""The prompts: one question for one score on one criterion.

What the criterion, the problem and the response say stands in spans where it is not ours: special
tokens in it are ordinary characters.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from inspector_plugin.errors import OptionError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.templates import around_messages, has_template
from inspector_plugin.lm.tokens import Segment
from inspector_plugin.schema.criteria import QUESTION, RUBRIC, Criterion, Scale
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE


@dataclass(frozen=True)
class PromptForm:
    """What surrounds a request.

    Attributes:
        opening: What the chat template puts before the user's message; "" for a raw prompt.
        ending: What follows the user's message, up to where the model begins to write.
        answer_prefix: What the model's answer begins with; "" where the model writes feedback.
        chat: Whether the chat template is used.
        reasoning: Whether the model writes feedback first.
    """

    opening: str
    ending: str
    answer_prefix: str
    chat: bool
    reasoning: bool

    def closing(self, scale: Scale) -> str:
        """What follows the response, up to where the score (or the feedback) is written."""
        return _ask(scale, self.reasoning) + self.ending + self.answer_prefix

    def segments(self, request: JudgeRequest, criterion: Criterion) -> list[Segment]:
        """Lay out a request up to the end of what is judged; `closing` follows."""
        question = [*self._task(criterion), Segment(request.question, "question")]
        if criterion.of_question:
            return question
        return [
            *question,
            Segment("\n\nResponse:\n"),
            Segment(request.response, "response"),
        ]

    def fingerprint(self) -> str:
        """Hash all that the prompts say besides the criterion.

        Returns:
            16 hexadecimal digits.
        """
        digest = hashlib.sha256(f"{self.opening}\x1f".encode())
        request = JudgeRequest("", "")
        for criterion in (*ROSCOE, Criterion(RUBRIC, "", "-"), Criterion("own", "", "-")):
            digest.update(f"{self.closing(criterion.scale)}\x1f".encode())
            for segment in self.segments(request, criterion):
                digest.update(segment.text.encode() + b"\x1f")
        return digest.hexdigest()[:16]

    def _task(self, criterion: Criterion) -> list[Segment]:
        if criterion.key == RUBRIC and not criterion.anchors and not criterion.of_question:
            return [
                Segment(f"{self.opening}Rate a response to a problem by this rubric.\n\n"),
                Segment(criterion.definition, "rubric"),
                Segment("\n\nProblem:\n"),
            ]
        lines = [f"{label}: {text}\n" for label, text in criterion.anchors.items()]
        anchors = "".join([*lines, "\n"] if lines else [])
        opening = Segment(f"{self.opening}Rate the")
        # The blank is the criterion's: tokenizers draw it into one token with the word after it.
        judged = "a problem" if criterion.of_question else "a response to a problem"
        words = (
            f" {criterion.title.lower()} of {judged}. {criterion.definition}\n\n{anchors}Problem:\n"
        )
        if criterion in ROSCOE:  # our own words, in one piece with what surrounds them
            return [Segment(opening.text + words)]
        return [opening, Segment(words, "criterion")]


def question_fingerprint() -> str:
    """Hash what is said around a question that is judged alone, besides the criterion.

    Returns:
        16 hexadecimal digits.
    """
    form = PromptForm("", "", "", chat=False, reasoning=False)
    criterion = Criterion("own", "", "-", judges=QUESTION)
    segments = form.segments(JudgeRequest("", ""), criterion)
    return hashlib.sha256("\x1f".join(s.text for s in segments).encode()).hexdigest()[:16]


def make_prompt_form(
    language_model: LanguageModel, chat: bool | None, answer_prefix: str, reasoning: bool
) -> PromptForm:
    """Decide on chat template or raw prompt, and write what follows the response.

    Args:
        language_model: Whose chat template counts.
        chat: Whether to use the chat template; None uses it where there is one.
        answer_prefix: What the model's answer begins with; the score comes right after it.
        reasoning: Whether the model writes feedback first. The prefix is then left to the model.

    Raises:
        OptionError: If the chat template is asked for and there is none.
        ModelError: If the template fails, or drops the message.
    """
    templated = has_template(language_model)
    if chat and not templated:
        raise OptionError(
            f"chat=true: language model {language_model.name!r} has no chat template; leave chat "
            "out, or give chat=false."
        )
    opening, ending = "", "\n"
    if chat or (chat is None and templated):
        opening, ending = around_messages(language_model, [{"role": "user", "content": ""}])
    return PromptForm(opening, ending, "" if reasoning else answer_prefix, bool(opening), reasoning)


def _ask(scale: Scale, reasoning: bool) -> str:
    numbers = f"a whole number from {scale.minimum} to {scale.maximum}"
    if not reasoning:
        return f"\n\nReturn only the score, {numbers}."
    return (
        "\n\nWrite brief feedback on the response. Then end with a line of the form "
        f'"Score: N", where N is {numbers}.'
    )
