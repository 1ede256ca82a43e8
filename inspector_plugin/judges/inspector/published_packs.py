"""From a folder of published classifiers to probe packs."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.pack_folders import model_slug, pack_folder
from inspector_plugin.judges.inspector.packs import (
    finished_criteria,
    label_scale,
    write_probe,
)
from inspector_plugin.judges.inspector.probe import Probe, ProbeMember
from inspector_plugin.judges.inspector.published import PublishedClassifier, read_classifier
from inspector_plugin.judges.inspector.published_model import describe_model, is_local
from inspector_plugin.judges.inspector.published_template import (
    MISSING,
    TEMPLATE,
    read_template,
)
from inspector_plugin.judges.inspector.representation import (
    CONCAT,
    JoinedRepresentation,
    Representation,
)
from inspector_plugin.judges.packs import CARD
from inspector_plugin.lm.plan import ATTENTION_ENTROPY
from inspector_plugin.lm.tokens import ALL
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS

_PATTERNS = ("*.pkl", "*.pickle")
# As they name their folders: gsm8k_binary_clfs.
_FOLDER = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]*)_(?:binary|multi|multiclass)(?:_clfs)?")
_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LABELS = {"binary": "binary", "multi": "multiclass", "multiclass": "multiclass"}
_POOLINGS = ("mean", "last", "min", "max", CONCAT)


@dataclass(frozen=True)
class PublishedProbe:
    """A classifier of theirs, and what its file and folder say of it."""

    file: Path
    classifier: PublishedClassifier
    dataset: str
    labels: str
    criterion: Criterion
    llm: str
    layers: tuple[int, ...]
    pooling: str
    attention: bool

    def where(self, out: Path, model: str) -> Path:
        """The folder of the pack that it goes into."""
        return pack_folder(out, model, self.dataset, self.labels)


def read_folder(
    folder: Path, dataset: str | None = None, skip_refused: bool = False
) -> tuple[list[PublishedProbe], list[str]]:
    """Read all classifiers in a folder and in the folders below it.

    Args:
        folder: The folder.
        dataset: The data set of classifiers whose folder does not name one.
        skip_refused: Whether a file that cannot be used is left out.

    Returns:
        The classifiers, and why files were left out.

    Raises:
        PackError: If there are none, or a file cannot be used and is not to be left out.
    """
    files = sorted(file for pattern in _PATTERNS for file in folder.rglob(pattern))
    if not files:
        raise PackError(f"There are no classifiers (*.pkl) in {folder}.")
    probes, refused = [], []
    for file in files:
        try:
            probes.append(read_published(file, dataset))
        except PackError as error:
            refused.append(str(error))
    if refused and not (skip_refused and probes):
        more = f" So are {len(refused) - 1} more files." if len(refused) > 1 else ""
        hint = " --skip-refused imports the others." if probes and not skip_refused else ""
        raise PackError(refused[0] + more + hint)
    _require_different(probes)
    return probes, refused


def read_published(file: Path, dataset: str | None) -> PublishedProbe:
    """Read one classifier and what is said of it; see `read_folder`."""
    classifier = read_classifier(file)
    metadata = dict(classifier.metadata)
    try:
        layers = metadata["layers"]
        labels = _LABELS[metadata["classification"]]
        key, pooling, llm = metadata["dimension"], metadata["pool"], metadata["llm"]
        attention = metadata["use_attn"]
    except (KeyError, TypeError) as error:
        raise PackError(
            f"{file}: its metadata does not say what is needed ({error}): llm, dimension, "
            "classification, layers, pool, use_attn."
        ) from error
    layers = [layers] if type(layers) is int else layers
    whole = type(layers) is list and layers and all(type(each) is int for each in layers)
    if not whole or type(llm) is not str or type(attention) is not bool:
        raise PackError(f"{file}: its metadata is malformed: llm, layers or use_attn.")
    if pooling not in _POOLINGS:
        raise PackError(
            f"{file}: its pooling {pooling!r:.40} is not one of {', '.join(_POOLINGS)}."
        )
    if key not in ROSCOE_KEYS:
        raise PackError(f"{file}: {key!r:.60} is not one of {', '.join(ROSCOE_KEYS)}.")
    criterion = ROSCOE[ROSCOE_KEYS.index(key)]
    try:
        classifier.for_scale(label_scale(criterion, labels).labels)
    except PackError as error:
        raise PackError(f"{file} cannot be used: {error}") from error
    own = _FOLDER.fullmatch(file.parent.name)
    name = own.group(1) if own else dataset
    if name is None or not _DATASET.fullmatch(name):
        raise PackError(
            f"{file}: the folder's name does not say the data set, as gsm8k_binary_clfs does; "
            "give it with --dataset NAME."
        )
    return PublishedProbe(
        file, classifier, name, labels, criterion, llm, tuple(layers), pooling, attention
    )


def _require_different(probes: Sequence[PublishedProbe]) -> None:
    seen: dict[tuple[str, str, str], Path] = {}
    for probe in probes:
        key = (probe.dataset, probe.labels, probe.criterion.key)
        if key in seen:
            raise PackError(
                f"{seen[key]} and {probe.file} are both for {', '.join(key)}; import the folder of "
                "one of them."
            )
        seen[key] = probe.file


def write_packs(
    probes: Sequence[PublishedProbe],
    model: str,
    out: Path,
    template: Path | None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write classifiers as probe packs.

    Args:
        probes: The classifiers.
        model: The language model that they were trained on.
        out: The folder for the packs.
        template: A text file with the prompt, or a folder with one for each criterion.
        overwrite: Whether a pack that was made of something else is replaced.

    Returns:
        What the cards say of the language model.

    Raises:
        PackError: If they are for another language model, the prompt is missing, or the folder
            holds other packs.
        ModelError: If the language model's sizes cannot be told.
    """
    if template is None:
        raise PackError(MISSING)
    layouts = [read_template(template, each.criterion.key, each.dataset) for each in probes]
    for probe in probes:
        _require_name(probe, model)
    language_model = describe_model(model)
    members = [_member(probe, language_model) for probe in probes]
    if overwrite:
        for folder in {probe.where(out, model) for probe in probes}:
            if (folder / CARD).exists():
                shutil.rmtree(folder)
    heads = [_head(probe, language_model) for probe in probes]
    for probe, head in zip(probes, heads, strict=True):
        finished_criteria(probe.where(out, model), head)  # before any is written
    for probe, head, layout, member in zip(probes, heads, layouts, members, strict=True):
        record = {
            "classifier": {"kind": probe.classifier.kind},
            "published": {
                "file": probe.file.name,
                "sha256": hashlib.sha256(probe.file.read_bytes()).hexdigest(),
                "metadata": dict(probe.classifier.metadata),
            },
        }
        finished = Probe(probe.criterion, layout, (member,), record)
        write_probe(probe.where(out, model), head, finished)
    return language_model


