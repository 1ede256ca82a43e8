"""Criteria files, and the choice of criteria."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from inspector_plugin.errors import CriteriaError
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    ROSCOE,
    ROSCOE_KEYS,
    Criterion,
    Scale,
    parse_criteria,
    read_criteria_file,
)

SEVEN = Scale((1, 2, 3, 4, 5, 6, 7))
CARE: dict[str, Any] = {
    "key": "care",
    "title": "Care",
    "definition": "The response checks its own steps.",
    "scale": [1, 2, 3, 4, 5, 6, 7],
    "anchors": {1: "nothing is checked", 7: "every step is checked"},
}
ANSWERED = {"key": "answered", "definition": "There is an answer.", "scale": [0, 1]}
FILE: dict[str, Any] = {"format_version": 1, "name": "mine", "criteria": [CARE, ANSWERED]}


def write(folder: Path, content: object, name: str = "mine.yaml") -> Path:
    path = folder / name
    dump = json.dumps if name.endswith(".json") else yaml.safe_dump
    path.write_text(content if isinstance(content, str) else dump(content), encoding="utf-8")
    return path


def changed(**fields: Any) -> dict[str, Any]:
    """The file, with fields of its first criterion changed; None takes a field out."""
    row = {key: value for key, value in (CARE | fields).items() if value is not None}
    return FILE | {"criteria": [row, ANSWERED]}


# --- criteria files


@pytest.mark.parametrize("name", ["mine.yaml", "mine.yml", "mine.YAML", "mine.json"])
def test_a_good_file(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, FILE, name)
    chosen = read_criteria_file(path)
    assert (chosen.name, chosen.source) == ("mine", str(path))
    assert chosen.criteria == (
        Criterion("care", "Care", CARE["definition"], SEVEN, CARE["anchors"]),
        Criterion("answered", "Answered", "There is an answer.", BINARY),
    )


def test_a_scale_is_1_to_5_unless_a_file_says_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path, changed(scale=None, anchors={5: "all"}))
    assert read_criteria_file(path).criteria[0].scale == MULTICLASS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # the file
        ({**FILE, "format_version": 2}, "format_version: 2 is newer than 1.*upgrade"),
        ({**FILE, "format_version": True}, "format_version: must be 1, not True"),
        ({**FILE, "format_version": "1"}, "format_version: must be 1, not '1'"),
        ({**FILE, "format_version": 0}, "format_version: must be 1, not 0"),
        ({"name": "mine", "criteria": [CARE]}, "format_version: must be 1, not None"),
        ({**FILE, "name": " "}, "name: must be a text that is not empty"),
        ({**FILE, "name": 7}, "name: must be a text"),
        ({**FILE, "criterion": []}, "Unknown field 'criterion'.*Did you mean 'criteria'"),
        ({**FILE, "criteria": []}, "criteria: must be a list of at least one criterion"),
        ({**FILE, "criteria": {"care": CARE}}, "criteria: must be a list"),
        ({**FILE, "criteria": [CARE, "care"]}, r"criteria\[1\]: must hold key, definition"),
        ([CARE], "must hold format_version, name, criteria, not a list"),
        ("just text", "must hold format_version, name, criteria, not a str"),
        ("null", "not a NoneType"),
        # a criterion
        (
            {**FILE, "criteria": [CARE, ANSWERED, CARE]},
            r"criteria\[2\]\.key: 'care' is the key of criteria\[0\], too",
        ),
        (changed(key=None), r"criteria\[0\]\.key: missing"),
        (changed(key=7), r"criteria\[0\]\.key: must be text, not int"),
        (changed(key="Care"), r"criteria\[0\] \(key 'Care'\)\.key: 'Care' is not lower-case"),
        (changed(key="total"), r"criteria\[0\] \(key 'total'\)\.key: .* tables use"),
        (changed(title=5), r"\(key 'care'\)\.title: must be text, not int"),
        (changed(definition=None), r"\(key 'care'\)\.definition: missing"),
        (changed(definition="  "), r"\(key 'care'\)\.definition: .* not empty"),
        (changed(weight=2), r"\(key 'care'\)\.weight: unknown field"),
        (changed(scale=[1, 2, 4]), r"\(key 'care'\)\.scale: .*\[1, 2, 4\] are not"),
        (changed(scale=[3, 2, 1]), r"\(key 'care'\)\.scale: .*ascend"),
        (changed(scale=[1]), r"\(key 'care'\)\.scale: .* not 1"),
        (changed(scale="1-7"), r"\(key 'care'\)\.scale: must be a list.*'1-7'"),
        (changed(scale=[1, 2.5]), r"\(key 'care'\)\.scale: .*whole numbers"),
        (changed(scale=[False, True]), r"\(key 'care'\)\.scale: .*whole numbers"),
        (changed(anchors={9: "?"}), r"\(key 'care'\)\.anchors: 9 is not a label of the scale 1-7"),
        (changed(anchors={"low": "?"}), r"\(key 'care'\)\.anchors: 'low' is no label"),
        (changed(anchors={1: 5}), r"\(key 'care'\)\.anchors: the text of 1 must be text"),
        (changed(anchors=["bad", "good"]), r"\(key 'care'\)\.anchors: must map labels to texts"),
    ],
)
@pytest.mark.parametrize("name", ["mine.yaml", "mine.json"])
def test_an_error_names_file_and_place(
    tmp_path: Path, name: str, content: object, message: str
) -> None:
    if content == "just text" and name.endswith(".json"):
        content = json.dumps(content)
    path = write(tmp_path, content, name)
    with pytest.raises(CriteriaError, match=f"^{re.escape(str(path))}: .*{message}") as error:
        read_criteria_file(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nformat_version: 1\nname: b\n", "line 3: 'name' is given twice"),
        ("criteria:\n- key: a\n  scale: [1, 2]\n  key: b\n", "line 4: 'key' is given twice"),
        ("criteria:\n- anchors: {1: a, 2: b, 1: c}\n", "line 2: 1 is given twice"),
        ("a: [1, 2\nb: 3\n", "expected ',' or ']'"),
        ("a: *nothing\n", "undefined alias"),
        ("a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("a: !!bool perhaps\n", "perhaps"),
        ("a: !!timestamp never\n", "groupdict"),
        ("a: \x00\n", "special characters are not allowed"),
    ],
)
def test_broken_yaml(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(CriteriaError, match=f"mine.yaml cannot be read as YAML: .*{message}"):
        read_criteria_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "a", "name": "b"}', "'name' is given twice in one object"),
        ('{"criteria": [{"anchors": {"1": "a", "1": "b"}}]}', "'1' is given twice"),
        ('{"name": ', "Expecting value"),
        ("", "Expecting value"),
    ],
)
def test_broken_json(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text, "mine.json")
    with pytest.raises(CriteriaError, match=f"mine.json cannot be read as JSON: .*{message}"):
        read_criteria_file(path)


def test_an_anchor_given_twice_in_two_spellings(tmp_path: Path) -> None:
    path = write(tmp_path, changed(anchors={1: "a", "1": "b"}))
    with pytest.raises(CriteriaError, match=r"\(key 'care'\)\.anchors: 1 is given twice"):
        read_criteria_file(path)


@pytest.mark.parametrize("name", ["junk.yaml", "junk.json"])
@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00\x01", bytes(range(256)), b"[" * 50_000, b'{"a":' * 50_000]
)
def test_junk_and_deep_nesting(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CriteriaError, match=f"{name} cannot be read as"):
        read_criteria_file(tmp_path / name)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CriteriaError, match=r"There is no criteria file .*absent\.yaml"):
        read_criteria_file(tmp_path / "absent.yaml")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(CriteriaError, match=r"There is no criteria file .*folder\.json"):
        read_criteria_file(tmp_path / "folder.json")
    with pytest.raises(CriteriaError, match=r"mine\.toml: a criteria file ends in .yaml, .yml"):
        read_criteria_file(write(tmp_path, FILE, "mine.toml"))
    (tmp_path / "huge.yaml").write_bytes(b" " * (4 * 2**20 + 1))
    with pytest.raises(CriteriaError, match=r"huge\.yaml: a criteria file has at most 4 MiB"):
        read_criteria_file(tmp_path / "huge.yaml")


# --- the choice of criteria


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (None, [criterion.key for criterion in ROSCOE]),
        ("all", [criterion.key for criterion in ROSCOE]),
        ("roscoe", [criterion.key for criterion in ROSCOE]),
        ("fluency, logicality,fluency", ["logicality", "fluency"]),
        (["factuality"], ["factuality"]),
        ("fluency,", ["fluency"]),
        ("FILE", ["care", "answered"]),
        ("roscoe,FILE", [*(criterion.key for criterion in ROSCOE), "care", "answered"]),
        ("FILE,roscoe", ["care", "answered", *(criterion.key for criterion in ROSCOE)]),
        (["FILE", "fluency", "logicality"], ["care", "answered", "fluency", "logicality"]),
        ("roscoe,fluency", [criterion.key for criterion in ROSCOE]),
        ("FILE,FILE", ["care", "answered"]),
    ],
)
def test_parse_criteria(tmp_path: Path, text: str | list[str] | None, keys: list[str]) -> None:
    file = str(write(tmp_path, FILE))
    if isinstance(text, str):
        text = text.replace("FILE", file)
    elif text is not None:
        text = [file if part == "FILE" else part for part in text]
    chosen = parse_criteria(text)
    assert [criterion.key for criterion in chosen] == keys
    built_in = [criterion for criterion in chosen if criterion in ROSCOE]
    assert [criterion.key for criterion in built_in] == [
        key for key in keys if key not in ("care", "answered")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fluenzy", "Unknown criteria 'fluenzy'.*Did you mean 'fluency'.*ends in .yaml or .json"),
        ("roscoes", "Did you mean 'roscoe'"),
        (" , ", "No criteria given; give roscoe"),
        ("", "No criteria given"),
        ([], "No criteria given"),
        ("absent.yaml", r"There is no criteria file absent\.yaml"),
    ],
)
def test_criteria_that_cannot_be_chosen(text: str | list[str], message: str) -> None:
    with pytest.raises(CriteriaError, match=message):
        parse_criteria(text)


def test_two_criteria_of_one_key_cannot_be_chosen_together(tmp_path: Path) -> None:
    first = write(tmp_path, FILE, "first.yaml")
    second = write(tmp_path, changed(definition="Another."), "second.json")
    with pytest.raises(CriteriaError, match="two criteria have the key 'care'; rename one"):
        parse_criteria(f"{first},{second}")
    fluency = write(tmp_path, changed(key="fluency"), "fluency.yaml")
    with pytest.raises(CriteriaError, match="two criteria have the key 'fluency'"):
        parse_criteria(f"roscoe,{fluency}")


def test_correctness_stands_beside_the_built_in_criteria() -> None:
    keys = [criterion.key for criterion in parse_criteria("correctness,fluency")]
    assert keys == ["fluency", "correctness"]
    assert [c.key for c in parse_criteria("roscoe,correctness")] == [*ROSCOE_KEYS, "correctness"]
