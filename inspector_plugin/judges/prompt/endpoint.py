"""Replies from an OpenAI-compatible chat endpoint, many calls at a time."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

from inspector_plugin.errors import JudgeError, OptionError
from inspector_plugin.judges.prompt.completions import (
    CompletionFault,
    read_completion,
    request_body,
)
from inspector_plugin.judges.prompt.keys import Key
from inspector_plugin.judges.prompt.messages import Conversation, Refusal, Replies, Reply
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.judges.prompt.pace import Pace
from inspector_plugin.judges.prompt.prices import Budget, Price

try:
    import openai
except ImportError as missing:
    raise OptionError(
        "Judging through an endpoint needs the openai package: "
        'pip install "inspector_plugin[openai]"'
    ) from missing

# The file on faults needs openai as well.
from inspector_plugin.judges.prompt.faults import (
    FormatFault,
    TransientFault,
    connection_fault,
    status_fault,
    unreachable,
)

MAX_ATTEMPTS = 8
MAX_FIRST_ATTEMPTS = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_BYTES_PER_TOKEN = 4
_OBJECTS_BETWEEN_COLLECTIONS = 20_000

# They would tell others about this machine, and cost time on each call.
_LEFT_OUT = (
    "OpenAI-Organization",
    "OpenAI-Project",
    "X-Stainless-Arch",
    "X-Stainless-Async",
    "X-Stainless-Lang",
    "X-Stainless-OS",
    "X-Stainless-Package-Version",
    "X-Stainless-Read-Timeout",
    "X-Stainless-Retry-Count",
    "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version",
)

_Result = TypeVar("_Result")
_Answer = Reply | Refusal
_Finished = tuple[int, _Answer, "asyncio.Future[None]"]
_HandOver = Callable[[int, _Answer], Awaitable[None]]


class Endpoint:
    """Asks an OpenAI-compatible endpoint; a `Source`.

    Calls run in an event loop of its own, which lives from one batch to the next, so that
    connections stay open and callers need not be asynchronous. The loop only runs while the caller
    waits for replies.
    """

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
        self._format = "schema" if options.reply_format == "auto" else options.reply_format
        self._pace = Pace(
            options.concurrency, options.requests_per_minute, options.tokens_per_minute
        )
        self._budget = Budget(options.max_cost)
        self._answered = False
        self._client: openai.AsyncOpenAI | None = None
        self._loop = asyncio.new_event_loop()

    def replies(self, conversations: Sequence[Conversation]) -> Replies:
        """Ask all conversations; see `Source.replies`.

        A call's place is only given to the next one once its reply has been dealt with: when the
        process dies, no more is lost than the calls under way.
        """
        finished: list[_Finished] = []
        arrived = asyncio.Event()

        async def hand_over(position: int, answer: _Answer) -> None:
            dealt_with = self._loop.create_future()
            finished.append((position, answer, dealt_with))
            arrived.set()
            await dealt_with

        run = self._loop.create_task(self._run(conversations, hand_over))
        run.add_done_callback(lambda _: arrived.set())
        with _rare_collections():
            try:
                while finished or not run.done():
                    self._drive(arrived.wait())
                    arrived.clear()
                    group = finished.copy()
                    finished.clear()
                    yield [(position, answer) for position, answer, _ in group]
                    for _, _, dealt_with in group:
                        if not dealt_with.done():
                            dealt_with.set_result(None)
                run.result()
            finally:
                run.cancel()
                self._drive(asyncio.wait([run]))

    def describe(self) -> Mapping[str, Any]:
        """Name endpoint, model and sampling."""
        return self._options.describe_endpoint()

    def close(self) -> None:
        """Close the connections."""
        if self._loop.is_closed():
            return
        if self._client is not None:
            self._drive(self._client.close())
        self._loop.close()

    def _drive(self, awaitable: Coroutine[Any, Any, _Result]) -> _Result:
        """Run the event loop; in another thread where this one runs a loop, as in a notebook."""
        if not _runs_a_loop():
            return self._loop.run_until_complete(awaitable)
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(self._loop.run_until_complete, awaitable).result()

    async def _run(self, conversations: Sequence[Conversation], hand_over: _HandOver) -> None:
        waiting = iter(enumerate(conversations))

        async def work() -> None:
            for position, conversation in waiting:
                await hand_over(position, await self._ask(conversation))

        workers = min(self._options.concurrency, len(conversations))
        tasks = [asyncio.ensure_future(work()) for _ in range(workers)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, conversation: Conversation) -> _Answer:
        try:
            return await asyncio.wait_for(self._attempts(conversation), self._options.deadline)
        except asyncio.TimeoutError:
            reason = f"no answer within the deadline of {self._options.deadline:g} seconds"
            return Refusal(reason, transient=True)

    async def _attempts(self, conversation: Conversation) -> _Answer:
        for attempt in count(1):
            try:
                return await self._attempt(conversation)
            except FormatFault as fault:
                self._change_format(fault)
            except TransientFault as fault:
                if not self._answered and attempt >= MAX_FIRST_ATTEMPTS:
                    raise unreachable(self._options, fault.reason) from None
                if attempt >= MAX_ATTEMPTS:
                    return Refusal(f"{fault.reason}, {attempt} times", transient=True)
                if fault.pause is None:
                    await asyncio.sleep(_pause(attempt))
        raise AssertionError("count() does not end")

    async def _attempt(self, conversation: Conversation) -> _Answer:
        options, size = self._options, conversation.size
        most = self._price.most(size, options.reply_tokens) if self._price else 0.0
        if not await self._budget.reserve(most):
            reason = f"not asked: the cost could pass max_cost ${options.max_cost:g}"
            return Refusal(reason, transient=True)
        cost: float | None = 0.0
        try:
            tokens = size // _BYTES_PER_TOKEN + options.reply_tokens
            async with self._pace.turn(tokens) as started:
                answer = await self._call(conversation, started)
            cost = answer.usage.money
            return answer
        finally:
            await self._budget.settle(most, most if cost is None else cost)

    async def _call(self, conversation: Conversation, started: float) -> _Answer:
        """Make one call.

        Raises:
            TransientFault: If trying again may help.
            FormatFault: If the endpoint does not have the response format.
            JudgeError: If no call can succeed.
        """
        options, reply_format = self._options, self._format
        fault: _Answer | Exception
        try:
            completion = await self._opened().post(
                # In full: the SDK takes its time over joining it to the base URL.
                f"{options.base_url}/chat/completions",
                body=request_body(conversation, options, reply_format),
                cast_to=object,
                options=self._request_options(),
            )
            answer = read_completion(completion, options.logprobs)
        except openai.APIStatusError as error:
            self._answered = True
            fault = status_fault(error, options, reply_format, self._key)
        except openai.APIConnectionError as error:
            fault = connection_fault(error, options)
        except CompletionFault as error:
            fault = TransientFault(str(error))
        except ValueError:
            fault = TransientFault("the answer is not JSON")
        else:
            self._answered = True
            self._pace.speed_up()
            return _with_cost(answer, time.monotonic() - started, self._price)
        if isinstance(fault, TransientFault) and fault.too_many:
            self._pace.slow_down(started, fault.pause)
        if isinstance(fault, Exception):
            # The SDK's error may quote the key: it is not chained.
            raise fault from None
        return fault

    def _opened(self) -> openai.AsyncOpenAI:
        """Return the client, made when it is first needed."""
        if self._client is None:
            self._client = openai.AsyncOpenAI(
                base_url=self._options.base_url,
                api_key=self._key.value if self._key else "none",
                max_retries=0,
                # aiohttp carries several times as many calls a second; nothing is followed to
                # another host.
                http_client=openai.DefaultAioHttpClient(follow_redirects=False),
            )
        return self._client

    def _request_options(self) -> openai.RequestOptions:
        """Time out, and send nothing that the SDK found in the environment or about the machine."""
        names = list(_LEFT_OUT)
        if self._key is None:
            names.append("Authorization")
        return {
            "timeout": self._options.timeout,
            "headers": {name: openai.Omit() for name in names},
        }

    def _change_format(self, fault: FormatFault) -> None:
        """Ask for JSON without a schema from now on, where that is left open."""
        if fault.reply_format != self._format:
            return  # Another call has changed it already.
        if self._options.reply_format == "auto" and self._format == "schema":
            self._format = "json"
            return
        raise JudgeError(
            f"{self._options.base_url} does not have the response format "
            f"{self._format!r} ({fault}); use reply_format=text (or json, if it has that)."
        )


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage less often: a call makes many objects, and hardly any in circles."""
    usual = gc.get_threshold()
    if usual[0] > 0:  # else the caller has switched it off
        gc.set_threshold(max(usual[0], _OBJECTS_BETWEEN_COLLECTIONS), *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _with_cost(answer: _Answer, seconds: float, price: Price | None) -> _Answer:
    usage = answer.usage
    known = price is not None and usage.money is not None
    money = (
        price.cost(usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens)
        if known and price is not None
        else None
    )
    return replace(answer, usage=replace(usage, calls=1, seconds=seconds, money=money))


def _pause(attempt: int) -> float:
    """Exponential backoff with jitter."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (attempt - 1))
    return random.uniform(longest / 2, longest)
