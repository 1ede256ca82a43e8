"""Specifications of judges, and the options of backends."""

from __future__ import annotations

import pytest

from inspector_plugin.errors import OptionError
from inspector_plugin.judge import Backend, JudgeSpec, Option, unique_names

BACKEND = Backend(
    name="example",
    summary="",
    factory="nowhere:Nothing",
    options=(
        Option("path", "a file"),
        Option("count", "a number", int, 3),
        Option("share", "a share", float, 0.5),
        Option("fast", "yes or no", bool, False),
        Option("labels", "labels", choices=("multiclass", "binary")),
    ),
)


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("probe", "probe", {}),
        ("probe:", "probe", {}),
        ("probe:a=1,b=two", "probe", {"a": "1", "b": "two"}),
        ("probe:a=1, b=two", "probe", {"a": "1", "b": "two"}),
        ("p:url=http://host:80/v1?x=y", "p", {"url": "http://host:80/v1?x=y"}),
        ("p:path=a,b.jsonl,labels=binary", "p", {"path": "a,b.jsonl", "labels": "binary"}),
        ("p:path=C:\\x", "p", {"path": "C:\\x"}),
        ("p:a=", "p", {"a": ""}),
    ],
)
def test_parse_and_back(text: str, name: str, options: dict[str, str]) -> None:
    spec = JudgeSpec.parse(text)
    assert (spec.name, spec.options) == (name, options)
    assert JudgeSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no judge"),
        (":a=1", "names no judge"),
        ("p:binary", "'binary' is not key=value"),
        ("p:=1", "'=1' is not key=value"),
        ("p:a=1,a=2", "gives 'a' twice"),
    ],
)
def test_malformed_specifications(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        JudgeSpec.parse(text)


def test_options_are_converted_and_defaults_filled_in() -> None:
    given = {"path": "7", "count": "4", "share": 1, "fast": "Yes"}
    assert BACKEND.convert_options(given) == {
        "path": "7",
        "count": 4,
        "share": 1.0,
        "fast": True,
        "labels": None,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cuont": 1}, "Judge 'example': Unknown option 'cuont'.*Did you mean 'count'"),
        ({"count": "many"}, "'count' takes a value of type int, not 'many'"),
        ({"count": 1.5}, "type int, not 1.5"),
        ({"count": True}, "type int, not True"),
        ({"fast": "perhaps"}, "type bool, not 'perhaps'"),
        ({"path": 7}, "type str, not 7"),
        ({"labels": "ternary"}, "option 'labels': 'ternary'; choose from: binary, multiclass"),
    ],
)
def test_options_that_cannot_be_used(given: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        BACKEND.convert_options(given)


def test_unique_names() -> None:
    specs = [JudgeSpec.parse(text) for text in ("a", "b:x=1", "b:x=2")]
    assert unique_names(specs) == ["a", "b:x=1", "b:x=2"]
    with pytest.raises(OptionError, match="'b:x=1' is given twice"):
        unique_names([*specs, specs[1]])
