"""A ranking of models as tables, and in words what it can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from inspector_plugin.agreement.rank_agreement import RankAgreement
from inspector_plugin.agreement.ranking import ModelPair, Ranking
from inspector_plugin.errors import count_of
from inspector_plugin.report.document import Cell, Column, Missing, Section, Table

# With more pairs than these only neighbours in the ranking are listed.
_MOST_PAIRS = 28
# Of pairs that are not told apart, so many are named.
_MOST_NAMED = 3


def ranking_section(
    title: str,
    ranking: Ranking,
    agreement: RankAgreement | None,
    reference: str | None,
    in_full: bool = True,
) -> Section:
    """Build the section of one judge and criterion.

    Args:
        title: Such as "fluency by inspector".
        ranking: The ranking.
        agreement: How far it is the reference's, if there is one.
        reference: The reference's name.
        in_full: Whether to give the pairs of models, the agreement and what figures mean as well.
    """
    models = _models_table(title, ranking)
    if not in_full:
        return Section(
            title, title, verdict(ranking), [replace(models, note=_no_intervals(ranking))]
        )
    tables = [models, _pairs_table(title, ranking)]
    if agreement is not None and reference is not None:
        tables.append(_agreement_table(title, agreement, reference))
    return Section(title, title, verdict(ranking), tables)


def verdict(ranking: Ranking) -> str:
    """Say in words which models the sample can tell apart, and what it would take for others."""
    if ranking.reason is not None:
        return f"Nothing can be told apart: {ranking.reason}."
    # Those that the fewest problems would tell apart come first.
    open_pairs = sorted(
        (pair for pair in ranking.pairs if not pair.told_apart),
        key=lambda pair: (pair.problems_needed is None, pair.problems_needed),
    )
    count, first = len(ranking.models), ranking.models[0].model
    if not open_pairs:
        models = "Both" if count == 2 else f"All {count}"
        return f"{models} models are told apart; {first} is the best."
    is_best = not any(first in (pair.better, pair.worse) for pair in open_pairs)
    best = f"{first} is the best. " if is_best else ""
    if len(open_pairs) == 1:
        [pair] = open_pairs
        names = f"{pair.better} and {pair.worse}"
        return f"{best}The sample does not tell {names} apart: {_what_it_takes(pair)}."
    if len(open_pairs) == len(ranking.pairs):
        pair = open_pairs[0]
        return (
            f"The sample tells none of the {count} models apart. Nearest to it are {pair.better} "
            f"and {pair.worse}: {_what_it_takes(pair)}."
        )
    named = []
    for pair in open_pairs[:_MOST_NAMED]:
        needed = pair.problems_needed
        takes = _what_it_takes(pair) if needed is None else f"about {needed:,}"
        named.append(f"{pair.better} and {pair.worse} ({takes})")
    more = len(open_pairs) - len(named)
    named += [count_of(more, "more pair")] if more else []
    return f"{best}Not told apart (and how many problems would do it): {'; '.join(named)}."


def _what_it_takes(pair: ModelPair) -> str:
    if pair.reason is not None:
        return pair.reason
    if pair.problems_needed is None:
        return "their means are the same"
    return f"about {pair.problems_needed:,} problems would, in place of {pair.problems:,}"


def _models_table(title: str, ranking: Ranking) -> Table:
    rows: list[list[Cell]] = [
        [
            each.model,
            str(each.best_rank)
            if each.best_rank == each.worst_rank
            else f"{each.best_rank}-{each.worst_rank}",
            each.mean,
            Missing("no problem is shared with another model")
            if each.win_rate is None
            else each.win_rate,
            each.rows,
            each.problems,
        ]
        for each in ranking.models
    ]
    return Table(
        f"Models: {title}",
        (
            Column("model"),
            Column("rank"),
            Column("mean", "figure"),
            Column("win rate", "share"),
            Column("rows", "count"),
            Column("problems", "count"),
        ),
        rows,
        note="rank: from where to where, by what the tests tell apart; win rate: share of the "
        "problems on which it beats another model, ties half, mean over the others. [95% "
        "interval, by problem]"
        + _other_problems(ranking)
        + (f"\n{none}" if (none := _no_intervals(ranking)) else ""),
    )


def _other_problems(ranking: Ranking) -> str:
    if all(each.problems == ranking.problems for each in ranking.models):
        return ""
    return (
        f"\nnot every model has answered all {ranking.problems:,} problems; a mean is over those "
        "that the model has answered"
    )


def _no_intervals(ranking: Ranking) -> str | None:
    return f"no intervals: {ranking.reason}" if ranking.reason else None


def _pairs_table(title: str, ranking: Ranking) -> Table:
    pairs: Sequence[ModelPair] = ranking.pairs
    left_out = ""
    if len(pairs) > _MOST_PAIRS:
        names = [each.model for each in ranking.models]
        neighbours = {frozenset(pair) for pair in pairwise(names)}
        pairs = [pair for pair in pairs if frozenset((pair.better, pair.worse)) in neighbours]
        left_out = f" Neighbours of {len(ranking.pairs)} pairs; --format json has all."
    rows: list[list[Cell]] = []
    for pair in pairs:
        reason = Missing(pair.reason or ranking.reason or "there is no test")
        rows.append(
            [
                f"{pair.better} > {pair.worse}",
                reason if pair.difference is None else pair.difference,
                reason if pair.wins is None else pair.wins,
                reason if pair.ties is None else pair.ties,
                reason if pair.adjusted is None else _p_value(pair.adjusted),
                "yes" if pair.told_apart else "no",
                reason
                if pair.adjusted is None
                else Missing("two means are the same")
                if pair.problems_needed is None
                else pair.problems_needed,
            ]
        )
    return Table(
        f"Pairs of models: {title}",
        (
            Column("models"),
            Column("difference", "figure"),
            Column("wins", "share"),
            Column("ties", "share"),
            Column("p", "share"),
            Column("apart", "figure"),
            Column("needed", "count"),
        ),
        rows,
        note="on the problems that both answered. p: paired bootstrap, Holm's correction; apart: "
        "p at most .05; needed: problems that would tell them apart with 80% probability if the "
        "difference is what it seems. [95% interval, by problem]" + left_out,
    )


def _p_value(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}".replace("0.", ".", 1)


def _agreement_table(title: str, agreement: RankAgreement, reference: str) -> Table:
    reason = Missing(agreement.reason or "it is not defined")
    return Table(
        f"Order of the models beside that by {reference}: {title}",
        (
            Column("reference"),
            Column("models", "count"),
            Column("rows", "count"),
            Column("Spearman", "share"),
            Column("Kendall tau-b", "share"),
            Column("same order", "share"),
        ),
        [
            [
                reference,
                agreement.models,
                agreement.rows,
                agreement.spearman or reason,
                agreement.kendall or reason,
                reason if agreement.same_order is None else agreement.same_order,
            ]
        ],
        note="of the models' means on the rows that both scored; same order: share of the pairs "
        "of models. [95% interval, by problem]",
    )
