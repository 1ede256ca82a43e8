"""`inspector score --engine ray`: the same judgements as in one process, whatever fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
import pytest
from fake_plugin import plugin_folder, write_plugin

from inspector_plugin.cli.main import main
from inspector_plugin.data.requests import RequestForm
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.schema.records import Judgement, unjudged
from inspector_plugin.workflows.judged_folder import JudgedFolder, judged_table
from inspector_plugin.workflows.ray_engine import unfinished
from inspector_plugin.workflows.row_chunks import ChunkedRows, address

# Ends its process once, in the middle; fails on one row; lacks a connection as long as a file says.
FRAGILE = r"""
import os
from pathlib import Path

class Fragile(Judge):
    def __init__(self, folder):
        self.folder = Path(folder)
    def describe(self):
        return {"judge": "fragile"}
    def judge(self, requests):
        with (self.folder / "asked").open("a") as file:
            file.writelines(r.response + "\n" for r in requests)
        for r in requests:
            if r.response == "kills" and (self.folder / "armed").exists():
                (self.folder / "armed").unlink()
                os._exit(9)
            if r.response == "fails":
                raise ValueError("no such thing")
        return [Judgement({key: self.score(r.response) for key in r.aspects}) for r in requests]
    def score(self, response):
        if response == "later" and (self.folder / "offline").exists():
            return AspectScore(None, reason="no connection", transient=True)
        label = 1 + len(response) % 5
        return AspectScore(float(label), label, {k: float(k == label) for k in range(1, 6)})

@hookimpl
def register_judges(register):
    register(Backend("fragile", "for a test", Fragile, (Option("folder", ""),)))
"""


def rows_of(count: int) -> list[dict[str, Any]]:
    special = {13: "kills", 21: "fails", 30: "later"}
    return [
        {
            "id": n % 7,
            "question": "Why?\u2028",
            "response": special.get(n, "x" * (n % 9 + 1)),
            "n": n,
        }
        for n in range(count)
    ]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def scored(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def test_what_is_killed_or_fails_and_what_was_finished(tmp_path: Path) -> None:
    """One cluster serves two runs: Ray starts once."""
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    write_plugin(tmp_path, "fragile-judge", FRAGILE)
    write_jsonl(tmp_path / "in.jsonl", rows_of(40))
    for name in ("armed", "offline"):
        (tmp_path / name).touch()
    code = f"""
import sys, ray
from pathlib import Path
from inspector_plugin.cli.main import main
shutdown, start = ray.shutdown, ray.init
ray.shutdown = lambda: None
ray.init = lambda **given: ray.is_initialized() or start(**given, num_cpus=2)
arguments = ["score", "in.jsonl", "--judge", "fragile:folder={tmp_path}", "--criteria", "fluency"]
arguments += ["--no-cache"]
by_ray = [*arguments, "--engine", "ray", "--out", "judged", "--jsonl", "ray.jsonl"]
by_ray += ["--actors", "2", "--rows-per-file", "5"]
assert main(by_ray) == 0
Path("ray.jsonl").rename("first.jsonl")
Path("asked").rename("asked-first")
Path("offline").unlink()
cut = sorted(Path("judged").glob("*.parquet"))[0]
cut.write_bytes(cut.read_bytes()[:50])
assert main(by_ray) == 0
shutdown()
"""

    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    environment["INSPECTOR_CACHE_DIR"] = str(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not (tmp_path / "armed").exists()  # an actor was killed
    first, second = scored(tmp_path / "first.jsonl"), scored(tmp_path / "ray.jsonl")
    assert [row["n"] for row in first] == [row["n"] for row in second] == list(range(40))
    for rows in (first, second):
        for row in rows:
            score = row["judgements"]["fragile"]["scores"]["fluency"]
            if row["response"] == "fails":
                assert score["score"] is None
                assert "ValueError: no such thing" in score["reason"]
            elif row["response"] == "later" and rows is first:
                assert (score["score"], score["reason"]) == (None, "no connection")
            else:
                assert score["score"] == 1 + len(row["response"]) % 5
    # The killed actor's rows were asked for again, and the second run asks for no more than the
    # file that was cut off, the failing row and the one without a connection.
    asked = (tmp_path / "asked-first").read_text().splitlines()
    again = (tmp_path / "asked").read_text().splitlines()
    assert asked.count("kills") == 2
    assert again.count("later") == 1
    assert len(again) <= 8
    assert "40 rows to judge, by 2 actors" in done.stderr
    table = pyarrow.concat_tables(
        [parquet.read_table(each) for each in (tmp_path / "judged").glob("*.parquet")]
    )
    assert sorted(table["number"].to_pylist()) == list(range(40))
    assert table.column_names == ["number", "line", "transient", "fragile.fluency"]
    # What one process makes of the same rows, but for the row that the judge fails on.
    write_jsonl(tmp_path / "good.jsonl", [r for r in rows_of(40) if r["response"] != "fails"])
    judged = ["--judge", f"fragile:folder={tmp_path}", "--criteria", "fluency", "--no-cache"]
    with plugin_folder(tmp_path):
        out = str(tmp_path / "plain.jsonl")
        assert main(["score", str(tmp_path / "good.jsonl"), *judged, "--out", out]) == 0
    assert scored(tmp_path / "plain.jsonl") == [r for r in second if r["response"] != "fails"]


def test_ray_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_jsonl(tmp_path / "in.jsonl", rows_of(2))
    arguments = ["score", str(tmp_path / "in.jsonl"), "--judge", "recorded:path=x"]
    assert main([*arguments, "--engine", "ray", "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert 'pip install "inspector_plugin[ray]"' in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--actors", "2", "--out", "o"], "--actors goes with --engine ray only"),
        (["--engine", "ray"], "--engine ray needs --out"),
        (["--engine", "ray", "--out", "in.jsonl"], "--out in.jsonl is a file"),
        (["--engine", "ray", "--out", "o", "--merge-log", "m"], "--merge-log does not go with"),
        (["--engine", "ray", "--out", "o", "--jsonl", "in.jsonl"], "is the input itself"),
    ],
)
def test_flags_that_do_not_fit(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jsonl(Path("in.jsonl"), rows_of(2))
    assert main(["score", "in.jsonl", "--judge", "recorded:path=x", *arguments]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:1", "ray://127.0.0.1:1"])
def test_no_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    write_jsonl(tmp_path / "in.jsonl", rows_of(2))
    arguments = ["score", str(tmp_path / "in.jsonl"), "--judge", "recorded:path=x"]
    arguments += ["--engine", "ray", "--ray-address", address, "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert f"cannot reach a cluster at {address} (" in error
    assert "ray start --head" in error


@pytest.fixture(params=["jsonl", "parquet"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The same 23 rows in two files of a folder, as JSONL with blank lines or as Parquet."""
    folder = tmp_path / "rows"
    folder.mkdir()
    rows = [{"question": "π?", "response": f"r{n}"} for n in range(23)]
    for number, some in enumerate((rows[:16], rows[16:])):
        path = folder / f"{number}.{request.param}"
        if request.param == "parquet":
            parquet.write_table(pyarrow.Table.from_pylist(some), path, row_group_size=10)
        else:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in some)
            path.write_text("\ufeff" + text.rstrip("\n"), encoding="utf-8")
    return [str(folder)]


