"""How far each judge agrees with the reference, beside judges that know nothing of the response."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from inspector_plugin.agreement.annotators import Stratum, by_agreement
from inspector_plugin.agreement.baselines import BASELINES, LENGTH
from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.comparison import Comparison, compare_columns
from inspector_plugin.agreement.joined import join
from inspector_plugin.agreement.statistics import (
    DIFFERENCE_STATISTICS,
    LABEL_STATISTICS,
    RANK_STATISTICS,
)
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.report.charts import Point, forest_plot
from inspector_plugin.report.document import Cell, Chart, Column, Form, Missing, Section, Table
from inspector_plugin.report.statistic_names import NAMES

NO_REFERENCE = "Not shown: no judge is the reference; name one with --reference."
_MOST_MATRICES = 24
_MOST_LABELS = 11
_MOST_POINTS = 80
_IN_POINTS = ("mean_difference", "lower_limit", "upper_limit")
_BESIDE_BASELINES = ("accuracy", "quadratic_kappa", "spearman")

Comparisons = Mapping[str, Sequence[Comparison]]


def compared(
    table: ScoreTable, reference: str, annotators: Sequence[str] = ()
) -> Iterator[tuple[str, str, ScoreColumn, ScoreColumn]]:
    """The judges' columns, each beside that of the reference.

    Args:
        table: The scores.
        reference: The judge that the others are compared with.
        annotators: Those whose mean the reference is: they are not compared with it.
    """
    for key in table.keys_of(reference):
        theirs = table.columns.get((reference, key))
        for judge in table.judges:
            ours = table.columns.get((judge, key))
            if judge != reference and judge not in annotators and ours and theirs:
                yield key, judge, ours, theirs


def comparisons_of(
    table: ScoreTable, reference: str, annotators: Sequence[str], seed: int, resamples: int
) -> Comparisons:
    """Compare each judge with the reference, by criterion and on all together."""
    sides: dict[str, dict[str, tuple[ScoreColumn, ScoreColumn]]] = {}
    for key, judge, ours, theirs in compared(table, reference, annotators):
        sides.setdefault(judge, {})[key] = (ours, theirs)
    return {
        judge: compare_columns(table, each, seed=seed, resamples=resamples)
        for judge, each in sides.items()
    }


def strata_of(
    table: ScoreTable,
    reference: str,
    annotators: Sequence[str],
    seed: int,
    resamples: int,
) -> dict[str, list[Stratum]]:
    """The agreement of each judge by how far several annotators agree among themselves."""
    if len(annotators) < 2:
        return {}
    sides: dict[str, dict[str, tuple[ScoreColumn, ScoreColumn]]] = {}
    for key, judge, ours, theirs in compared(table, reference, annotators):
        sides.setdefault(judge, {})[key] = (ours, theirs)
    found = {}
    for judge, each in sides.items():
        people = [
            [table.columns[name, key] for name in annotators if (name, key) in table.columns]
            for key in each
        ]
        counts = [join(table, [side]).n for side in each.values()]
        joined = join(table, list(each.values()))
        if joined.n:
            found[judge] = by_agreement(joined, people, counts, seed=seed, resamples=resamples)
    return found


def agreement_section(
    comparisons: Comparisons, reference: str | None, strata: Mapping[str, Sequence[Stratum]]
) -> Section:
    """Statistics with intervals as table and forest plots, and the same of the baselines."""
    title = "Agreement with the reference"
    if reference is None:
        return Section("agreement", title, absent=NO_REFERENCE)
    found = _by_criterion(comparisons)
    if not any(each.n for each in found):
        return Section(
            "agreement",
            title,
            absent=f"Not shown: {reference} and the judges have scored no response in common on "
            "one criterion.",
        )
    parts: list[Table | Chart] = [
        *_charts(found),
        _labels(found, reference),
        _scores(found, reference),
        _baselines(found),
    ]
    if any(strata.values()):
        parts.append(_strata(strata))
    return Section("agreement", title, "", parts)


def confusion_section(comparisons: Comparisons, reference: str | None) -> Section:
    """Which label the judge gave where the reference gave which."""
    title = "Confusion matrices"
    if reference is None:
        return Section("confusion", title, absent=NO_REFERENCE)
    matrices = [
        _matrix(each, reference)
        for each in _by_criterion(comparisons)
        if each.confusion is not None and len(each.confusion) <= _MOST_LABELS
    ]
    if not matrices:
        return Section(
            "confusion",
            title,
            absent=f"Not shown: no two responses are scored by {reference} and a judge on one "
            f"criterion of at most {_MOST_LABELS} labels.",
        )
    lead = (
        f"Rows: the label of {reference}; columns: the judge's. The stronger the colour, the "
        "larger its share of the row."
    )
    left_out = len(matrices) - _MOST_MATRICES
    if left_out > 0:
        lead += f" {left_out} more are not shown: choose with --judge or --criteria."
    return Section("confusion", title, lead, matrices[:_MOST_MATRICES])


def _by_criterion(comparisons: Comparisons) -> list[Comparison]:
    """All comparisons, by criterion and then by judge; "overall" comes last."""
    every = [each for found in comparisons.values() for each in found]
    keys = list(dict.fromkeys(each.key for each in every))
    keys.sort(key=lambda key: key == "overall")
    return sorted(every, key=lambda each: keys.index(each.key))


def _labels(found: Sequence[Comparison], reference: str) -> Table:
    rows: list[Sequence[Cell]] = [
        [
            each.key,
            each.judge,
            each.n,
            None if each.coverage is None else each.coverage.value,
            *(_cell(each, name, each.statistics[name]) for name in LABEL_STATISTICS),
        ]
        for each in found
    ]
    return Table(
        f"Agreement with {reference}: labels",
        [
            Column("criterion"),
            Column("judge"),
            Column("n", "count"),
            Column("coverage", "share"),
            *(Column(NAMES[name], _form(name)) for name in LABEL_STATISTICS),
        ],
        rows,
        "n: responses that both scored. Macro F1: mean over labels of the F1 score; kappa and "
        "alpha: agreement of the labels beyond chance, near misses count less. [95% interval, by "
        "problem]",
    )


def _scores(found: Sequence[Comparison], reference: str) -> Table:
    names = (*RANK_STATISTICS, *DIFFERENCE_STATISTICS)
    rows: list[Sequence[Cell]] = [
        [each.key, each.judge, *(_cell(each, name, each.statistics[name]) for name in names)]
        for each in found
    ]
    notes = list(dict.fromkeys(note for each in found for note in each.notes))
    return Table(
        f"Agreement with {reference}: scores",
        [
            Column("criterion"),
            Column("judge"),
            *(Column(NAMES[name], _form(name)) for name in names),
        ],
        rows,
        "Spearman, tau-b and D: agreement of the order. Difference: the judge's score minus the "
        "reference's, in points; 95% of the differences lie within the limits. [95% interval, by "
        "problem] " + " ".join(f"{note[:1].upper()}{note[1:]}." for note in notes),
    )


def _baselines(found: Sequence[Comparison]) -> Table:
    rows: list[Sequence[Cell]] = [
        [
            each.key,
            each.judge,
            *(
                each.baselines.get(baseline, {}).get(name)
                for name in _BESIDE_BASELINES
                for baseline in BASELINES
            ),
        ]
        for each in found
        if each.baselines
    ]
    return Table(
        "What judges that know nothing reach",
        [
            Column("criterion"),
            Column("beside"),
            *(
                Column(f"{NAMES[name]}: {baseline}", _form(name))
                for name in _BESIDE_BASELINES
                for baseline in BASELINES
            ),
        ],
        rows,
        "Chance: the judge's own scores dealt out at random; constant: the reference's most "
        "frequent label for all; length only: what the reference gives to responses of such a "
        "length, learned on other problems.",
    )


def _strata(strata: Mapping[str, Sequence[Stratum]]) -> Table:
    names = list(dict.fromkeys(n for found in strata.values() for s in found for n in s.statistics))
    missing = Missing("too few responses, or all with one label")
    return Table(
        "By how far annotators agree among themselves",
        [
            Column("judge"),
            Column("annotators apart"),
            Column("n", "count"),
            *(Column(NAMES[name], _form(name)) for name in names),
        ],
        [
            [judge, each.apart, each.n, *(each.statistics[name] or missing for name in names)]
            for judge, found in strata.items()
            for each in found
        ],
        "Annotators apart: the widest difference between the labels of two annotators.",
    )


def _matrix(found: Comparison, reference: str) -> Table:
    assert found.confusion is not None
    assert found.scale is not None
    shares = found.confusion / np.maximum(found.confusion.sum(axis=1, keepdims=True), 1)
    labels = found.scale.labels
    return Table(
        f"{found.key}: {found.judge}",
        [Column(f"{reference} ↓"), *(Column(str(label), "count") for label in labels)],
        [
            [str(label), *(int(count) for count in line)]
            for label, line in zip(labels, found.confusion, strict=True)
        ],
        shades=shares.tolist(),
    )


def _charts(found: Sequence[Comparison]) -> list[Chart]:
    described = {
        "quadratic_kappa": "Agreement of the labels beyond chance; near misses count less. Chance "
        "and a judge that always gives one label are at 0; grey: a judge that knows the length "
        "alone.",
        "spearman": "Rank correlation with the reference's scores. Chance is at 0; grey: a judge "
        "that knows the length alone.",
    }
    charts = []
    for name, text in described.items():
        points = []
        for each in found:
            estimate = each.statistics[name]
            if estimate is not None:
                points.append(Point(each.key, each.judge, estimate))
        keys = {point.row for point in points}
        for each in found:
            alone = each.baselines.get(LENGTH, {}).get(name)
            if alone is not None and each.key in keys:
                keys.remove(each.key)
                points.append(Point(each.key, LENGTH, Estimate(alone), is_baseline=True))
        if points and len(points) <= _MOST_POINTS:
            label = NAMES[name]
            shown = f"{label[:1].upper()}{label[1:]}"
            charts.append(forest_plot(shown, text, points, f"{label}, with 95% interval"))
    return charts


def _cell(found: Comparison, name: str, estimate: Estimate | None) -> Cell:
    if estimate is not None:
        return estimate
    return Missing(found.undefined.get(name, f"{found.key} by {found.judge}: too few responses"))


def _form(name: str) -> Form:
    return "figure" if name in _IN_POINTS else "share"
