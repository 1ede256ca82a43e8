"""What files say of the run that wrote them: judges, criteria, what it cost, what judges wrote."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inspector_plugin.data.files import read_json, run_file
from inspector_plugin.data.jsonl import response_field
from inspector_plugin.data.score_table import ScoreTable
from inspector_plugin.data.stored_scores import JUDGEMENTS, RESPONSE_FIELDS, rows_of
from inspector_plugin.errors import DataError
from inspector_plugin.schema.usage import Usage

_BLOCK = 2**20
# Lines without these words hold nothing that is looked for.
_SIGNS = (b'"usage"', b'"explanation"', b'"items"')


@dataclass(frozen=True)
class RunFile:
    """A file of scores, and what made it.

    Attributes:
        path: The file.
        sha256: Its hash, in hexadecimal.
        made_by: What the run file beside it says; empty where there is none.
    """

    path: Path
    sha256: str
    made_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dataset(self) -> str | None:
        """The data set of rows that name none."""
        dataset = self.made_by.get("dataset")
        return dataset if isinstance(dataset, str) else None

    def judge(self, name: str) -> Mapping[str, Any]:
        """What is said of a judge, by its name in this file; empty where nothing is."""
        judges = self.made_by.get("judges")
        entry = judges.get(name) if isinstance(judges, Mapping) else None
        return entry if isinstance(entry, Mapping) else {}


@dataclass
class Written:
    """What judges wrote and spent.

    Attributes:
        usage: What each judge spent, where it counts that.
        explanations: What judges wrote of chosen rows, by row, judge and key of the criterion.
        items: The verdicts on items of a rubric, likewise.
    """

    usage: dict[str, Usage] = field(default_factory=dict)
    explanations: dict[tuple[int, str, str], str] = field(default_factory=dict)
    items: dict[tuple[int, str, str], Mapping[str, Any]] = field(default_factory=dict)


def read_run_files(table: ScoreTable) -> list[RunFile]:
    """Read what is said of each of a table's files.

    Raises:
        DataError: If a file cannot be read.
    """
    return [RunFile(each.path, _sha256(each.path), _made_by(each.path)) for each in table.sources]


def names_in_files(table: ScoreTable, judge: str) -> Iterator[tuple[int, str]]:
    """Name a judge as its files do: the number of each file, and the name in it.

    The table tells judges of one name apart by adding the file's; a file's alias replaces it.
    """
    for number in table.judge_sources[judge]:
        alias = table.sources[number].name
        own = judge
        if alias is not None:
            own = judge.removeprefix(f"{alias}/") if judge != alias else ""
        yield number, own.rpartition(" (")[0] if own.endswith(")") and " (" in own else own


def read_written(table: ScoreTable, rows: Mapping[int, Mapping[str, Any]]) -> Written:
    """Read what judges spent on all rows, and what they wrote of some.

    Args:
        table: The table.
        rows: The rows whose explanations are wanted, as `ScoreTable.read_rows` returns them.

    Raises:
        DataError: If a file has changed, or says of a cost what cannot be read.
    """
    by_texts: dict[tuple[str, str], list[int]] = {}
    for number, row in rows.items():
        by_texts.setdefault(_texts(row, table.where(number)), []).append(number)
    written = Written()
    for source, each in enumerate(table.sources):
        names = _table_names(table, source)
        for where, row in _judged_rows(each.path):
            judgements = row.get(JUDGEMENTS)
            if not isinstance(judgements, Mapping):
                continue
            places = [
                place
                for place in by_texts.get(_texts(row, where), ())
                if row.get("model") in (None, table.models[place])
            ]
            for own, judgement in judgements.items():
                judge = names.get(own) or names.get("")
                if judge is not None and isinstance(judgement, Mapping):
                    _add(written, judge, judgement, places, where)
    return written


def _add(
    written: Written, judge: str, judgement: Mapping[str, Any], rows: Sequence[int], where: str
) -> None:
    usage = judgement.get("usage")
    if usage is not None:
        try:
            written.usage[judge] = written.usage.get(judge, Usage()) + Usage.from_json(usage)
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: the usage of {judge} cannot be read ({error}).") from error
    scores = judgement.get("scores", judgement)
    for row in rows:
        for key, score in scores.items():
            if not isinstance(score, Mapping):
                continue
            if isinstance(score.get("explanation"), str):
                written.explanations.setdefault((row, judge, key), score["explanation"])
            if isinstance(score.get("items"), Mapping):
                written.items.setdefault((row, judge, key), score["items"])


def _table_names(table: ScoreTable, source: int) -> dict[str, str]:
    """What the table calls the judges of a file, by their names in it."""
    return {
        own: judge
        for judge, sources in table.judge_sources.items()
        if source in sources
        for number, own in names_in_files(table, judge)
        if number == source
    }


def _judged_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if any(sign in line for sign in _SIGNS):
                    where = f"{path}, line {number}"
                    for row in rows_of(json.loads(line), where):
                        yield where, row
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} has changed while it was read ({error}).") from error


def _texts(row: Mapping[str, Any], where: str) -> tuple[str, str]:
    response = response_field(row, RESPONSE_FIELDS, where)[0]
    return str(row.get("question")).strip(), response.strip()


def _made_by(path: Path) -> Mapping[str, Any]:
    """What is said beside a file of how it was made; empty where nothing is."""
    if path.name.startswith("samples_"):
        return _made_by_lm_eval(path)
    return _object(run_file(path))


def _made_by_lm_eval(path: Path) -> Mapping[str, Any]:
    """What lm_eval's results say of the judges of a sample log beside them."""
    task, _, date = path.name.removesuffix(".jsonl").removeprefix("samples_").rpartition("_")
    found: Any = _object(path.with_name(f"results_{date}.json"))
    for name in ("configs", task, "metadata", "inspector"):
        found = found.get(name) if isinstance(found, Mapping) else None
    judges = found.get("judges") if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or not isinstance(judges, Mapping):
        return {}
    described = {
        name: {
            "spec": judge.get("spec"),
            "made_of": {part: value for part, value in judge.items() if part != "spec"},
        }
        for name, judge in judges.items()
        if isinstance(judge, Mapping)
    }
    return {**found, "judges": described}


def _object(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file; empty where there is none: the page says that nothing is known."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, Mapping) else {}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error}.") from error
    return digest.hexdigest()
