"""Third-party plugins, installed on sys.path: each fault names the plugin and harms no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_plugin import plugin_folder, write_plugin

from inspector_plugin import __version__
from inspector_plugin.errors import OptionError, PluginError
from inspector_plugin.plugins.registry import BUILT_IN, JudgeRegistry, create_judge, make_registry

GOOD = """
class Fixed(Judge):
    def __init__(self, value):
        self.value = value
    def judge(self, requests):
        score = AspectScore(float(self.value), self.value)
        return [Judgement(dict.fromkeys(r.aspects, score)) for r in requests]

@hookimpl
def register_judges(register):
    options = (Option("value", "the score of all", int, 3), Option("device", "where"))
    register(Backend("{name}", "one score for all", lambda value, device: Fixed(value), options))
"""
FAULTS = {
    "wrong-signature": (
        "@hookimpl\ndef register_judges(registry): pass",
        r"PluginValidationError.*\{'registry'\}",
    ),
    "misspelt-hook": (
        "@hookimpl\ndef register_judge(register): pass",
        "PluginValidationError: unknown hook 'register_judge'",
    ),
    "no-hook": ("def register_judges(register): pass", "has no @hookimpl named register_judges"),
    "failing-import": ("import not_there_at_all", "ModuleNotFoundError.*not_there_at_all"),
    "moved-module": (
        "from inspector_plugin.hookspecs import hookimpl",
        "ModuleNotFoundError.*have moved: import from inspector_plugin itself",
    ),
    "moved-name": (
        "from inspector_plugin.plugins import create_judge",
        "ImportError.*have moved: import from inspector_plugin itself",
    ),
    "exits": ("raise SystemExit('bye')", "SystemExit: bye"),
    "syntax": ("def (", "SyntaxError"),
    "failing-hook": ("@hookimpl\ndef register_judges(register): 1 / 0", "ZeroDivisionError"),
    "no-backend": (
        "@hookimpl\ndef register_judges(register): register(42)",
        r"register\(\) takes a Backend, not int",
    ),
    "odd-exit": ("class Odd(BaseException): pass\nraise Odd('gone')", "Odd: gone"),
    "no-text-summary": (
        "@hookimpl\ndef register_judges(register): register(Backend('x', 7, 'm:f'))",
        "judge 'x': its summary must be text",
    ),
    "no-factory": (
        "@hookimpl\ndef register_judges(register): register(Backend('x', '', 7))",
        "judge 'x': its factory must be a callable or 'module:name'",
    ),
    "no-options": (
        "@hookimpl\ndef register_judges(register): register(Backend('x', '', 'm:f', 7))",
        r"judge 'x': its options are malformed \(TypeError",
    ),
    "odd-option": (
        "@hookimpl\ndef register_judges(register):"
        " register(Backend('x', '', 'm:f', (Option('a b', ''),)))",
        "its options are malformed .*'a b' is not an identifier",
    ),
    "odd-type": (
        "@hookimpl\ndef register_judges(register):"
        " register(Backend('x', '', 'm:f', (Option('a', '', list),)))",
        "its options are malformed .*type of 'a'",
    ),
    "odd-default": (
        "@hookimpl\ndef register_judges(register):"
        " register(Backend('x', '', 'm:f', (Option('a', '', int, 'many'),)))",
        "its options are malformed .*OptionError",
    ),
    "same-options": (
        "@hookimpl\ndef register_judges(register):"
        " register(Backend('x', '', 'm:f', (Option('a', ''), Option('a', ''))))",
        "two of its options have one name",
    ),
    "bad-name": (
        "@hookimpl\ndef register_judges(register): register(Backend('A b', '', 'm:f'))",
        "judge name 'A b' is not lower-case",
    ),
    "takes-built-in": (
        "@hookimpl\ndef register_judges(register): register(Backend('recorded', '', 'm:f'))",
        "'recorded' is already taken by plugin 'inspector_plugin'",
    ),
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    with plugin_folder(tmp_path):
        yield tmp_path


def problems(registry: JudgeRegistry, plugin: str) -> list[str]:
    return [str(problem) for problem in registry.problems if problem.plugin == plugin]


def test_built_in_judges_come_through_the_same_hook(site: Path) -> None:
    registry = make_registry([])
    assert {"inspector", "recorded"} <= set(registry.backends)
    assert {r.plugin for r in registry.backends.values()} == {BUILT_IN}
    assert registry.get("recorded").version == __version__
    assert not registry.problems


def test_third_party_judge(site: Path) -> None:
    write_plugin(site, "good-one", GOOD.format(name="fixed"))
    registry = make_registry()
    registered = registry.get("fixed")
    assert (registered.plugin, registered.version) == ("good-one", "1.2")
    assert create_judge("fixed:value=4", registry=registry).value == 4
    assert create_judge("fixed", {"value": 2, "unheard_of": 1}, registry).value == 2
    assert create_judge("fixed:value=4", {"value": 2}, registry).value == 4


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_names_the_plugin_and_harms_no_other(site: Path, name: str) -> None:
    source, message = FAULTS[name]
    write_plugin(site, f"a-{name}", source)
    write_plugin(site, "good-one", GOOD.format(name="fixed"))
    registry = make_registry()
    [problem] = problems(registry, f"a-{name}")
    assert problem.startswith(f"Plugin 'a-{name}': ")
    assert re.search(message, problem)
    assert {"inspector", "recorded", "fixed"} <= set(registry.backends)
    assert registry.get("recorded").plugin == BUILT_IN
    assert registry.get("fixed").plugin == "good-one"


def test_a_name_that_two_third_parties_want_is_nobodys(site: Path) -> None:
    write_plugin(site, "first", GOOD.format(name="fixed"))
    write_plugin(site, "second", GOOD.format(name="fixed"))
    write_plugin(site, "third", GOOD.format(name="other"))
    registry = make_registry()
    assert "fixed" not in registry.backends
    assert "other" in registry.backends
    with pytest.raises(PluginError, match=r"'second'.*'fixed' is already taken by plugin 'first'"):
        registry.get("fixed")


def test_two_entry_points_of_one_plugin(site: Path) -> None:
    write_plugin(site, "good-one", GOOD.format(name="fixed"))
    entry_points = site / "good_one-1.2.dist-info" / "entry_points.txt"
    entry_points.write_text("[inspector_plugin]\na = good_one\nb = good_one:Fixed\n")
    registry = make_registry()
    assert problems(registry, "good-one")[0].endswith("register all its judges in one hook")
    assert "fixed" in registry.backends


def test_unknown_judge_lists_choices_and_problems(site: Path) -> None:
    write_plugin(site, "broken", "import not_there_at_all")
    with pytest.raises(OptionError, match=r"Did you mean 'recorded'.*Plugin 'broken'"):
        create_judge("recoded")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("'not_there_at_all:Judge'", "Plugin 'bad': judge 'x' cannot be loaded.*not_there_at_all"),
        ("'inspector_plugin.judging.judge:Nothing'", "cannot be loaded.*Nothing"),
        ("dict", "the factory of judge 'x' made a dict, which does not extend"),
        ("lambda: 1 / 0", "Plugin 'bad': making judge 'x' failed: ZeroDivisionError.*the plugin"),
        ("lambda: exit(3)", "Plugin 'bad': making judge 'x' failed: SystemExit: 3"),
    ],
)
def test_factories_that_cannot_be_used(site: Path, factory: str, message: str) -> None:
    hook = f"@hookimpl\ndef register_judges(register): register(Backend('x', '', {factory}))"
    write_plugin(site, "bad", hook)
    with pytest.raises(PluginError, match=message):
        create_judge("x")
