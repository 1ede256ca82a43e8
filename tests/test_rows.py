"""Reading JSONL, and errors that name the line."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from inspector_plugin.data.jsonl import file_sha256, read_rows, text_field
from inspector_plugin.errors import DataError

ROWS = [{"text": "one\u2028line"}, {"text": "piñata"}]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_lines_are_numbered_as_in_the_file(tmp_path: Path, name: str) -> None:
    text = "\ufeff" + json.dumps(ROWS[0], ensure_ascii=False) + "\r\n\n  \n" + json.dumps(ROWS[1])
    content = text.encode()
    (tmp_path / name).write_bytes(
        gzip.compress(content, mtime=0) if name.endswith("gz") else content
    )
    assert list(read_rows(tmp_path / name)) == [(1, ROWS[0]), (4, ROWS[1])]


@pytest.mark.parametrize(
    "line", ["{", "[1]", "3", "null", '{"a": 1} {"b": 2}', "[" * 100_000, "1" * 5000]
)
def test_what_is_not_an_object_names_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"fine": 1}\n\n' + line + "\n")
    with pytest.raises(DataError, match=r"rows\.jsonl, line 3: not a JSON object"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latin.jsonl", b'{"a": "\xe9"}'),
        ("plain.jsonl.gz", b"{}"),
        ("cut.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9, mtime=0)[:-12]),
        ("broken.jsonl.gz", gzip.compress(b'{"a": 1}\n', mtime=0)[:10] + b"\xff" * 30),
        ("folder", None),
        ("absent.jsonl", None),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None) -> None:
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"Cannot read .*{name}"):
        list(read_rows(tmp_path / name))


def test_an_unpacked_file_s_fault_is_in_its_text(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n{"a": "\xe9"}\n', mtime=0))
    with pytest.raises(DataError, match="line 2 is not UTF-8"):
        list(read_rows(path))


def test_text_field() -> None:
    names = ("response", "prediction")
    assert text_field({"prediction": "p"}, names, "here") == "p"
    assert text_field({"prediction": "p", "response": "r"}, names, "here") == "r"
    with pytest.raises(DataError, match=r"here: field 'response' or 'prediction' is missing.*'a'"):
        text_field({"a": 1}, names, "here")
    with pytest.raises(DataError, match="here: field 'response' must be text, not int"):
        text_field({"response": 1}, names, "here")


def test_file_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(DataError, match=r"Cannot read .*absent"):
        file_sha256(tmp_path / "absent")
