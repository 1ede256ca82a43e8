"""Which packs the judge `inspector` reads, and whether they are for its language model."""

from __future__ import annotations

from pathlib import Path

from inspector_plugin.errors import OptionError, PackError, one_of
from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.pack_folders import (
    available_datasets,
    find_pack,
    model_folder,
    model_slug,
)
from inspector_plugin.judges.inspector.packs import ProbePack, read_pack
from inspector_plugin.lm.loading import LanguageModel

# Packs that ship beside the default ones: single probes, which take fewer layers, and cross-fitted
# ones that look at the likelihood of tokens too, which take all layers.
SHIPPED = ("fast", "full")


def read_packs(options: InspectorOptions) -> dict[str, ProbePack]:
    """Read the packs of a language model: that of one data set, or of all that there are.

    Returns:
        By data set.

    Raises:
        OptionError: If there are no probes for the data set that the options name.
        PackError: If a pack is damaged, or has labels of another kind.
    """
    root = packs_root(options.probes)
    folder = model_folder(root, options.model)
    available = available_datasets(folder, options.labels)
    if options.dataset is not None and options.dataset not in available:
        raise OptionError(
            one_of(options.dataset, available, f"data set of {options.labels} probes in {folder}")
            + " Train probes for it with: inspector train"
        )
    datasets = [options.dataset] if options.dataset else available
    packs = {name: read_pack(find_pack(folder, name, options.labels)) for name in datasets}
    for pack in packs.values():
        if pack.labels != options.labels:
            raise PackError(
                f"{pack.folder} holds probes with {pack.labels} labels in the place of those with "
                f"{options.labels} labels."
            )
    return packs


def packs_root(probes: str | None) -> Path | None:
    """The folder that a value of the option `probes` means; None for the packs of the default.

    A folder of the user's own goes before packs that ship under the same name.
    """
    if probes in SHIPPED and not Path(probes).is_dir():
        return shipped_folder("probes") / probes
    return Path(probes) if probes else None


def require_fit(pack: ProbePack, language_model: LanguageModel) -> None:
    """Refuse a pack that was made for another language model.

    Raises:
        PackError: If it was, or was altered.
    """
    wanted = pack.language_model
    if wanted["fingerprint"] is None:
        _require_name_and_sizes(pack, language_model)
        return
    if language_model.fingerprint == wanted["fingerprint"]:
        for size in ("layers", "hidden_size", "attention_heads"):
            if wanted.get(size, getattr(language_model, size)) != getattr(language_model, size):
                raise PackError(
                    f"{pack.folder} was altered: it says {size} {wanted[size]} of a language model "
                    f"with {getattr(language_model, size)}."
                )
        return
    raise PackError(
        f"The probes in {pack.folder} were trained on {wanted['name']!r} (hidden size "
        f"{wanted['hidden_size']}, weights {wanted['fingerprint'][:12]}), and "
        f"{language_model.name!r} has hidden size {language_model.hidden_size}, weights "
        f"{language_model.fingerprint[:12]}: judge with model={wanted['name']}, or train "
        f"probes for {language_model.name!r} with: inspector train"
    )


def _require_name_and_sizes(pack: ProbePack, language_model: LanguageModel) -> None:
    """Compare what can be compared where a pack was made without the weights at hand."""
    wanted = pack.language_model
    found = (language_model.hidden_size, language_model.layers)
    same_name = model_slug(language_model.name) == model_slug(wanted["name"])
    if same_name and found == (wanted["hidden_size"], wanted["layers"]):
        return
    raise PackError(
        f"The probes in {pack.folder} are for {wanted['name']!r} (hidden size "
        f"{wanted['hidden_size']}, {wanted['layers']} layers), and {language_model.name!r} has "
        f"hidden size {found[0]}, {found[1]} layers: judge with model={wanted['name']}. If that is "
        f"the same model under another name, import the probes again with --model "
        f"{language_model.name}, which binds them to its weights."
    )