def _head(probe: PublishedProbe, language_model: dict[str, Any]) -> dict[str, Any]:
    """What a card says of the whole pack."""
    return {
        "language_model": language_model,
        "dataset": probe.dataset,
        "labels": probe.labels,
        "transferred": False,
        "training": {
            "published": True,
            "layout": TEMPLATE,
            "versions": {"inspector_plugin": __version__},
        },
    }


def _require_name(probe: PublishedProbe, model: str) -> None:
    """Refuse a hub id that is another model's; what a folder is called proves nothing."""
    if not is_local(model) and model_slug(model) != model_slug(probe.llm):
        raise PackError(f"{probe.file} is for {probe.llm!r:.80}, not for {model!r}.")


def _member(probe: PublishedProbe, language_model: dict[str, Any]) -> ProbeMember:
    """What a classifier looks at, checked against the number of its features."""
    hidden = int(language_model["hidden_size"]) * (3 if probe.pooling == CONCAT else 1)
    heads = int(language_model["attention_heads"]) if probe.attention else 0
    wanted = len(probe.layers) * (hidden + heads)
    highest, name = int(language_model["layers"]) - 1, language_model["name"]
    if not all(0 <= layer <= highest for layer in probe.layers):
        raise PackError(
            f"{probe.file} looks at the layers {list(probe.layers)}, and {name!r} has the layers "
            f"0-{highest}."
        )
    if probe.classifier.features != wanted:
        raise PackError(
            f"{probe.file} takes {probe.classifier.features} features, and {name!r} gives {wanted} "
            f"(layers {list(probe.layers)}, {probe.pooling}"
            f"{', attention entropy' if probe.attention else ''}): it is another model."
        )
    parts = _parts(probe, hidden, heads)
    representation = parts[0] if len(parts) == 1 else JoinedRepresentation(parts)
    return ProbeMember(representation, probe.classifier)


def _parts(probe: PublishedProbe, hidden: int, heads: int) -> tuple[Representation, ...]:
    """The order of a classifier's features: layer by layer, states and then attention entropies.

    Their files do not say it. With several layers, the entropies might also follow the states of
    all layers. Entropies are above zero, and so are their means over the training rows.
    """
    states = [Representation(layer, ALL, probe.pooling) for layer in probe.layers]
    if not probe.attention:
        return tuple(states)
    entropies = [Representation(layer, ALL, ATTENTION_ENTROPY) for layer in probe.layers]
    by_layer = probe.classifier.scaler_mean.reshape(len(states), hidden + heads)[:, hidden:]
    behind_all = probe.classifier.scaler_mean[len(states) * hidden :]
    if (behind_all > 0).all() and not (by_layer > 0).all():
        return (*states, *entropies)
    return tuple(part for pair in zip(states, entropies, strict=True) for part in pair)
