"""The inputs of a run: files of any form and sample logs, read anew whenever they are gone through.

No row is held, so that a file of any size can be judged. All rows are checked before the first is
judged: that takes one reading more.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from inspector_plugin.data.eval_logs import is_sample_log
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.data.log_tasks import find_logs
from inspector_plugin.data.requests import RequestForm, RequestRow, RowFields, make_requests
from inspector_plugin.data.sample_logs import SampleLog, is_generative
from inspector_plugin.data.stored_scores import JUDGEMENTS
from inspector_plugin.data.tables import InputFile
from inspector_plugin.errors import DataError, count_of
from inspector_plugin.schema.criteria import Criterion


class InputRows:
    """The rows of some files, in order, as requests. They can be gone through any number of times.

    Attributes:
        files: What is read: sample logs and other files.
        notes: What is to be said of the inputs: logs and lines that were left out.
        asked: How many scores are asked for, by criterion and data set. Where rows have rubrics of
            their own, the first stands for all.
    """

    def __init__(
        self,
        paths: Sequence[Path | InputFile],
        form: RequestForm | None = None,
        limit: int | None = None,
    ) -> None:
        """Find the files, and check every row.

        Args:
            paths: Files, and folders of lm_eval's results.
            form: How rows become requests; on the criteria `roscoe` if None.
            limit: The most rows to take, from the first.

        Raises:
            DataError: If a file or a row is malformed, or there are no rows.
        """
        self._form = form or RequestForm()
        self.notes: list[str] = []
        self.files: list[SampleLog | InputFile] = []
        for path in paths:
            self.files += self._found(path)
        self._require_different()
        self._require_fields_in_use()
        self.asked: Counter[tuple[Criterion, str | None]] = Counter()
        self._count = 0
        self._starts: dict[int, int] = {}
        self._check(limit)
        if not self._count:
            raise DataError(f"{', '.join(map(str, self.files))} holds no rows to judge.")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[RequestRow]:
        """Read the rows anew."""
        rows = (
            row for file in self.files for row in make_requests(file.rows(), self._form_of(file))
        )
        return islice(rows, self._count)

    @property
    def logs(self) -> list[SampleLog]:
        """The sample logs among the files that rows are taken from."""
        used = [self.files[number] for number in self._starts]
        return [file for file in used if isinstance(file, SampleLog)]

    def start_of(self, log: SampleLog) -> int:
        """The number of the first row of a sample log, counted from 0."""
        return self._starts[self.files.index(log)]

    def sha256(self) -> str:
        """Hash the files' content: of one file its own hash, of several a hash of theirs."""
        hashes = [file_sha256(file.path) for file in self.files]
        together = hashlib.sha256("".join(hashes).encode()).hexdigest()
        return hashes[0] if len(hashes) == 1 else together

    def _found(self, given: Path | InputFile) -> list[SampleLog | InputFile]:
        if isinstance(given, InputFile):
            return [self._opened(given)]
        if not given.is_dir():
            return [self._opened(InputFile(given))]
        logs, older = find_logs(given)
        generative = [path for path in logs if is_generative(path)]
        if not generative:
            raise DataError(f"{given} holds no sample log with generated responses.")
        for path in logs:
            if path not in generative:
                self.notes.append(f"{path} is left out: it holds no generated responses")
        if older:
            self.notes.append(f"{given}: {older} older logs of the same model and task left out")
        return [self._opened(InputFile(path)) for path in generative]

    def _opened(self, file: InputFile) -> SampleLog | InputFile:
        if file.form != "jsonl":
            return file
        first = next(file.rows(), None)
        if first is None or not is_sample_log(first[1]) or JUDGEMENTS in first[1]:
            return file
        return SampleLog(file.path, self._form.fields.question, self._form.dataset)

    def _require_different(self) -> None:
        places = [os.path.realpath(file.path) for file in self.files]
        for place, file in zip(places, self.files, strict=True):
            if places.count(place) > 1:
                raise DataError(f"{file} is given twice; give each file once.")

    def _require_fields_in_use(self) -> None:
        fields = self._form.fields
        only_logs = all(isinstance(file, SampleLog) for file in self.files)
        if any((fields.response, fields.id, fields.model)) and only_logs:
            raise DataError(
                "Sample logs of lm_eval say themselves what is response, id and model; of the "
                "field flags only --question-field is for them."
            )

    def _form_of(self, file: SampleLog | InputFile) -> RequestForm:
        is_log = isinstance(file, SampleLog)  # whose rows have the usual fields
        return replace(self._form, fields=RowFields()) if is_log else self._form

    def _check(self, limit: int | None) -> None:
        """Go through all rows once: what is wrong with one is found before any is judged."""
        rubric: tuple[Criterion, ...] = ()
        counts: Counter[tuple[tuple[Criterion, ...], str | None]] = Counter()
        for number, file in enumerate(self.files):
            if self._count == limit:
                break
            self._starts[number] = self._count
            is_log = isinstance(file, SampleLog)
            rows = file.check() if isinstance(file, SampleLog) else file.rows()
            for row in make_requests(rows, self._form_of(file)):
                if self._count == limit:
                    if is_log:
                        continue  # what other filters say of a response stands further below
                    break
                criteria = row.request.criteria
                if self._form.rubric_field is not None:
                    criteria = rubric = rubric or criteria
                counts[criteria, row.request.dataset] += 1
                self._count += 1
        for (criteria, dataset), count in counts.items():
            for criterion in criteria:
                self.asked[criterion, dataset] += count
        self.notes += [
            f"{log}: {count_of(log.repeated, 'line')} that said the same as an earlier one left out"
            for log in self.logs
            if log.repeated
        ]
