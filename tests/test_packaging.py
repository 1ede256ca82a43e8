"""A wheel and an editable install in a fresh environment: what lands, works, and goes again."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "inspector_plugin",
    "tasks",
    "probes",
    "docs/schemas",
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "inspector_plugin.pth",
    "_inspector_lmeval_hook.py",
    "LICENSE",
)
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")
FINDERS = """
import sys
modules = [type(finder).__module__ for finder in sys.meta_path]
print([module for module in modules if module.startswith("_inspector")])
"""
FIND_TASKS = """
import sys
from lm_eval.tasks import TaskManager
assert "torch" not in sys.modules
manager = TaskManager()
assert manager.include_path is None
print([name for name in manager.all_tasks if "inspector" in name])
print(manager.task_index["gsm8k_inspector"].yaml_path)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy what a build needs, so that it leaves nothing in the working tree."""
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "README.md").write_text("For a test.", encoding="utf-8")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return the Python of a fresh environment that sees lm_eval, but no install of ours."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    # As a bare path: the .pth files over there, perhaps one of ours among them, are not read.
    parent = site_packages(python) / "parent.pth"
    parent.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def run(command: Sequence[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def pip(python: Path, *arguments: str) -> None:
    run([*PIP, "--python", str(python), *arguments])


def find_tasks(python: Path, cwd: Path) -> list[str]:
    return run([str(python), "-c", FIND_TASKS], cwd=cwd).splitlines()


def site_packages(python: Path) -> Path:
    return Path(run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))


def build_wheel(clone: Path) -> Path:
    run([*PIP, "wheel", *OFFLINE, "--wheel-dir", str(clone / "dist"), str(clone)])
    (wheel,) = (clone / "dist").glob("*.whl")
    return wheel


def test_a_wheel_holds_all_that_the_package_reads(clone: Path) -> None:
    with zipfile.ZipFile(build_wheel(clone)) as wheel:
        names = set(wheel.namelist())
    shipped = {
        f"inspector_plugin/{path.relative_to(clone)}"
        for folder in ("tasks", "probes")
        for path in (clone / folder).rglob("*")
        if path.is_file()
    }
    assert shipped >= {
        "inspector_plugin/probes/smollm2-135m-instruct/gsm8k/multiclass/card.json",
        "inspector_plugin/tasks/inspector.yaml",
        "inspector_plugin/tasks/demo/problems.jsonl",
    }
    assert names >= shipped
    # Templates, styles, the sanity suite: whatever lies in the package, it must have been named.
    package = {
        str(path.relative_to(clone))
        for path in (clone / "inspector_plugin").rglob("*")
        if path.is_file()
    }
    assert "inspector_plugin/report/html/templates/page.html" in package
    assert names >= package
    assert names >= {
        "inspector_plugin/schemas/criteria.schema.json",
        "inspector_plugin/schemas/judgement.schema.json",
        "inspector_plugin.pth",
        "_inspector_lmeval_hook.py",
        "inspector_plugin/py.typed",
    }
    assert not any(name.startswith(("tests", "tasks", "probes")) for name in names)


@pytest.mark.parametrize("editable", [False, True], ids=["wheel", "editable"])
def test_a_bare_lm_eval_finds_the_tasks_until_uninstalled(
    clone: Path, environment: Path, tmp_path: Path, editable: bool
) -> None:
    what = ["--editable", str(clone)] if editable else [str(build_wheel(clone))]
    pip(environment, "install", *OFFLINE, *what)
    hook = site_packages(environment) / "inspector_plugin.pth"
    assert hook.is_file()
    names, path = find_tasks(environment, tmp_path)
    for task in ("gsm8k_inspector", "math_inspector", "gpqa_inspector", "inspector"):
        assert repr(task) in names
    tasks = clone if editable else site_packages(environment) / "inspector_plugin"
    assert path == str(tasks / "tasks/gsm8k/gsm8k_inspector.yaml")

    assert run([str(environment), "-c", FINDERS]) == "['_inspector_lmeval_hook']"
    pip(environment, "uninstall", "--yes", "inspector_plugin")
    assert not hook.exists()
    assert run([str(environment), "-c", FINDERS]) == "[]"
