"""The sanity suite: problems with responses whose quality is known, as data of this package.

sanity.json says what the suite is and what its kinds of responses are, sanity.jsonl holds the
responses; docs/audits.md describes both. Nothing is ever trained or tuned on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inspector_plugin.data.jsonl import file_sha256, read_rows, text_field
from inspector_plugin.errors import DataError

FOLDER = Path(__file__).resolve().parent
# Groups of kinds: a right solution; a flaw; no attempt at the problem; a change that is no flaw.
RIGHT, FLAWED, NONSENSE, UNCHANGED = GROUPS = ("right", "flawed", "nonsense", "unchanged")


@dataclass(frozen=True)
class Kind:
    """A kind of response.

    Attributes:
        key: Its name.
        group: One of `GROUPS`.
        description: What such responses are.
        lower_on: On what they must score lower than the right solutions of the same problem: the
            key of a criterion, "a+b" for the mean of two, "total" for the sum of the five of
            `roscoe`.
    """

    key: str
    group: str
    description: str
    lower_on: tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """A response of the suite.

    Attributes:
        id: Its name.
        problem: The name of the problem.
        dataset: The data set in whose style the problem is.
        kind: The key of its kind.
        question: The problem.
        response: The response.
        made_from: The kind of right solution that it is a changed form of, if it is one.
    """

    id: str
    problem: str
    dataset: str
    kind: str
    question: str
    response: str
    made_from: str | None = None


@dataclass(frozen=True)
class Suite:
    """A suite.

    Attributes:
        name: Its name.
        version: Its version; figures of different versions are not to be compared.
        sha256: Hash of the file of responses.
        kinds: The kinds of responses by key.
        items: The responses, problem by problem.
    """

    name: str
    version: int
    sha256: str
    kinds: Mapping[str, Kind]
    items: Sequence[Item]

    @property
    def problems(self) -> list[str]:
        """The names of the problems."""
        return list(dict.fromkeys(item.problem for item in self.items))

    def first(self, count: int | None) -> Suite:
        """Return the suite with its first problems only; with all if `count` is None."""
        kept = set(self.problems[:count])
        return replace(self, items=[item for item in self.items if item.problem in kept])


def read_suite(folder: Path = FOLDER, name: str = "sanity") -> Suite:
    """Read a suite; the one that ships unless another is named.

    Raises:
        DataError: If a file is missing or malformed, or the two do not belong together.
    """
    head_path, rows_path = folder / f"{name}.json", folder / f"{name}.jsonl"
    try:
        head = json.loads(head_path.read_text(encoding="utf-8"))
        kinds = {row["key"]: _kind(row) for row in head["kinds"]}
        version, sha256 = head["version"], head["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"Cannot read the suite {head_path}: {error}.") from error
    if file_sha256(rows_path) != sha256:
        raise DataError(
            f"{rows_path} is not the file that {head_path.name} describes: it has been changed. "
            "Install the package again."
        )
    items = [_item(row, kinds, f"{rows_path}, line {n}") for n, row in read_rows(rows_path)]
    return Suite(name, version, sha256, kinds, items)


def _kind(row: Mapping[str, Any]) -> Kind:
    if row["group"] not in GROUPS:
        raise ValueError(f"kind {row['key']!r} is of no known group")
    return Kind(row["key"], row["group"], row["description"], tuple(row["lower_on"]))


def _item(row: Mapping[str, Any], kinds: Mapping[str, Kind], where: str) -> Item:
    names = ("id", "problem", "dataset", "kind", "question", "response")
    texts = {name: text_field(row, (name,), where) for name in names}
    if texts["kind"] not in kinds:
        raise DataError(f"{where}: kind {texts['kind']!r} is not one of the suite.")
    made_from = text_field(row, ("made_from",), where) if "made_from" in row else None
    return Item(**texts, made_from=made_from)
