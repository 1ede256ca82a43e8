"""Probe packs on disk: arrays as safetensors, all else in card.json. Loading one runs nothing.

A folder holds the probes of one language model, data set and kind of labels:

    probes/<language model>/<data set>/<labels>/card.json
                                               /<aspect>.safetensors

The card's `aspects` names for each file its SHA-256, and each file holds the SHA-256 of what the
card says of it, so that neither can change without the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from inspector_plugin.aspects import ASPECT_KEYS
from inspector_plugin.errors import PackError
from inspector_plugin.lm.tokens import ALL
from inspector_plugin.probing.classifiers import classifier_from_arrays
from inspector_plugin.probing.layout import PromptLayout
from inspector_plugin.probing.probe import Probe, ProbeMember
from inspector_plugin.probing.representation import PROBE_POOLINGS, Representation
from inspector_plugin.schema import SCALES, Scale

FORMAT_VERSION = 1
CARD = "card.json"


@dataclass(frozen=True)
class ProbePack:
    """The probes of one language model, data set and kind of labels.

    Attributes:
        folder: Where the pack lies.
        language_model: Name, fingerprint, number of layers and hidden size.
        dataset: The data set whose scores the probes learnt.
        transferred_to: The data set they are used for instead, None for their own.
        scale: The labels.
        training: Data hash, seed, folds, layout name, library versions.
        sha256: Hash of all that the card says, and so of the arrays.
        probes: The probes by aspect.
    """

    folder: Path
    language_model: Mapping[str, Any]
    dataset: str
    transferred_to: str | None
    scale: Scale
    training: Mapping[str, Any]
    sha256: str
    probes: Mapping[str, Probe]


def write_probe(folder: Path, head: Mapping[str, Any], probe: Probe) -> None:
    """Add a probe to the pack in a folder, or replace the one for its aspect.

    Args:
        folder: The pack's folder, made if need be.
        head: What the card says of the whole pack: language_model, dataset, labels, training.
        probe: The probe.

    Raises:
        PackError: If the folder holds a pack with another head.
    """
    folder.mkdir(parents=True, exist_ok=True)
    card = read_card(folder) if finished_aspects(folder, head) else _new_card(head)
    entry = {
        "layout": probe.layout.to_json(),
        "members": [asdict(member.representation) for member in probe.members],
        **probe.record,
    }
    arrays = {
        f"{number}.{name}": np.ascontiguousarray(array)
        for number, member in enumerate(probe.members)
        for name, array in member.classifier.arrays.items()
    }
    content = save(arrays, metadata={"card_sha256": _entry_sha256(card, entry)})
    entry["arrays"] = {
        "file": f"{probe.aspect}.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    by_aspect = {**card["aspects"], probe.aspect: entry}
    card["aspects"] = {key: by_aspect[key] for key in ASPECT_KEYS if key in by_aspect}
    _replace(folder / entry["arrays"]["file"], content)
    _replace(folder / CARD, (json.dumps(card, indent=1) + "\n").encode())


def finished_aspects(folder: Path, head: Mapping[str, Any]) -> set[str]:
    """The aspects that a training run with the same head has already written to a folder.

    Raises:
        PackError: If the folder holds the pack of another run.
    """
    if not (folder / CARD).exists():
        return set()
    card = read_card(folder)
    if _head(card) != _head(_new_card(head)):
        raise PackError(
            f"{folder} holds probes of another training run; use --overwrite, or another --out."
        )
    return set(card["aspects"])


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
    _replace(folder / CARD, (json.dumps(card, indent=1) + "\n").encode())


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
    try:
        return ProbePack(
            folder=folder,
            language_model=dict(card["language_model"]),
            dataset=str(card["dataset"]),
            transferred_to=transferred_to,
            scale=SCALES[card["labels"]],
            training=dict(card["training"]),
            sha256=_sha256(card),
            probes={aspect: _read_probe(folder, card, aspect) for aspect in card["aspects"]},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PackError(
            f"{folder / CARD} is incomplete or altered ({type(error).__name__}: {error}); "
            "install the pack again or train it anew."
        ) from error


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card in a pack's folder.

    Raises:
        PackError: If there is none, it is not JSON, or of a newer format.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PackError(f"There is no probe pack in {folder}: {CARD} is missing.") from error
    except (OSError, ValueError) as error:
        raise PackError(f"Cannot read {path}: {error}") from error
    version = card.get("format_version") if isinstance(card, dict) else None
    if not isinstance(version, int) or version < 1:
        raise PackError(f"{path} is not the card of a probe pack: it has no format_version.")
    if version > FORMAT_VERSION:
        raise PackError(
            f"{path} has format version {version}, and this version of inspector_plugin reads up "
            f"to {FORMAT_VERSION}; upgrade inspector_plugin."
        )
    return dict(card)


def _read_probe(folder: Path, card: Mapping[str, Any], aspect: str) -> Probe:
    entry = dict(card["aspects"][aspect])
    claimed = entry.pop("arrays")
    path = folder / Path(claimed["file"]).name
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != claimed["sha256"]:
            raise PackError(f"{path} is not the file that {CARD} describes: its SHA-256 differs.")
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise PackError(f"Cannot read {path}: {error}") from error
    if metadata.get("card_sha256") != _entry_sha256(card, entry):
        raise PackError(f"{folder / CARD} was altered: {aspect!r} is not what {path.name} records.")
    kind = entry["classifier"]["kind"]
    layout = PromptLayout.from_json(entry.pop("layout"))
    members = []
    for number, row in enumerate(entry.pop("members")):
        own = {name.split(".")[1]: a for name, a in arrays.items() if name.startswith(f"{number}.")}
        member = ProbeMember(Representation(**row), classifier_from_arrays(kind, own))
        _check_member(member, layout, card["language_model"], path)
        members.append(member)
    return Probe(aspect, layout, tuple(members), entry)


def _check_member(
    member: ProbeMember, layout: PromptLayout, language_model: Mapping[str, Any], path: Path
) -> None:
    """Refuse what would fail only later, while judging."""
    chosen = member.representation
    if (
        chosen.pooling not in PROBE_POOLINGS
        or chosen.span not in (ALL, *layout.spans)
        or not 0 <= chosen.layer < language_model["layers"]
    ):
        raise PackError(f"{path}: {chosen} is not something to probe in this language model.")
    wanted = _width(chosen, language_model)
    if member.classifier.features != wanted:
        raise PackError(
            f"{path}: a classifier takes {member.classifier.features} features, and {CARD} "
            f"describes {wanted}."
        )


def _width(representation: Representation, language_model: Mapping[str, Any]) -> int:
    return sum(
        int(language_model["attention_heads" if feature.is_attention else "hidden_size"])
        for feature in representation.features()
    )


def _new_card(head: Mapping[str, Any]) -> dict[str, Any]:
    return {"format_version": FORMAT_VERSION, **head, "aspects": {}}


def _head(card: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in card.items() if key != "aspects"}


def _entry_sha256(card: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    return _sha256({"head": _head(card), "entry": entry})


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(content)
    scratch.replace(path)
