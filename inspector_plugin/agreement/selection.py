"""Which of the scores of some files are compared with which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inspector_plugin.agreement.joined import consensus
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.errors import DataError, OptionError, one_of

ANNOTATORS = "annotators"


@dataclass(frozen=True)
class Selection:
    """Judges, and what they are held against.

    Attributes:
        table: Where the scores come from.
        judges: The judges to compare.
        reference: What they are compared with: the name of a judge or a person, or "annotators"
            for the mean of several; None where there is nothing but an outcome.
        annotators: The annotators' names; none if the reference is one judge and none are named.
        keys: The criteria asked for; all if None.
    """

    table: ScoreTable
    judges: tuple[str, ...]
    reference: str | None
    annotators: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None

    @property
    def everyone(self) -> tuple[str, ...]:
        """All whose scores take part."""
        reference = () if self.reference in (None, ANNOTATORS) else (str(self.reference),)
        return tuple(dict.fromkeys((*self.judges, *self.annotators, *reference)))

    def keys_of(self, name: str) -> list[str]:
        """The criteria that somebody was asked for, of those asked for here."""
        found = self.table.keys_of(name)
        return [key for key in found if self.keys is None or key in self.keys]

    def sides(self, judge: str) -> dict[str, tuple[ScoreColumn, ScoreColumn]]:
        """The columns of a judge and of the reference, by criterion.

        Raises:
            DataError: If they have no criterion in common, or no response.
        """
        assert self.reference is not None
        sides = {
            key: (self.table.column(judge, key), reference)
            for key in self.keys_of(judge)
            if (reference := self.reference_column(key)) is not None
        }
        if not sides:
            theirs = [
                key
                for name in (self.annotators or (self.reference,))
                for key in self.table.keys_of(name)
            ]
            raise DataError(
                f"{judge} and {self.reference} have no criterion in common: the one has "
                f"{', '.join(self.keys_of(judge)) or 'none'}, the other "
                f"{', '.join(dict.fromkeys(theirs)) or 'none'}."
            )
        if not any((ours.asked & theirs.asked).any() for ours, theirs in sides.values()):
            raise DataError(
                f"{judge} and {self.reference} have no response in common: "
                f"{_questions_in_common(self.table, sides)}; responses are joined by the texts of "
                "question and response."
            )
        return sides

    def reference_column(self, key: str) -> ScoreColumn | None:
        """The reference's scores on a criterion; None where it has none."""
        if self.reference != ANNOTATORS:
            assert self.reference is not None
            known = key in self.table.keys_of(self.reference)
            return self.table.column(self.reference, key) if known else None
        columns = self.annotators_on(key)
        return consensus(columns, ANNOTATORS) if columns else None

    def annotators_on(self, key: str) -> list[ScoreColumn]:
        """The annotators' scores on a criterion."""
        return [
            self.table.column(name, key)
            for name in self.annotators
            if key in self.table.keys_of(name)
        ]


def select(
    table: ScoreTable,
    *,
    judges: Sequence[str] = (),
    reference: str | None = None,
    annotators: Sequence[str] = (),
    keys: Sequence[str] | None = None,
    needs_reference: bool = True,
) -> Selection:
    """Settle what is compared with what.

    Unless the caller says so, the reference is what the last file holds: its one judge, or several
    people as annotators. All others are compared with it.

    Args:
        table: The scores.
        judges: The judges to compare; all others if empty.
        reference: The judge or person to compare with.
        annotators: Those whose mean is the reference, unless another is named.
        keys: The criteria to compare on; all if None.
        needs_reference: Whether comparing with nothing is an error.

    Raises:
        OptionError: If a name is unknown, or one is given twice.
        DataError: If there is nothing to compare.
    """
    for flag, names in (("--judge", judges), ("--annotators", annotators)):
        for name in names:
            if name not in table.judges:
                raise OptionError(f"{flag}: {one_of(name, table.judges, 'judge of the files')}")
    if reference is not None and reference not in table.judges:
        raise OptionError(f"--reference: {one_of(reference, table.judges, 'judge of the files')}")
    for key in keys or ():
        if key not in table.keys:
            raise OptionError(f"--criteria: {one_of(key, table.keys, 'criterion of the files')}")
    if len(annotators) == 1:
        raise OptionError(
            f"--annotators {annotators[0]}: one is not several; with one it is --reference."
        )
    chosen, people = reference, tuple(dict.fromkeys(annotators))
    if chosen is None and not people:
        chosen, people = _from_last_file(table, judges)
    if chosen is None and people:
        chosen = ANNOTATORS
    others = [name for name in table.judges if name != chosen and name not in people]
    compared = tuple(dict.fromkeys(judges or others))
    wrong = [name for name in compared if name == chosen or name in people]
    if wrong:
        raise OptionError(f"{wrong[0]} is both a judge and what judges are compared with.")
    if not compared and chosen == ANNOTATORS:
        return Selection(table, (), chosen, people, None if keys is None else tuple(keys))
    if not compared or (chosen is None and needs_reference):
        names = ", ".join(table.judges) or "nobody"
        raise DataError(
            f"There are scores by {names} alone, and a comparison takes two; give a second file, "
            "--reference FILE, or a field such as exact_match with --outcome."
        )
    return Selection(table, compared, chosen, people, None if keys is None else tuple(keys))


def _from_last_file(table: ScoreTable, judges: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The reference, or the annotators, that the last file holds."""
    free = [name for name in table.judges if name not in judges]
    last = max((max(table.judge_sources[name]) for name in free), default=None)
    theirs = [name for name in free if last in table.judge_sources[name]]
    if len(free) < 2 and not judges:
        return None, ()
    if len(theirs) == 1 or (len(theirs) == len(free) and not judges):
        return theirs[-1], ()
    return None, tuple(theirs)


def _questions_in_common(
    table: ScoreTable, sides: Mapping[str, tuple[ScoreColumn, ScoreColumn]]
) -> str:
    """How many responses each side has, and of how many questions they share."""
    judge, reference = next(iter(sides.values()))
    ours, theirs = (set(table.question_hashes[side.asked].tolist()) for side in (judge, reference))
    return (
        f"{int(judge.asked.sum())} and {int(reference.asked.sum())} responses, "
        f"{len(ours & theirs)} questions in common"
    )
