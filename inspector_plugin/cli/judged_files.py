"""Files of judged responses on the command line: the models, the judges, and a reference."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.cli import flags
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable, Source, read_score_table
from inspector_plugin.errors import DataError, OptionError, count_of, one_of
from inspector_plugin.schema.criteria import BINARY, TOTAL, Criterion, Scale
from inspector_plugin.schema.criteria_files import parse_criteria

Floats = NDArray[np.float64]


def add_file_flags(parser: argparse.ArgumentParser) -> None:
    """Add the files, and the flags that say which of their scores to use."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="[MODEL=]FILE",
        help="judgement files, sample logs or folders of lm_eval's results; rows without a field "
        "model are those of MODEL, or of the model that the folder or file is named after where "
        "there are several",
    )
    parser.add_argument(
        "--judge",
        action="append",
        metavar="NAME",
        help="whose scores to use (default: every judge of the files); may be given several times",
    )
    parser.add_argument(
        "--reference",
        action="append",
        metavar="NAME|FILE",
        help="the judge of the files, or the file of scores, to hold the others against; may be "
        "given several times for files",
    )
    parser.add_argument(
        "--outcome",
        metavar="FIELD",
        help="a field of numbers or true/false, such as exact_match, as the reference",
    )
    flags.add_scored_by_flag(parser)
    flags.add_criteria_flag(
        parser, "the criteria to report on, comma-separated: keys or files (default: all)"
    )


@dataclass(frozen=True)
class Values:
    """Scores of a judge, or values of an outcome, on one criterion.

    Attributes:
        scores: NaN where there is none, [rows].
        scale: Their scale; None for the numbers of an outcome that are not all 0 or 1.
    """

    scores: Floats
    scale: Scale | None

    @property
    def high(self) -> Floats:
        """Whether they mean high quality, 1 or 0; NaN where there is no score, [rows]."""
        assert self.scale is not None
        return np.where(np.isnan(self.scores), np.nan, self.scores > self.scale.middle)


@dataclass(frozen=True)
class JudgedFiles:
    """What the files hold.

    Attributes:
        table: All of it.
        judges: The judges to report on.
        reference: The name of the reference, a judge or an outcome; None if there is none.
        is_outcome: Whether it is an outcome.
        keys: The criteria asked for; all if None.
    """

    table: ScoreTable
    judges: tuple[str, ...]
    reference: str | None
    is_outcome: bool
    keys: tuple[str, ...] | None

    @cached_property
    def models(self) -> NDArray[np.str_]:
        """The model of each row, "" where nothing says so, [rows]."""
        return np.array([model or "" for model in self.table.models], dtype=np.str_)

    def keys_of(self, judge: str) -> list[str]:
        """The criteria that a judge has scores on, of those asked for.

        Raises:
            DataError: If there are none.
        """
        found = self.table.keys_of(judge)
        keys = [key for key in found if self.keys is None or key in self.keys]
        if not keys:
            raise DataError(f"{judge}: {one_of((self.keys or ('',))[0], found, 'criterion')}")
        return keys

    def values(self, judge: str, key: str) -> Values:
        """The scores of a judge on a criterion, or on all of them together (`TOTAL`).

        Raises:
            DataError: If there are none that can be used.
        """
        if key == TOTAL:
            columns = self.table.total_columns(judge, self.keys_of(judge))
            return Values(np.sum([column.scores for column in columns], axis=0), None)
        column = self.table.column(judge, key)
        if len(column.fingerprints) > 1:
            raise DataError(
                f"The scores of {key} by {judge} are for {len(column.fingerprints)} different "
                "criteria of that key (fingerprints "
                f"{', '.join(column.fingerprints[:3])}); judge all rows on one of them."
            )
        return Values(column.scores, column.scale)

    def reference_values(self, key: str) -> Values | None:
        """The reference's values on a criterion; None where it has none."""
        if self.reference is None:
            return None
        if self.is_outcome:
            values = self.table.outcome(self.reference)
            known = values[~np.isnan(values)]
            return Values(values, BINARY if np.isin(known, (0, 1)).all() else None)
        if key == TOTAL:
            return self.values(self.reference, key)
        if (self.reference, key) not in self.table.columns:
            return None
        return self.values(self.reference, key)

    def has_total(self, judge: str) -> bool:
        """Whether a sum over criteria means something: several, on one scale, scored together."""
        keys = self.keys_of(judge)
        if any((judge, key) not in self.table.columns for key in keys):
            return False
        columns = self.table.total_columns(judge, keys)
        if len(columns) < 2 or len({column.scale for column in columns}) > 1:
            return False
        return bool((~np.isnan(self.values(judge, TOTAL).scores)).any())

    def reported_keys(self, judge: str) -> list[str]:
        """The criteria to report on, the total last where there is one.

        With a reference those that it has scores on, too.

        Raises:
            DataError: If there are none.
        """
        keys = self.keys_of(judge)
        both = [each for each in keys if self.reference is None or self.reference_values(each)]
        if not both:
            raise DataError(
                f"{judge} and {self.reference} have no criterion in common: the one has "
                f"{', '.join(keys)}, the other "
                f"{', '.join(self.table.keys_of(self.reference or '')) or 'none'}."
            )
        total = self.has_total(judge) and both == keys
        if total and self.reference is not None and not self.is_outcome:
            total = self.keys_of(self.reference) == keys and self.has_total(self.reference)
        return [*both, TOTAL] if total else both

    def notes(self, judge: str) -> Iterator[str]:
        """What to mind about the rows of a judge, in one line each."""
        _, models = np.unique(self.models, return_inverse=True)
        identity = np.column_stack(
            [
                models.astype(np.uint64),
                self.table.question_hashes,
                self.table.response_hashes,
            ]
        )
        repeated = len(identity) - len(np.unique(identity, axis=0))
        if repeated:
            yield (
                f"{count_of(repeated, 'row')} with the model, question and response of an earlier "
                "row; each counts"
            )
        for key in self.keys_of(judge):
            column: ScoreColumn | None = self.table.columns.get((judge, key))
            if column is not None and column.scored.sum() < column.asked.sum():
                missing = int(column.asked.sum() - column.scored.sum())
                rows = count_of(int(column.asked.sum()), "row")
                yield f"{key}: {missing} of {rows} without a score by {judge}"


