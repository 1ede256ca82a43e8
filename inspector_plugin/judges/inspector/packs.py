"""Probe packs on disk; see `judges/packs.py` for what holds of every pack.

A folder holds the probes of one language model, data set and kind of labels:

    probes/<language model>/<data set>/<labels>/card.json
                                               /<criterion>.safetensors

"multiclass" labels are those of each criterion's own scale. Version 1 of the format, which is still
read, had `aspects` where version 2 has `criteria`: those of the built-in set, by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inspector_plugin.errors import CriteriaError, PackError
from inspector_plugin.judges import packs
from inspector_plugin.judges.inspector.array_checks import check_arrays
from inspector_plugin.judges.inspector.card_format import check_card
from inspector_plugin.judges.inspector.classifiers import classifier_from_arrays
from inspector_plugin.judges.inspector.crossfit_packs import CROSS_FITTED, read_cross_fitted
from inspector_plugin.judges.inspector.crossfit_packs import (
    FORMAT_VERSION as CROSS_FITTED_VERSION,
)
from inspector_plugin.judges.inspector.layout import PromptLayout
from inspector_plugin.judges.inspector.plan import PROBE_POOLINGS
from inspector_plugin.judges.inspector.probe import AnyProbe, Probe, ProbeMember
from inspector_plugin.judges.inspector.published import PublishedClassifier
from inspector_plugin.judges.inspector.question_forms import QUESTION_FORMS
from inspector_plugin.judges.inspector.representation import JoinedRepresentation, Representation
from inspector_plugin.judges.packs import CARD, sha256_of, write_arrays, write_card
from inspector_plugin.lm.tokens import ALL
from inspector_plugin.schema.criteria import BINARY, LABELS, Criterion, Scale
from inspector_plugin.schema.criteria_files import built_in_criterion
from inspector_plugin.schema.roscoe import in_table_order

FORMAT_VERSION = 2


@dataclass(frozen=True)
class ProbePack:
    """The probes of one language model, data set and kind of labels.

    Attributes:
        folder: Where the pack lies.
        language_model: Name, fingerprint, number of layers and hidden size.
        dataset: The data set whose scores the probes learnt.
        transferred_to: The data set they are used for instead, None for their own.
        labels: "multiclass" or "binary".
        training: Data hash, seed, folds, layout name, library versions.
        sha256: Hash of all that the card says, and so of the arrays.
        probes: The probes by the keys of their criteria.
    """

    folder: Path
    language_model: Mapping[str, Any]
    dataset: str
    transferred_to: str | None
    labels: str
    training: Mapping[str, Any]
    sha256: str
    probes: Mapping[str, AnyProbe]


def label_scale(criterion: Criterion, labels: str) -> Scale:
    """The scale of a probe's scores: the criterion's own, or low/high quality."""
    return BINARY if labels == "binary" else criterion.scale


def write_probe(folder: Path, head: Mapping[str, Any], probe: Probe) -> None:
    """Add a probe to the pack in a folder, or replace the one for its criterion.

    Args:
        folder: The pack's folder, made if need be.
        head: What the card says of the whole pack: language_model, dataset, labels, training.
        probe: The probe.

    Raises:
        PackError: If the folder holds a pack with another head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    card = read_card(folder) if finished_criteria(folder, head) else _new_card(head)
    key = probe.criterion.key
    entry = {
        "criterion": probe.criterion.to_json(),
        "fingerprint": probe.criterion.fingerprint,
        "layout": probe.layout.to_json(),
        "members": [asdict(member.representation) for member in probe.members],
        **probe.record,
    }
    arrays = {
        f"{number}.{name}": array
        for number, member in enumerate(probe.members)
        for name, array in member.classifier.arrays.items()
    }
    file = f"{key}.safetensors"
    sha256 = write_arrays(folder / file, arrays, _entry_sha256(card, entry))
    entry["arrays"] = {"file": file, "sha256": sha256}
    entries = {**card["criteria"], key: entry}
    card["criteria"] = {each: entries[each] for each in in_table_order(sorted(entries))}
    write_card(folder, card)


def finished_criteria(folder: Path, head: Mapping[str, Any]) -> dict[str, str]:
    """The criteria that a training run with the same head has written to a folder.

    Returns:
        For each key the criterion's fingerprint.

    Raises:
        PackError: If the folder holds the pack of another run.
    """
    if not (folder / CARD).exists():
        return {}
    card = read_card(folder)
    if _head(card) != _head(_new_card(head)):
        raise PackError(
            f"{folder} holds probes of another training run; use --overwrite, or another --out."
        )
    return {key: str(entry.get("fingerprint")) for key, entry in card["criteria"].items()}


def write_transfer(folder: Path, dataset: str, source: Path) -> None:
    """Make a folder say that the probes of another data set serve a data set without scores.

    Args:
        folder: The folder of the data set without scores.
        dataset: Its name.
        source: The folder of the pack to use.
    """
    folder.mkdir(parents=True, exist_ok=True)
    origin = read_card(source)
    card = {
        "format_version": FORMAT_VERSION,
        "dataset": dataset,
        "labels": origin["labels"],
        "transferred": True,
        "transferred_from": origin["dataset"],
        "note": f"No reference scores of {dataset} exist: its responses are judged by the probes "
        f"trained on {origin['dataset']}, and how well they agree on {dataset} is not known.",
    }
    write_card(folder, card)


