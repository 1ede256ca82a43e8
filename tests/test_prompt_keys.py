"""The key of an endpoint: it stands in no output, no cache and no message."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import Answer, completion, judgement
from endpoint_judges import KEY, Serve

from inspector_plugin.cli.main import main
from inspector_plugin.errors import OptionError
from inspector_plugin.judges.prompt import keys
from inspector_plugin.judges.prompt.untrusted import without_key
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.plugins.registry import create_judge

GOOD = judgement(4)


def split(mark: str) -> str:
    return mark.join([KEY[:7], KEY[7:12], KEY[12:]])


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(each):04x}" for each in text)


def wide(text: str) -> str:
    return "".join(chr(ord(each) + 0xFEE0) for each in text)


SPELLINGS = {
    "plain": KEY,
    "upper case": KEY.upper(),
    "zero-width": split("\u200b"),
    "joiners": split("\u2060\ufeff\u00ad"),
    "control": split("\x00\x1b"),
    "line breaks": split("\n\t"),
    "spaces": split("  "),
    "full width": wide(KEY),
    "accents": split("\u0301"),
    "between others": f"é{KEY}é",
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
def test_the_key_is_taken_out_however_it_is_spelled(spelled: str) -> None:
    found = without_key(f"before {spelled} after {spelled}.", KEY)
    assert found.replace("é", "") == "before [key] after [key]."


def test_what_holds_no_key_stays_as_it_is() -> None:
    text = "Größe ＡＢ \u200b x² \n sk-0123456789abcdef-secre"
    assert without_key(text, KEY) == text
    assert without_key("none of it", "none") == "none of it"  # no key, but a placeholder
    assert without_key("a\ud835b", None) == "a\ufffdb"


@pytest.mark.parametrize("spelled", [KEY, split("\u200b"), wide(KEY)])
@pytest.mark.parametrize(
    "answer",
    [
        lambda key: Answer(content=json.dumps({"score": 4, "justification": f"your key: {key}"})),
        # Escaped twice: the reply is JSON inside JSON.
        lambda key: Answer(content=GOOD.replace("because", escaped(key))),
        lambda key: Answer(content=f"no score, but {key}"),
        lambda key: Answer(status=400, body=json.dumps([{"error": key}])),
        lambda key: Answer(status=422, body=f"<title>{key}</title>"),
        lambda key: Answer(body=completion({"content": None, "refusal": key})),
        lambda key: Answer(body=completion({}, f"content_filter {key}")),
        lambda key: Answer(body=json.dumps({"error": {"message": key, "code": 500}})),
    ],
)
def test_no_key_in_outputs_and_cache(
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answer: Callable[[str], Answer],
    spelled: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr("inspector_plugin.judges.prompt.endpoint._FIRST_PAUSE", 0.001)
    Path("in.jsonl").write_text('{"question": "q", "response": "r"}\n')
    server = serve(lambda body, number: answer(spelled))
    spec = f"prompt:base_url={server.url},model=m,key_env=TEST_KEY"
    main(["label", "in.jsonl", "--judge", spec, "--out", "out.jsonl", "--criteria", "fluency"])
    written = Path("out.jsonl").read_text() if Path("out.jsonl").exists() else ""
    printed = capsys.readouterr()
    with JudgeCache() as cache, sqlite3.connect(cache.path) as database:
        cached = [row for (row,) in database.execute("SELECT judgement FROM judgements")]
    kept = [str(json.loads(row)) for row in (*written.splitlines(), *cached)]
    for text in (printed.out, printed.err, *kept):
        visible = text.translate(dict.fromkeys([0x200B, 0x20, 0x0A])).replace("\\u200b", "")
        assert KEY not in visible
        assert wide(KEY) not in visible


def test_a_key_given_as_the_name_of_its_variable_is_not_printed() -> None:
    with pytest.raises(OptionError, match="variable that key_env names is not set") as caught:
        create_judge("prompt:model=m,base_url=http://x,key_env=gsk_abc123DEF456")
    assert "gsk_" not in str(caught.value)


def test_a_key_over_plain_http_warns_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr(keys, "_warned", set())
    quiet = (
        "https://judge.example/v1",
        "http://127.0.0.1:1/v1",
        "http://[::1]:1",
        "http://localhost",
    )
    for url in (*quiet, "http://judge.example/v1", "http://judge.example/v1"):
        create_judge(f"prompt:model=m,base_url={url},key_env=TEST_KEY").close()
    create_judge("prompt:model=m,base_url=http://other.example").close()
    [warning] = [each for each in caplog.records if "unencrypted" in each.getMessage()]
    assert "http://judge.example/v1" in warning.getMessage()
