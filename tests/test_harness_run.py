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
    labels = Option("labels", "", default="multiclass")
    register(Backend("words", "a score", Words, (labels,)))
    register(Backend("picky", "a score or none", Picky, (labels,)))

class Picky(Words):
    def judge(self, requests):
        scores = {"fluency": unscored("no idea")}
        scores |= dict.fromkeys(KEYS, AspectScore(3.0, 3, flags=("guess",)))
        return [Judgement({key: scores[key] for key in r.aspects}) for r in requests]

KEYS = ("semantic_consistency", "logicality", "informativeness", "factuality")
"""
INSPECTOR = "import sys; from inspector_plugin.cli.main import main; sys.exit(main())"
LM_EVAL = """
import runpy, _inspector_lmeval_hook
_inspector_lmeval_hook.install()
runpy.run_module("lm_eval", run_name="__main__", alter_sys=True)  # as python -m lm_eval does
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


KEYS = ("semantic_consistency", "logicality", "informativeness", "fluency", "factuality")


@pytest.mark.parametrize("code", [INSPECTOR, LM_EVAL], ids=["inspector", "lm_eval"])
def test_our_tables_follow_those_of_lm_eval(site: Path, code: str) -> None:
    lm_eval = ["--model", "dummy", "--tasks", "demo_inspector", "--limit", "4"]
    if code == INSPECTOR:
        arguments = ["run", "--judge", "picky", "--reference", "words", "--", *lm_eval]
    else:
        metadata = '{"judge": "picky", "reference": "words", "resamples": 50}'
        arguments = [*lm_eval, "--metadata", metadata]
    done = start(code, site, *arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("|"))
    theirs, ours = lines[: last + 1], lines[last + 1 :]
    assert sum("|picky " in line for line in theirs) == 4 + 1 + 2  # no fluency, so no total
    assert sum("|words " in line for line in theirs) == 5 + 2
    assert [line for line in ours if line.startswith("demo_inspector")] == [
        "demo_inspector: scores by picky",
        "demo_inspector: scores by words",
    ]
    assert max(map(len, ours)) <= 80
    # Scores by each judge, and two tables of agreement.
    for key in KEYS:
        assert sum(line.split()[:1] == [key] for line in ours) == 4
    found = [line.split() for line in ours]
    assert ["fluency", "1-5", "-", "-", "0/4", "0"] in found
    assert ["factuality", "1-5", "3.00", "0.00", "4/4", "4"] in found
    assert ["total", "5-25", "10.00", "0.00", "4/4"] in found
    assert ["no", "idea", "4"] in found
    assert ["guess", "16/16"] in found
    for heading in ("labels", "ranks"):
        assert f"Agreement of picky with the reference words: {heading}" in ours
    assert ours.count("demo_inspector: scores by picky") == 1


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
import sys
from inspector_plugin.harness.command_line import show_errors_in_one_line
sys.argv = ["lm_eval"]
show_errors_in_one_line()
assert sys.excepthook is not sys.__excepthook__
raise ValueError("a bug")
"""
    done = start(code, site)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
