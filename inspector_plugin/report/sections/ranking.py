"""Which model is better, by each judge, and whether the sample can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.rank_agreement import rank_agreement
from inspector_plugin.agreement.ranking import Ranking, rank_models
from inspector_plugin.data.score_table import ScoreTable
from inspector_plugin.report.charts import Point, forest_plot
from inspector_plugin.report.document import Cell, Chart, Column, Missing, Section, Table
from inspector_plugin.schema.criteria import common_scale

_TITLE = "Ranking of models"
_MOST_PAIRS = 60


def rankings(table: ScoreTable, seed: int) -> dict[str, Ranking]:
    """Rank the models by each judge that has scores for two of them or more.

    There are as many resamples as `inspector rank` takes, so that both say the same.
    """
    found = {}
    for judge in table.judges:
        values = means_of_criteria(table, judge)
        if values is None:
            continue
        rows = np.flatnonzero(~np.isnan(values) & _has_model(table))
        models = [table.models[row] or "" for row in rows]
        if len(set(models)) > 1:
            found[judge] = rank_models(values[rows], models, table.problem_codes[rows], seed=seed)
    return found


def ranking_section(
    table: ScoreTable,
    ranked: dict[str, Ranking],
    reference: str | None,
    seed: int,
    resamples: int,
) -> Section:
    """The models in order, which pairs the sample can tell apart, and the reference's order."""
    models = {model for model in table.models if model is not None}
    if len(models) < 2:
        named = "no model is named in the files" if not models else f"all are by {min(models)}"
        return Section("ranking", _TITLE, absent=f"Not shown: it takes two models; {named}.")
    if not ranked:
        return Section(
            "ranking",
            _TITLE,
            absent="Not shown: no judge has scores of two models on all of its criteria, on one "
            "scale.",
        )
    parts: list[Table | Chart] = [_chart(ranked), _models(ranked), _pairs(ranked)]
    if reference is not None and len(ranked) > 1:
        parts.append(_agreement(table, list(ranked), reference, seed, resamples))
    return Section(
        "ranking",
        _TITLE,
        "By the mean over the criteria, of responses scored on all of them. Two models are told "
        "apart where a paired bootstrap over problems, corrected for the number of pairs (Holm), "
        "says so at 5%.",
        parts,
    )


def means_of_criteria(table: ScoreTable, judge: str) -> NDArray[np.float64] | None:
    """The mean score over a judge's criteria, [rows]; NaN where one is missing.

    Returns:
        None where the criteria are on different scales.
    """
    keys = [key for name, key in table.columns if name == judge]
    columns = table.total_columns(judge, keys) if keys else []
    if not columns or common_scale(column.scale for column in columns) is None:
        return None
    # Where a row is judged on some of the criteria by design, those are what counts.
    asked = np.sum([column.asked for column in columns], axis=0)
    total = np.nansum([column.scores for column in columns], axis=0)
    scored = np.sum([column.scored for column in columns], axis=0)
    whole: NDArray[np.float64] = np.where(
        (asked > 0) & (scored == asked), total / np.maximum(asked, 1), np.nan
    )
    return whole


def _has_model(table: ScoreTable) -> NDArray[np.bool_]:
    return np.array([model is not None for model in table.models], dtype=np.bool_)


def _chart(ranked: dict[str, Ranking]) -> Chart:
    points = [
        Point(model.model, judge, model.mean)
        for judge, ranking in ranked.items()
        for model in ranking.models
    ]
    return forest_plot(
        "Models by mean score",
        "Mean over the criteria with its 95% interval, by each judge. Intervals that overlap may "
        "still be told apart: the test below compares models problem by problem.",
        points,
        "mean score",
        zero=None,
    )


def _models(ranked: dict[str, Ranking]) -> Table:
    rows: list[Sequence[Cell]] = []
    for judge, ranking in ranked.items():
        for model in ranking.models:
            ranks = (
                f"{model.best_rank}"
                if model.best_rank == model.worst_rank
                else f"{model.best_rank}-{model.worst_rank}"
            )
            rows.append([model.model, judge, ranks, model.rows, model.mean, model.win_rate])
    return Table(
        "Models in order",
        [
            Column("model"),
            Column("judge"),
            Column("rank"),
            Column("responses", "count"),
            Column("mean", "figure"),
            Column("win rate", "share"),
        ],
        rows,
        "Rank: from the best to the worst that the sample leaves open. Win rate: how often it "
        "scores higher than another model on a problem, ties counted as half.",
    )


def _pairs(ranked: dict[str, Ranking]) -> Table:
    rows: list[Sequence[Cell]] = []
    for judge, ranking in ranked.items():
        for pair in ranking.pairs:
            missing = Missing(pair.reason or "the models share no problem")
            needed: Cell = "–"
            if not pair.told_apart and pair.problems_needed is not None:
                needed = f"{pair.problems_needed:,}"
            rows.append(
                [
                    f"{pair.better} over {pair.worse}",
                    judge,
                    pair.problems,
                    missing if pair.difference is None else pair.difference,
                    missing if pair.adjusted is None else pair.adjusted,
                    "yes" if pair.told_apart else "no",
                    needed,
                ]
            )
    left_out = len(rows) - _MOST_PAIRS
    note = (
        "p: after Holm's correction. Problems needed: to tell them apart with a probability of "
        "80%, if the difference is what it seems."
    )
    return Table(
        "Pairs of models",
        [
            Column("pair"),
            Column("judge"),
            Column("problems", "count"),
            Column("difference", "figure"),
            Column("p", "p"),
            Column("told apart"),
            Column("problems needed", "count"),
        ],
        rows[:_MOST_PAIRS],
        f"{note} {left_out} more pairs: inspector rank." if left_out > 0 else note,
    )


def _agreement(
    table: ScoreTable, judges: Sequence[str], reference: str, seed: int, resamples: int
) -> Table:
    rows: list[Sequence[Cell]] = []
    theirs = means_of_criteria(table, reference)
    known = _has_model(table)
    for judge in judges:
        ours = means_of_criteria(table, judge)
        if judge == reference or ours is None or theirs is None:
            continue
        found = rank_agreement(
            ours[known],
            theirs[known],
            [model for model in table.models if model is not None],
            table.problem_codes[known],
            seed=seed,
            resamples=resamples,
        )
        missing = Missing(found.reason or "it is not defined")
        rows.append(
            [
                judge,
                found.models,
                found.rows,
                missing if found.same_order is None else found.same_order,
                missing if found.spearman is None else found.spearman,
                missing if found.kendall is None else found.kendall,
            ]
        )
    return Table(
        f"The same order as {reference}?",
        [
            Column("judge"),
            Column("models", "count"),
            Column("responses", "count"),
            Column("pairs in the same order", "share"),
            Column("Spearman", "share"),
            Column("Kendall tau-b", "share"),
        ],
        rows,
        "On responses that both have scored.",
    )
