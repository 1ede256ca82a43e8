"""How fast an endpoint is asked, and how long it is waited for."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from chat_server import Answer, error
from endpoint_judges import MakeJudge, Serve, reasons, requests

from inspector_plugin.judges.prompt.pace import Pace
from inspector_plugin.judging.run import judge_all


def test_retry_after_is_kept_by_all_calls(serve: Serve, make_judge: MakeJudge) -> None:
    arrived: list[float] = []

    def script(body: Any, number: int) -> Answer:
        arrived.append(time.monotonic())
        slow = Answer(status=429, body=error("slow"), headers={"Retry-After": "0.5"})
        return slow if number == 0 else Answer(delay=0.05)

    judge_all(make_judge(serve(script), concurrency=2), requests(8))
    waited = [moment - arrived[0] for moment in arrived]
    # At most the other call under way came before the half second was over.
    assert sum(moment < 0.45 for moment in waited) <= 3
    assert max(waited) > 0.5


def test_concurrency_is_used_and_falls_after_429(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(delay=0.05)
    judge_all(make_judge(server, concurrency=8), requests(32))
    assert server.most_active == 8
    strict = serve()

    def refuse_above_four(body: Any, number: int) -> Answer:
        many = strict.active > 4
        return Answer(status=429, body=error("slow")) if many else Answer(delay=0.05)

    strict._script = refuse_above_four
    judge = make_judge(strict, concurrency=16)
    assert reasons(judge, requests(60)) == [None] * 60
    assert judge._source._pace.limit < 10  # type: ignore[attr-defined]


def test_requests_and_tokens_per_minute(serve: Serve, make_judge: MakeJudge) -> None:
    for limit in ({"requests_per_minute": 600}, {"tokens_per_minute": 60_000, "max_tokens": 100}):
        judge = make_judge(serve(), **limit)
        started = time.monotonic()
        judge_all(judge, requests(5))
        assert time.monotonic() - started > 0.4


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("86400", "86,400 seconds"),
        ("1e300", "1,000,000,000 seconds"),
        ("9" * 400, "1,000,000,000 seconds"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", " seconds"),
    ],
)
def test_a_pause_beyond_the_deadline_stops_at_once(
    serve: Serve, make_judge: MakeJudge, after: str, said: str
) -> None:
    slow = Answer(status=429, body=error("slow"), headers={"Retry-After": after})
    server = serve(lambda body, number: slow)
    started = time.monotonic()
    judged = judge_all(make_judge(server, concurrency=2), requests(40))
    assert time.monotonic() - started < 5
    # Nobody asks during the pause.
    assert len(server.calls) <= 2
    for each in judged:
        score = each.scores["fluency"]
        assert score.transient
        assert score.reason is not None
        assert "(429)" in score.reason
        assert said.strip() in score.reason


@pytest.mark.parametrize(
    "after",
    [
        "Mon, 99 Foo 99999 25:61:61 GMT",
        f"Thu, 01 Jan {10**20} 00:00:00 GMT",
        "Thu, 01 Jan 0001 00:00:00 -2359",
        "soon",
        "nan",
        "-5",
        "",
    ],
)
def test_a_pause_that_cannot_be_read_is_none(
    serve: Serve, make_judge: MakeJudge, after: str
) -> None:
    slow = Answer(status=429, body=error("slow"), headers={"Retry-After": after})
    server = serve(lambda body, number: slow if number == 0 else Answer())
    assert reasons(make_judge(server), requests(1)) == [None]


def test_a_busy_server_is_asked_again_after_the_time_that_it_names(
    serve: Serve, make_judge: MakeJudge
) -> None:
    busy = Answer(status=503, body=error("loading"), headers={"Retry-After": "0.4"})
    server = serve(lambda body, number: busy if number < 2 else Answer())
    started = time.monotonic()
    assert reasons(make_judge(server), requests(1)) == [None]
    assert time.monotonic() - started > 0.75


def test_waiting_for_ones_turn_is_not_the_call_s_own_time(
    serve: Serve, make_judge: MakeJudge
) -> None:
    """A call books 0.035 s for its 350 tokens or so: 40 calls take longer than a deadline."""
    server = serve()
    judge = make_judge(server, tokens_per_minute=600_000, max_tokens=100, deadline=0.5)
    started = time.monotonic()
    assert reasons(judge, requests(40)) == [None] * 40
    assert time.monotonic() - started > 1.0


def test_what_gives_up_waiting_has_booked_nothing() -> None:
    """Calls of 100 tokens at 60 a minute: each takes the 100 seconds after it."""

    async def give_up(pace: Pace) -> float:
        async with pace.turn(100, 1.0):
            pass
        for _ in range(5):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(pace.turn(100, 1.0).__aenter__(), 0.01)
        return pace._tokens.delay()

    assert 99 < asyncio.run(give_up(Pace(8, tokens_per_minute=60))) <= 100
