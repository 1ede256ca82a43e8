"""LoRA adapters: a folder of small matrices that are added to the weights of a language model.

What is read is plain LoRA as safetensors, in the form that PEFT writes. It is merged into the base
model's weights when the model is loaded, so that whatever takes a language model takes an adapter,
and PEFT need not be installed.

Source: Hu et al., LoRA (arXiv 2106.09685): a weight W becomes W + (alpha / r) B A.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from inspector_plugin.data.files import read_json, require_ordinary
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.errors import DataError, ModelError

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
CARD = "card.json"
# What PEFT puts before the names of the base model's modules.
_PREFIX = "base_model.model."
# Variants of LoRA whose weights mean something else. An adapter that sets one is refused.
_VARIANTS = (
    "use_dora",
    "use_rslora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
)
_MOST_RANK = 4096


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter on disk.

    Attributes:
        folder: Its folder.
        base: The base model: a name as `load_language_model` takes it.
        base_fingerprint: The fingerprint of the base model's weights, where the adapter has a card
            of ours.
        rank: The rank r of the matrices.
        scale: What their product is multiplied by, alpha / r.
    """

    folder: Path
    base: str
    base_fingerprint: str | None
    rank: int
    scale: float


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and not a whole model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def read_adapter(folder: Path) -> Adapter:
    """Read what an adapter says of itself.

    Raises:
        ModelError: If it is malformed, or not plain LoRA.
    """
    config = _read_object(folder / CONFIG)
    variants = [name for name in _VARIANTS if config.get(name)]
    if config.get("bias", "none") != "none":
        variants.append("bias")
    if config.get("peft_type") != "LORA" or variants:
        what = ", ".join(variants) or f"peft_type {config.get('peft_type')!r:.40}"
        raise ModelError(
            f"Adapter {folder}: {what} is not plain LoRA; merge it with PEFT and give the folder "
            "of the merged model."
        )
    rank, alpha, base = (
        config.get(name) for name in ("r", "lora_alpha", "base_model_name_or_path")
    )
    if type(rank) is not int or not 1 <= rank <= _MOST_RANK:
        raise ModelError(f"Adapter {folder}: r is {rank!r:.40}, not from 1 to {_MOST_RANK}.")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)):
        raise ModelError(f"Adapter {folder}: lora_alpha is {alpha!r:.40}, not a number.")
    if not isinstance(base, str) or not base:
        raise ModelError(f"Adapter {folder}: {CONFIG} does not name the base model.")
    card = read_adapter_card(folder)
    fingerprint = card.get("base_fingerprint")
    return Adapter(
        folder,
        base,
        fingerprint if isinstance(fingerprint, str) else None,
        rank,
        float(alpha) / rank,
    )


def read_adapter_card(folder: Path) -> Mapping[str, Any]:
    """Read the card that training wrote beside an adapter; empty if there is none.

    Raises:
        ModelError: If it is no JSON object.
    """
    path = folder / CARD
    return _read_object(path) if path.exists() else {}


def merged_fingerprint(adapter: Adapter, base_fingerprint: str) -> str:
    """Name the merged weights: by those of the base model and the adapter's file.

    The fingerprint of weights samples them at the precision of bfloat16, where small changes
    vanish.

    Returns:
        64 hexadecimal digits.

    Raises:
        ModelError: If the adapter was made for other weights, or cannot be read.
    """
    if adapter.base_fingerprint not in (None, base_fingerprint):
        raise ModelError(
            f"Adapter {adapter.folder} was made for other weights of {adapter.base!r}: its card "
            f"has fingerprint {adapter.base_fingerprint:.16}, the model {base_fingerprint:.16}."
        )
    try:
        content = file_sha256(adapter.folder / WEIGHTS)
    except DataError as error:
        raise ModelError(f"Adapter {adapter.folder}: {error}") from error
    text = f"{base_fingerprint} {content} {adapter.scale}"
    return hashlib.sha256(text.encode()).hexdigest()


def merge(adapter: Adapter, model: nn.Module) -> None:
    """Add an adapter to the weights of its base model, in place.

    Args:
        adapter: The adapter.
        model: The Hugging Face model; its weights are changed.

    Raises:
        ModelError: If a matrix is missing, has no place in the model, or another shape.
    """
    matrices = _read_matrices(adapter)
    modules = dict(model.named_modules())
    with torch.no_grad():
        for name, pair in matrices.items():
            module = modules.get(name)
            if module is None or "A" not in pair or "B" not in pair:
                raise ModelError(
                    f"Adapter {adapter.folder}: {name!r:.100} is not a module of {adapter.base!r} "
                    "with two matrices; it was made for another model."
                )
            weight: torch.Tensor = module.weight
            a, b = (pair[key].to(weight.device, torch.float32) for key in ("A", "B"))
            shapes_fit = a.ndim == b.ndim == 2 and a.shape[0] == b.shape[1] == adapter.rank
            delta = (b @ a) * adapter.scale if shapes_fit else None
            if delta is not None and type(module).__name__ == "Conv1D":
                delta = delta.T  # GPT-2 keeps its weights the other way round
            if delta is None or delta.shape != weight.shape:
                raise ModelError(
                    f"Adapter {adapter.folder}: the matrices of {name!r:.100} have shapes "
                    f"{tuple(a.shape)} and {tuple(b.shape)}, which do not fit rank {adapter.rank} "
                    f"and a weight of {tuple(weight.shape)}."
                )
            if not bool(torch.isfinite(delta).all()):
                raise ModelError(f"Adapter {adapter.folder}: {name!r:.100} is not finite.")
            weight.copy_((weight.to(torch.float32) + delta).to(weight.dtype))


def _read_matrices(adapter: Adapter) -> dict[str, dict[str, torch.Tensor]]:
    """Read the matrices A and B of each module, by the module's name in the base model."""
    path = adapter.folder / WEIGHTS
    try:
        require_ordinary(path)
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"Adapter {adapter.folder}: cannot read {WEIGHTS}: {error}.") from error
    found: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, rest = key.removeprefix(_PREFIX).partition(".lora_")
        if rest not in ("A.weight", "B.weight"):
            raise ModelError(
                f"Adapter {adapter.folder}: {key!r:.100} is no matrix of plain LoRA; merge it with "
                "PEFT and give the folder of the merged model."
            )
        found.setdefault(name, {})[rest[0]] = tensor
    if not found:
        raise ModelError(f"Adapter {adapter.folder}: {WEIGHTS} holds no matrices.")
    return found


def _read_object(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"Adapter {path.parent}: cannot read {path.name}: {error}.") from error
    if not isinstance(content, dict):
        raise ModelError(f"Adapter {path.parent}: {path.name} is not a JSON object.")
    return content
