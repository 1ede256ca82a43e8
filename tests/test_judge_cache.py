"""The judge cache: nothing is judged twice, whatever happens in between."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer

from inspector_plugin.errors import DataError, JudgeError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import (
    BINARY,
    ROSCOE,
    Criterion,
    CriterionScore,
    JudgeRequest,
    Usage,
    unscored,
)
from inspector_plugin.testing import ScriptedJudge

CLIENT = """
import sys
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import JudgeRequest
url, count = sys.argv[1], int(sys.argv[2])
requests = [JudgeRequest("q", "x" * (i + 1), ("fluency", "logicality")) for i in range(count)]
with JudgeCache() as cache, create_judge(f"prompt:model=m,base_url={url},concurrency=8") as judge:
    judge_all(judge, requests, cache=cache)
"""


class Described(ScriptedJudge):
    """A scripted judge that says what it is made of."""

    def __init__(self, *arguments: Any, made_of: object = 1, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.made_of = made_of

    def describe(self) -> Mapping[str, Any]:
        return {"made_of": self.made_of} if self.made_of else {}


def by_length(request: JudgeRequest, key: str) -> float:
    return float(len(request.response))


def requests(*responses: str) -> list[JudgeRequest]:
    return [JudgeRequest("q", response, ("fluency", "logicality")) for response in responses]


def asked(judge: ScriptedJudge) -> list[str]:
    return [request.response for call in judge.calls for request in call]


def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    responses = requests("a", "bb", "a", "")
    first, second = Described(by_length), Described(by_length)
    with JudgeCache(tmp_path / "c") as cache:
        judged = judge_all(first, responses, cache=cache)
    with JudgeCache(tmp_path / "c") as cache:
        again = judge_all(second, [*responses, *requests("ccc")], cache=cache)
    assert asked(first) == ["a", "bb"]
    assert asked(second) == ["ccc"]
    assert again[:4] == judged
    assert [judgement.total for judgement in again] == [2, 4, 2, None, 6]


@pytest.mark.parametrize(
    "other",
    [
        JudgeRequest("q2", "a", ("fluency", "logicality")),
        JudgeRequest("q", "a ", ("fluency", "logicality")),
        JudgeRequest("q", "a", ("fluency",)),
        JudgeRequest("q", "a", ("fluency", "logicality"), dataset="math"),
        # The same keys, but a key does not say what is judged.
        JudgeRequest("q", "a", (ROSCOE[3], Criterion("logicality", definition="It is logical."))),
    ],
)
def test_another_request_is_another_question(tmp_path: Path, other: JudgeRequest) -> None:
    judge = Described(by_length)
    with JudgeCache(tmp_path / "c") as cache:
        judge_all(judge, [*requests("a"), other], cache=cache)
        renamed = JudgeRequest("q", "a", ("fluency", "logicality"), id="7")
        judge_all(judge, [renamed], cache=cache)
    assert len(asked(judge)) == 2


def test_another_judge_is_asked_itself(tmp_path: Path) -> None:
    with JudgeCache(tmp_path / "c") as cache:
        judge_all(Described(by_length), requests("a"), cache=cache)
        changed, nameless = Described(by_length, made_of=2), Described(by_length, made_of=None)
        for judge in (changed, nameless, nameless):
            judge_all(judge, requests("a"), cache=cache)
    assert len(asked(changed)) == 1
    # What a judge without a description would answer is not known: it is always asked.
    assert len(asked(nameless)) == 2


def test_another_scale_of_the_judge_is_another_question(tmp_path: Path) -> None:
    with JudgeCache(tmp_path / "c") as cache:
        judge_all(Described(by_length), requests("a"), cache=cache)
        own = Described(by_length, scale=None)
        binary = Described(by_length, scale=BINARY)
        for judge in (own, binary):
            judge_all(judge, requests("a"), cache=cache)
    assert asked(own) == asked(binary) == ["a"]


def test_only_what_the_judge_can_judge_is_kept(tmp_path: Path) -> None:
    class FluencyOnly(Described):
        def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
            return None if criterion.key == "fluency" else "fluency only"

    first, second = FluencyOnly(by_length), FluencyOnly(by_length)
    with JudgeCache(tmp_path / "c") as cache:
        for judge in (first, second):
            [judgement] = judge_all(judge, requests("a"), cache=cache)
            assert [score.reason for score in judgement.scores.values()] == [None, "fluency only"]
    assert (asked(first), asked(second)) == (["a"], [])


def test_what_may_be_there_next_time_is_not_kept(tmp_path: Path) -> None:
    answers: Sequence[CriterionScore] = (
        unscored("busy", transient=True),
        unscored("unreadable"),
    )
    judge = Described(lambda request, key: answers[request.response != "a"])
    with JudgeCache(tmp_path / "c") as cache:
        for _ in range(2):
            judge_all(judge, requests("a", "bb"), cache=cache)
    assert asked(judge) == ["a", "bb", "a"]


def test_what_was_judged_before_a_failure_is_kept(tmp_path: Path) -> None:
    failing, judge = Described(by_length, fail_at_call=2), Described(by_length)
    with JudgeCache(tmp_path / "c") as cache:
        with pytest.raises(JudgeError):
            judge_all(failing, requests("a", "bb", "ccc"), cache=cache, chunk_size=2)
        judge_all(judge, requests("a", "bb", "ccc"), cache=cache)
    assert asked(judge) == ["ccc"]


def test_info_and_clear(tmp_path: Path) -> None:
    with JudgeCache(tmp_path / "new" / "c") as cache:
        judge_all(Described(by_length), requests("a", "bb"), cache=cache)
        kind = f"{__name__}.Described"
        assert cache.info().judgements == {kind: 2}
        assert cache.info().bytes > 0
        assert (cache.clear("other"), cache.clear(kind), cache.clear()) == (0, 2, 0)
        assert cache.info().judgements == {}


def test_unusable_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 500)
    with pytest.raises(DataError, match=r"Cannot use the judge cache .*file is not a database"):
        JudgeCache(tmp_path / "text")
    with pytest.raises(DataError, match=r"Cannot use the judge cache .* --no-cache"):
        JudgeCache(tmp_path)
    JudgeCache(tmp_path / "newer").close()
    with sqlite3.connect(tmp_path / "newer") as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(DataError, match="format 99, this version reads 2"):
        JudgeCache(tmp_path / "newer")


def test_judgements_of_format_1_are_forgotten_and_block_no_other_process(tmp_path: Path) -> None:
    with JudgeCache(tmp_path / "c") as cache:
        judge_all(Described(by_length), requests("a"), cache=cache)
    with sqlite3.connect(tmp_path / "c") as database:
        database.execute("PRAGMA user_version=1")
    with JudgeCache(tmp_path / "c") as cache:
        assert cache.info().judgements == {}
        with sqlite3.connect(tmp_path / "c", timeout=0) as database:
            database.execute("DELETE FROM judgements")
    with sqlite3.connect(tmp_path / "c") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)


def write_many(path: Path, name: str) -> None:
    with JudgeCache(path) as cache:
        judge_all(
            Described(lambda request, key: 3.0),
            requests(*(f"{name}{i}" for i in range(40))),
            cache=cache,
            chunk_size=1,
        )


def test_several_processes_share_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(tmp_path / "c", name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with JudgeCache(tmp_path / "c") as cache:
        assert sum(cache.info().judgements.values()) == 120


def test_prompt_judge_caches_each_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "sk-123456")
    with ChatServer() as server, JudgeCache(tmp_path / "c") as cache:
        spec = f"prompt:model=m,base_url={server.url},key_env=SECRET"
        with create_judge(spec) as judge:
            judge_all(judge, [JudgeRequest("q", "a", ("fluency",))], cache=cache)
            [judged] = judge_all(judge, requests("a"), cache=cache)
            assert len(server.calls) == 2
            assert judged.usage is not None
            assert (judged.usage.calls, judged.usage.reused) == (1, 1)
        # What does not change the scores does not change the key.
        with create_judge(f"{spec},concurrency=3,timeout=9") as judge:
            [reused] = judge_all(judge, requests("a"), cache=cache)
        assert reused.usage == Usage(reused=2)
        assert reused.scores == judged.scores
        with create_judge(f"{spec},max_tokens=7") as judge:
            judge_all(judge, requests("a"), cache=cache)
        assert len(server.calls) == 4
    assert b"sk-123456" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_killed_at_half_way_only_the_calls_in_flight_are_repeated(tmp_path: Path) -> None:
    count, concurrency = 40, 8
    environment = os.environ | {"INSPECTOR_CACHE_DIR": str(tmp_path)}
    with ChatServer(delay=0.03) as server:
        command = [sys.executable, "-c", CLIENT, server.url, str(count)]
        first = subprocess.Popen(command, env=environment)
        while len(server.calls) < count:
            time.sleep(0.005)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        before = len(server.calls)
        assert before < 2 * count
        for _ in range(2):
            subprocess.run(command, env=environment, check=True)
    assert 2 * count <= len(server.calls) <= 2 * count + concurrency
    assert len(server.succeeded) == 2 * count
    with JudgeCache(tmp_path / "judgements.sqlite") as cache:
        assert json.dumps(cache.info().judgements).count(str(2 * count)) == 1
