"""The tables of a pack's card, each where the card has its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inspector_plugin.report.document import Cell, Column, Table
from inspector_plugin.report.pack_cards import (
    Bin,
    calibration,
    confusion,
    coverage,
    criteria_of,
    detection,
    labels_of,
    macro_f1_by_layer,
    noun_of,
    rankings,
    sanity,
)

_LAYERS_IN_A_ROW = 8
_MOST_LABELS_SHOWN = 10
_BINS = 10


def layer_tables(card: Mapping[str, Any]) -> Iterator[Table]:
    """Macro F1 by layer, in tables of as many layers as fit."""
    curves = {key: macro_f1_by_layer(entry) for key, entry in criteria_of(card).items()}
    layers = sorted({layer for curve in curves.values() for layer in curve})
    for start in range(0, len(layers), _LAYERS_IN_A_ROW):
        some = layers[start : start + _LAYERS_IN_A_ROW]
        last = start + _LAYERS_IN_A_ROW >= len(layers)
        yield Table(
            "Macro F1 by layer" if not start else "Macro F1 by layer, continued",
            [Column("criterion"), *(Column(str(layer), "share") for layer in some)],
            [(key, *(curve.get(layer) for layer in some)) for key, curve in curves.items()],
            "the best span and pooling of each layer, in the folds that the choice was made in: "
            "too high for a claim"
            if last
            else None,
        )


def confusion_tables(card: Mapping[str, Any]) -> Iterator[Table]:
    """The confusion matrix of each criterion with few enough labels."""
    for key, entry in criteria_of(card).items():
        matrix = confusion(entry)
        if matrix is None or len(matrix) > _MOST_LABELS_SHOWN:
            continue
        labels = labels_of(card, entry, len(matrix))
        yield Table(
            f"{key}: the reference's labels (rows) and the {noun_of(card)}'s (columns)",
            [Column("label"), *(Column(label, "count") for label in labels)],
            [(label, *row) for label, row in zip(labels, matrix, strict=True)],
        )


def calibration_tables(card: Mapping[str, Any]) -> Iterator[Table]:
    """Calibration by criterion, and the reliability diagram over all of them."""
    found = {key: calibration(entry) for key, entry in criteria_of(card).items()}
    given = {key: each for key, each in found.items() if each is not None}
    if not given:
        return
    columns = [Column("criterion"), *(Column(n, "share") for n in ("ECE", "bias", "Brier"))]
    rows = [(key, each.ece, each.ece_bias, each.brier) for key, each in given.items()]
    note = (
        "ECE: expected calibration error; bias: what a perfectly calibrated judge would show "
        "at this number of rows; Brier: Brier score"
    )
    yield Table("Calibration", columns, rows, note)
    pooled = pooled_bins([each for one in given.values() for each in one.bins])
    if pooled:
        yield Table(
            "Reliability, all criteria",
            [Column("confidence", "share"), Column("accuracy", "share"), Column("n", "count")],
            [(each.confidence, each.accuracy, each.count) for each in pooled],
            "of predictions of about the same confidence, the share that is right",
        )


def coverage_tables(card: Mapping[str, Any]) -> Iterator[Table]:
    """How agreement rises where scores of low confidence are left out."""
    curve = coverage(card)
    if curve:
        yield Table(
            "Coverage and agreement, all criteria",
            [Column(name, "share") for name in ("min_confidence", "coverage", "accuracy")],
            [(each.confidence, each.coverage, each.agreement) for each in curve],
            "with scores of lower confidence left out (min_confidence): the share of scores that "
            "is left, and how many of them have the reference's label",
        )


def ranking_tables(card: Mapping[str, Any]) -> Iterator[Table]:
    """AUC of criteria that are right or wrong, by who wrote the responses."""
    for key, entry in criteria_of(card).items():
        found = rankings(entry)
        if found:
            yield Table(
                f"{key}: AUC by who wrote the responses",
                [Column("author"), Column("AUC", "share"), Column("author left out", "share")],
                [(author, each.within, each.left_out) for author, each in found.items()],
                "AUC: how often the better of two responses has the higher score (chance: .50), "
                "on problems that the probes did not see; author left out: by probes that saw no "
                "response of the author",
            )


def pooled_bins(bins: Sequence[Bin]) -> list[Bin]:
    """Put bins of several criteria together in ten of the same width."""
    by_place: dict[int, list[Bin]] = {}
    for each in bins:
        if each.count > 0:
            by_place.setdefault(min(int(each.confidence * _BINS), _BINS - 1), []).append(each)
    pooled = []
    for _, some in sorted(by_place.items()):
        count = sum(each.count for each in some)
        pooled.append(
            Bin(
                sum(each.confidence * each.count for each in some) / count,
                sum(each.accuracy * each.count for each in some) / count,
                count,
            )
        )
    return pooled


def sanity_tables(card: Mapping[str, Any]) -> Iterator[Table]:
    """The share of each kind of the sanity suite that is ordered rightly."""
    shares = sanity(card)
    if shares:
        rows: list[tuple[Cell, ...]] = list(shares.items())
        yield Table(
            "Sanity suite",
            [Column("kind"), Column("ordered rightly", "share")],
            rows,
            "share of responses of each kind that score as they should, with 95% interval",
        )


def detection_tables(card: Mapping[str, Any]) -> Iterator[Table]:
    """How many held-out responses of each kind are flagged."""
    found = detection(card)
    if found:
        names = ("off-task", "untrained", "unlike-training")
        yield Table(
            "Flags of held-out responses, by kind",
            [Column("kind"), Column("n", "count"), *(Column(name, "share") for name in names)],
            [
                (kind, each.count, each.off_task, each.untrained, each.unlike_training)
                for kind, each in found.items()
            ],
            "share with each flag; real: the responses of the data, the others are made of them; "
            "untrained: off-task where that kind was left out of training",
        )
