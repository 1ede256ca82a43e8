"""The files of `inspector rubric`: data that is read, rubrics that are written."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from inspector_plugin.cli.rubric_flags import labelled_form
from inspector_plugin.data.files import locked, require_output, write_whole
from inspector_plugin.data.labelled import (
    SCORES,
    LabelledProblem,
    read_labelled,
    sample,
)
from inspector_plugin.errors import DataError, OptionError, count_of
from inspector_plugin.report.tables import plain
from inspector_plugin.rubrics.lint import ERROR, lint
from inspector_plugin.schema.rubric_files import RubricFile

SUFFIXES = (".yaml", ".yml", ".json")


def read_problems(path: Path, options: argparse.Namespace) -> list[LabelledProblem]:
    """Read the problems of a data file, each once where its rows are pairs.

    Raises:
        DataError: If the file cannot be used.
    """
    file = sample(read_labelled(path, labelled_form(options)), options.sample, options.seed)
    once: dict[str, LabelledProblem] = {}
    for problem in file.problems:
        known = once.get(problem.problem)
        # The labels of a pair say nothing about the responses of another pair.
        if known is not None and file.kind == SCORES:
            responses, labels = known.responses + problem.responses, known.labels + problem.labels
            problem = replace(known, responses=responses, labels=labels)
        if known is None or file.kind == SCORES:
            once[problem.problem] = problem
    usable = [_each_once(problem) for problem in once.values() if problem.question.strip()]
    if not usable:
        raise DataError(f"{path} holds no problems.")
    return usable


def _each_once(problem: LabelledProblem) -> LabelledProblem:
    """Give each response of a problem once; its label is the mean of those it has."""
    labels: dict[str, list[float]] = {}
    for response, label in zip(problem.responses, problem.labels, strict=True):
        known = labels.setdefault(response, [])
        known += [] if label is None else [label]
    means = tuple(sum(each) / len(each) if each else None for each in labels.values())
    return replace(problem, responses=tuple(labels), labels=means)


def check_out(options: argparse.Namespace, *inputs: Path) -> None:
    """Refuse an output that is missing, an input, there already, or of no known form.

    Raises:
        OptionError: If it is one of these.
    """
    if options.dry_run:
        return
    out = options.out
    if out is None:
        raise OptionError("--out is needed: the rubric file to write, such as rubric.yaml.")
    if out.suffix.lower() not in SUFFIXES:
        raise OptionError(f"--out {out}: a rubric file ends in {', '.join(SUFFIXES)}.")
    require_output(out, "--out", inputs)
    if out.exists() and not options.overwrite:
        raise OptionError(f"--out {out} exists; pass --overwrite to replace it.")


@contextmanager
def writing_rubric(options: argparse.Namespace) -> Iterator[None]:
    """Keep other processes from the output while it is being made; nothing is kept in a dry run."""
    if options.dry_run:
        yield
        return
    with locked(options.out):
        yield


def write_rubric(file: RubricFile, out: Path) -> None:
    """Write a rubric file, and say if there are faults in it.

    Raises:
        DataError: If it cannot be written.
    """
    write_text(out, file.text(out.suffix))
    print(plain(f"written to {out} (fingerprint {file.criterion.fingerprint})"), file=sys.stderr)
    findings = lint(file.criterion)
    if findings:
        errors = sum(finding.severity == ERROR for finding in findings)
        found = f"{count_of(errors, 'error')} and {count_of(len(findings) - errors, 'warning')}"
        print(plain(f"it has {found}: inspector rubric lint {out}"), file=sys.stderr)


def write_text(out: Path, text: str) -> None:
    """Write a text file, whole or not at all, and the folder that it is in.

    Raises:
        DataError: If it cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, text.encode("utf-8", "replace"))
    except OSError as error:
        raise DataError(f"Cannot write {out}: {error}.") from error