def read_pack(folder: Path) -> ProbePack:
    """Read a pack, checking its format and every hash.

    Args:
        folder: The pack's folder; one that `write_transfer` made leads on to its source.

    Raises:
        PackError: If the pack is missing, newer than this version, incomplete or tampered with.
    """
    card = read_card(folder)
    transferred_to = None
    if card.get("transferred"):
        transferred_to = str(card["dataset"])
        folder = folder.parent.parent / str(card["transferred_from"]) / folder.name
        card = read_card(folder)
    transferred_to = transferred_to or _own_transfer(card)
    try:
        if card["labels"] not in LABELS:
            raise ValueError(f"labels {card['labels']!r}")
        return ProbePack(
            folder=folder,
            language_model=dict(card["language_model"]),
            dataset=str(card.get("scored", card["dataset"])),
            transferred_to=transferred_to,
            labels=card["labels"],
            training=dict(card["training"]),
            sha256=sha256_of(card),
            probes=_read_probes(folder, card),
        )
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        CriteriaError,
    ) as error:
        raise PackError(
            f"{folder / CARD} is incomplete or altered ({type(error).__name__}: {error}); "
            "install the pack again or train it anew."
        ) from error


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card in a pack's folder.

    Raises:
        PackError: If there is none, it is not JSON, or of a newer format.
    """
    missing = f"There is no probe pack in {folder}: {CARD} is missing."
    return packs.read_card(folder, CROSS_FITTED_VERSION, missing, check_card)


def _own_transfer(card: Mapping[str, Any]) -> str | None:
    """The data set of a cross-fitted pack whose probes learnt the scores of another one."""
    own = card.get("dataset")
    return str(own) if card.get("scored", own) != own else None


def _read_probes(folder: Path, card: Mapping[str, Any]) -> dict[str, AnyProbe]:
    if CROSS_FITTED in card:
        return dict(read_cross_fitted(folder, card))
    return {key: _read_probe(folder, card, key) for key in card_entries(card)}


def card_entries(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a card of any version says of each criterion, by key."""
    entries: Mapping[str, Any] = card["criteria" if "criteria" in card else "aspects"]
    return entries


def _read_probe(folder: Path, card: Mapping[str, Any], key: str) -> Probe:
    entry = dict(card_entries(card)[key])
    claimed = entry.pop("arrays")
    path = folder / Path(claimed["file"]).name
    arrays, card_sha256 = packs.read_arrays(path, claimed["sha256"])
    if card_sha256 != _entry_sha256(card, entry):
        raise PackError(f"{folder / CARD} was altered: {key!r} is not what {path.name} records.")
    criterion = _criterion(card, key, entry)
    layout = _layout(card, entry)
    kind = entry["classifier"]["kind"]
    members = []
    for number, row in enumerate(entry.pop("members")):
        own = {name.split(".")[1]: a for name, a in arrays.items() if name.startswith(f"{number}.")}
        labels = label_scale(criterion, card["labels"]).labels
        try:
            classifier = classifier_from_arrays(kind, own)
            if isinstance(classifier, PublishedClassifier):
                classifier = classifier.for_scale(labels)
            else:
                check_arrays(kind, own, len(labels))
        except PackError as error:
            raise PackError(f"{path}: {error}; get the pack again.") from error
        member = ProbeMember(_representation(row), classifier)
        _check_member(member, layout, card["language_model"], path)
        members.append(member)
    return Probe(criterion, layout, tuple(members), entry)


def _criterion(card: Mapping[str, Any], key: str, entry: dict[str, Any]) -> Criterion:
    """The criterion of an entry; version 1 knew none but the built-in ones."""
    if card["format_version"] == 1:
        return built_in_criterion(key)
    criterion = Criterion.from_json(entry.pop("criterion"))
    if criterion.key != key or criterion.fingerprint != entry.pop("fingerprint"):
        raise PackError(f"{CARD}: the criterion of {key!r} does not have the fingerprint named.")
    return criterion


def _layout(card: Mapping[str, Any], entry: dict[str, Any]) -> PromptLayout:
    """The layout of an entry; version 1 did not name the form of questions."""
    row = dict(entry.pop("layout"))
    if card["format_version"] == 1 and card["dataset"] in QUESTION_FORMS:
        row["question_form"] = card["dataset"]
    return PromptLayout.from_json(row)


def _representation(row: Mapping[str, Any]) -> Representation | JoinedRepresentation:
    if "parts" in row:
        return JoinedRepresentation(tuple(Representation(**part) for part in row["parts"]))
    return Representation(**row)


def _check_member(
    member: ProbeMember, layout: PromptLayout, language_model: Mapping[str, Any], path: Path
) -> None:
    """Refuse what would fail only later, while judging."""
    chosen = member.representation
    for part in chosen.parts if isinstance(chosen, JoinedRepresentation) else (chosen,):
        if (
            part.pooling not in PROBE_POOLINGS
            or part.span not in (ALL, *layout.spans)
            or not 0 <= part.layer < language_model["layers"]
        ):
            raise PackError(f"{path}: {part} is not something to probe in this language model.")
    wanted = _width(chosen, language_model)
    if member.classifier.features != wanted:
        raise PackError(
            f"{path}: a classifier takes {member.classifier.features} features, and {CARD} "
            f"describes {wanted}."
        )


def _width(
    representation: Representation | JoinedRepresentation, language_model: Mapping[str, Any]
) -> int:
    return sum(
        int(language_model["attention_heads" if feature.is_attention else "hidden_size"])
        for feature in representation.features()
    )


def _new_card(head: Mapping[str, Any]) -> dict[str, Any]:
    return {"format_version": FORMAT_VERSION, **head, "criteria": {}}


def _head(card: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in card.items() if key not in ("criteria", "aspects")}


def _entry_sha256(card: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    return sha256_of({"head": _head(card), "entry": entry})
