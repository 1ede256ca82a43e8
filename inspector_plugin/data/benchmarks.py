"""The benchmarks that have tasks of ours: what is to be known of each beyond lm_eval's own task.

An entry is what a YAML file of one's own says with `question` and `dataset` (docs/own-tasks.md),
and where the documents are in a local folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from inspector_plugin.errors import DataError, OptionError

_TEMPLATES = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Attributes:
        question: How a document's problem is made, see `Question`.
        tasks: Our lm_eval tasks, those that `inspector collect` generates responses with.
        files: The local file of each split without its suffix; "{subset}" stands for the task's
            `dataset_name`.
        fields: The fields of text that every row has to have.
        subset_field: The field by which the rows of a subset are told from others.
        marks: What a field has to contain, because lm_eval looks for the answer there.
        log_tasks: Patterns of the names of all lm_eval tasks over its documents, whose sample logs
            can be judged as ours can.
    """

    question: str
    tasks: tuple[str, ...]
    files: Mapping[str, str]
    fields: tuple[str, ...]
    subset_field: str | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    log_tasks: tuple[str, ...] = ()


def is_template(text: str) -> bool:
    """Whether a text is a Jinja template, not the name of a field."""
    return "{{" in text or "{%" in text


class Question:
    """Makes the problem, as a judge sees it, out of a document."""

    def __init__(self, text: str) -> None:
        """Take a field's name, or a Jinja template over the fields of a document.

        Raises:
            OptionError: If the template is malformed.
        """
        self.text = text
        self._is_template = is_template(text)
        try:
            self._template = _TEMPLATES.from_string(text)
        except TemplateError as error:
            reason = str(error).rstrip(".")
            raise OptionError(f"{text!r} is not a Jinja template: {reason}.") from error

    def of(self, document: Mapping[str, Any]) -> str:
        """Make the problem of a document.

        Raises:
            DataError: If the document lacks a field.
        """
        try:
            if self._is_template:
                return self._template.render(**document)
            return str(document[self.text])
        # A template may divide by zero, and whatever else a program may do wrong.
        except Exception as error:
            is_missing = not self._is_template and isinstance(error, KeyError)
            reason = f"there is no field {self.text!r}" if is_missing else str(error).rstrip(".")
            raise DataError(
                f"The text {self.text!r} cannot be made: {reason}. A document has the "
                f"fields {', '.join(sorted(map(str, document)))}."
            ) from error


_GPQA_QUESTION = "{{Question}}\n(A) {{choice1}}\n(B) {{choice2}}\n(C) {{choice3}}\n(D) {{choice4}}"
_MATH_SUBJECTS = (
    "algebra",
    "counting_and_prob",
    "geometry",
    "intermediate_algebra",
    "num_theory",
    "prealgebra",
    "precalc",
)

BENCHMARKS: Mapping[str, Benchmark] = {
    "gsm8k": Benchmark(
        question="question",
        tasks=("gsm8k_inspector",),
        files={"train": "gsm8k/train", "test": "gsm8k/test"},
        fields=("question", "answer"),
        log_tasks=("gsm8k", "gsm8k_*"),
    ),
    "math": Benchmark(
        question="problem",
        tasks=tuple(f"math_inspector_{subject}" for subject in _MATH_SUBJECTS),
        files={"train": "math/train", "test": "math/test"},
        fields=("problem", "solution", "type"),
        subset_field="type",
        marks={"solution": "\\boxed"},
        log_tasks=("hendrycks_math*", "minerva_math*", "math_inspector*", "leaderboard_math*"),
    ),
    "gpqa": Benchmark(
        question=_GPQA_QUESTION,
        tasks=("gpqa_inspector_main",),
        files={"train": "gpqa/{subset}"},
        fields=("Question", "Correct Answer", *(f"Incorrect Answer {n}" for n in (1, 2, 3))),
        log_tasks=("gpqa_*",),
    ),
}
