"""Rubric files: criteria files that hold one rubric, with what it was made from and by.

A file holds a rubric for a data set (`items`), rubrics for single problems (`instances`), or both.
docs/rubrics.md describes the format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from inspector_plugin.errors import CriteriaError
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.criteria_files import FORMAT_VERSION, read_criteria_file


@dataclass(frozen=True)
class RubricFile:
    """What a rubric file holds.

    Attributes:
        name: The name of the file's criteria set.
        criterion: The rubric: a criterion with items, instances, or both.
        source: What it was made from, in words.
        generator: What made it (model, prompts, seed, ...), as values that JSON can hold.
        stated_fingerprint: The fingerprint that the file gives; None if it gives none, or if the
            rubric has not been read from a file.
    """

    name: str
    criterion: Criterion
    source: str | None = None
    generator: Mapping[str, Any] = field(default_factory=dict, hash=False)
    stated_fingerprint: str | None = None

    @property
    def is_edited(self) -> bool:
        """Whether the rubric is another than the one that the file's fingerprint is of."""
        return self.stated_fingerprint not in (None, self.criterion.fingerprint)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, in the form of a criteria file, with the rubric's fingerprint."""
        row: dict[str, Any] = {"format_version": FORMAT_VERSION, "name": self.name}
        if self.source is not None:
            row["source"] = self.source
        if self.generator:
            row["generator"] = dict(self.generator)
        row["fingerprint"] = self.criterion.fingerprint
        row["criteria"] = [self.criterion.to_json()]
        return row

    def text(self, suffix: str) -> str:
        """Write the file's text.

        Args:
            suffix: ".json", or ".yaml" or ".yml".
        """
        if suffix.lower() == ".json":
            return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"
        return yaml.safe_dump(self.to_json(), sort_keys=False, allow_unicode=True, width=96)


def read_rubric_file(path: str | Path) -> RubricFile:
    """Read a rubric file.

    Args:
        path: A .yaml, .yml or .json file.

    Raises:
        CriteriaError: If it cannot be read, is malformed, or does not hold exactly one rubric.
    """
    found = read_criteria_file(path)
    if len(found.criteria) != 1:
        keys = ", ".join(criterion.key for criterion in found.criteria)
        raise CriteriaError(f"{path}: a rubric file holds one criterion, not {keys}.")
    (criterion,) = found.criteria
    if not criterion.is_rubric:
        raise CriteriaError(
            f"{path}: criterion {criterion.key!r} has no items, so it is no rubric; write its "
            "statements as items with key, text, kind and weight."
        )
    return RubricFile(found.name, criterion, found.made_from, found.generator, found.fingerprint)
