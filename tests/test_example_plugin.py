"""The example plugin, installed with pip and used like any other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "inspector-length-judge"
INSPECTOR = "import sys; from inspector_plugin.cli.main import main; sys.exit(main())"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    # Building writes next to the sources, so that a copy is built.
    source = shutil.copytree(EXAMPLE, folder / "source")
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    target = folder / "site"
    run("-m", "pip", "install", *flags, "--target", str(target), str(source))
    return target


def run(*arguments: str, path: Path = ROOT) -> str:
    environment = os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{ROOT}"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_listed_with_its_origin_and_options(site: Path) -> None:
    judges = json.loads(run("-c", INSPECTOR, "judges", "--json", path=site))
    [length] = [judge for judge in judges if judge["name"] == "length"]
    assert (length["plugin"], length["version"]) == ("inspector-length-judge", "0.1.0")
    assert [(option["name"], option["default"]) for option in length["options"]] == [("words", 200)]


def test_it_judges_through_inspector_score(site: Path, tmp_path: Path) -> None:
    rows = [{"question": "?", "response": "word " * words} for words in (0, 5, 10, 20)]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["score", str(source), "--judge", "length:words=10", "--out", str(out)]
    printed = run("-c", INSPECTOR, *arguments, "--aspects", "fluency", path=site)
    scores = [
        json.loads(line)["judgements"]["length"]["fluency"]["score"]
        for line in out.read_text().splitlines()
    ]
    assert scores == [None, 3.0, 5.0, 5.0]
    assert "3/4" in printed


def test_its_own_tests_pass(site: Path) -> None:
    tests = str(EXAMPLE / "test_length_judge.py")
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", tests, path=site)
