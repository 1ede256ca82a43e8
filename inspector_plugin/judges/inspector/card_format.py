"""What the card of a probe pack has to look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inspector_plugin.data.shapes import (
    Shape,
    anything,
    choice,
    either,
    listing,
    mapping,
    name,
    number,
    record,
    text,
    whole,
)
from inspector_plugin.judges.inspector.temperature import MOST
from inspector_plugin.schema.criteria import LABELS

_REPRESENTATION = record({"layer": whole(-1, 1000), "span": text, "pooling": text})
_LAYOUT = record(
    {"name": text, "parts": listing(mapping(text, 1, 1), 1, 100)},
    {
        "suffix": mapping(text, 0, 1),
        "question_form": text,
        "response_form": text,
        "joined": choice(True, False),
    },
)
_ENTRY = record(
    {
        "layout": _LAYOUT,
        "members": listing(
            either(_REPRESENTATION, record({"parts": listing(_REPRESENTATION, 1, 1000)})), 1, 1000
        ),
        "classifier": record({"kind": text}),
        "arrays": record({"file": text, "sha256": text}),
    },
    {
        "criterion": mapping(anything),
        "fingerprint": text,
        "problem_keys": listing(text),
        "figures": mapping(anything),
        "temperature": number(1 / MOST, MOST),
    },
)
_LANGUAGE_MODEL = record(
    {
        "name": text,
        "fingerprint": either(text, choice(None)),
        "layers": whole(1, 1000),
        "hidden_size": whole(1, 10**6),
    },
    {"attention_heads": whole(1, 10**4)},
)
_CROSS_FITTED = record(
    {
        "layer": whole(0, 1000),
        "folds": whole(2, 100),
        "text_features": listing(text, 1, 1000),
        "layout": _LAYOUT,
        "known_problems": listing(text),
        "arrays": record({"file": text, "sha256": text}),
    },
    {"likelihoods": choice(True, False)},
)
_CROSS_FITTED_ENTRY = record(
    {"criterion": mapping(anything), "fingerprint": text}, {"figures": mapping(anything)}
)
_HEAD = {"dataset": name, "labels": choice(*LABELS)}
_TRANSFER = record({**_HEAD, "transferred": choice(True), "transferred_from": name})
# What has probes of its own leads to no other pack; "scored": what a cross-fitted one learnt from.
_OPTIONAL = {"transferred": choice(False), "scored": name}
_PACK = {**_HEAD, "language_model": _LANGUAGE_MODEL, "training": record({"layout": text})}


def check_card(card: Mapping[str, Any]) -> None:
    """Refuse a card that is not one of a probe pack.

    Raises:
        ValueError: If a field is missing, or not of the type and size that it should be.
    """
    shape: Shape = _TRANSFER
    if "cross_fitted" in card:
        each = mapping(_CROSS_FITTED_ENTRY, 1)
        shape = record({**_PACK, "cross_fitted": _CROSS_FITTED, "criteria": each}, _OPTIONAL)
    elif not card.get("transferred"):
        entries = "criteria" if "criteria" in card else "aspects"
        shape = record({**_PACK, entries: mapping(_ENTRY, 1)}, _OPTIONAL)
    shape(card, "")
