"""Packs of tuned models on disk; see `judges/packs.py` for what holds of every pack.

    PACK/card.json
        /models/MODEL/heads.safetensors      the heads of its criteria
                     /encoder.safetensors    all weights of an encoder, or
                     /adapter/               a LoRA adapter as PEFT writes it

MODEL is "shared", or a criterion's key where each criterion has a model of its own. The card names
the SHA-256 of each file, and the heads hold the SHA-256 of what the card says. The base model is
not in the pack: its name and the fingerprint of its weights are.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from inspector_plugin.data.files import require_ordinary
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.errors import CriteriaError, DataError, ModelError, PackError
from inspector_plugin.judges import packs
from inspector_plugin.judges.packs import CARD, sha256_of, write_arrays, write_card
from inspector_plugin.judges.tuned.card_format import (
    ADAPTER,
    ENCODER_WEIGHTS,
    FILES,
    FORMAT_VERSION,
    HEADS,
    MODELS,
    read_card,
)
from inspector_plugin.judges.tuned.model import TunedModel, load_base, width_of
from inspector_plugin.judges.tuned.plan import ENCODER, LORA, label_scale
from inspector_plugin.judges.tuned.training import Fitted
from inspector_plugin.lm.adapters import merge, read_adapter
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.schema.criteria import Criterion

_MOST_BYTES = 2**36


@dataclass(frozen=True)
class TunedPack:
    """What a card says, checked; the models are read when their base is there.

    Attributes:
        folder: Where the pack lies.
        card: The card.
        criteria: The criteria that it can judge, by key.
        known_problems: The `problem_identity` of each problem that it was trained on.
        sha256: Hash of all that the card says, and so of the weights.
    """

    folder: Path
    card: Mapping[str, Any]
    criteria: Mapping[str, Criterion]
    known_problems: frozenset[str]
    sha256: str

    @property
    def kind(self) -> str:
        """ "encoder" or "lora"."""
        return str(self.card["kind"])

    @property
    def labels(self) -> str:
        """ "multiclass" or "binary"."""
        return str(self.card["labels"])

    @property
    def dataset(self) -> str | None:
        """The data set of the scores that it learnt, where the card names one."""
        found: str | None = self.card["dataset"]
        return found

    @property
    def max_tokens(self) -> int:
        """The most tokens of problem and response together."""
        return int(self.card["max_tokens"])


def describe_base(base: LanguageModel) -> dict[str, Any]:
    """What a card says of the base model."""
    return {
        "name": base.name,
        "fingerprint": base.fingerprint,
        "type": str(base.model.config.model_type),
        "layers": base.layers,
        "hidden_size": width_of(base),
    }


def write_model(folder: Path, fitted: Fitted, kind: str) -> dict[str, str]:
    """Write a fitted model into a folder of its own, which is there whole or not at all.

    Args:
        folder: The folder; what is there is replaced.
        fitted: The model.
        kind: "encoder" or "lora".

    Returns:
        The SHA-256 of each file of weights, by its name below the folder; the heads have theirs
        when the card is written.
    """
    draft = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        (draft / HEADS).write_bytes(save(_tensors(fitted.model.heads)))
        if kind == ENCODER:
            (draft / ENCODER_WEIGHTS).write_bytes(save(_tensors(fitted.model.reader)))
        else:
            from inspector_plugin.lm.adapter_files import write_adapter

            base = fitted.model.base
            write_adapter(fitted.adapter, base, base.name, draft / ADAPTER)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except OSError as error:
        raise PackError(f"Cannot write {folder}: {error}.") from error
    return {file: file_sha256(folder / file) for file in FILES[kind]}


def write_pack(folder: Path, card: Mapping[str, Any]) -> None:
    """Finish a pack whose models are written: bind the heads to the card, and write it.

    Args:
        folder: The pack's folder.
        card: All that the card says but its format version and the hashes of the heads.
    """
    whole_card = {"format_version": FORMAT_VERSION, **deepcopy(dict(card))}
    claimed = sha256_of(whole_card)
    for model in whole_card["models"]:
        path = folder / MODELS / model["name"] / HEADS
        arrays = {key: tensor.numpy() for key, tensor in load_file(path).items()}
        model["files"][HEADS] = write_arrays(path, arrays, claimed)
    write_card(folder, whole_card)


def read_pack(folder: Path) -> TunedPack:
    """Read a pack's card and check it, and the hash of every file.

    Raises:
        PackError: If it is missing, newer than this version, incomplete or tampered with.
    """
    card = read_card(folder)
    try:
        criteria = {key: _criterion(key, entry) for key, entry in card["criteria"].items()}
    except (TypeError, ValueError, CriteriaError) as error:
        raise PackError(f"{folder / CARD} is incomplete or altered: {error}.") from error
    plain_card = deepcopy(card)
    for model in plain_card["models"]:
        del model["files"][HEADS]
    claimed = sha256_of(plain_card)
    for model in card["models"]:
        for file, sha256 in model["files"].items():
            path = folder / MODELS / model["name"] / file
            if file == HEADS:
                _, found = packs.read_arrays(path, sha256)
                if found != claimed:
                    raise PackError(f"{folder / CARD} was altered: {path} is of another card.")
            elif _sha256(path) != sha256:
                raise PackError(f"{path} is not the file that {CARD} names: its SHA-256 differs.")
    known = frozenset(card["known_problems"])
    return TunedPack(folder, card, criteria, known, sha256_of(card))


def load_models(
    pack: TunedPack, base: str | None, device: str | None, dtype: str | None
) -> list[TunedModel]:
    """Load the models of a pack, each on a base model of its own.

    Args:
        pack: The pack.
        base: Where the base model is; None for the name in the card.
        device: A torch device.
        dtype: The number format of the weights; see `load_language_model`.

    Raises:
        ModelError: If the base cannot be loaded.
        PackError: If it is another one than the pack was tuned from, or the weights do not fit.
    """
    models = []
    for entry in pack.card["models"]:
        own = load_base(pack.kind, base or pack.card["base"]["name"], device, dtype)
        _require_base(pack, own)
        counts = {
            key: len(label_scale(pack.criteria[key], pack.labels).labels)
            for key in entry["criteria"]
        }
        folder = pack.folder / MODELS / entry["name"]
        if pack.kind == LORA:
            try:
                merge(read_adapter(folder / ADAPTER), own.model)
            except ModelError as error:
                raise PackError(f"{folder}: {error}") from error
        model = TunedModel(own, pack.card["target"], counts)
        if pack.kind == ENCODER:
            _load(model.reader, folder / ENCODER_WEIGHTS)
        _load(model.heads, folder / HEADS)
        models.append(model.eval().requires_grad_(False))
    return models


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}


def _load(module: nn.Module, path: Path) -> None:
    """Put weights into a module, all that it has and no others."""
    try:
        require_ordinary(path, _MOST_BYTES)
        tensors = load_file(path)
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise PackError(f"{path} holds numbers that are not finite.")
        module.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PackError(f"{path} does not fit the base model of its card: {reason}") from error


def _require_base(pack: TunedPack, base: LanguageModel) -> None:
    wanted, found = pack.card["base"], describe_base(base)
    for field in ("type", "layers", "hidden_size"):
        if wanted[field] != found[field]:
            raise PackError(
                f"{pack.folder} was tuned from {wanted['name']!r} ({field} {wanted[field]}), and "
                f"{base.name!r} has {field} {found[field]}; give the former with base=."
            )
    if wanted["fingerprint"] != found["fingerprint"]:
        raise PackError(
            f"{pack.folder} was tuned from {wanted['name']!r} (weights "
            f"{wanted['fingerprint'][:12]}), and {base.name!r} has weights "
            f"{found['fingerprint'][:12]}; give the former with base=."
        )


def _criterion(key: str, entry: Mapping[str, Any]) -> Criterion:
    criterion = Criterion.from_json(entry["criterion"])
    if criterion.key != key or criterion.fingerprint != entry["fingerprint"]:
        raise ValueError(f"the criterion of {key!r} does not have the fingerprint named")
    return criterion


def _sha256(path: Path) -> str:
    try:
        require_ordinary(path, _MOST_BYTES)
        return file_sha256(path)
    except (OSError, DataError) as error:
        raise PackError(f"Cannot read {path}: {error}") from error
