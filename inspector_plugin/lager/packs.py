"""Tuned layer weights on disk: safetensors beside card.json. Loading them runs nothing.

The card names the SHA-256 of the weights, and the weights hold that of the card, so that neither
can change without the other.
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

from inspector_plugin.errors import PackError
from inspector_plugin.lager.aggregation import Array
from inspector_plugin.lager.presets import COMBINE, Aggregation
from inspector_plugin.lm.loading import LanguageModel

FORMAT_VERSION = 1
KIND = "lager"
CARD = "card.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class LagerPack:
    """Layer weights that were tuned for one language model.

    Attributes:
        folder: Where they lie.
        weights: [L + 1], summing to 1; zero for states that do not count.
        aggregation: The layers, the final norm and the way of combining that they were tuned for.
        card: All else: language model, training, figures.
    """

    folder: Path
    weights: Array
    aggregation: Aggregation
    card: Mapping[str, Any]


def write_lager_pack(
    folder: Path, weights: Array, aggregation: Aggregation, card: Mapping[str, Any]
) -> None:
    """Write weights and card, replacing those in the folder.

    Args:
        folder: The folder, made if need be.
        weights: [L + 1].
        aggregation: What they were tuned for.
        card: Language model, training and figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "aggregation": asdict(aggregation),
        **card,
    }
    content = save({"weights": weights}, metadata={"card_sha256": _card_sha256(written)})
    written["weights_sha256"] = hashlib.sha256(content).hexdigest()
    _replace(folder / WEIGHTS, content)
    _replace(folder / CARD, (json.dumps(written, indent=1) + "\n").encode())


def read_lager_pack(folder: Path) -> LagerPack:
    """Read a pack, checking its format and both hashes.

    Raises:
        PackError: If it is missing, newer than this version, malformed or tampered with.
    """
    card = _read_card(folder / CARD)
    weights, card_sha256 = _read_weights(folder / WEIGHTS, card.get("weights_sha256"))
    if card_sha256 != _card_sha256(card):
        raise PackError(f"{folder / CARD} was altered: it is not the card of {WEIGHTS}.")
    try:
        aggregation = Aggregation(**card["aggregation"])
        aggregation.states(int(card["language_model"]["layers"]) + 1)
        known = aggregation.combine in COMBINE
    except (KeyError, TypeError, ValueError) as error:
        raise PackError(f"{folder / CARD} is incomplete ({error}); tune it anew.") from error
    if not known or not np.isfinite(weights).all() or not np.isclose(weights.sum(), 1):
        raise PackError(f"{folder} holds no weights that sum to 1; tune it anew.")
    return LagerPack(folder, weights, aggregation, card)


def require_fit(pack: LagerPack, language_model: LanguageModel) -> None:
    """Refuse weights that were tuned for another model.

    Raises:
        PackError: If the model's weights or number of layers are not those of the card.
    """
    wanted = pack.card["language_model"]
    states = language_model.layers + 1
    if pack.weights.shape != (states,):
        raise PackError(
            f"{pack.folder} holds weights of {len(pack.weights)} states, and language model "
            f"{language_model.name!r} has {states}: judge with model={wanted['name']}, or tune "
            f"weights for {language_model.name!r} with: inspector lager tune"
        )
    if wanted["fingerprint"] != language_model.fingerprint:
        raise PackError(
            f"{pack.folder} was tuned for {wanted['name']!r} (weights "
            f"{wanted['fingerprint'][:12]}), and {language_model.name!r} has weights "
            f"{language_model.fingerprint[:12]}: judge with model={wanted['name']}, or tune "
            f"weights for {language_model.name!r} with: inspector lager tune"
        )


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PackError(
            f"There are no tuned layer weights in {path.parent}: {CARD} is missing; make them "
            "with: inspector lager tune"
        ) from error
    except (OSError, ValueError) as error:
        raise PackError(f"Cannot read {path}: {error}") from error
    version = card.get("format_version") if isinstance(card, dict) else None
    if not isinstance(version, int) or version < 1 or card.get("kind") != KIND:
        raise PackError(f"{path} is not the card of tuned layer weights.")
    if version > FORMAT_VERSION:
        raise PackError(
            f"{path} has format version {version}, and this version of inspector_plugin reads up "
            f"to {FORMAT_VERSION}; upgrade inspector_plugin."
        )
    return dict(card)


def _read_weights(path: Path, sha256: Any) -> tuple[Array, str | None]:
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise PackError(f"{path} is not the file that {CARD} describes: its SHA-256 differs.")
        with safe_open(path, framework="numpy") as file:
            weights = np.asarray(file.get_tensor("weights"), dtype=np.float64)
            return weights, (file.metadata() or {}).get("card_sha256")
    except (OSError, SafetensorError) as error:
        raise PackError(f"Cannot read {path}: {error}") from error


def _card_sha256(card: Mapping[str, Any]) -> str:
    content = {key: value for key, value in card.items() if key != "weights_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(content)
    scratch.replace(path)
