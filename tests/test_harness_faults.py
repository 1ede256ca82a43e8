"""What goes wrong around a judge never costs lm_eval's own results, nor changes other programs."""

from __future__ import annotations

import importlib
import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import UseJudges
from harness_runs import Parrot, evaluate, scripted, sure
from lm_eval.loggers.wandb_logger import WandbLogger

from inspector_plugin.data.stored_scores import read_stored_scores
from inspector_plugin.errors import DataError
from inspector_plugin.harness import discovery
from inspector_plugin.harness.settings import Settings
from inspector_plugin.judging import cache
from inspector_plugin.testing import ScriptedJudge


class Exploding(ScriptedJudge):
    """Fails when it is asked."""

    error: BaseException = ValueError("two\nlines")

    def judge(self, requests: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("two\nlines"), SystemExit(2), RecursionError("deep")])
def test_a_judge_that_fails_after_generation_costs_only_its_scores(
    data: Path, use_judges: UseJudges, error: BaseException
) -> None:
    judge = Exploding(sure)
    judge.error = error
    use_judges(inspector=lambda labels: judge, other=scripted(sure))
    metadata = {"data": str(data), "judge": ["inspector", "other"]}
    run = evaluate("gsm8k_inspector", Parrot("#### 1"), metadata, limit=2)
    row = run["results"]["gsm8k_inspector"]
    assert row["coverage,inspector"] == 0
    assert row["coverage,other"] == 1
    assert "exact_match,strict-match" in row
    scores = run["configs"]["gsm8k_inspector"]["scores"]["inspector"]["overall"]
    [reason] = scores["unscored"]
    assert str(error).split("\n")[0] in reason
    results = {key: value for key, value in run.items() if key != "samples"}
    json.dumps(results, allow_nan=False, default=str)


def test_a_cache_that_cannot_be_opened_is_one_warning(
    data: Path,
    use_judges: UseJudges,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "not-a-folder"
    file.write_text("")
    monkeypatch.setattr(cache, "cache_folder", lambda: file)
    use_judges(inspector=scripted(sure))
    with caplog.at_level(logging.WARNING):
        run = evaluate("gsm8k_inspector", Parrot("a"), {"data": str(data)}, limit=2)
    assert run["results"]["gsm8k_inspector"]["coverage,inspector"] == 1
    warnings = [r.message for r in caplog.records if "without the judge cache" in r.message]
    assert len(warnings) == 1


def test_the_sample_tables_of_wandb_can_be_made(data: Path, use_judges: UseJudges) -> None:
    use_judges(inspector=scripted(sure))
    run = evaluate(
        "gsm8k_inspector",
        Parrot("#### 1"),
        {"data": str(data), "reference": "inspector:labels=binary"},
        limit=2,
    )
    logger = WandbLogger.__new__(WandbLogger)
    rows = run["samples"]["gsm8k_inspector"]
    table = logger._generate_dataset(rows, run["configs"]["gsm8k_inspector"])
    assert len(table) == len(rows)
    assert table["exact_match"].notna().sum() == 4  # two documents under lm_eval's two filters
    assert not any(key.startswith("exact_match,inspector") for key in run["results"])
    judged = [row for row in rows if row["filter"] == "inspector"]
    assert all("exact_match" not in row["metrics"] for row in judged)


def test_other_programs_keep_their_excepthook(data: Path, use_judges: UseJudges) -> None:
    before = sys.excepthook
    use_judges(inspector=scripted(sure))
    evaluate("gsm8k_inspector", Parrot("a"), {"data": str(data)}, limit=1)
    assert sys.excepthook is before


def test_extending_twice_changes_nothing() -> None:
    class Manager:
        def __init__(self, include_path: Any = None, include_defaults: bool = True) -> None:
            self.include_path = include_path

    discovery.extend(Manager)
    once = Manager.__init__
    discovery.extend(Manager)
    assert Manager.__init__ is once


def test_an_lm_eval_without_a_task_manager_works(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = importlib.import_module("_inspector_lmeval_hook")
    hook._show_tasks(ModuleType("lm_eval.tasks"))


def test_a_broken_package_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = importlib.import_module("_inspector_lmeval_hook")
    monkeypatch.setitem(sys.modules, "inspector_plugin.harness", None)
    with pytest.warns(UserWarning, match="does not find the tasks of inspector_plugin"):
        hook._show_tasks(ModuleType("lm_eval.tasks"))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--judge", "lager", "--tasks", "x"], 2, "lm_eval's own arguments come after --"),
        (["--judge", "recorded:path=none.jsonl"], 1, "Cannot read none.jsonl"),
        (["--judge", "recorded:path=scores.jsonl"], 1, "No tasks: give lm_eval's arguments after"),
        (
            [
                *("--judge", "recorded:path=scores.jsonl", "--", "--model", "dummy"),
                *("--tasks", "gsm8k_inspector", "--limit", "1"),
            ],
            1,
            "give a local folder with --data",
        ),
    ],
)
def test_inspector_run_says_what_is_missing_in_one_line(
    tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    row = {"question": "q", "response": "r", "criterion": "fluency", "score": 3}
    (tmp_path / "scores.jsonl").write_text(json.dumps(row) + "\n")
    command = [sys.executable, "-m", "inspector_plugin", "run", *arguments]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)},
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert message in done.stderr.splitlines()[-1]


def test_a_run_that_wandb_logs_has_texts_of_the_very_class(
    data: Path, use_judges: UseJudges, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wandb = ModuleType("wandb")
    wandb.run = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    use_judges(inspector=scripted(sure))
    metadata = {"data": str(data), "criteria": "fluency"}
    run = evaluate("gsm8k_inspector", Parrot("#### 1"), metadata, limit=2)
    assert run["results"]["gsm8k_inspector"]["coverage,inspector"] == 1
    rows = [r for r in run["samples"]["gsm8k_inspector"] if r["filter"] == "inspector"]
    for row in rows:
        [text] = row["filtered_resps"]
        assert text.__class__ is str
        assert json.loads(json.dumps(text)) == text
        assert type(pickle.loads(pickle.dumps(text))) is str
    log = tmp_path / "samples.jsonl"
    log.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    stored = list(read_stored_scores(log))
    assert [each.score for each in stored] == [
        json.loads(row["filtered_resps"][0])["scores"]["fluency"]["score"] for row in rows
    ]


@pytest.mark.parametrize("name", ["a" * 5000, "\x00", "none/here"])
def test_a_data_folder_that_cannot_be_is_one_line(name: str) -> None:
    with pytest.raises(DataError, match="data takes an existing folder"):
        Settings.read({"data": name})