def read_judged_files(
    options: argparse.Namespace,
    outcomes: Sequence[str] = (),
    sources: Sequence[Source] | None = None,
) -> JudgedFiles:
    """Read the files that the flags name.

    Args:
        options: The flags of `add_file_flags`.
        outcomes: Further fields to read as numbers.
        sources: The files, where they are not to be named by `model_sources`.

    Raises:
        OptionError: If a flag cannot be used.
        DataError: If a file cannot be used.
    """
    if options.reference and options.outcome:
        raise OptionError("--reference and --outcome: give one of them; both say what is true.")
    sources = model_sources(options.files) if sources is None else sources
    reference_files = _reference_files(options.reference or [])
    criteria, keys = chosen_criteria(options.criteria)
    asked = [*outcomes, *([options.outcome] if options.outcome else [])]
    table = read_score_table([*sources, *reference_files], criteria=criteria, outcomes=asked)
    reference = options.outcome or _reference(options, table, reference_files)
    if options.outcome:
        table.outcome(options.outcome)  # says what is wrong with it, if anything is
    given = list(dict.fromkeys(options.judge or []))
    for name in given:
        if name not in table.judges:
            raise OptionError(f"--judge: {one_of(name, table.judges, 'judge of the files')}")
    judges = given or [
        name
        for name, places in table.judge_sources.items()
        if any(not _is_of(table.sources[place].path, reference_files) for place in places)
    ]
    judges = [name for name in judges if name != reference]
    if not judges:
        raise DataError(
            f"{', '.join(str(each.path) for each in sources)}: no judge has scores there"
            + ("." if reference is None else f" besides the reference {reference}.")
        )
    return JudgedFiles(table, tuple(judges), reference, options.outcome is not None, keys)


def chosen_criteria(given: str | None) -> tuple[tuple[Criterion, ...], tuple[str, ...] | None]:
    """The criteria of files that were named, and the keys to report on; all if None."""
    if given is None:
        return (), None
    parts = flags.listed(given)
    files = [part for part in parts if part == "roscoe" or Path(part).suffix or Path(part).exists()]
    criteria = parse_criteria(",".join(files)) if files else ()
    others = [part for part in parts if part not in files]
    return criteria, (*others, *(criterion.key for criterion in criteria))


def model_sources(texts: Sequence[str]) -> list[Source]:
    """Read [MODEL=]FILE; where there are several, files name the model of rows that name none."""
    sources = []
    for text in texts:
        given = Source.parse(text)
        if not given.path.exists():
            raise DataError(f"Cannot read {given.path}: there is no such file or folder.")
        # What `Source` takes for a judge's name is a model's here.
        several = model_name(given.path) if len(texts) > 1 else None
        sources.append(Source(given.path, None, given.name or several, given.name is not None))
    names = [source.model for source in sources]
    for source in sources:
        if source.model is not None and names.count(source.model) > 1 and len(texts) > 1:
            paths = [str(each.path) for each in sources if each.model == source.model]
            raise OptionError(
                f"{' and '.join(paths)} would both be model {source.model!r}; write MODEL=FILE."
            )
    return sources


def model_name(path: Path) -> str:
    """The model that a folder of lm_eval's results, a log in it, or a file is named after."""
    path = path.resolve()
    if path.is_dir():
        return path.name.replace("__", "/")
    if path.name.startswith("samples_"):
        return path.parent.name.replace("__", "/")
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _reference_files(given: Sequence[str]) -> list[Source]:
    """Those of some references that are files; several are scores of one reference."""
    files = [each for each in map(Source.parse, given) if each.path.exists()]
    if len(files) < len(given) and len(given) > 1:
        missing = next(text for text in given if not Source.parse(text).path.exists())
        raise OptionError(f"--reference {missing}: there is no such file; several must be files.")
    named = next((each.name for each in files if each.name), None)
    name = named or ("reference" if len(files) > 1 else None)
    return [Source(each.path, name) for each in files]


def _reference(
    options: argparse.Namespace, table: ScoreTable, files: Sequence[Source]
) -> str | None:
    """The judge that is the reference."""
    if not options.reference:
        return None
    if not files:
        [name] = options.reference
        if name not in table.judges:
            wrong = one_of(name, table.judges, "judge of the files")
            raise OptionError(f"--reference: there is no file of that name. {wrong}")
        return str(name)
    found = [
        name
        for name, places in table.judge_sources.items()
        if all(_is_of(table.sources[place].path, files) for place in places)
    ]
    wanted = options.scored_by
    if wanted is not None:
        found = [name for name in found if wanted in (name, name.rpartition("/")[2])]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(str(each.path) for each in files)
    if not found:
        raise DataError(
            f"--reference {listed}: no scores there that the other files do not have as well"
            + ("." if wanted is None else f" by {wanted}.")
        )
    raise OptionError(
        f"--reference {listed} has scores by {', '.join(found)}; say whose to take with "
        "--scored-by NAME."
    )


def _is_of(path: Path, files: Sequence[Source]) -> bool:
    return any(path == each.path or each.path in path.parents for each in files)
