"""What judging would cost: tokens and money estimated without a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inspector_plugin.judges.prompt.messages import Conversation, Refusal, Replies
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.judges.prompt.prices import Price
from inspector_plugin.judges.prompt.untrusted import without_key
from inspector_plugin.schema.usage import Usage

# English prose and formulas take about 3.5 bytes a token, a score with its justification about 60.
BYTES_PER_TOKEN = 3.5
TOKENS_PER_SCORE = 60


class DryRun:
    """Answers no conversation, and says what each would have cost; a `Source`."""

    def __init__(self, options: PromptOptions, price: Price | None) -> None:
        """Take the options of the endpoint that would be asked, and its price if known."""
        self._options = options
        self._price = price

    def replies(self, conversations: Sequence[Conversation]) -> Replies:
        """Estimate; see `Source.replies`. No prefix cache is counted on."""
        yield [
            (
                position,
                Refusal("dry run: not asked", transient=True, usage=self._usage(conversation)),
            )
            for position, conversation in enumerate(conversations)
        ]

    def describe(self) -> Mapping[str, Any]:
        """Describe the endpoint, so that the judge cache knows what is judged already."""
        return self._options.describe_endpoint()

    def clean(self, text: str) -> str:
        """Replace unpaired surrogates; see `Source.clean`."""
        return without_key(text, None)

    def close(self) -> None:
        """Hold nothing."""

    def _usage(self, conversation: Conversation) -> Usage:
        prompt = round(conversation.size / BYTES_PER_TOKEN)
        expected = conversation.expected_tokens
        completion = (
            TOKENS_PER_SCORE * _scores(conversation.schema) if expected is None else expected
        )
        return Usage(
            calls=1,
            prompt_tokens=prompt,
            completion_tokens=completion,
            money=self._price.cost(prompt, 0, completion) if self._price else None,
        )


def _scores(schema: Mapping[str, Any]) -> int:
    properties = schema["properties"]
    return 1 if "score" in properties else len(properties)
