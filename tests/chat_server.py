"""A chat-completions server on loopback that answers as it is told, faults included.

`python tests/chat_server.py --delay 0.05 --fault-share 0.1` serves until it is killed; tests use
`ChatServer` in a thread.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RESPONSE = re.compile(r"=== response \w+\n(.*?)\n=== end of response", re.DOTALL)
USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 50,
    "prompt_cache_hit_tokens": 600,
    "prompt_cache_miss_tokens": 400,
}


@dataclass(frozen=True)
class Answer:
    """What the server does with one call.

    Attributes:
        content: The message; its score by `score_of` if None.
        status: The HTTP status; with an error status, `body` is the error.
        body: The whole body, instead of a completion around `content`.
        headers: Headers to add.
        delay: Seconds before answering.
        cut: Whether to close the connection in the middle of the body.
        usage: The usage reported; none if None.
        logprobs: The choice's logprobs.
        finish_reason: The choice's finish reason.
        raw: The whole answer, head and body, as it goes over the wire; the connection is then
            closed.
        endless: What is sent after the head (of `raw`) again and again, until nobody reads.
    """

    content: str | None = None
    status: int = 200
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    usage: Mapping[str, Any] | None = field(default_factory=lambda: USAGE)
    logprobs: Any = None
    finish_reason: str | None = "stop"
    raw: bytes | None = None
    endless: bytes | None = None


Script = Callable[[dict[str, Any], int], Answer]


def response_of(body: Mapping[str, Any]) -> str:
    """Find the response under judgement in a call's body."""
    # The system message may hold a worked example, and may stand in front of the user's.
    found = [each for m in body["messages"][:2] for each in RESPONSE.findall(m["content"])]
    assert found, "the prompt fences no response"
    return str(found[-1])


def score_of(response: str) -> int:
    """Score a response, for no reason but that tests can foresee the score."""
    return 1 + len(response) % 5


def judgement(score: object) -> str:
    """Write a reply of the form that is asked for."""
    return json.dumps({"score": score, "justification": "because"})


def completion(message: object, finish_reason: object = "stop", **choice: object) -> str:
    """Write the body of a completion with any message."""
    fields = {"index": 0, "finish_reason": finish_reason, "message": message, **choice}
    return json.dumps({"object": "chat.completion", "choices": [fields], "usage": USAGE})


def error(message: str, code: str = "invalid_request_error") -> str:
    """Write the body of an error."""
    return json.dumps({"error": {"message": message, "type": code, "code": code}})


class ChatServer:
    """The server, in a thread of its own.

    Attributes:
        calls: The bodies of the calls, in order of their arrival.
        headers: Their headers.
        succeeded: How often each (system message, response) was answered as asked.
        most_active: The most calls that were under way at once.
    """

    def __init__(self, script: Script | None = None, delay: float = 0.0, port: int = 0) -> None:
        """Take the script: what to do with a call's body and its number, from 0."""
        self._script = script or (lambda body, number: Answer())
        self._delay = delay
        self._port = port
        self._lock = threading.Lock()
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.succeeded: Counter[tuple[str, str]] = Counter()
        self.active = self.most_active = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> ChatServer:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self._connection, "127.0.0.1", self._port)
            self._port = server.sockets[0].getsockname()[1]
            started.set()
            await self._stop.wait()
            server.close()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(serve())
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks) if tasks else asyncio.sleep(0))
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def counts(self) -> dict[str, int]:
        """Count the calls, those answered as asked, and those answered as asked before."""
        answered = sum(self.succeeded.values())
        again = answered - len(self.succeeded)
        return {"calls": len(self.calls), "answered": answered, "answered_again": again}

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._call(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        path = first.split()[1]
        if path == "/counts":
            return await self._write(writer, Answer(body=json.dumps(self.counts())), "")
        if path != "/v1/chat/completions":
            return await self._write(writer, Answer(status=404, body=error(f"no path {path}")), "")
        body = json.loads(raw)
        with self._lock:
            number = len(self.calls)
            self.calls.append(body)
            self.headers.append(headers)
            self.active += 1
            self.most_active = max(self.most_active, self.active)
        try:
            answer = self._script(body, number)
            await asyncio.sleep(answer.delay or self._delay)
        finally:
            self.active -= 1
        is_told = answer.content is not None or answer.body is not None
        response = "" if is_told else response_of(body)
        keeps = await self._write(writer, answer, response)
        if keeps and answer.status == 200 and answer.content is None and answer.body is None:
            self.succeeded[body["messages"][0]["content"], response] += 1
        return keeps

    async def _write(self, writer: asyncio.StreamWriter, answer: Answer, response: str) -> bool:
        if answer.raw is not None:
            writer.write(answer.raw)
            await writer.drain()
            while answer.endless is not None:
                writer.write(answer.endless)
                await writer.drain()
            return False
        content = answer.content if answer.content is not None else judgement(score_of(response))
        choice = {
            "index": 0,
            "finish_reason": answer.finish_reason,
            "message": {"role": "assistant", "content": content},
            "logprobs": answer.logprobs,
        }
        completion: dict[str, Any] = {"id": "c", "object": "chat.completion", "choices": [choice]}
        if answer.usage is not None:
            completion["usage"] = dict(answer.usage)
        text = answer.body if answer.body is not None else json.dumps(completion)
        data = text.encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **answer.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {answer.status} X\r\n{lines}\r\n".encode())
        writer.write(data[: len(data) // 2] if answer.cut else data)
        await writer.drain()
        return not answer.cut


def mixed_faults(share: float, seed: int = 0) -> Script:
    """Fault one call in so many: each time one of six faults, drawn by seed."""
    draw = random.Random(seed)
    faults = (
        Answer(status=429, body=error("slow down"), headers={"Retry-After": "0.2"}),
        Answer(status=500, body=error("oops")),
        Answer(cut=True),
        Answer(body="<html>not JSON</html>"),
        Answer(content="I would say four out of five."),
        Answer(content=json.dumps({"rating": 4})),
    )
    return lambda body, number: draw.choice(faults) if draw.random() < share else Answer()


def main() -> None:
    """Serve until killed; print the base URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--fault-share", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    script = mixed_faults(options.fault_share, options.seed)
    with ChatServer(script, options.delay, options.port) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
