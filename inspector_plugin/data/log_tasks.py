"""Where sample logs are, and what is known of each beside its lines.

The results file beside a log says which model responded, and what our own tasks wrote down about
themselves; the name of the log says which of lm_eval's tasks it is.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from inspector_plugin.data.benchmarks import BENCHMARKS, Question
from inspector_plugin.data.files import require_ordinary
from inspector_plugin.errors import DataError

_MOST_RESULTS_BYTES = 256 * 2**20


@dataclass(frozen=True)
class LogTask:
    """What is known of a log beside its lines.

    Attributes:
        name: The task's name; None where the file's name does not say.
        model: The model that wrote the responses; None where nothing says.
        dataset: The data set, as judges know it; None where nothing says.
        question: How a document's problem is made; None for its field `question`.
        repeats: How often each document was answered; None where nothing says.
        template: A template for the problem that only the results file vouches for. It is not run:
            the file may be anybody's.
    """

    name: str | None = None
    model: str | None = None
    dataset: str | None = None
    question: Question | None = None
    repeats: int | None = None
    template: str | None = None


def find_logs(folder: Path) -> tuple[list[Path], int]:
    """Find the newest sample log of each model and task in a folder of lm_eval's results.

    Returns:
        The logs, and how many older ones there are.

    Raises:
        DataError: If there are none.
    """
    newest: dict[tuple[Path, str], Path] = {}
    found = sorted(folder.rglob("samples_*.jsonl"))
    for path in found:
        newest[path.parent, _task_and_date(path)[0] or path.name] = path  # dates sort as texts
    if not newest:
        raise DataError(f"{folder} holds no samples_*.jsonl; run lm_eval with --log_samples.")
    return list(newest.values()), len(found) - len(newest)


def read_log_task(path: Path) -> LogTask:
    """Say what is known of a log: by its name, and by the results file beside it.

    Raises:
        DataError: If the results file cannot be read.
    """
    name, date = _task_and_date(path)
    results = _read_results(path.parent, date)
    config = _mapping(_mapping(results, "configs"), name or "")
    ours = _mapping(_mapping(config, "metadata"), "inspector")
    benchmark = next(
        (key for key, each in BENCHMARKS.items() if _is_named(name, each.log_tasks)), None
    )
    stated = ours.get("dataset")
    dataset = stated if isinstance(stated, str) and stated else benchmark
    question, template = ours.get("question"), None
    if isinstance(question, str) and not _is_harmless(question):
        question, template = None, question
    elif question is None and dataset is not None and dataset in BENCHMARKS:
        question = BENCHMARKS[dataset].question
    repeats = config.get("repeats")
    return LogTask(
        name,
        _model_of(results, path),
        dataset,
        Question(question) if isinstance(question, str) else None,
        repeats if type(repeats) is int and repeats > 0 else None,
        template,
    )


def _is_harmless(question: str) -> bool:
    """Whether this is a field's name, or a template of our own."""
    ours = {benchmark.question for benchmark in BENCHMARKS.values()}
    return question in ours or ("{{" not in question and "{%" not in question)


def _task_and_date(path: Path) -> tuple[str | None, str | None]:
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    if not name.startswith("samples_"):
        return None, None
    task, _, date = name.removeprefix("samples_").rpartition("_")
    return (task, date) if task else (None, None)


def _is_named(name: str | None, patterns: Sequence[str]) -> bool:
    return name is not None and any(fnmatch.fnmatchcase(name, each) for each in patterns)


def _read_results(folder: Path, date: str | None) -> Mapping[str, Any]:
    """Read the results file of the same run; nothing if it is not there."""
    if date is None or not date[:1].isdigit():
        return {}
    for path in sorted(folder.glob(f"*_{date}.json")):
        try:
            require_ordinary(path, _MOST_RESULTS_BYTES)
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(
                f"Cannot read {path}, the results of the log beside it: {error}."
            ) from error
        if isinstance(content, Mapping) and "configs" in content:
            return content
    return {}


def _model_of(results: Mapping[str, Any], path: Path) -> str | None:
    """The name of the evaluated model; a folder of one's own by its last part."""
    name = results.get("model_name")
    if not isinstance(name, str) or not name:
        folder = path.resolve().parent.name  # as lm_eval names it after the model
        return folder.replace("__", "/") if "__" in folder else None
    return PurePath(name).name if PurePath(name).is_absolute() else name


def _mapping(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = row.get(key)
    return value if isinstance(value, Mapping) else {}
