"""Prompt judges that ask a server on loopback: fixtures of the tests of the endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chat_server import ChatServer, Script

from inspector_plugin.judges.prompt import endpoint
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import JudgeRequest

KEY = "sk-0123456789abcdef-secret"
MakeJudge = Callable[..., Judge]
Serve = Callable[..., ChatServer]


def requests(count: int, *keys: str) -> list[JudgeRequest]:
    keys = keys or ("fluency",)
    return [JudgeRequest("How many?", "so " * 3 + "x" * i, keys) for i in range(count)]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[ChatServer] = []

    def start(script: Script | None = None, delay: float = 0.0) -> ChatServer:
        servers.append(ChatServer(script, delay).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def make_judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeJudge]:
    judges: list[Judge] = []
    monkeypatch.setattr(endpoint, "_FIRST_PAUSE", 0.01)
    monkeypatch.setenv("TEST_KEY", KEY)

    def make(server: ChatServer | str, **options: Any) -> Judge:
        url = server if isinstance(server, str) else server.url
        given = {"base_url": url, "model": "m", "key_env": "TEST_KEY"} | options
        text = ",".join(f"{name}={value}" for name, value in given.items() if value is not None)
        judges.append(create_judge(f"prompt:{text}"))
        return judges[-1]

    yield make
    for judge in judges:
        judge.close()


def reasons(judge: Judge, asked: list[JudgeRequest]) -> list[str | None]:
    return [judged.scores["fluency"].reason for judged in judge_all(judge, asked)]
