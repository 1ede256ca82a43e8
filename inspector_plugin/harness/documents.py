"""Reading a task's documents from a local folder, and processing them once."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets

from inspector_plugin.data.benchmarks import Benchmark
from inspector_plugin.data.jsonl import read_rows, text_field
from inspector_plugin.errors import DataError

_SUFFIXES = (".jsonl", ".jsonl.gz")
Document = Mapping[str, Any]


def read_splits(folder: Path, benchmark: Benchmark, subset: str) -> dict[str, datasets.Dataset]:
    """Read the splits of a task from a folder.

    Args:
        folder: The folder, laid out as `Benchmark.files` says.
        benchmark: The data set.
        subset: The task's `dataset_name`, such as "main" or "counting_and_probability".

    Raises:
        DataError: If a file is missing, a row is malformed, or no row is of that subset.
    """
    return {
        split: _read_split(_find(folder, name.format(subset=subset)), benchmark, subset)
        for split, name in benchmark.files.items()
    }


def read_file(path: Path, benchmark: Benchmark) -> datasets.Dataset:
    """Read all rows of one file.

    Raises:
        DataError: If the file is missing or empty, or a row is malformed.
    """
    return _read_split(path, benchmark, subset=None)


def processed_once(
    process: Callable[[datasets.Dataset], datasets.Dataset], seed: int
) -> Callable[[datasets.Dataset], datasets.Dataset]:
    """Make a task's `process_docs` repeatable.

    lm_eval processes the documents again whenever it asks for them, and its GPQA shuffles the
    options each time, unseeded: prompts, targets and logs would speak of different orders.

    Args:
        process: lm_eval's function.
        seed: Seeds Python's `random` while a split is processed; its state is restored afterwards.
    """

    @functools.cache
    def process_docs(dataset: datasets.Dataset) -> datasets.Dataset:
        state = random.getstate()
        random.seed(seed)
        try:
            return process(dataset)
        finally:
            random.setstate(state)

    return process_docs


def _find(folder: Path, name: str) -> Path:
    for suffix in _SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    wanted = " or ".join(f"{name}{suffix}" for suffix in _SUFFIXES)
    raise DataError(
        f"No {wanted} in {folder}; add it, choose tasks whose data is there, or leave data out "
        "to load the task from the Hugging Face hub."
    )


def _read_split(path: Path, benchmark: Benchmark, subset: str | None) -> datasets.Dataset:
    documents = [
        _checked(row, benchmark, f"{path}, line {number}") for number, row in read_rows(path)
    ]
    key = benchmark.subset_field
    if key is not None and subset is not None:
        documents = [each for each in documents if _subset_name(each[key]) == subset]
    if not documents:
        of_subset = f" of {subset!r}" if key is not None and subset is not None else ""
        raise DataError(f"{path} holds no problem{of_subset}; check that it is the right file.")
    return datasets.Dataset.from_list(documents)


def _checked(row: Document, benchmark: Benchmark, where: str) -> dict[str, str]:
    document = {name: text_field(row, (name,), where) for name in benchmark.fields}
    for name, mark in benchmark.marks.items():
        if mark not in document[name]:
            raise DataError(f"{where}: field {name!r} has to hold the answer after {mark}.")
    return document


def _subset_name(text: str) -> str:
    """Spell a field's value as lm_eval names the subset: "Number Theory" is "number_theory"."""
    return text.lower().replace("&", "and").replace(" ", "_")
