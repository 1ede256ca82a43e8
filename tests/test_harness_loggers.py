"""lm_eval's loggers take what our tasks hand them: scalars and tables of samples."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import UseJudges
from harness_runs import Parrot, evaluate, scripted, sure

TASK = "gsm8k_inspector"
JUDGED = [
    f"{metric},{judge}"
    for judge in ("inspector", "other")
    for metric in ("logicality", "fluency", "total", "coverage")
]


@pytest.fixture
def no_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail where a logger has written down an error in place of raising it."""
    with caplog.at_level(logging.WARNING):
        yield
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors] == []


def run_task(data: Path, use_judges: UseJudges) -> dict[str, Any]:
    """Two problems under two judges."""
    use_judges(inspector=scripted(sure), other=scripted(sure))
    metadata = {
        "data": str(data),
        "judge": ["inspector", "other"],
        "criteria": "fluency,logicality",
    }
    return evaluate(TASK, Parrot("#### 1"), metadata, limit=2)


def expected(run: dict[str, Any]) -> dict[str, float]:
    """The scalars that a logger should have got."""
    return {name: run["results"][TASK][name] for name in JUDGED}


def test_wandb_gets_scalars_and_sample_tables(
    data: Path,
    use_judges: UseJudges,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_error: None,
) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    from lm_eval.loggers.wandb_logger import WandbLogger

    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger({"project": "test", "mode": "offline", "dir": str(tmp_path)})
    logged: dict[str, Any] = {}
    log = logger.run.log
    monkeypatch.setattr(
        logger.run, "log", lambda row, **options: (logged.update(row), log(row, **options))
    )
    try:
        run = run_task(data, use_judges)
        logger.post_init(run)
        logger.log_eval_result()
        logger.log_eval_samples(run["samples"])
    finally:
        wandb.finish()
    scalars = {name: value for name, value in logged.items() if isinstance(value, (int, float))}
    assert {name: scalars[f"{TASK}/{name}"] for name in JUDGED} == expected(run)
    [table] = [value for name, value in logged.items() if name == "evaluation/eval_results"]
    assert [line[5] for line in table.data if line[2] == "other"] == [
        str(run["results"][TASK][name]) for name in JUDGED if name.endswith("other")
    ]
    [samples] = [value for name, value in logged.items() if name == f"{TASK}_eval_results"]
    assert len(samples) == len(run["samples"][TASK])
    judged = [text for text in samples["filtered_predictions"] if "format_version" in str(text)]
    assert len(judged) == 4  # two problems, two judges
    assert json.loads(judged[0])["scores"]["logicality"]["score"] is not None


def test_trackio_gets_scalars_and_traces(
    data: Path,
    use_judges: UseJudges,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_error: None,
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio", reason="trackio is not installed")
    from lm_eval.loggers.trackio_logger import TrackioLogger

    logger = TrackioLogger({"project": "test", "name": "run"})
    logged: list[dict[str, Any]] = []
    log = trackio.log
    monkeypatch.setattr(
        trackio, "log", lambda row, **options: (logged.append(row), log(row, **options))
    )
    run = run_task(data, use_judges)
    logger.post_init(run)
    logger.log_eval_result()
    logger.log_eval_samples(run["samples"])
    logger.finish()
    scalars, *traces = logged
    assert all(isinstance(value, (int, float)) for value in scalars.values())
    assert {name: scalars[f"{TASK}/{name}"] for name in JUDGED} == expected(run)
    assert len(traces) == len(run["samples"][TASK])
