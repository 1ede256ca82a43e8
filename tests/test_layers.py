"""The direction of imports: downwards only, as docs/architecture.md says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "inspector_plugin"
ROOT = Path(__file__).parent.parent / PACKAGE
# From the bottom up: a module imports from its own part and from layers below.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__init__", "errors", "folders", "progress"}),
    frozenset({"schema"}),
    frozenset({"data"}),
    frozenset({"judging", "lm", "agreement"}),
    frozenset({"plugins", "testing"}),
    frozenset({"judges"}),
    frozenset({"rubrics", "audits"}),
    frozenset({"report"}),
    frozenset({"cli", "harness", "workflows", "api"}),
    frozenset({"__main__"}),
)
# The command line starts lm_eval's tasks and whole workflows.
WITHIN_A_LAYER = {("cli", "harness"), ("cli", "workflows"), ("cli", "api"), ("workflows", "api")}
# What the judges share; no judge's own.
SHARED_BY_JUDGES = {"members", "packs", "running"}


def imported(source: str, module: str) -> Iterator[str]:
    """Name the modules of this package that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # A relative import counts from the package that the module is in.
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            # What is imported may itself be a module.
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == PACKAGE)


def part(module: str) -> str:
    """The part of the package that a module belongs to: its folder, or the module itself."""
    names = module.split(".")
    is_root = len(names) == 1 or not known(names[1])
    return "__init__" if is_root else names[1]


def known(name: str) -> bool:
    return (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()


def layer(name: str) -> int:
    places = [place for place, names in enumerate(LAYERS) if name in names]
    assert places, f"give {PACKAGE}.{name} its place in LAYERS"
    return places[0]


def judge_of(module: str) -> str | None:
    """The judge that a module belongs to; None if it is shared, or no judge's."""
    names = module.split(".")
    if names[1:2] != ["judges"] or len(names) < 3 or names[2] in SHARED_BY_JUDGES | {"__init__"}:
        return None
    return names[2]


def violation(module: str, target: str) -> str | None:
    """Say what is wrong with an import; None if nothing is."""
    ours, theirs = part(module), part(target)
    upwards = layer(theirs) > layer(ours)
    sideways = layer(theirs) == layer(ours) and ours != theirs
    at_bottom = layer(ours) == 0
    if upwards or (sideways and not at_bottom and (ours, theirs) not in WITHIN_A_LAYER):
        return f"{module} imports {target}: {ours} is not above {theirs}"
    if ours == theirs == "judges":
        our_judge, their_judge = judge_of(module), judge_of(target)
        registers_all = module == f"{PACKAGE}.judges.__init__"
        if their_judge not in (None, our_judge) and not registers_all:
            return f"{module} imports {target}, which is another judge's"
    return None


def violations(source: str, module: str) -> list[str]:
    found = (violation(module, target) for target in imported(source, module))
    return [each for each in found if each is not None]


def modules() -> dict[str, str]:
    return {
        ".".join([PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]): path.read_text("utf-8")
        for path in sorted(ROOT.rglob("*.py"))
    }


def test_imports_go_downwards_only() -> None:
    found = [each for module, source in modules().items() for each in violations(source, module)]
    assert found == []


def test_every_part_has_its_layer() -> None:
    parts = {part(module) for module in modules()}
    assert {"schema", "data", "judging", "judges", "lm", "agreement", "plugins", "cli"} <= parts
    assert [name for name in parts if not any(name in names for names in LAYERS)] == []


def test_the_cache_imports_nothing_of_lm() -> None:
    source = modules()[f"{PACKAGE}.judging.cache"]
    assert "lm" not in {part(target) for target in imported(source, f"{PACKAGE}.judging.cache")}


def test_lager_imports_nothing_of_the_probes() -> None:
    folder = f"{PACKAGE}.judges.lager."
    sources = {module: source for module, source in modules().items() if module.startswith(folder)}
    assert len(sources) > 3
    targets = {target for module, source in sources.items() for target in imported(source, module)}
    assert {target for target in targets if judge_of(target) not in (None, "lager")} == set()


def test_shared_by_judges_are_modules_that_there_are() -> None:
    assert {
        name for name in SHARED_BY_JUDGES if not (ROOT / f"judges/{name}.py").is_file()
    } == set()


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("schema.criteria", "from inspector_plugin.data.jsonl import read_rows", "data"),
        ("schema.criteria", "import inspector_plugin.data.jsonl", "data"),
        ("schema.criteria", "from inspector_plugin import data", "data"),
        ("schema.criteria", "from ..data import jsonl", "data"),
        ("schema.criteria", "def f():\n    from inspector_plugin.data import jsonl", "data"),
        (
            "schema.criteria",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
            "    from inspector_plugin.judging.judge import Judge",
            "judging",
        ),
        ("errors", "from inspector_plugin.schema import Scale", "schema"),
        ("folders", "import inspector_plugin.lm.loading", "lm"),
        ("progress", "from inspector_plugin.judging.run import judge_all", "judging"),
        ("data.folds", "from inspector_plugin.judging.run import judge_all", "judging"),
        ("judging.cache", "from inspector_plugin.lm.catalog import CATALOG", "lm"),
        ("judging.run", "from inspector_plugin.plugins.options import option", "plugins"),
        ("judging.run", "from inspector_plugin.agreement.compare import agreement", "agreement"),
        ("lm.loading", "from inspector_plugin.judging.judge import Judge", "judging"),
        ("plugins.registry", "import inspector_plugin.judges.recorded", "judges"),
        ("judges.recorded", "from inspector_plugin.report.tables import make_table", "report"),
        ("report.tables", "from inspector_plugin.cli import flags", "cli"),
        ("harness.task", "from inspector_plugin.cli import flags", "cli"),
        (
            "judges.lager.judge",
            "from inspector_plugin.judges.inspector.packs import read_card",
            "another judge's",
        ),
        ("judges.lager.judge", "from ..inspector import packs", "another judge's"),
        ("judges.recorded", "from inspector_plugin.judges import lager", "another judge's"),
        ("judges.packs", "from inspector_plugin.judges.lager.packs import f", "another judge's"),
    ],
)
def test_a_violation_is_found(module: str, source: str, found: str) -> None:
    [problem] = violations(source, f"{PACKAGE}.{module}")
    assert problem.startswith(f"{PACKAGE}.{module} imports {PACKAGE}.")
    assert found in problem


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("judging.run", "from inspector_plugin.progress import Progress"),
        ("judging.run", "from inspector_plugin.judging.cache import JudgeCache"),
        ("plugins.options", "from inspector_plugin.judging.judge import Judge"),
        ("plugins.registry", "from inspector_plugin import __version__"),
        ("judges.__init__", "from inspector_plugin.judges.lager.options import LAGER"),
        ("judges.lager.judge", "from inspector_plugin.judges.running import RunningOptions"),
        ("judges.lager.judge", "from . import presets"),
        ("judges.lager.judge", "from ...schema import Scale\nimport numpy, json"),
        ("cli.run", "from inspector_plugin.harness.settings import Settings"),
    ],
)
def test_what_is_allowed(module: str, source: str) -> None:
    assert violations(source, f"{PACKAGE}.{module}") == []
