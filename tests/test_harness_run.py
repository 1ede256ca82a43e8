"""`inspector run`, and a bare `lm_eval`: whole processes, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from fake_plugin import write_plugin

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = """
class Words(Judge):
    def __init__(self, labels):
        pass
    def judge(self, requests):
        score = AspectScore(2.0, 2)
        return [Judgement(dict.fromkeys(r.aspects, score)) for r in requests]

@hookimpl
def register_judges(register):
    register(Backend("words", "a score", Words, (Option("labels", "", default="multiclass"),)))
"""
INSPECTOR = "import sys; from inspector_plugin.cli.main import main; sys.exit(main())"
LM_EVAL = """
import sys, _inspector_lmeval_hook
_inspector_lmeval_hook.install()
from lm_eval.__main__ import cli_evaluate
sys.exit(cli_evaluate())
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Install a judge `words`, which scores everything 2."""
    folder = tmp_path / "site"
    folder.mkdir()
    write_plugin(folder, "words-judge", PLUGIN)
    return folder


def start(
    code: str, site: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment: Mapping[str, str] = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=site,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_inspector_run_hands_over_to_lm_eval(site: Path) -> None:
    lm_eval = ["--model", "dummy", "--tasks", "demo_inspector", "--limit", "2"]
    users = ["--metadata", '{"aspects": "fluency", "judge": "recorded"}', "--num_fewshot", "0"]
    done = start(INSPECTOR, site, "run", "--judge", "words", "--", *lm_eval, *users)
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if "|fluency " in line]
    assert [cell.strip() for cell in row.split("|")][3:8] == ["words", "0", "fluency", "↑", "2"]
    assert "|logicality" not in done.stdout


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (
            INSPECTOR,
            ["run", "--judge", "word", "--", "--model", "not_even_loaded"],
            "inspector run: error: Unknown judge 'word'; choose from: ",
        ),
        (
            LM_EVAL,
            ["--model", "dummy", "--tasks", "demo_inspector", "--metadata", "judge=word"],
            "inspector: error: Unknown judge 'word'; choose from: ",
        ),
    ],
    ids=["inspector", "lm_eval"],
)
def test_an_error_of_ours_is_one_line(
    site: Path, code: str, arguments: list[str], message: str
) -> None:
    done = start(code, site, *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(message)


def test_other_errors_under_lm_eval_keep_their_traceback(site: Path) -> None:
    code = """
from inspector_plugin.harness.error_line import show_errors_in_one_line
show_errors_in_one_line()
raise ValueError("a bug")
"""
    done = start(code, site)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
