"""What the card of a tuned judge has to look like, and which files go with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inspector_plugin.data.files import read_json
from inspector_plugin.data.shapes import (
    anything,
    choice,
    either,
    listing,
    mapping,
    name,
    record,
    text,
    whole,
)
from inspector_plugin.errors import PackError
from inspector_plugin.judges import packs
from inspector_plugin.judges.packs import CARD
from inspector_plugin.judges.tuned.plan import (
    BINARY_LABELS,
    ENCODER,
    JUDGE,
    KINDS,
    LORA,
    TARGETS,
)
from inspector_plugin.lm.adapters import CARD as ADAPTER_CARD
from inspector_plugin.lm.adapters import CONFIG, WEIGHTS
from inspector_plugin.schema.criteria import LABELS

FORMAT_VERSION = 1
SHARED, MODELS = "shared", "models"
HEADS, ENCODER_WEIGHTS, ADAPTER = "heads.safetensors", "encoder.safetensors", "adapter"
# The files of a model beside its heads.
FILES = {
    ENCODER: (ENCODER_WEIGHTS,),
    LORA: (f"{ADAPTER}/{CONFIG}", f"{ADAPTER}/{WEIGHTS}", f"{ADAPTER}/{ADAPTER_CARD}"),
}
_BASE = record(
    {
        "name": text,
        "fingerprint": text,
        "type": text,
        "layers": whole(1, 1000),
        "hidden_size": whole(1, 10**6),
    }
)
_MODEL = record({"name": name, "criteria": listing(name, 1, 1000), "files": mapping(text, 2, 10)})
_ENTRY = record(
    {"criterion": mapping(anything), "fingerprint": text}, {"figures": mapping(anything)}
)
_CARD = record(
    {
        "judge": choice(JUDGE),
        "kind": choice(*KINDS),
        "base": _BASE,
        "target": choice(*TARGETS),
        "labels": choice(*LABELS),
        "max_tokens": whole(1, 10**9),
        "dataset": either(name, choice(None)),
        "known_problems": listing(text),
        "models": listing(_MODEL, 1, 1000),
        "criteria": mapping(_ENTRY, 1),
    }
)


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card in a pack's folder; the weights are not looked at.

    Raises:
        PackError: If there is none, it is not JSON, incomplete, of a newer format, or of probes.
    """
    missing = f"There is no pack of a tuned judge in {folder}: {CARD} is missing."
    try:
        return packs.read_card(folder, FORMAT_VERSION, missing, check_card)
    except PackError as error:
        if _is_of_probes(folder):
            raise PackError(
                f"{folder} is a pack of probes, not of a tuned judge; use inspector:probes=FOLDER, "
                "with the folder that holds the packs of all models."
            ) from error
        raise


def _is_of_probes(folder: Path) -> bool:
    """Whether a card is one of probes: it names a language model and criteria, but no kind."""
    try:
        card = read_json(folder / CARD)
    except (OSError, ValueError):
        return False
    fields = {"language_model", "criteria", "kind"}
    return isinstance(card, dict) and fields & card.keys() == fields - {"kind"}


def check_card(card: Mapping[str, Any]) -> None:
    """Refuse a card that is not one of a tuned judge.

    Raises:
        ValueError: If a field is missing or not of the type and size that it should be, or fields
            contradict each other.
    """
    _CARD(card, "")
    if (card["labels"] == BINARY_LABELS) != (card["target"] == BINARY_LABELS):
        raise ValueError(f"the target {card['target']} does not give {card['labels']} labels")
    judged = [key for model in card["models"] for key in model["criteria"]]
    if sorted(judged) != sorted(card["criteria"]):
        raise ValueError("its models are not those of its criteria")
    for model in card["models"]:
        if set(model["files"]) != {HEADS, *FILES[card["kind"]]}:
            raise ValueError(f"model {model['name']!r} does not have the files of {card['kind']}")
