"""Finding probe packs: those that ship with the package, or a folder of the user's own."""

from __future__ import annotations

from pathlib import Path

from inspector_plugin.errors import PackError, one_of
from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.packs import CARD

DEFAULT_MODEL = "smollm2-135m-instruct"


def model_slug(model: str) -> str:
    """The name of a language model's folder among probe packs: the last part of its name."""
    return Path(model).name.lower()


def pack_folder(root: Path, model: str, dataset: str, labels: str) -> Path:
    """Where the pack of a language model, data set and kind of labels lies below a root."""
    return root / model_slug(model) / dataset / labels


def model_folder(root: Path | None, model: str | None) -> Path:
    """Find the folder that holds one language model's packs, by data set.

    Args:
        root: A folder as `inspector train --out` makes it, or the folder of one language model in
            it; the packs that ship if None.
        model: The language model, if the user named one.

    Raises:
        PackError: If there is no such folder, or it is not clear which one is meant.
    """
    if root is not None and not root.is_dir():
        raise PackError(f"There is no folder of probe packs at {root}.")
    if root is not None and any(root.glob(f"*/*/{CARD}")):
        return root
    searched = root or shipped_folder("probes")
    if model is not None and (searched / model_slug(model)).is_dir():
        return searched / model_slug(model)
    found = sorted({card.parents[2] for card in searched.glob(f"*/*/*/{CARD}")})
    if len(found) == 1:
        return found[0]
    if root is None and model is None and (searched / DEFAULT_MODEL).is_dir():
        return searched / DEFAULT_MODEL
    raise PackError(
        f"{searched} holds packs for {[folder.name for folder in found] or 'no language model'}; "
        "name one with model=, or train probes with: inspector train"
    )


def packs_below(folder: Path) -> list[Path]:
    """Find the packs in a folder by language model, data set and labels, or in a part of one.

    No folder is searched more deeply than packs can lie in it: it may be any at all.
    """
    return sorted(
        card.parent for depth in range(1, 4) for card in folder.glob(f"{'*/' * depth}{CARD}")
    )


def available_datasets(folder: Path, labels: str) -> list[str]:
    """The data sets for which the folder of a language model has packs with such labels.

    Raises:
        PackError: If there are none.
    """
    found = sorted(card.parents[1].name for card in folder.glob(f"*/{labels}/{CARD}"))
    if not found:
        raise PackError(f"{folder} holds no probe packs with {labels} labels.")
    return found


def find_pack(folder: Path, dataset: str, labels: str) -> Path:
    """Find a pack in the folder of a language model.

    Raises:
        PackError: If there is none for that data set with such labels.
    """
    datasets = available_datasets(folder, labels)
    if dataset not in datasets:
        choices = one_of(dataset, datasets, f"data set of {labels} probe packs")
        raise PackError(f"{folder}: {choices}")
    return folder / dataset / labels
