"""The rows of a `ScoreTable` while files are read: which response is which row."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.data.problems import joined_problems, problem_key
from inspector_plugin.data.score_table import RowPlaces


class RowsRead:
    """The responses met so far, known by the hashes of question and response.

    Attributes:
        ids: What the files call each row's problem, [rows].
        models: The model that wrote each response; None where nothing says so, [rows].
        datasets: The data set of each row; None where nothing says so, [rows].
        lengths: Characters of each response, [rows].
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.models: list[str | None] = []
        self.datasets: list[str | None] = []
        self.lengths = array("q")
        self._slots: dict[bytes, int | list[int]] = {}
        self._question_hashes, self._response_hashes = bytearray(), bytearray()
        self._words: list[str] = []  # the key of each row's problem, by its words
        self._sources, self._items = array("i"), array("i")
        self._offsets, self._lines = array("q"), array("q")
        # The text that was looked up last, and what is known of it.
        self._question, self._question_hash, self._problem = "", _hash(""), problem_key("")
        self._response_hash, self._key = b"", b""

    def __len__(self) -> int:
        return len(self.ids)

    def matching(self, question: str, response: str, model: str | None) -> Iterator[int]:
        """Look a response up.

        Yields:
            The rows that it may be: those with its texts whose model is the same, or unknown on
            either side.
        """
        if question != self._question:
            self._question, self._question_hash = question, _hash(question)
            self._problem = problem_key(question)
        self._response_hash = _hash(response)
        self._key = self._question_hash + self._response_hash
        slot = self._slots.get(self._key, ())
        for index in (slot,) if isinstance(slot, int) else slot:
            other = self.models[index]
            if model is None or other is None or model == other:
                yield index

    def add(
        self,
        row: Mapping[str, Any],
        response: str,
        model: str | None,
        place: tuple[int, int, int, int],
    ) -> int:
        """Add the response that was looked up last as a row of its own.

        Args:
            row: The row of the file.
            response: Its response.
            model: The model that wrote it.
            place: Source, offset, line and item, as `RowPlaces` has them.

        Returns:
            Its number.
        """
        index = len(self.ids)
        slot = self._slots.get(self._key)
        if slot is None:
            self._slots[self._key] = index
        elif isinstance(slot, int):
            self._slots[self._key] = [slot, index]
        else:
            slot.append(index)
        identifier, dataset = row.get("id"), row.get("dataset")
        self._question_hashes += self._question_hash
        self._response_hashes += self._response_hash
        self._words.append(self._problem)
        self.ids.append(self._problem if identifier is None else str(identifier))
        self.models.append(model)
        self.datasets.append(dataset if isinstance(dataset, str) else None)
        self.lengths.append(len(response))
        source, offset, line, item = place
        self._sources.append(source)
        self._offsets.append(offset)
        self._lines.append(line)
        self._items.append(item)
        return index

    def shared(self) -> list[list[int]]:
        """The rows that share question and response, for each such text."""
        return [slot for slot in self._slots.values() if not isinstance(slot, int)]

    def problems(self, files: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
        """Name the problem of each row, and number the problems.

        Args:
            files: What the sources are called.
        """
        marks = list(zip(self._sources, self.datasets, self.ids, strict=True))
        problems, codes = joined_problems(marks, self._words)
        return _names(problems, files), codes

    def hashes(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The hashes of the questions and of the responses, [rows] each."""
        return _as_numbers(self._question_hashes), _as_numbers(self._response_hashes)

    def places(self) -> RowPlaces:
        """Where the rows stand in their files."""
        return RowPlaces(
            np.array(self._sources, dtype=np.int32),
            np.array(self._offsets, dtype=np.int64),
            np.array(self._lines, dtype=np.int64),
            np.array(self._items, dtype=np.int32),
        )


def _names(problems: Sequence[tuple[int, str | None, str]], stems: Sequence[str]) -> list[str]:
    """Name problems by their ids; by data set or file too where two would be called alike."""
    meant: dict[str, set[tuple[int, str | None, str]]] = {}
    for problem in set(problems):
        meant.setdefault(problem[2], set()).add(problem)
    names = {}
    for identifier, alike in meant.items():
        for problem in alike:
            number, dataset, _ = problem
            scope = stems[number] if dataset is None else f"{stems[number]}/{dataset}"
            names[problem] = identifier if len(alike) == 1 else f"{scope}/{identifier}"
    return [names[problem] for problem in problems]


def _as_numbers(hashes: bytearray) -> NDArray[np.uint64]:
    return np.frombuffer(hashes, dtype=">u8").astype(np.uint64)


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
