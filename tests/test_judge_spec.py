"""Specifications of judges, and the options of backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from inspector_plugin.errors import OptionError
from inspector_plugin.plugins.options import (
    Backend,
    JudgeSpec,
    Option,
    option,
    options_of,
    unique_names,
)
from inspector_plugin.testing import ScriptedJudge

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


@dataclass(frozen=True)
class Common:
    fast: bool = option(False, "yes or no")


@dataclass(frozen=True)
class Options(Common):
    path: str | None = option(None, "a file")
    count: int = option(3, "a number")
    labels: str = option("multiclass", "labels", ("multiclass", "binary"))
    derived: int = 7


def test_an_options_class_is_all_there_is_to_write() -> None:
    assert options_of(Options) == (
        Option("fast", "yes or no", bool, False),
        Option("path", "a file", str, None),
        Option("count", "a number", int, 3),
        Option("labels", "labels", str, "multiclass", ("multiclass", "binary")),
    )
    made: list[Any] = []

    def factory(options: Any) -> ScriptedJudge:
        made.append(options)
        return ScriptedJudge([])

    backend = Backend("example", "", factory, Options)
    backend.make(factory, {"count": "4", "fast": "yes"})
    assert made == [Options(fast=True, count=4)]
    with pytest.raises(OptionError, match="Unknown option 'derived'"):
        backend.make(factory, {"derived": 1})


def test_unique_names() -> None:
    specs = [JudgeSpec.parse(text) for text in ("a", "b:x=1", "b:x=2")]
    assert unique_names(specs) == ["a", "b:x=1", "b:x=2"]
    with pytest.raises(OptionError, match="'b:x=1' is given twice"):
        unique_names([*specs, specs[1]])
