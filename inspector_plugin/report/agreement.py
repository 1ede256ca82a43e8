"""Agreement of a judge with a reference, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin.agreement.alt_test import AltTest
from inspector_plugin.agreement.annotators import Stratum
from inspector_plugin.agreement.baselines import BASELINES
from inspector_plugin.agreement.comparison import Comparison
from inspector_plugin.agreement.statistics import ALL_STATISTICS, DIFFERENCE_STATISTICS
from inspector_plugin.errors import count_of
from inspector_plugin.report.annotators import strata_table, test_section
from inspector_plugin.report.document import Cell, Column, Form, Missing, Section, Table
from inspector_plugin.report.statistic_names import NAMES

_MEANINGS = (
    "macro F1: mean over labels of the F1 score; kappa and alpha: agreement of the labels beyond "
    "chance, near misses count less; Spearman, tau-b and D: agreement of the order of the scores; "
    "difference: the judge's score minus the reference's, in points; 95% of the differences lie "
    "within the limits. [95% interval, problems resampled]"
)
_BASELINE_MEANINGS = (
    "chance: the judge's own scores dealt out at random; constant: the reference's most frequent "
    "label for all; length only: what the reference gives to responses of such a length, learned "
    "on other problems."
)
_SLOPE = "slope on length"
_MOST_LABELS = 11


@dataclass(frozen=True)
class JudgeAgreement:
    """All that is said of one judge beside the reference.

    Attributes:
        judge: The judge.
        reference: What it is compared with.
        comparisons: By criterion, "overall" last where there are several.
        strata: The agreement by how far the annotators agree, where there are several.
        tests: The alternative annotator test on each criterion and overall, where there are
            annotators.
    """

    judge: str
    reference: str
    comparisons: Sequence[Comparison]
    strata: Sequence[Stratum] = ()
    tests: Sequence[AltTest] = ()


def judge_sections(found: JudgeAgreement, *, each: bool) -> list[Section]:
    """Build the sections of one judge.

    Args:
        found: What is said of it.
        each: Whether to give the figures of every criterion beside those of the baselines; else
            those of the last alone, which is "overall" where there are several.
    """
    title = f"{found.judge} against {found.reference}"
    detailed = found.comparisons if each else found.comparisons[-1:]
    tables = _summary_tables(title, found.comparisons)
    for comparison in detailed:
        tables.append(_detail_table(comparison))
        confusion = _confusion_table(comparison)
        if confusion is not None:
            tables.append(confusion)
    if found.strata:
        tables.append(strata_table(title, found.strata))
    sections = [Section(f"agreement of {found.judge}", title, _lead(found), tables)]
    if found.tests:
        sections.append(test_section(found.judge, found.tests))
    return sections


def agreement_to_json(found: JudgeAgreement) -> dict[str, Any]:
    """Return what is said of a judge as plain values."""
    return {
        "judge": found.judge,
        "reference": found.reference,
        "criteria": {each.key: _comparison_to_json(each) for each in found.comparisons},
        "by_agreement_of_annotators": list(found.strata),
        "alternative_annotator_test": [
            {
                "criterion": test.key,
                "winning_rate": test.winning_rate,
                "advantage_probability": test.advantage,
                "passed": test.passed,
                "verdict": test.verdict,
                "epsilon": test.epsilon,
                "alignment": test.alignment,
                "responses": test.items,
                "problems": test.problems,
                "annotators": list(test.annotators),
                "left_out": dict(test.left_out),
            }
            for test in found.tests
        ],
    }


def _comparison_to_json(found: Comparison) -> dict[str, Any]:
    return {
        "n": found.n,
        "problems": found.problems,
        "asked": found.asked,
        "scale": None if found.scale is None else list(found.scale.labels),
        "coverage": found.coverage,
        **found.statistics,
        "length_slope": found.length_slope,
        "undefined": found.undefined,
        "baselines": found.baselines,
        "confusion": None if found.confusion is None else found.confusion.tolist(),
        "notes": list(found.notes),
    }


def _lead(found: JudgeAgreement) -> str:
    said: dict[str, list[str]] = {}
    for comparison in found.comparisons:
        for note in comparison.notes:
            said.setdefault(note, []).append(comparison.key)
    return "\n".join(f"{', '.join(keys)}: {note}." for note, keys in said.items())


def _summary_tables(title: str, comparisons: Sequence[Comparison]) -> list[Table]:
    criterion = Column("criterion")
    first = Table(
        f"{title}: labels",
        [criterion, Column("n", "count")]
        + [Column(name, "share") for name in ("coverage", "accuracy", "macro F1")],
        [
            [each.key, each.n, each.coverage, *_cells(each, ("accuracy", "macro_f1"))]
            for each in comparisons
        ],
        note="n: what both scored; coverage: of the responses that the reference scored and the "
        "judge was asked for, the share that the judge scored.",
    )
    second = Table(
        f"{title}: beyond chance",
        [criterion] + [Column(name, "share") for name in ("quadratic kappa", "alpha", "Spearman")],
        [
            [each.key, *_cells(each, ("quadratic_kappa", "krippendorff_alpha", "spearman"))]
            for each in comparisons
        ],
        note="alpha: Krippendorff's, ordinal.",
    )
    third = Table(
        f"{title}: differences",
        [criterion]
        + [Column(name, "figure") for name in ("mean difference", "limits", "", "slope")],
        [
            [
                each.key,
                each.statistics["mean_difference"] or Missing(_reason(each, "mean_difference")),
                *(_value(each, name) for name in ("lower_limit", "upper_limit")),
                each.length_slope or Missing(_reason(each, "length_slope")),
            ]
            for each in comparisons
        ],
        note="difference: the judge's score minus the reference's, in points; 95% of the "
        "differences lie within the limits; slope: how much higher the judge scores a response "
        "twice as long that the reference scores alike.",
    )
    return [first, second, third]


def _detail_table(found: Comparison) -> Table:
    rows: list[list[Cell]] = []
    for name in ALL_STATISTICS:
        estimate = found.statistics[name] or Missing(_reason(found, name))
        rows.append(
            [
                NAMES[name],
                estimate,
                *(found.baselines.get(baseline, {}).get(name) for baseline in BASELINES),
            ]
        )
    slope = found.length_slope or Missing(_reason(found, "length_slope"))
    rows.append([_SLOPE, slope, None, None, None])
    no_interval = [
        reason for reason in found.undefined.values() if reason.startswith("no interval")
    ]
    note = " ".join([_MEANINGS, _BASELINE_MEANINGS, *(f"{each}." for each in no_interval)])
    form: Form = "figure"
    return Table(
        f"{found.judge} against {found.reference} on {found.key}: "
        f"{count_of(found.n, 'score')}, {count_of(found.problems, 'problem')}",
        [Column("statistic"), Column("figure", form)]
        + [Column(baseline, form) for baseline in BASELINES],
        rows,
        note=note,
    )


def _confusion_table(found: Comparison) -> Table | None:
    if found.confusion is None or found.scale is None or len(found.scale.labels) > _MOST_LABELS:
        return None
    labels = [str(label) for label in found.scale.labels]
    return Table(
        f"Labels on {found.key}: {found.reference} (rows), {found.judge} (columns)",
        [Column("label"), *(Column(label, "count") for label in labels), Column("all", "count")],
        [
            [label, *(int(count) for count in line), int(line.sum())]
            for label, line in zip(labels, found.confusion, strict=True)
        ],
    )


def _cells(found: Comparison, names: Sequence[str]) -> list[Cell]:
    return [found.statistics[name] or Missing(_reason(found, name)) for name in names]


def _value(found: Comparison, name: str) -> Cell:
    assert name in DIFFERENCE_STATISTICS
    estimate = found.statistics[name]
    return Missing(_reason(found, name)) if estimate is None else estimate.value


def _reason(found: Comparison, name: str) -> str:
    return f"{found.key}: {found.undefined.get(name, 'not defined')}"
