"""Files that are damaged, or no files: run files, inputs and judgements that are kept."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from file_faults import by_number, enter, refused, score

from inspector_plugin.data import files
from inspector_plugin.errors import DataError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import ROSCOE, JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE_KEYS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[" * 100_000, '{"a": ' * 500 + "1" + "}" * 500, "[1e400]", "9" * 5000, "\ud800"],
    ids=["empty", "cut", "deep", "deeper than 64", "infinite", "huge number", "no UTF-8"],
)
def test_a_damaged_run_file_is_one_line(content: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert score() == 0
    Path("out.jsonl.run.json").write_text(content, encoding="utf-8", errors="surrogatepass")
    capsys.readouterr()
    assert "pass --overwrite to begin anew" in refused(capsys, score())


@pytest.mark.parametrize(
    "text", ["[" * 65 + "]" * 65, "[" * 100_000, "[NaN]", "[-Infinity]", "[1e400]", "9" * 5000]
)
def test_json_of_others_is_bounded(text: str) -> None:
    assert files.parse_json("[" * 64 + "]" * 64)
    with pytest.raises(ValueError, match=r"deep|finite|digits"):
        files.parse_json(text)


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop"])
@pytest.mark.parametrize("file", ["out.jsonl.run.json", "in.jsonl", "scores.jsonl"])
def test_what_is_no_file_is_not_waited_for(
    kind: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score() == 0
    Path(file).unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        Path(file).mkdir()
    else:
        os.symlink(file, file)
    capsys.readouterr()
    refused(capsys, score())


def test_a_damaged_entry_of_the_cache_is_judged_again(tmp_path: Path) -> None:
    cache, judge = JudgeCache(tmp_path / "judgements.sqlite"), by_number()
    requests = [JudgeRequest(f"q{n}", f"r{n}", ROSCOE[:1]) for n in range(8)]
    before = judge_all(judge, requests, cache=cache)
    keys = cache.keys(judge, requests)
    key = ROSCOE_KEYS[0]
    entries: list[object] = [
        "{",
        "[]",
        '{"format_version": 2, "scores": {}}',
        json.dumps({"format_version": 2, "scores": {key: {"score": 9, "label": 9}}}),
        json.dumps({"format_version": True, "scores": {}}),
        "[" * 100_000,
        b"\xff\xfe",
    ]
    database = sqlite3.connect(cache.path)
    for place, entry in enumerate(entries):
        database.execute("UPDATE judgements SET judgement=? WHERE key=?", (entry, keys[place]))
    database.execute(
        "UPDATE judgements SET judgement=CAST(? AS TEXT) WHERE key=?", (b"\xff\xfe", keys[0])
    )
    database.commit()
    again = by_number()
    judged = judge_all(again, requests, cache=cache)
    assert [each.scores for each in judged] == [each.scores for each in before]
    assert [request.response for request in again.calls[0]] == [f"r{n}" for n in range(7)]
    healed = by_number()
    judge_all(healed, requests, cache=cache)
    assert healed.calls == []


@pytest.mark.parametrize("damage", ["cut", "garbage", "folder"])
def test_a_cache_that_cannot_be_used_names_the_remedy(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "judgements.sqlite"
    with JudgeCache(path) as cache:
        judge_all(by_number(), [JudgeRequest(f"q{n}", f"r{n}") for n in range(9)], cache=cache)
    for beside in tmp_path.glob("judgements.sqlite-*"):
        beside.unlink()
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"x" * 9000)

    def use() -> None:
        with JudgeCache(path) as cache:
            judge_all(by_number(), [JudgeRequest(f"q{n}", f"r{n}") for n in range(9)], cache=cache)
            cache.info()

    with pytest.raises(DataError, match=r"delete the file, or judge with --no-cache"):
        use()
