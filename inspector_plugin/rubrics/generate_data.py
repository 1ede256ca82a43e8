"""What rubrics are generated with besides the data: stored rubrics, responses to be judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from inspector_plugin.data.jsonl import read_rows, response_field, text_field
from inspector_plugin.data.labelled import LabelledProblem, read_labelled
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.stored_scores import RESPONSE_FIELDS
from inspector_plugin.rubrics.near import StoredRubric
from inspector_plugin.schema.rubric_files import read_rubric_file


def read_stored(path: Path, source: Path) -> tuple[list[StoredRubric], int]:
    """Read rubrics of single problems, with the questions of these.

    Args:
        path: The rubric file.
        source: JSONL with the questions.

    Returns:
        The rubrics whose questions are known, and how many the file has.

    Raises:
        CriteriaError, DataError: If a file cannot be used.
    """
    file = read_rubric_file(path)
    questions = {each.problem: each.question for each in read_labelled(source).problems}
    found = [
        StoredRubric(each.problem, questions[each.problem], each.items)
        for each in file.criterion.instances
        if each.problem in questions
    ]
    return found, len(file.criterion.instances)


def judged_responses(
    paths: Sequence[Path] | None,
) -> Callable[[LabelledProblem, str], bool]:
    """Tell which responses will be judged.

    Args:
        paths: JSONL files of these; None if all are.

    Returns:
        Says of a problem and a response whether it is one of them.

    Raises:
        DataError: If a file cannot be used.
    """
    if paths is None:
        return lambda problem, response: True
    known: set[tuple[str, str]] = set()
    for path in paths:
        for number, row in read_rows(path):
            where = f"{path}, line {number}"
            problem = problem_identity(text_field(row, ("question",), where))
            texts = row.get("responses")
            if not isinstance(texts, list):
                texts = [response_field(row, RESPONSE_FIELDS, where)[0]]
            known |= {(problem, text) for text in texts if isinstance(text, str)}
    return lambda problem, response: (problem.problem, response) in known
