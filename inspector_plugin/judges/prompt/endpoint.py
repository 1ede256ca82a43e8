"""Replies from an OpenAI-compatible chat endpoint, many calls at a time."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt.completions import NoLogprobs, read_completion
from inspector_plugin.judges.prompt.dialect import Dialect
from inspector_plugin.judges.prompt.error_answers import read_error
from inspector_plugin.judges.prompt.faults import (
    RefusedCall,
    TransientFault,
    connection_fault,
    fault_of,
    unreachable,
)
from inspector_plugin.judges.prompt.first_calls import FirstCalls, Settled
from inspector_plugin.judges.prompt.keys import Key
from inspector_plugin.judges.prompt.messages import Conversation, Refusal, Replies, Reply
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.judges.prompt.pace import LongPause, Pace
from inspector_plugin.judges.prompt.prices import Budget, Price
from inspector_plugin.judges.prompt.streaming import Stream
from inspector_plugin.judges.prompt.transport import BodyFault, HttpAnswer, Transport
from inspector_plugin.judges.prompt.untrusted import JsonFault, read_json, without_key
from inspector_plugin.schema.usage import Usage

MAX_ATTEMPTS = 8
MAX_FIRST_ATTEMPTS = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_BYTES_PER_TOKEN = 4
# An answer that is none, and is paid for all the same, is asked for again so often.
_MAX_PAID_ATTEMPTS = 3
# Answers of these statuses may say what the endpoint does not take in the body of a call.
_TEACHING = (400, 415, 422, 500, 501)

logger = logging.getLogger(__name__)
_Answer = Reply | Refusal


@dataclass
class _Patience:
    """The time that one conversation has left; waiting for its turn takes none of it."""

    left: float


class Endpoint:
    """Asks an OpenAI-compatible endpoint; a `Source`."""

    def __init__(self, options: PromptOptions, key: Key | None, price: Price | None) -> None:
        """Prepare the client; no call is made yet.

        Args:
            options: Where and how to ask.
            key: The key, or None to send none.
            price: What the model costs, if known.
        """
        self._options = options
        self._key = key
        self._price = price
        self._dialect = Dialect.first(options)
        self._first = FirstCalls(options, key)
        self._pace = Pace(
            options.concurrency, options.requests_per_minute, options.tokens_per_minute
        )
        self._budget = Budget(options.max_cost)
        self._heard = False
        self._transport = Transport(str(options.base_url), key)
        self._stream: Stream[Reply | Refusal] = Stream(options.concurrency)

    def replies(self, conversations: Sequence[Conversation]) -> Replies:
        """Ask all conversations; see `Source.replies`."""
        self._first.forget_held()

        async def answer(position: int) -> Settled:
            return self._first.settle(position, await self._ask(conversations[position]))

        return self._stream.answers(len(conversations), answer, self._first.rest)

    def describe(self) -> Mapping[str, Any]:
        """Name endpoint, model and sampling."""
        return self._options.describe_endpoint()

    def clean(self, text: str) -> str:
        """Take the key out of a text; see `Source.clean`."""
        return without_key(text, self._secret)

    def close(self) -> None:
        """Close the connections."""
        self._stream.close(self._transport.close)

    @property
    def _secret(self) -> str | None:
        return None if self._key is None else self._key.value

    async def _ask(self, conversation: Conversation) -> _Answer | RefusedCall:
        """Ask until there is a reply, or a reason why there is none.

        Raises:
            JudgeError: If no call can succeed.
        """
        patience = _Patience(self._options.deadline)
        try:
            return await self._attempts(conversation, patience)
        except RefusedCall as refused:
            # Some endpoints refuse schemas in words that only they understand.
            simpler = self._dialect.without_schema(self._options)
            understood = refused.answer.status not in _TEACHING
            if self._first.replied or simpler is None or understood:
                return refused
            try:
                answer = await self._attempts(conversation, patience, simpler)
            except RefusedCall:
                return refused
            if isinstance(answer, Reply):
                self._dialect = replace(self._dialect, reply_format=simpler.reply_format)
            return answer

    async def _attempts(
        self, conversation: Conversation, patience: _Patience, trial: Dialect | None = None
    ) -> _Answer:
        """Ask in the endpoint's dialect as known so far, or in one that is tried for this call."""
        attempt, spent = 0, Usage()
        while True:
            if self._stream.stopped_by is not None:
                return Refusal("not asked: the run stopped", True, spent)
            dialect = trial or self._dialect
            try:
                answer = await self._attempt(conversation, dialect, patience)
                return replace(answer, usage=spent + answer.usage)
            except LongPause as asked:
                return self._too_long_pause("too many requests (429)", asked.seconds, spent)
            except TransientFault as found:
                fault = found
            except RefusedCall as refused:
                if trial is None and self._learn(dialect, refused):
                    continue
                meaning = fault_of(refused.answer, self._options, self._key)
                if isinstance(meaning, Refusal):
                    return replace(meaning, usage=spent)
                if not isinstance(meaning, TransientFault):
                    raise meaning from None
                fault = meaning
            attempt, spent = attempt + 1, spent + fault.usage
            self._heard = self._heard or fault.is_chat_api
            if not self._heard and attempt >= MAX_FIRST_ATTEMPTS:
                raise unreachable(self._options, fault.reason) from None
            if attempt >= (_MAX_PAID_ATTEMPTS if fault.usage.calls else MAX_ATTEMPTS):
                return Refusal(f"{fault.reason}, {attempt} times", True, spent)
            pause = _backoff(attempt) if fault.pause is None else fault.pause
            if self._stream.stopped_by is not None or patience.left <= 0:
                return Refusal(self._late(fault), True, spent)
            if pause > patience.left:
                return self._too_long_pause(fault.reason, pause, spent)
            patience.left -= pause
            await asyncio.sleep(pause)

    async def _attempt(
        self, conversation: Conversation, dialect: Dialect, patience: _Patience
    ) -> _Answer:
        """Make one call when it is its turn, and book what it costs."""
        options, size = self._options, conversation.size
        self._stream.mark(under_way=False)
        most = self._price.most(size, options.reply_tokens) if self._price else 0.0
        if not await self._budget.reserve(most):
            reason = f"not asked: the cost could pass max_cost ${options.max_cost:g}"
            return Refusal(reason, transient=True)
        cost: float | None = 0.0
        try:
            tokens = size // _BYTES_PER_TOKEN + options.reply_tokens
            async with self._pace.turn(tokens, patience.left) as started:
                self._stream.mark(under_way=True)
                try:
                    answer = await self._call(conversation, dialect, patience)
                except RefusedCall as refused:
                    if refused.answer.status == 429:
                        self._pace.slow_down(started, refused.answer.pause)
                    raise
            answer = replace(answer, usage=self._priced(answer.usage, started))
            cost = answer.usage.money
            return answer
        except TransientFault as fault:
            if fault.usage.calls:
                fault.usage = self._priced(fault.usage, started)
            cost = fault.usage.money
            raise
        finally:
            await self._budget.settle(most, most if cost is None else cost)

    async def _call(
        self, conversation: Conversation, dialect: Dialect, patience: _Patience
    ) -> _Answer:
        """Make one call.

        Raises:
            TransientFault: If trying again may help.
            RefusedCall: If the endpoint answers with an error.
            JudgeError: If no call can succeed.
        """
        options, secret = self._options, self._secret
        answer = await self._post(dialect.body(conversation, options), patience)
        if not 200 <= answer.status < 300:
            self._heard = True
            raise RefusedCall(read_error(answer.status, answer.body, answer.headers, secret))
        try:
            reply = read_completion(read_json(answer.body), options.logprobs, secret)
        except JsonFault:
            raise TransientFault("the answer is not JSON") from None
        except RefusedCall:
            self._heard = True
            raise
        except NoLogprobs as error:
            if self._first.replied:
                raise TransientFault(f"the answer holds {error}") from None
            raise JudgeError(
                f"The endpoint returns {error}, which logprobs=true needs; judge without "
                "logprobs, or use an endpoint and a model that offer them."
            ) from None
        self._heard = True
        self._pace.speed_up()
        if isinstance(reply, Reply):
            return replace(reply, text=self.clean(reply.text))
        return reply

    async def _post(self, body: Mapping[str, Any], patience: _Patience) -> HttpAnswer:
        """Post within the time that is left."""
        started, limit = time.monotonic(), min(self._options.timeout, patience.left)
        try:
            return await asyncio.wait_for(self._transport.post(body), limit)
        except asyncio.TimeoutError:
            raise TransientFault(f"no answer within {limit:g} seconds") from None
        except BodyFault as error:
            raise TransientFault(str(error)) from None
        # The HTTP stack raises errors of many kinds, whose text may quote the key.
        except Exception as error:  # noqa: BLE001
            raise connection_fault(error, self._options, self._key, self._heard) from None
        finally:
            patience.left -= time.monotonic() - started

    def _learn(self, dialect: Dialect, refused: RefusedCall) -> bool:
        """Learn the endpoint's dialect from a refusal; return whether to ask again in it."""
        if refused.answer.status not in _TEACHING:
            return False
        try:
            learnt = dialect.learnt(refused.answer, self._options)
        except JudgeError:
            if self._first.replied:
                return False  # the endpoint has what is asked for: it is this response
            raise
        if learnt is None:
            return False
        if dialect == self._dialect:  # else another call has learnt it already
            if dialect.temperature and not learnt.temperature:
                logger.warning(
                    "%s takes no temperature: replies are sampled, and the scores of another run "
                    "may differ.",
                    self._options.base_url,
                )
            self._dialect = learnt
        return True

    def _priced(self, usage: Usage, started: float) -> Usage:
        money = usage.money
        if money is not None:
            counts = usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens
            money = self._price.cost(*counts) if self._price else None
        return replace(usage, calls=1, seconds=time.monotonic() - started, money=money)

    def _late(self, fault: TransientFault) -> str:
        if self._stream.stopped_by is not None:
            return fault.reason
        return f"no answer within the deadline of {self._options.deadline:g} seconds"

    def _too_long_pause(self, reason: str, seconds: float, spent: Usage) -> Refusal:
        return Refusal(
            f"{reason}; the next attempt would be in {seconds:,.0f} seconds, after the deadline of "
            f"{self._options.deadline:g} seconds",
            True,
            spent,
        )


def _backoff(attempt: int) -> float:
    """Exponential backoff with jitter."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (attempt - 1))
    return random.uniform(longest / 2, longest)
