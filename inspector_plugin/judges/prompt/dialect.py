"""What an endpoint accepts in the body of a call, learnt from its refusals."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt.error_answers import ErrorAnswer
from inspector_plugin.judges.prompt.messages import Conversation
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.lm.chats import fold_system

TOP_LOGPROBS = 20
TOO_LONG = re.compile(
    r"context_length|context length|maximum context|context size|context window|too long"
    r"|context_size|prompt is longer|too many (?:input )?tokens|reduce the length"
)
_NOT_TAKEN = re.compile(
    r"unsupported|not support|n.t support|unrecogni[sz]ed|unknown|unexpected|extra|not permitted"
    r"|not allowed|not enabled|not available|unavailable|invalid|deprecated|only|cannot|must"
    r"|should be|forbidden|removed|incompatible"
)
_SYSTEM_ROLE = re.compile(
    r"\b(?:system|developer)\b.{0,60}\b(?:role|message|prompt|instruction)s?\b"
    r"|\broles?\b.{0,60}\b(?:system|developer|assistant|alternate)\b"
    r"|\bassistant\b.{0,60}\broles?\b"
)
_FORMAT = re.compile(
    r"response.?format|json.?schema|json.?object|json.?mode|structured.?output|grammar|guided"
    r"|\bschema\b"
)
_SMALL_NUMBER = re.compile(r"(?<![\w.-])\d{1,2}(?![\w-]|\.\d)")


@dataclass(frozen=True)
class Dialect:
    """How an endpoint wants to be asked.

    Attributes:
        reply_format: The response format: "schema", "json" or "text".
        limit_name: What it calls the limit of a reply's tokens.
        temperature: Whether it takes a temperature.
        system_role: Whether it takes a system message.
        top_logprobs: For how many candidates it gives log-probabilities.
    """

    reply_format: str
    limit_name: str = "max_tokens"
    temperature: bool = True
    system_role: bool = True
    top_logprobs: int = TOP_LOGPROBS

    @staticmethod
    def first(options: PromptOptions) -> Dialect:
        """How an endpoint is asked of which nothing is known yet."""
        return Dialect("schema" if options.reply_format == "auto" else options.reply_format)

    def body(self, conversation: Conversation, options: PromptOptions) -> dict[str, Any]:
        """Write the body of a call."""
        messages = [message.to_json() for message in conversation.messages]
        body: dict[str, Any] = {
            "model": options.model,
            "messages": messages if self.system_role else fold_system(messages),
            self.limit_name: options.reply_tokens,
        }
        if self.temperature:
            body["temperature"] = 0
        if self.reply_format == "json":
            body["response_format"] = {"type": "json_object"}
        elif self.reply_format == "schema":
            schema = {"name": "judgement", "strict": True, "schema": dict(conversation.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if options.logprobs:
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return body | (json.loads(options.extra_body) if options.extra_body else {})

    def learnt(self, answer: ErrorAnswer, options: PromptOptions) -> Dialect | None:
        """Learn from a refusal.

        Args:
            answer: What the endpoint said to a call in this dialect.
            options: What is wanted of it.

        Returns:
            The dialect to ask in from now on; None if the refusal says nothing about that.

        Raises:
            JudgeError: If the endpoint does not have what the options ask for.
        """
        said = answer.marks
        if TOO_LONG.search(said):
            return None
        not_taken = _NOT_TAKEN.search(said) is not None
        if self.limit_name == "max_tokens" and (
            "max_completion_tokens" in said or ("max_tokens" in said and "unsupported" in said)
        ):
            return replace(self, limit_name="max_completion_tokens")
        if self.temperature and "temperature" in said and not_taken:
            return replace(self, temperature=False)
        if self.system_role and not_taken and _SYSTEM_ROLE.search(said):
            return replace(self, system_role=False)
        if options.logprobs and "logprob" in said:
            return self._with_fewer_candidates(answer, options)
        if self.reply_format != "text" and _FORMAT.search(said):
            return self._with_simpler_format(answer, options)
        return None

    def without_schema(self, options: PromptOptions) -> Dialect | None:
        """The dialect to try where a refusal may be one of schemas, in words not understood."""
        if options.reply_format == "auto" and self.reply_format == "schema":
            return replace(self, reply_format="json")
        return None

    def _with_fewer_candidates(self, answer: ErrorAnswer, options: PromptOptions) -> Dialect:
        named = [int(number) for number in _SMALL_NUMBER.findall(answer.said)]
        allowed = [number for number in named if 0 < number < self.top_logprobs]
        if not allowed:
            raise JudgeError(
                f"{options.base_url} offers no token log-probabilities for {options.model!r} "
                f"({answer.said}); judge without logprobs=true."
            )
        return replace(self, top_logprobs=max(allowed))

    def _with_simpler_format(self, answer: ErrorAnswer, options: PromptOptions) -> Dialect:
        simpler = self.without_schema(options)
        if simpler is None:
            other = "json" if self.reply_format == "schema" else "schema"
            raise JudgeError(
                f"{options.base_url} does not have the response format {self.reply_format!r} "
                f"({answer.said}); use reply_format=text (or {other}, if it has that)."
            )
        return simpler
