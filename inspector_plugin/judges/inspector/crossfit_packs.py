"""Cross-fitted packs on disk: one file of arrays, and what the card says of them.

    probes/<language model>/<data set>/<labels>/card.json
                                               /chains.safetensors

The card has, beside what every card of probes has, `cross_fitted`: layer, folds, the identities of
the problems that the models were fitted on, and the file. A pack for a data set without scores
names in `scored` the data set whose scores its probes learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inspector_plugin.errors import PackError
from inspector_plugin.judges import packs
from inspector_plugin.judges.inspector.crossfit import (
    Chain,
    CriterionModel,
    CrossFitted,
    Familiarity,
    Hurdle,
)
from inspector_plugin.judges.inspector.inputs import TEXT_FEATURES, Reading
from inspector_plugin.judges.inspector.layout import PromptLayout
from inspector_plugin.judges.inspector.linear import LinearModel, finite_array
from inspector_plugin.judges.inspector.probe import CrossFittedProbe
from inspector_plugin.judges.packs import CARD, sha256_of, write_arrays, write_card
from inspector_plugin.schema.correctness import CORRECTNESS
from inspector_plugin.schema.criteria import BINARY, LABELS, Criterion

FORMAT_VERSION = 4
CROSS_FITTED = "cross_fitted"
ARRAYS = "chains.safetensors"
Arrays = Mapping[str, npt.NDArray[Any]]


def write_cross_fitted(
    folder: Path,
    head: Mapping[str, Any],
    models: CrossFitted,
    layout: PromptLayout,
    entries: Mapping[Criterion, Mapping[str, Any]],
) -> None:
    """Write a pack.

    Args:
        folder: The pack's folder, made if need be.
        head: What the card says of the whole pack: language_model, dataset, scored, labels,
            training, figures.
        models: The models.
        layout: How requests are laid out as prompts.
        entries: What the card says of each criterion.
    """
    folder.mkdir(parents=True, exist_ok=True)
    card: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        **head,
        CROSS_FITTED: {
            "layer": models.reading.layer,
            "likelihoods": bool(models.reading.likelihoods),
            "folds": len(models.chains),
            "text_features": list(TEXT_FEATURES),
            "layout": layout.to_json(),
            "known_problems": sorted(models.known),
        },
        "criteria": {
            criterion.key: {
                "criterion": criterion.to_json(),
                "fingerprint": criterion.fingerprint,
                **entry,
            }
            for criterion, entry in entries.items()
        },
    }
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for fold, chain in enumerate(models.chains):
        arrays.update(_chain_arrays(chain, str(fold)))
    sha256 = write_arrays(folder / ARRAYS, arrays, sha256_of(card))
    card[CROSS_FITTED]["arrays"] = {"file": ARRAYS, "sha256": sha256}
    write_card(folder, card)


def read_cross_fitted(folder: Path, card: Mapping[str, Any]) -> dict[str, CrossFittedProbe]:
    """Make the probes of a pack out of its card and arrays.

    Args:
        folder: The pack's folder.
        card: Its card, of which `card_format` approves.

    Raises:
        PackError: If the arrays are not those that the card names.
        ValueError, CriteriaError: If card and arrays do not fit together.
    """
    if card["format_version"] != FORMAT_VERSION:
        raise PackError(
            f"{folder / CARD} has format version {card['format_version']}, and this version of "
            f"inspector_plugin reads cross-fitted probes of version {FORMAT_VERSION}; fit them "
            "again with: inspector crossfit"
        )
    about = dict(card[CROSS_FITTED])
    claimed = about.pop("arrays")
    path = folder / Path(claimed["file"]).name
    arrays, card_sha256 = packs.read_arrays(path, claimed["sha256"])
    if card_sha256 != sha256_of({**card, CROSS_FITTED: about}):
        raise PackError(f"{folder / CARD} was altered: {path.name} was written for another card.")
    if about["text_features"] != list(TEXT_FEATURES):
        raise PackError(
            f"{folder / CARD} names other text features than this version of inspector_plugin "
            "counts; get the pack that belongs to this version."
        )
    hidden_size, layers = card["language_model"]["hidden_size"], card["language_model"]["layers"]
    if not 0 <= about["layer"] < layers:
        raise ValueError(f"layer {about['layer']} of a language model with {layers} layers")
    # Packs from before there were likelihoods do not speak of them.
    reading = Reading(about["layer"], layers - 1 if about.get("likelihoods", False) else None)
    criteria = {}
    for key, entry in card["criteria"].items():
        criterion = Criterion.from_json(entry["criterion"])
        if criterion.key != key or criterion.fingerprint != entry["fingerprint"]:
            raise ValueError(f"the criterion of {key!r} does not have the fingerprint named")
        criteria[criterion] = entry
    labels = {
        each.key: len((BINARY if card["labels"] == LABELS[1] else each.scale).labels)
        for each in criteria
    }
    chains = tuple(
        _read_chain(arrays, str(fold), hidden_size, reading.counted_width, labels)
        for fold in range(about["folds"])
    )
    models = CrossFitted(reading, chains, frozenset(about["known_problems"]))
    layout = PromptLayout.from_json(about["layout"])
    missing = {feature.span for feature in reading.features} - set(layout.spans)
    if missing:
        raise ValueError(f"the layout has no span {', '.join(missing)}")
    return {
        criterion.key: CrossFittedProbe(criterion, layout, models, entry)
        for criterion, entry in criteria.items()
    }


def _chain_arrays(chain: Chain, prefix: str) -> dict[str, npt.NDArray[np.float32]]:
    familiarity = chain.familiarity
    arrays = {
        **_hurdle_arrays(chain.attempt, f"{prefix}.attempt"),
        f"{prefix}.familiarity.center": familiarity.center.astype(np.float32),
        f"{prefix}.familiarity.directions": familiarity.directions.astype(np.float32),
        f"{prefix}.familiarity.threshold": np.array([familiarity.threshold], np.float32),
    }
    for key, model in chain.criteria.items():
        name = f"{prefix}.{key}"
        arrays.update(model.probe.arrays(f"{name}.probe"))
        arrays[f"{name}.temperature"] = np.array([model.temperature], np.float32)
        arrays[f"{name}.bias"] = model.bias.astype(np.float32)
        arrays[f"{name}.tilt"] = np.array([model.tilt], np.float32)
        if model.hurdle is not None:
            arrays.update(_hurdle_arrays(model.hurdle, f"{name}.hurdle"))
    return arrays


def _hurdle_arrays(hurdle: Hurdle, name: str) -> dict[str, npt.NDArray[np.float32]]:
    return {
        **hurdle.model.arrays(name),
        f"{name}.threshold": np.array([hurdle.threshold], np.float32),
        f"{name}.center": np.array([hurdle.center], np.float32),
        f"{name}.spread": np.array([hurdle.spread], np.float32),
    }


def _read_chain(
    arrays: Arrays, prefix: str, hidden_size: int, counted: int, labels: Mapping[str, int]
) -> Chain:
    narrow, wide = hidden_size + counted, 3 * hidden_size + counted
    attempt = _read_hurdle(arrays, f"{prefix}.attempt", narrow)
    directions = arrays.get(f"{prefix}.familiarity.directions")
    count = 0 if directions is None else len(directions)
    familiarity = Familiarity(
        finite_array(arrays, f"{prefix}.familiarity.center", (hidden_size,)),
        finite_array(arrays, f"{prefix}.familiarity.directions", (count, hidden_size)),
        _positive(arrays, f"{prefix}.familiarity.threshold"),
    )
    criteria = {}
    for key, number in labels.items():
        name, is_wide = f"{prefix}.{key}", key == CORRECTNESS.key
        criteria[key] = CriterionModel(
            None if is_wide else _read_hurdle(arrays, f"{name}.hurdle", narrow),
            LinearModel.from_arrays(arrays, f"{name}.probe", wide if is_wide else narrow, number),
            is_wide,
            _positive(arrays, f"{name}.temperature"),
            finite_array(arrays, f"{name}.bias", (number,)),
            _number(arrays, f"{name}.tilt"),
        )
    return Chain(attempt, familiarity, criteria)


def _read_hurdle(arrays: Arrays, name: str, features: int) -> Hurdle:
    return Hurdle(
        LinearModel.from_arrays(arrays, name, features, 2),
        _number(arrays, f"{name}.threshold"),
        _number(arrays, f"{name}.center"),
        _positive(arrays, f"{name}.spread"),
    )


def _number(arrays: Arrays, name: str) -> float:
    return float(finite_array(arrays, name, (1,))[0])


def _positive(arrays: Arrays, name: str) -> float:
    found = _number(arrays, name)
    if found <= 0:
        raise ValueError(f"{name} is {found:g}, not positive")
    return found
