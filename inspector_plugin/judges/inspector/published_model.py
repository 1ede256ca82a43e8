"""The language model that imported probes are for: its sizes, and weights that are at hand."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from inspector_plugin.errors import ModelError
from inspector_plugin.folders import expanded

logger = logging.getLogger(__name__)

# So that no network is needed for the model that the published probes are for.
_KNOWN = {"qwen/qwen3-1.7b": {"layers": 28, "hidden_size": 2048, "attention_heads": 16}}
_CONFIG, _WEIGHTS, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"


def describe_model(name: str) -> dict[str, Any]:
    """Say what a card says of a language model.

    The weights are read where they are on this machine already: a folder, a GGUF file, an installed
    name, or a hub id that was downloaded before. Nothing is downloaded but a configuration.

    Args:
        name: What the user calls it.

    Returns:
        name, fingerprint (None where the weights are not at hand), layers, hidden_size and
        attention_heads.

    Raises:
        ModelError: If the model's sizes cannot be told.
    """
    if is_local(name) or _in_hub_cache(name):
        # Torch takes seconds to import; other commands do not need it.
        from inspector_plugin.lm.loading import load_language_model

        logger.info("Reading the weights of %s, to bind the packs to them.", name)
        # The fingerprint is the same in every number format, and this one takes half the memory.
        model = load_language_model(name, dtype="bfloat16")
        sizes = {
            "layers": model.layers,
            "hidden_size": model.hidden_size,
            "attention_heads": model.attention_heads,
        }
        return {"name": name, "fingerprint": model.fingerprint, **sizes}
    return {"name": name, "fingerprint": None, **(_KNOWN.get(name.lower()) or _sizes(name))}


def is_local(name: str) -> bool:
    """Whether a name is not a hub id: an installed name, a folder or a file."""
    from inspector_plugin.lm.catalog import is_catalog_name

    path = expanded(name)
    named_as_path = path.is_absolute() or name.startswith((".", "~")) or path.suffix == ".gguf"
    return is_catalog_name(name) or named_as_path or path.is_dir()


def _in_hub_cache(name: str) -> bool:
    """Whether all of a hub model's weights have been downloaded."""
    if _cached(name, _CONFIG) is None:
        return False
    if _cached(name, _WEIGHTS) is not None:
        return True
    index = _cached(name, _INDEX)
    if index is None:
        return False
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    return all(_cached(name, shard) is not None for shard in shards)


def _cached(name: str, file: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, file)
    except HFValidationError as error:
        raise ModelError(f"{name!r} is neither a folder nor the id of a model: {error}") from error
    return Path(found) if isinstance(found, str) else None


def _sizes(name: str) -> dict[str, int]:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False).get_text_config()
        return {
            "layers": int(config.num_hidden_layers),
            "hidden_size": int(config.hidden_size),
            "attention_heads": int(config.num_attention_heads),
        }
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise ModelError(
            f"The sizes of {name!r} are not known ({type(error).__name__}: {first_line}); give a "
            "folder with the model as --model."
        ) from error
