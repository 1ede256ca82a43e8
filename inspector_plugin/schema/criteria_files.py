"""Criteria files, YAML or JSON, and the choice of criteria by `--criteria`.

docs/criteria.md describes the format, docs/schemas/criteria.schema.json holds its JSON Schema.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from inspector_plugin.errors import CriteriaError, one_of, shown
from inspector_plugin.schema.correctness import CORRECTNESS
from inspector_plugin.schema.criteria import Criterion, require_unique
from inspector_plugin.schema.roscoe import ROSCOE

FORMAT_VERSION = 1
DEFAULT_SET = "roscoe"
_FIELDS = ("format_version", "name", "criteria")
# What a file of a rubric may say of how the rubric came about.
_ORIGIN = ("source", "generator", "fingerprint")
_SUFFIXES = (".yaml", ".yml", ".json")
# Rubrics for each problem of a large data set take space; YAML of that size takes minutes to read.
_MAXIMUM_MEBIBYTES = {".json": 256}
_USUAL_MEBIBYTES = 4


@dataclass(frozen=True)
class CriteriaSet:
    """Criteria under a name.

    Attributes:
        name: The name of the set.
        criteria: The criteria, each key once.
        source: Where they come from, such as a file; None for the built-in sets.
        made_from: What the file says its criteria were made from (its field `source`).
        generator: What the file says they were made by, as plain values.
        fingerprint: What the file gives as the fingerprint of its rubric; another one than the
            rubric has says that it was edited since.
    """

    name: str
    criteria: tuple[Criterion, ...]
    source: str | None = None
    made_from: str | None = None
    generator: Mapping[str, Any] = field(default_factory=dict, hash=False)
    fingerprint: str | None = None


BUILT_IN: Mapping[str, CriteriaSet] = {
    DEFAULT_SET: CriteriaSet(DEFAULT_SET, ROSCOE),
    CORRECTNESS.key: CriteriaSet(CORRECTNESS.key, (CORRECTNESS,)),
}
_BUILT_IN_BY_KEY = {c.key: c for chosen in BUILT_IN.values() for c in chosen.criteria}


def built_in_criterion(key: str) -> Criterion:
    """Return a built-in criterion by its key.

    Raises:
        CriteriaError: If there is none of that key.
    """
    if key not in _BUILT_IN_BY_KEY:
        raise CriteriaError(one_of(key, _BUILT_IN_BY_KEY, "built-in criterion"))
    return _BUILT_IN_BY_KEY[key]


def parse_criteria(text: str | Iterable[str] | None) -> tuple[Criterion, ...]:
    """Read a choice of criteria, as it comes from a flag or from metadata.

    Args:
        text: Parts, comma-separated or as a sequence: names of built-in sets, keys of built-in
            criteria, and criteria files. None or "all" means `roscoe`.

    Returns:
        The criteria in the order given, those of a built-in set in the order of the set; a built-in
        criterion that is named twice counts once.

    Raises:
        CriteriaError: If a part is unknown, a file cannot be used, two different criteria share a
            key, or there are none.
    """
    if text is None or text == "all":
        return ROSCOE
    given = text.split(",") if isinstance(text, str) else list(text)
    parts = [part.strip() for part in given if part.strip()]
    if not parts:
        raise CriteriaError(f"No criteria given; give {DEFAULT_SET}, some of its keys, or a file.")
    chosen = dict.fromkeys(criterion for part in parts for criterion in _read_part(part))
    try:
        require_unique(list(chosen))
    except CriteriaError as error:
        raise CriteriaError(f"Criteria {','.join(parts)}: {error}.") from error
    if all(part in _BUILT_IN_BY_KEY for part in parts):
        return tuple(each for each in _BUILT_IN_BY_KEY.values() if each in chosen)
    return tuple(chosen)


def read_criteria_file(path: str | Path) -> CriteriaSet:
    """Read a criteria file.

    Args:
        path: A .yaml, .yml or .json file.

    Raises:
        CriteriaError: If it cannot be read or is not a criteria file; the message names the place.
    """
    path = Path(path)
    content = _load(path)
    try:
        return _criteria_set(content, str(path))
    except CriteriaError as error:
        raise CriteriaError(f"{path}: {error}.") from error


def _read_part(part: str) -> tuple[Criterion, ...]:
    if part in BUILT_IN:
        return BUILT_IN[part].criteria
    if part in _BUILT_IN_BY_KEY:
        return (_BUILT_IN_BY_KEY[part],)
    if Path(part).suffix.lower() in _SUFFIXES:
        return read_criteria_file(part).criteria
    choices = [*BUILT_IN, *_BUILT_IN_BY_KEY]
    raise CriteriaError(
        one_of(part, choices, "criteria") + " A file of your own ends in .yaml or .json."
    )


def _criteria_set(content: Any, source: str) -> CriteriaSet:
    if not isinstance(content, Mapping):
        raise CriteriaError(f"it must hold {', '.join(_FIELDS)}, not a {type(content).__name__}")
    fields = (*_FIELDS, *_ORIGIN)
    unknown = sorted(set(content) - set(fields), key=str)
    if unknown:
        raise CriteriaError(one_of(str(unknown[0]), fields, "field").rstrip("."))
    version = content.get("format_version")
    if type(version) is not int or version < 1:
        raise CriteriaError(f"format_version: must be {FORMAT_VERSION}, not {version!r:.60}")
    if version > FORMAT_VERSION:
        raise CriteriaError(
            f"format_version: {version} is newer than {FORMAT_VERSION}, the newest that this "
            "version reads; upgrade inspector_plugin"
        )
    name = content.get("name")
    if not isinstance(name, str) or not name.strip():
        raise CriteriaError("name: must be a text that is not empty")
    rows = content.get("criteria")
    if not isinstance(rows, list) or not rows:
        raise CriteriaError("criteria: must be a list of at least one criterion")
    criteria = tuple(_criterion(row, place) for place, row in enumerate(rows))
    places: dict[str, int] = {}
    for place, criterion in enumerate(criteria):
        first = places.setdefault(criterion.key, place)
        if first != place:
            raise CriteriaError(
                f"criteria[{place}].key: {criterion.key!r} is the key of criteria[{first}], too; "
                "every criterion needs its own"
            )
    generator = content.get("generator") or {}
    if not isinstance(generator, Mapping):
        raise CriteriaError(f"generator: must be an object, not {generator!r:.60}")
    texts = {name: content.get(name) for name in ("source", "fingerprint")}
    for field_name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise CriteriaError(f"{field_name}: must be text, not {text!r:.60}")
    return CriteriaSet(
        name.strip(), criteria, source, texts["source"], generator, texts["fingerprint"]
    )


def _criterion(row: Any, place: int) -> Criterion:
    if not isinstance(row, Mapping):
        raise CriteriaError(f"criteria[{place}]: must hold key, definition and scale")
    try:
        return Criterion.from_json(row)
    except CriteriaError as error:
        key = row.get("key")
        named = f" (key {key!r:.70})" if isinstance(key, str) else ""
        raise CriteriaError(f"criteria[{place}]{named}.{error}") from error


def _load(path: Path) -> Any:
    if path.suffix.lower() not in _SUFFIXES:
        raise CriteriaError(f"{path}: a criteria file ends in {', '.join(_SUFFIXES)}.")
    try:
        if not path.is_file():
            raise CriteriaError(f"There is no criteria file {path}.")
        most = _MAXIMUM_MEBIBYTES.get(path.suffix.lower(), _USUAL_MEBIBYTES)
        if path.stat().st_size > most * 2**20:
            raise CriteriaError(
                f"{path}: a criteria file has at most {most} MiB"
                + ("." if path.suffix.lower() == ".json" else "; one in JSON may have more.")
            )
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".json":
            return json.loads(text, object_pairs_hook=_unique)
        return yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise CriteriaError(f"Cannot read {path}: {error.strerror}.") from error
    # A tag such as !!bool before something else makes the YAML reader raise what it happens upon.
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
        yaml.YAMLError,
    ) as error:
        reason = shown(error, 300)  # YAML errors take several lines
        raise CriteriaError(f"{path} cannot be read as {path.suffix[1:].upper()}: {reason}.") from (
            error
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is given twice in one object")
        found[key] = value
    return found


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses a key given twice; YAML itself takes the last one in silence."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                line = node.value[position][0].start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: {key!r} is given twice")
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found
