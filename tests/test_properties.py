"""Property tests: hostile input of every kind ends in a result or an error of ours, never a crash.

The suite runs some hundred tries of each; `make fuzz` runs ten thousand.
"""

# ruff: noqa: PT017  (whether an error comes is up to the input)

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspector_plugin.cli.main import main
from inspector_plugin.data.scored_rows import read_scored
from inspector_plugin.data.stored_scores import read_stored_scores
from inspector_plugin.errors import CriteriaError, InspectorError
from inspector_plugin.harness.settings import Settings
from inspector_plugin.judges.inspector.packs import read_pack
from inspector_plugin.judges.prompt.replies import ReplyFault, parse_reply
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.plugins.registry import make_registry
from inspector_plugin.report.tables import plain
from inspector_plugin.schema import (
    ROSCOE,
    Criterion,
    CriterionScore,
    Judgement,
    JudgeRequest,
    parse_criteria,
    read_criteria_file,
)

TRIES = int(os.environ.get("INSPECTOR_FUZZ_TRIES", "150"))
tried = settings(
    max_examples=TRIES,
    deadline=None,
    database=None,
    derandomize="INSPECTOR_FUZZ_TRIES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

numbers = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([10**400, -1, 0, 5, 3.2, 1e308, True, False]),
)
texts = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(codec=None), max_size=20),  # unpaired surrogates too
    st.sampled_from(["", "fluency", "roscoe", "\x1b[2J", "\u200b", "{{7*7}}", "null", "a" * 3000]),
)
values = st.recursive(
    st.one_of(st.none(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def lines(content: Any) -> str:
    return json.dumps(content) + "\n"


@tried
@given(texts | st.text(st.sampled_from("inspector:=,labels/ prompt\n"), max_size=40))
def test_specifications(text: str) -> None:
    registry = make_registry([])
    try:
        spec = JudgeSpec.parse(text)
        registry.get(spec.name).backend.convert_options(spec.options)
    except InspectorError as error:
        assert str(error)


@tried
@given(
    st.dictionaries(
        st.one_of(texts, st.sampled_from([*Settings.__annotations__, "judge", "aspects", "Judge"])),
        values,
        max_size=5,
    )
)
def test_metadata(metadata: dict[str, Any]) -> None:
    try:
        Settings.read(metadata)
    except InspectorError as error:
        assert str(error)


score_rows = st.fixed_dictionaries(
    {"question": texts, "response": texts},
    optional={
        "id": values,
        "criterion": st.one_of(texts, values),
        "aspect": texts,
        "score": values,
        "scale": values,
        "fingerprint": values,
        "judgements": st.one_of(
            values,
            st.dictionaries(
                texts,
                st.fixed_dictionaries(
                    {"format_version": st.one_of(st.just(2), values)},
                    optional={"scores": values, "usage": values},
                ),
                max_size=2,
            ),
        ),
        "doc_id": values,
        "doc": values,
        "resps": values,
        "filtered_resps": values,
        "filter": values,
    },
)


@tried
@given(row=st.one_of(score_rows, values), depth=st.sampled_from([0, 10_000]))
def test_rows_of_scores(tmp_path: Path, row: Any, depth: int) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(lines(row) + (nested(depth) + "\n" if depth else ""), encoding="utf-8")
    for read in (read_scored, lambda path: list(read_stored_scores(path))):
        try:
            read(file)
        except InspectorError as error:
            assert str(file) in str(error)


criteria_files = st.one_of(
    values,
    st.fixed_dictionaries(
        {"format_version": st.one_of(st.just(1), values), "name": texts},
        optional={
            "criteria": st.lists(
                st.one_of(
                    values,
                    st.fixed_dictionaries(
                        {"key": texts, "definition": texts},
                        optional={"scale": values, "anchors": values, "title": values},
                    ),
                ),
                max_size=3,
            )
        },
    ),
)


@tried
@given(content=criteria_files, suffix=st.sampled_from([".json", ".yaml"]))
def test_criteria_files(tmp_path: Path, content: Any, suffix: str) -> None:
    file = tmp_path / f"criteria{suffix}"
    file.write_text(json.dumps(content), encoding="utf-8")
    try:
        assert read_criteria_file(file).criteria
    except CriteriaError as error:
        assert str(file) in str(error)


@tried
@given(st.binary(max_size=200) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_criteria_files_of_junk(tmp_path_factory: Any, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "junk.yaml"
    file.write_bytes(content)
    with pytest.raises(CriteriaError):
        read_criteria_file(file)


@tried
@given(st.one_of(texts, st.lists(texts, max_size=3)))
def test_choices_of_criteria(choice: Any) -> None:
    try:
        assert all(isinstance(each, Criterion) for each in parse_criteria(choice))
    except InspectorError as error:
        assert str(error)


replies = st.one_of(
    texts,
    values.map(lambda value: json.dumps(value)),
    st.builds(
        lambda score, rest: f'```json\n{{"score": {json.dumps(score)}, "justification": {rest}}}',
        values,
        texts.map(json.dumps),
    ),
    st.builds(lambda text, count: text * count, st.sampled_from([" ", "`", "{", '{"', "[", "\\"]),
              st.integers(0, 20_000)),
)  # fmt: skip


@tried
@given(reply=replies, joint=st.booleans())
def test_replies(reply: str, joint: bool) -> None:
    criteria = ROSCOE[:2] if joint else ROSCOE[:1]
    try:
        verdicts = parse_reply(reply, criteria, joint)
    except ReplyFault as fault:
        assert str(fault)
    else:
        assert all(verdicts[each.key].score in each.scale.labels for each in criteria)


class Says(Judge):
    """A plugin's judge that returns what it is given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def judge(self, requests: Any) -> Any:
        return self.answer


def odd_score(**fields: Any) -> CriterionScore:
    made = CriterionScore(3.0, 3)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


odd_scores = st.builds(
    odd_score,
    score=st.one_of(st.just(3.0), values),
    label=st.one_of(st.just(3), values),
    reason=st.one_of(st.none(), values),
    probabilities=st.one_of(st.none(), values),
    flags=st.one_of(st.just(()), values),
    explanation=values,
    layer_logits=st.one_of(st.none(), values),
    scale=st.one_of(st.none(), values),
)
answers = st.one_of(
    values,
    st.lists(
        st.one_of(
            values,
            st.builds(
                lambda scores, usage: Judgement(scores, usage),
                st.one_of(values, st.fixed_dictionaries({"fluency": odd_scores})),
                st.one_of(st.none(), values),
            ),
        ),
        max_size=2,
    ),
)


@tried
@given(answers)
def test_what_plugins_return(answer: Any) -> None:
    asked = [JudgeRequest("q", "r", ("fluency",))]
    try:
        [judgement] = judge_all(Says(answer), asked, progress=False)
    except InspectorError as error:
        assert "bug in the judge" in str(error)
    else:
        json.dumps(judgement.to_json(), allow_nan=False)
        assert Judgement.from_json(judgement.to_json()) == judgement


@tried
@given(card=st.one_of(values, st.fixed_dictionaries(
    {"format_version": st.sampled_from([1, 2, True, 3])},
    optional={"language_model": values, "dataset": values, "labels": values, "training": values,
              "criteria": values, "aspects": values, "transferred": values,
              "transferred_from": values},
)))  # fmt: skip
def test_cards(tmp_path: Path, card: Any) -> None:
    folder = tmp_path / "lm" / "gsm8k" / "multiclass"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    try:
        read_pack(folder)
    except InspectorError as error:
        assert str(error)


@tried
@given(texts)
def test_text_on_the_terminal(text: str) -> None:
    shown = plain(text)
    assert len(shown) == len(text)
    assert shown.isprintable() or not shown
    shown.encode("utf-8")


COMMANDS: dict[str, Callable[[str, str], list[str]]] = {
    "score": lambda path, text: ["score", path, "--judge", text, "--out", path + ".out"],
    "label": lambda path, text: ["label", path, "--judge", f"recorded:path={text}", "--out", text],
    "balance": lambda path, text: ["balance", path, "--out", path + ".out", "--scored-by", text],
    "criteria": lambda path, text: ["criteria", "show", text],
    "show": lambda path, text: ["show", path],
    "limit": lambda path, text: ["score", path, "--judge", "lager", "--limit", text],
}


@settings(tried, max_examples=max(TRIES // 3, 20))
@given(
    command=st.sampled_from(sorted(COMMANDS)),
    row=values,
    text=texts.filter(lambda text: "\x00" not in text and not text.startswith(("lager", "-"))),
)
def test_command_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, row: Any, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "rows.jsonl"
    file.write_text(lines(row), encoding="utf-8")
    try:
        assert main(COMMANDS[command](str(file), text)) in (0, 1)
    except SystemExit as stopped:
        assert stopped.code == 2  # argparse
