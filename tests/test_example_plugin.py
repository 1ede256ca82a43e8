"""The example plugin, installed with pip and used like any other, and as it was in version 0.1."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_plugin import plugin_folder

from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge, make_registry
from inspector_plugin.schema import MULTICLASS, ROSCOE, Criterion, JudgeRequest, Scale
from inspector_plugin.testing import check_judge

ROOT = Path(__file__).parent.parent
OLD = Path(__file__).parent / "length_judge_of_version_0_1.txt"
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
    printed = run("-c", INSPECTOR, *arguments, "--criteria", "fluency", path=site)
    scores = [
        json.loads(line)["judgements"]["length"]["scores"]["fluency"]["score"]
        for line in out.read_text().splitlines()
    ]
    assert scores == [None, 3.0, 5.0, 5.0]
    assert "3/4" in printed


def test_its_own_tests_pass(site: Path) -> None:
    tests = str(EXAMPLE / "test_length_judge.py")
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", tests, path=site)


def test_a_plugin_written_for_version_0_1_still_works(tmp_path: Path) -> None:
    (tmp_path / "inspector_length_judge.py").write_text(OLD.read_text("utf-8"), encoding="utf-8")
    info = tmp_path / "inspector_length_judge-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: inspector-length-judge\nVersion: 0.1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text("[inspector_plugin]\nlength = inspector_length_judge\n")
    care = Criterion("care", definition="It checks.", scale=Scale((1, 2, 3, 4, 5, 6, 7)))
    own = Criterion("rigour", definition="It is rigorous.")
    requests = [
        JudgeRequest("?", "word " * words, (*ROSCOE, own, care), dataset="mine")
        for words in (0, 5, 10, 20)
    ]
    with plugin_folder(tmp_path):
        registry = make_registry()
        assert registry.problems == []
        assert registry.get("length").version == "0.1.0"
        judged = judge_all(create_judge("length:words=10", registry=registry), requests)
        check_judge(create_judge("length", registry=registry))
    for key in (*(criterion.key for criterion in ROSCOE), "rigour"):
        scores = [judgement.scores[key] for judgement in judged]
        assert [(score.score, score.label, score.scale) for score in scores] == [
            (None, None, MULTICLASS),
            (3.0, 3, MULTICLASS),
            (5.0, 5, MULTICLASS),
            (5.0, 5, MULTICLASS),
        ]
    assert judged[1].scores["fluency"].fingerprint == ROSCOE[3].fingerprint
    assert judged[1].scores["care"].reason == "this judge scores on 1-5, not on 1-7"
