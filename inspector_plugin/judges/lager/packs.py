"""Tuned layer weights on disk; see `judges/packs.py` for what holds of every pack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin.data.shapes import choice, record, text, whole
from inspector_plugin.errors import OptionError, PackError
from inspector_plugin.judges import packs
from inspector_plugin.judges.lager.aggregation import Array
from inspector_plugin.judges.lager.presets import COMBINE, SCORES, Aggregation
from inspector_plugin.judges.packs import CARD, sha256_of, write_arrays, write_card
from inspector_plugin.lm.loading import LanguageModel

FORMAT_VERSION = 1
KIND = "lager"
WEIGHTS = "weights.safetensors"
_SHAPE = record(
    {
        "language_model": record({"name": text, "fingerprint": text, "layers": whole(1, 1000)}),
        "aggregation": record(
            {},
            {
                "layers": text,
                "final_norm": choice(True, False),
                "combine": choice(*COMBINE),
                "score": choice(*SCORES),
            },
        ),
        "weights_sha256": text,
    }
)


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
    written["weights_sha256"] = write_arrays(
        folder / WEIGHTS, {"weights": weights}, _card_sha256(written)
    )
    write_card(folder, written)


def read_lager_pack(folder: Path) -> LagerPack:
    """Read a pack, checking its format and both hashes.

    Raises:
        PackError: If it is missing, newer than this version, malformed or tampered with.
    """
    missing = (
        f"There are no tuned layer weights in {folder}: {CARD} is missing; make them with: "
        "inspector lager tune"
    )
    card = packs.read_card(folder, FORMAT_VERSION, missing, _check)
    arrays, card_sha256 = packs.read_arrays(folder / WEIGHTS, card.get("weights_sha256"))
    if set(arrays) != {"weights"}:
        raise PackError(f"{folder / WEIGHTS} does not hold layer weights; tune them anew.")
    found = arrays["weights"]
    if found.ndim != 1 or found.dtype.kind != "f":
        raise PackError(f"{folder / WEIGHTS} does not hold layer weights; tune them anew.")
    weights = np.asarray(found, dtype=np.float64)
    if card_sha256 != _card_sha256(card):
        raise PackError(f"{folder / CARD} was altered: it is not the card of {WEIGHTS}.")
    try:
        aggregation = Aggregation(**card["aggregation"])
        aggregation.states(card["language_model"]["layers"] + 1)
    except (TypeError, ValueError, OptionError) as error:
        raise PackError(f"{folder / CARD} is incomplete ({error}); tune it anew.") from error
    if not np.isfinite(weights).all() or (weights < 0).any() or not np.isclose(weights.sum(), 1):
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


def _check(card: Mapping[str, Any]) -> None:
    """Raise a ValueError if a card is not that of tuned weights."""
    if card.get("kind") != KIND:
        raise ValueError("it is not the card of tuned layer weights")
    _SHAPE(card, "")


def _card_sha256(card: Mapping[str, Any]) -> str:
    return sha256_of({key: value for key, value in card.items() if key != "weights_sha256"})
