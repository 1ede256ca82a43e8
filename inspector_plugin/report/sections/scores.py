"""Scores by criterion and model, and how they go with the length of the response."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.report.charts import Line, Panel, line_panels, share_bars
from inspector_plugin.report.curves import by_length, clustered_mean
from inspector_plugin.report.document import Cell, Chart, Column, Missing, Section, Table
from inspector_plugin.report.sections.agreement import Comparisons

MOST_PANELS = 8
_MOST_BARS = 40
_MOST_COLUMNS = 6
_MEANS_NOTE = (
    "Mean with its 95% interval, which takes responses to one problem for alike; deviation: "
    "standard deviation of the scores."
)
_MOST_LABELS = 11


def scores(table: ScoreTable) -> Section:
    """Means by criterion, judge and model, and how often each label was given."""
    models = sorted({model for model in table.models if model is not None})
    parts: list[Table | Chart] = [_means(table), *_label_bars(table)]
    if len(models) > 1:
        parts.append(_means_by_model(table, models))
    else:
        named = f"all are by {models[0]}" if models else "the files name none"
        parts[0] = replace(_means(table), note=f"{_MEANS_NOTE} Not by model: {named}.")
    return Section("scores", "Scores by criterion and model", "", parts)


def _means(table: ScoreTable) -> Table:
    rows: list[list[Cell]] = []
    for key, judge, column in columns_in_order(table):
        count, asked = int(column.scored.sum()), int(column.asked.sum())
        mean = clustered_mean(column.scores, table.problem_codes)
        spread = float(np.nanstd(column.scores, ddof=1)) if count > 1 else None
        rows.append([key, judge, column.scale.name, count, count / max(asked, 1), mean, spread])
    columns = [
        Column("criterion"),
        Column("judge"),
        Column("scale"),
        Column("scored", "count"),
        Column("coverage", "share"),
        Column("mean", "figure"),
        Column("deviation", "figure"),
    ]
    rows += [
        [place[1], place[0], "mixed", 0, None, Missing(reason), None]
        for place, reason in table.refused.items()
        if isinstance(place, tuple)
    ]
    return Table("Mean scores", columns, rows, _MEANS_NOTE)


def _means_by_model(table: ScoreTable, models: Sequence[str]) -> Table:
    masks = {model: of_model(table, model) for model in models}
    if len(models) <= _MOST_COLUMNS:
        rows: list[list[Cell]] = [
            [
                key,
                judge,
                *(
                    clustered_mean(
                        np.where(masks[model], column.scores, np.nan), table.problem_codes
                    )
                    for model in models
                ),
            ]
            for key, judge, column in columns_in_order(table)
        ]
        columns = [Column("criterion"), Column("judge"), *(Column(m, "figure") for m in models)]
    else:
        rows = [
            [
                key,
                judge,
                model,
                clustered_mean(np.where(mask, column.scores, np.nan), table.problem_codes),
            ]
            for key, judge, column in columns_in_order(table)
            for model, mask in masks.items()
        ]
        columns = [Column("criterion"), Column("judge"), Column("model"), Column("mean", "figure")]
    return Table("Mean scores by model", columns, rows)


def length(table: ScoreTable, comparisons: Comparisons) -> Section:
    """How scores go with the length of the response, and whether the reference's do, too."""
    title = "Score against length"
    panels = []
    for key in table.keys:
        lines = []
        for (judge, name), column in table.columns.items():
            curve = by_length(column, table.lengths) if name == key else None
            if curve is not None:
                x, y, low, high = (values.tolist() for values in curve)
                lines.append(Line(judge, x, y, low, high))
        if lines:
            panels.append(Panel(key, lines))
    if not panels:
        return Section(
            "length", title, absent="Not shown: it takes ten scored responses of a judge."
        )
    described = (
        "Mean score of responses of similar length, with 95% bands; length in characters, "
        "logarithmic. A judge whose line rises where the reference's does not rewards length."
    )
    chart = line_panels(
        "Score by length",
        described,
        panels[:MOST_PANELS],
        "characters of the response",
        "mean score",
        x_log=True,
    )
    return Section("length", title, "", [chart, _length_table(table, comparisons)])


def _length_table(table: ScoreTable, comparisons: Comparisons) -> Table:
    slopes = {
        (each.judge, each.key): each.length_slope or Missing(each.undefined["length_slope"])
        for found in comparisons.values()
        for each in found
        if each.length_slope is not None or "length_slope" in each.undefined
    }
    rows: list[list[Cell]] = []
    for key, judge, column in columns_in_order(table):
        there = column.scored & (table.lengths > 0)
        value = math.nan
        constant = there.sum() < 2 or np.ptp(column.scores[there]) == 0
        if not constant and np.ptp(table.lengths[there]) > 0:
            value = float(spearmanr(column.scores[there], table.lengths[there]).statistic)
        correlation = None if math.isnan(value) else value
        rows.append([key, judge, int(there.sum()), correlation, slopes.get((judge, key))])
    return Table(
        "Score and length",
        [
            Column("criterion"),
            Column("judge"),
            Column("responses", "count"),
            Column("Spearman", "share"),
            Column("slope", "figure"),
        ],
        rows,
        "Spearman: of score and length. Slope: how many points more the judge gives to a response "
        "twice as long that the reference scores alike. [95% interval, by problem]",
    )


def _label_bars(table: ScoreTable) -> list[Chart]:
    """A chart for each scale: bars of the labels by criterion and judge."""
    charts = []
    by_scale: dict[tuple[int, ...], list[tuple[str, list[float]]]] = {}
    for key, judge, column in columns_in_order(table):
        labels = column.labels[column.scored]
        if labels.size and len(column.scale.labels) <= _MOST_LABELS:
            shares = [float(np.mean(labels == label)) for label in column.scale.labels]
            by_scale.setdefault(column.scale.labels, []).append((f"{key}: {judge}", shares))
    for labels_of_scale, rows in by_scale.items():
        first = labels_of_scale[0], labels_of_scale[-1]
        charts.append(
            share_bars(
                f"Labels given on {first[0]}-{first[1]}",
                "How often each label was given: the stronger the colour, the higher the label.",
                rows[:_MOST_BARS],
                [str(label) for label in labels_of_scale],
            )
        )
    return charts


def columns_in_order(table: ScoreTable) -> list[tuple[str, str, ScoreColumn]]:
    """The columns, by criterion and then by judge."""
    return [
        (key, judge, table.columns[judge, key])
        for key in table.keys
        for judge in table.judges
        if (judge, key) in table.columns
    ]


def of_model(table: ScoreTable, model: str) -> NDArray[np.bool_]:
    """Whether a row is by a model, [rows]."""
    return np.array([each == model for each in table.models], dtype=np.bool_)
