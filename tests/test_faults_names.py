"""Names and addresses that nothing can have, files that are none: one line, before any work."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from file_faults import ROWS, enter, refused, score, write

from inspector_plugin.cli.main import main
from inspector_plugin.data.files import locked, run_file
from inspector_plugin.errors import DataError, InspectorError, count_of, one_of
from inspector_plugin.folders import cache_folder
from inspector_plugin.harness.settings import Settings
from inspector_plugin.judges.inspector.published_model import is_local
from inspector_plugin.judges.prompt.keys import check_base_url, read_key
from inspector_plugin.judges.prompt.prices import price_of
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import Usage


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", ["a\x00b", "\ud800", ".", "/", "..", "~no-such-user/x"])
def test_no_file_can_have_such_a_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Metadata of lm_eval is JSON, which can hold any of these.
    assert "Cannot read" in refused(capsys, score(judge=f"recorded:path={name}"))
    endpoint = "prompt:model=m,base_url=http://127.0.0.1:9/v1"
    for option in ("key_file", "prices"):
        with pytest.raises(InspectorError, match=r"^Cannot read the (key|prices)"):
            create_judge(f"{endpoint},{option}={name}")


@pytest.mark.parametrize("name", ["a\x00b", "\ud800"])
@pytest.mark.parametrize("flag", ["--out", "--summary"])
def test_no_output_can_have_such_a_name(
    name: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, score(f"{flag}={name}"))
    assert f"error: {flag} " in error
    assert "is not the name of a file" in error
    assert main(["score", name, "--judge", "recorded:path=scores.jsonl"]) == 1


def test_a_home_that_is_none_is_a_name_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    named = "~no-such-user/x.gguf"
    assert is_local(named)  # whose probes `inspector probes import` is asked for
    with pytest.raises(InspectorError, match=f"'{named}': there is no such file or folder"):
        create_judge(f"lager:model={named}")
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", "~no-such-user")
    assert cache_folder() == Path("~no-such-user")


@pytest.mark.parametrize("resamples", ["1000001", "9" * 18])
@pytest.mark.parametrize("command", ["agree", "report", "rank"])
def test_no_bootstrap_without_end(
    command: str, resamples: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "scores.jsonl", "scores.jsonl", "--resamples", resamples])
    assert caught.value.code == 2
    assert "argument --resamples: must be at most 1000000" in capsys.readouterr().err
    with pytest.raises(InspectorError, match="resamples takes a number up to 1000000"):
        Settings.read({"resamples": int(resamples)})


def test_metadata_of_lm_eval_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "--judge", "recorded:path=scores.jsonl", "--", "--tasks", "demo_inspector"]
    assert "--metadata is not a JSON object" in refused(capsys, main([*command, "--metadata={"]))
    with pytest.raises(SystemExit):
        main([*command, "--metadata", "x"])
    assert capsys.readouterr().err.startswith("inspector run: error: argument --metadata: ")


def test_a_model_that_cannot_be_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Unknown installable" in refused(capsys, main(["models", "install", "../none"]))


def test_the_run_file_of_a_folder_can_be_named() -> None:
    assert run_file(Path("a/b.jsonl")) == Path("a/b.jsonl.run.json")
    assert run_file(Path("/")) == Path("/.run.json")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_no_option_waits_for_what_is_no_file(kind: str, tmp_path: Path) -> None:
    os.mkfifo("sk-abc")
    place = {"pipe": "sk-abc", "device": "/dev/zero", "folder": str(tmp_path)}[kind]
    with pytest.raises(InspectorError, match="Cannot read the key file") as caught:
        read_key(None, place)
    assert place not in str(caught.value)  # what is given as a name may be the key itself
    with pytest.raises(DataError, match="Cannot read the prices"):
        price_of("m", place)


@pytest.mark.parametrize("kind", ["pipe", "loop", "folder"])
@pytest.mark.parametrize(
    "command",
    [
        ["score", "in.jsonl", "--judge", "recorded:path=scores.jsonl", "--summary", "no-file"],
        ["agree", "scores.jsonl", "scores.jsonl", "--out", "no-file"],
    ],
    ids=lambda command: command[0],
)
def test_figures_go_to_an_ordinary_file(
    command: list[str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make = {"pipe": os.mkfifo, "folder": os.mkdir, "loop": lambda name: os.symlink(name, name)}
    make[kind]("no-file")
    assert "no-file: it is not an ordinary file" in refused(capsys, main(command))


def test_a_summary_makes_its_folder_and_is_whole() -> None:
    assert score("--summary", "new/folder/figures.json") == 0
    assert [each.name for each in Path("new/folder").iterdir()] == ["figures.json"]
    assert json.loads(Path("new/folder/figures.json").read_text())["judges"]["recorded"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:0/v1",
        "http://127.0.0.1:port/v1",
        "http://exa mple.org/v1",
        "http://example.org/v1\nHost: other",
        "http://example.org/\x1b[31m",
        "http://a..b/v1",
        f"http://{'a' * 64}.org/v1",
    ],
)
def test_an_address_is_checked_when_the_judge_is_made(url: str) -> None:
    with pytest.raises(InspectorError, match=r"^base_url must be the http\(s\) address"):
        create_judge(f"prompt:model=m,base_url={url}")


def test_addresses_of_all_kinds_are_taken() -> None:
    for url in ("http://[::1]:8000/v1", "https://müller.example/v1", "http://0x7f000001/v1"):
        assert check_base_url(url) == url


PACKED = {
    "gzip": gzip.compress(b"{}\n"),
    "zip": b"PK\x03\x04\xff\xff",
    "xz": b"\xfd7zXZ\x00\xff",
    "UTF-16": '{"question": "q"}'.encode("utf-16"),
}


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".txt"])
@pytest.mark.parametrize("kind", PACKED)
def test_a_file_under_another_kind_s_name_says_so(
    kind: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if (kind, suffix) == ("UTF-16", ".txt"):
        return  # CSV in UTF-16 is read
    Path(f"in{suffix}").write_bytes(PACKED[kind])
    command = ["score", f"in{suffix}", "--judge", "recorded:path=scores.jsonl"]
    error = refused(capsys, main(command))
    said = "it is UTF-16; save it as UTF-8" if kind == "UTF-16" else f"compressed ({kind}); unpack"
    assert said in error
    assert ("end in .gz" in error) == (kind == "gzip")


def test_text_that_is_no_utf_8_is_placed(capsys: pytest.CaptureFixture[str]) -> None:
    write("in.jsonl", ROWS[:2])
    with open("in.jsonl", "ab") as file:
        file.write('{"question": "Größe"}\n'.encode("latin-1"))
    error = refused(capsys, score())
    assert "line 3 is not UTF-8" in error
    assert "save it as UTF-8" in error


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% for n in range(10 ** 9) %}x{% endfor %}", "Range too big"),
        ("{{ question.__class__ }}", "is unsafe"),
        ("{{ question.index('zzz') }}", "substring not found"),
        ("{{ none.x }}", "no attribute 'x'"),
    ],
)
def test_what_goes_wrong_in_a_template_is_one_line(
    template: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, score("--question-field", template))
    assert reason in error
    assert ".." not in error
    assert "in.jsonl, line 1: " in error


def test_a_choice_is_offered_once() -> None:
    assert "choose from: a, b." in one_of("c", ["b", "a", "b"], "letter")


@pytest.mark.parametrize("flag", ["--out", "--summary", "--judge", "--limit"])
def test_two_dashes_are_no_value(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["score", "in.jsonl", "--judge", "recorded:path=scores.jsonl", f"{flag}=--"])
    assert caught.value.code == 2
    assert f"argument {flag}: expected one argument" in capsys.readouterr().err


def test_an_error_is_one_line_that_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, score(judge="recorded:" + "x" * 100_000))
    assert len(error) < 2100
    assert error.startswith("inspector score: error: Judge specification 'recorded:xxx")
    assert "write name:key=value" in error


def test_one_of_a_thing_is_no_plural() -> None:
    said = [count_of(count, noun) for count, noun in ((1, "row"), (0, "row"), (2, "reply"))]
    assert said == ["1 row", "0 rows", "2 replies"]
    assert str(Usage(calls=1, prompt_tokens=1)).startswith("1 call, 1 prompt token ")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a place without files of ours")
def test_where_no_lock_can_be_made_nobody_holds_it() -> None:
    with (
        pytest.raises(DataError, match=r"^Cannot write /proc/out\.jsonl: "),
        locked(Path("/proc/out.jsonl")),
    ):
        raise AssertionError


def test_a_data_set_that_no_pack_can_name(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tune", "scores.jsonl", "--kind", "encoder", "--base", "none", "--out", "pack"]
    error = refused(capsys, main([*command, "--dataset", "../x"]))
    assert "error: --dataset must be a name of letters" in error


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--data", "nowhere"], "data takes an existing folder, not 'nowhere'"),
        (["--model", "none"], "lm_eval stopped: ValueError: "),
        ([], "lm_eval stopped: TypeError: "),  # no --model-args
    ],
)
def test_a_model_that_lm_eval_cannot_have(
    more: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", "--dataset", "gsm8k", "--out", "out.jsonl", *more]) == 1
    assert f"inspector collect: error: {reason}" in capsys.readouterr().err
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--out", "scores.jsonl"], "is a file; give a folder"),
        (["--out", "packs", "--transfer-to", "../other"], "it names a folder"),
        (["--out", "packs", "--transfer-to", "mine"], "is what the probes are for"),
    ],
)
def test_packs_are_written_where_they_belong(
    more: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in refused(capsys, main(["train", "scores.jsonl", "--dataset", "mine", *more]))
    assert not Path("packs").exists()
