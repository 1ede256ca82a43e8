"""lm_eval's sample logs as rows to judge: each response once, whatever filters the log has.

A log (`samples_<task>_<date>.jsonl`, written with --log_samples, also with --predict_only) has a
line for each document and filter.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inspector_plugin.data.benchmarks import Question
from inspector_plugin.data.eval_logs import holds_judgements, is_sample_log
from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.log_tasks import LogTask, read_log_task
from inspector_plugin.errors import DataError, InspectorError

# lm_eval writes a null as this text.
_NULL = "None"
NULL_RESPONSE = "the response is missing (null)"
_NO_METRICS = ("bypass",)
_METRICS_ALSO = ("acc", "exact_match", "math_verify")


class SampleLog:
    """A sample log, read line by line.

    Attributes:
        path: The file.
        task: What is known of it.
        repeated: How many lines say only what an earlier line says; known when it is checked.
        filters: The filters that it has lines of; known when it is checked.
    """

    def __init__(self, path: Path, question: str | None = None, dataset: str | None = None) -> None:
        """Name the log.

        Args:
            path: The file.
            question: How a document's problem is made (a field or a Jinja template), in place of
                what is known of the task.
            dataset: The data set, in place of what is known.
        """
        known = read_log_task(path)
        self.path = path
        self.task = LogTask(
            known.name,
            known.model,
            dataset or known.dataset,
            known.question if question is None else Question(question),
            known.repeats,
            known.template,
        )
        self.repeated = 0
        self.filters: frozenset[str] = frozenset()
        self._lines = array("q")  # the lines that are used, one for each answered document
        self._metrics: dict[tuple[str, str], array[float]] = {}  # by metric and filter

    def __str__(self) -> str:
        return str(self.path)

    def check(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Read the whole log, checking hashes and finding out which lines to use.

        Yields:
            Where each row stands and the row, as `rows` does, but without metrics.

        Raises:
            DataError: If a line is malformed or was changed, if there are no responses but only
                log-likelihoods, or if documents of several tasks are mixed.
        """
        seen = _Seen()
        self._lines, self._metrics, self.repeated = array("q"), {}, 0
        for number, line in read_rows(self.path):
            where = f"{self.path}, line {number}"
            responses = _responses(line, where)
            place = seen.place_of(line, where)
            if place is None:
                self.repeated += 1
                continue
            is_new = place == len(self._lines)
            if is_new:
                _require_hashes(line, where)
                self._lines.append(number)
            if sum(map(len, responses)) == 1 and not holds_judgements(line):
                self._take_metrics(line, place)
            if is_new:
                yield from self._rows(line, responses, where, {})
        self.filters = frozenset(seen.names)

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Read the responses of a log that has been checked.

        Yields:
            Where each stands, for messages, and a row of the judgement format: `id`, `question`,
            `response`, and perhaps `task`, `doc_id`, `repeat`, `dataset`, `model`, `target` and
            the metrics of lm_eval's filters.
        """
        filters: dict[str, int] = {}
        for metric, _ in self._metrics:
            filters[metric] = filters.get(metric, 0) + 1
        for place, number, line in self._used_lines():
            where = f"{self.path}, line {number}"
            metrics = {
                metric if filters[metric] == 1 else f"{metric},{name}": column[place]
                for (metric, name), column in self._metrics.items()
                if place < len(column) and not math.isnan(column[place])
            }
            yield from self._rows(line, _responses(line, where), where, metrics)

    def documents(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Read the line of each answered document, with the numbers of rows of its requests."""
        for _, number, line in self._used_lines():
            responses = _responses(line, f"{self.path}, line {number}")
            yield line, [len(self._kept(each)) for each in responses]

    def _used_lines(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        used = iter(enumerate(self._lines))
        following = next(used, None)
        for number, line in read_rows(self.path):
            if following is None:
                return
            if number == following[1]:
                yield following[0], number, line
                following = next(used, None)

    def _rows(
        self,
        line: Mapping[str, Any],
        responses: Sequence[Sequence[Any]],
        where: str,
        metrics: Mapping[str, float],
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        task, document = self.task, line["doc_id"]
        known = {
            "id": str(document) if task.name is None else f"{task.name}/{document}",
            "task": task.name,
            "doc_id": document,
            "dataset": task.dataset,
            "model": task.model,
        }
        start = {name: value for name, value in known.items() if value is not None}
        start["question"] = self._question(line, where)
        kept = [response for each in responses for response in self._kept(each)]
        for repeat, response in enumerate(kept):
            row = {**start, "response": None if response == _NULL else response}
            if len(kept) > 1:
                row["repeat"] = repeat
            if "target" in line:
                row["target"] = line["target"]
            yield where, row | {name: metrics[name] for name in metrics if name not in row}

    def _kept(self, responses: Sequence[Any]) -> Sequence[Any]:
        """The responses to one request: with several processes lm_eval pads the last one's."""
        return responses[: self.task.repeats] if responses else [None]

    def _question(self, line: Mapping[str, Any], where: str) -> str:
        document = line["doc"]
        if not isinstance(document, Mapping):
            raise DataError(f"{where}: the doc of this line of a sample log is not an object.")
        question = self.task.question
        try:
            if question is not None:
                return question.of(document)
        except InspectorError as error:
            raise DataError(f"{where}: {error} Say how with --question-field.") from error
        if self.task.template is not None:
            raise DataError(
                f"{where}: by the results beside it, the problem is {self.task.template!r:.200}; "
                "give that template with --question-field if you trust it."
            )
        text = document.get("question")
        if not isinstance(text, str):
            raise DataError(
                f"{where}: the doc of this sample log has no text 'question'; say with "
                "--question-field which field the problem is, or give a Jinja template over the "
                f"fields {', '.join(sorted(map(str, document)))}."
            )
        return text

    def _take_metrics(self, line: Mapping[str, Any], place: int) -> None:
        names = line.get("metrics")
        for name in names if isinstance(names, list) else _METRICS_ALSO:
            value = line.get(name) if isinstance(name, str) else None
            if isinstance(value, (bool, int, float)) and name not in _NO_METRICS:
                column = self._metrics.setdefault((name, str(line["filter"])), array("d"))
                column.extend([math.nan] * (place + 1 - len(column)))
                column[place] = float(value)


@dataclass
class _Seen:
    """Which documents a log has had so far, and by which filters: some bytes for each."""

    places: dict[bytes, int] = field(default_factory=dict)
    filters: list[int] = field(default_factory=list)  # sets of filters, as bits
    names: dict[str, int] = field(default_factory=dict)
    documents: dict[Any, bytes] = field(default_factory=dict)

    def place_of(self, line: Mapping[str, Any], where: str) -> int | None:
        """Number the answered document of a line; None if the line is repeated."""
        doc_id, doc_hash = line["doc_id"], line.get("doc_hash")
        if isinstance(doc_hash, str):
            identity = _digest(doc_hash)
            if self.documents.setdefault(str(doc_id), identity) != identity:
                raise DataError(
                    f"{where}: doc_id {doc_id} stands for another document than before; logs of "
                    "several tasks were put into one file: give them apart."
                )
        answered = [doc_id, doc_hash, line.get("prompt_hash"), line["resps"]]
        key = _digest(json.dumps(answered))
        place = self.places.setdefault(key, len(self.places))
        bit = 1 << self.names.setdefault(str(line["filter"]), len(self.names))
        if place == len(self.filters):
            self.filters.append(bit)
        elif self.filters[place] & bit:
            return None
        else:
            self.filters[place] |= bit
        return place


def is_generative(path: Path) -> bool:
    """Whether the first line of a log holds responses, not log-likelihoods of choices."""
    for _, line in read_rows(path):
        resps = line.get("resps")
        return not (
            isinstance(resps, list)
            and any(isinstance(each, list) and any(map(_is_likelihood, each)) for each in resps)
        )
    return True


def _responses(line: Mapping[str, Any], where: str) -> list[list[Any]]:
    """The responses of a line, by request."""
    if not is_sample_log(line):
        raise DataError(f"{where}: not a line of a sample log, and the lines before it are.")
    resps = line["resps"]
    if not isinstance(resps, list) or not all(isinstance(each, list) for each in resps):
        raise DataError(f"{where}: the resps of this line of a sample log are malformed.")
    if any(_is_likelihood(response) for each in resps for response in each):
        raise DataError(
            f"{where}: the log holds log-likelihoods of given choices, so there is no response to "
            "judge; judge a task that generates responses (output_type generate_until)."
        )
    return resps or [[]]


def _is_likelihood(response: Any) -> bool:
    return isinstance(response, list)


def _require_hashes(line: Mapping[str, Any], where: str) -> None:
    """Refuse a line whose document, prompt or target is not the one that lm_eval logged."""
    contents = {
        "doc": json.dumps(line["doc"], indent=2, ensure_ascii=False),
        "prompt": _prompt(line),
        "target": str(line["target"]) if "target" in line else None,
    }
    for name, content in contents.items():
        stated = line.get(f"{name}_hash")
        if content is None or not isinstance(stated, str):
            continue
        if hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest() != stated:
            raise DataError(
                f"{where}: the {name} does not have the hash that lm_eval logged: the log was "
                "changed. Take the log as lm_eval wrote it, or rows of question and response."
            )


def _prompt(line: Mapping[str, Any]) -> str | None:
    """The prompt of a line's first request: a text, or the JSON text of a chat."""
    try:
        prompt = line["arguments"]["gen_args_0"]["arg_0"]
    except (TypeError, LookupError):
        return None
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    return prompt if isinstance(prompt, str) else None


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