@pytest.mark.parametrize("limit", [None, 17, 3])
def test_chunks_hold_every_row_once(files: list[str], limit: int | None) -> None:
    rows = ChunkedRows(files, RequestForm(), 4, limit)
    read = [pair for chunk in rows.chunks for pair in chunk.read(RequestForm())]
    wanted = range(limit or 23)
    assert [number for number, _ in read] == list(wanted)
    assert [row.request.response for _, row in read] == [f"r{n}" for n in wanted]
    assert rows.asked.total() == 5 * len(wanted)
    assert max(chunk.rows for chunk in rows.chunks) <= 4


def test_only_what_is_not_finished_is_read(files: list[str]) -> None:
    rows = ChunkedRows(files, RequestForm(), 8)
    finished = np.array([*range(10), 12, 22])
    left = unfinished(rows.chunks, finished)
    read = [number for chunk in left for number, _ in chunk.read(RequestForm())]
    assert read == [n for n in range(23) if n not in finished]


def test_a_file_that_has_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    write_jsonl(path, rows_of(6))
    rows = ChunkedRows([str(path)], RequestForm(), 6)
    write_jsonl(path, rows_of(3))
    with pytest.raises(DataError, match="has changed"):
        list(rows.chunks[0].read(RequestForm()))


def test_other_forms_are_refused(tmp_path: Path) -> None:
    for name in ("rows.csv", "rows.jsonl.gz"):
        (tmp_path / name).touch()
        with pytest.raises(OptionError, match="JSONL and Parquet"):
            ChunkedRows([str(tmp_path / name)], RequestForm(), 4)


def test_rows_that_are_there_twice_or_missing_are_noticed(tmp_path: Path) -> None:
    folder = JudgedFolder(str(tmp_path / "judged"))
    assert folder.prepare({"a": 1}, overwrite=False).tolist() == []
    request = RequestForm().request({"question": "q", "response": "r"}, "row")
    judged: list[dict[str, Judgement]] = [{"j": unjudged(request, "why")}] * 2

    def write(name: str, *numbers: int) -> None:
        table = judged_table(numbers, ["{}\n"] * 2, judged, [("j", "fluency")])
        parquet.write_table(table, tmp_path / "judged" / name)

    write("one.parquet", 0, 2)
    write("two.parquet", 1, 3)
    assert folder.prepare({"a": 1}, overwrite=False).tolist() == [0, 1, 2, 3]
    assert len(list(folder.lines(4))) == 4
    with pytest.raises(DataError, match="4 of 5 rows"):
        list(folder.lines(5))
    write("three.parquet", 3, 4)
    with pytest.raises(DataError, match="row 4 of the input is there twice"):
        folder.prepare({"a": 1}, overwrite=False)
    with pytest.raises(DataError, match="another run"):
        folder.prepare({"a": 2}, overwrite=False)
    assert folder.prepare({"a": 2}, overwrite=True).tolist() == []


def test_an_address_keeps_its_slashes() -> None:
    assert address(Path("s3://bucket/rows.jsonl")) == "s3://bucket/rows.jsonl"
    assert address(Path("/data/rows.jsonl")) == "/data/rows.jsonl"
