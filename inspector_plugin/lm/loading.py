"""Loading a frozen causal language model, once per process."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from inspector_plugin.errors import InspectorError, ModelError, OptionError
from inspector_plugin.folders import expanded
from inspector_plugin.lm.adapters import (
    Adapter,
    is_adapter,
    merge,
    merged_fingerprint,
    read_adapter,
)
from inspector_plugin.lm.catalog import installed_folder, is_catalog_name
from inspector_plugin.lm.number_format import DTYPES, chosen_dtype

_FINGERPRINT_VALUES = 4096
_MOST = {
    "num_hidden_layers": 1000,
    "hidden_size": 10**6,
    "num_attention_heads": 10**4,
    "vocab_size": 10**8,
}

_loaded: weakref.WeakValueDictionary[tuple[str, str, str], LanguageModel]
_offered: weakref.WeakValueDictionary[tuple[str, str, torch.dtype], Any]


@dataclass(eq=False)
class LanguageModel:
    """A causal language model in evaluation mode, with its tokenizer.

    Attributes:
        name: What the user called it: hub id, folder, GGUF file or installed name.
        model: The Hugging Face model, frozen.
        tokenizer: Its tokenizer.
        fingerprint: Hash of the weights (see `weight_fingerprint`).
        max_tokens: The most tokens that the model can read at once.
        device: Where it runs.
        dtype: The name of its number format, "float32" or "bfloat16".
    """

    name: str
    model: Any
    tokenizer: Any
    fingerprint: str
    max_tokens: int
    device: torch.device
    dtype: str

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        return int(self.model.config.get_text_config().num_hidden_layers)

    @property
    def hidden_size(self) -> int:
        """Width of a hidden state."""
        return int(self.model.config.get_text_config().hidden_size)

    @property
    def attention_heads(self) -> int:
        """Number of attention heads in a layer."""
        return int(self.model.config.get_text_config().num_attention_heads)

    def describe(self) -> dict[str, Any]:
        """Name, weights, number format and how text is read, for results and cache keys."""
        return {
            "model": self.name,
            "fingerprint": self.fingerprint,
            "dtype": self.dtype,
            "tokenizer": self.tokenizer_fingerprint,
        }

    @cached_property
    def tokenizer_fingerprint(self) -> str:
        """Hash of the tokenizer and its chat template, 16 hexadecimal digits."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        rules = self.tokenizer.get_vocab() if backend is None else backend.to_str()
        content = json.dumps([rules, self.tokenizer.chat_template], sort_keys=True)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]


_loaded = weakref.WeakValueDictionary()
_offered = weakref.WeakValueDictionary()


def load_language_model(
    name: str, device: str | None = None, dtype: str | None = None
) -> LanguageModel:
    """Load a language model, or return the one that this process already holds.

    Only safetensors and GGUF weights are read, and no code that comes with a model is run. An
    adapter is merged into its base model; see `lm.adapters`.

    Args:
        name: A name that `inspector models` installed, a folder (of a model or of a LoRA adapter),
            a GGUF file or a hub id.
        device: A torch device; CUDA where there is one if None.
        dtype: "float32", "bfloat16" or "auto"; see `lm.number_format`. float32 on a CPU and
            bfloat16 on CUDA if None.

    Raises:
        ModelError: If the model cannot be found or loaded, or is not a causal language model.
        OptionError: If the device or the dtype cannot be used.
    """
    target = resolve_device(device)
    dtype = chosen_dtype(dtype, target)
    key = (name, str(target), dtype)
    language_model = _loaded.get(key)
    if language_model is None:
        language_model = _load(name, target, dtype)
        _loaded[key] = language_model
    return language_model


def load_own_copy(name: str, device: str | None = None, dtype: str | None = None) -> LanguageModel:
    """Load a language model that the caller may change, as training does; nobody else gets it.

    Args:
        name: As for `load_language_model`, but no adapter.
        device: As there.
        dtype: As there.

    Raises:
        ModelError: If it cannot be loaded, or is an adapter.
        OptionError: If the device or the dtype cannot be used.
    """
    target = resolve_device(device)
    dtype = chosen_dtype(dtype, target)
    if is_adapter(Path(locate(name)[0])):
        raise ModelError(f"{name!r} is an adapter; give the language model that it belongs to.")
    return _load(name, target, dtype, own=True)


def offer_model(source: str, model: Any) -> None:
    """Let this process use a model that somebody else has loaded, in place of loading it again.

    Args:
        source: The folder or hub id that its weights came from, unaltered.
        model: The Hugging Face model, on one device and in one number format.
    """
    parameter = next(model.parameters())
    _offered[_place(source), str(parameter.device), parameter.dtype] = model


def weight_fingerprint(model: nn.Module) -> str:
    """Hash a model's weights, independent of the file they came from.

    Of every parameter, its name, its shape and some 4096 evenly spaced values (all, where there are
    fewer) go into a SHA-256.
    The values are rounded to bfloat16 first, so that a model loaded as float32 and as bfloat16 has
    the same fingerprint. This tells models and fine-tunings apart; it is no proof against somebody
    who alters single weights on purpose.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        values = parameter.detach().reshape(-1)
        stride = max(1, values.numel() // _FINGERPRINT_VALUES)
        sample = values[::stride].to(torch.bfloat16).view(torch.int16).cpu()
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()


def _load(name: str, device: torch.device, dtype: str, own: bool = False) -> LanguageModel:
    source, gguf = locate(name)
    adapter = None
    if gguf is None and is_adapter(Path(source)):
        adapter = read_adapter(Path(source))
        source, gguf = locate(adapter.base)
        if gguf is None and is_adapter(Path(source)):
            raise ModelError(f"Adapter {name!r}: its base model {adapter.base!r} is an adapter.")
    extra = {"gguf_file": gguf} if gguf else {}
    try:
        with no_progress_bar():
            return _read(name, source, extra, device, dtype, adapter, own)
    except InspectorError:
        raise
    # A configuration or a tokenizer that is damaged makes transformers raise anything at all.
    except Exception as error:
        raise ModelError(_cannot_load(name, error)) from error


def _read(
    name: str,
    source: str,
    extra: dict[str, str],
    device: torch.device,
    dtype: str,
    adapter: Adapter | None,
    own: bool,
) -> LanguageModel:
    require_ordinary_files(name, Path(source))
    config = AutoConfig.from_pretrained(source, trust_remote_code=False, **extra)
    _require_causal(config, name)
    require_sizes(config, name)
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **extra)
    # An adapter and training change the weights, so that they need a model of their own.
    is_shared = not extra and adapter is None and not own
    model: Any = _offered.get((_place(source), str(device), DTYPES[dtype])) if is_shared else None
    if model is None:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=DTYPES[dtype],
            use_safetensors=None if extra else True,
            trust_remote_code=False,
            output_loading_info=True,
            **extra,
        )
        model, found = loaded
        _require_all_weights(name, found)
        model.requires_grad_(False)
        model = model.eval().to(device)
    require_own_tokenizer(name, model, tokenizer)
    fingerprint = weight_fingerprint(model)
    if adapter is not None:
        fingerprint = merged_fingerprint(adapter, fingerprint)
        merge(adapter, model)
    return LanguageModel(
        name=name,
        model=model,
        tokenizer=tokenizer,
        fingerprint=fingerprint,
        max_tokens=_max_tokens(config, tokenizer),
        device=device,
        dtype=dtype,
    )


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Keep transformers' bar off the terminal: reading a local model takes seconds."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def locate(name: str) -> tuple[str, str | None]:
    """Find what transformers has to read for a name.

    Returns:
        The folder or hub id, and the name of the GGUF file in it if it is one.

    Raises:
        ModelError: If an installed name is not installed, or a path does not exist.
    """
    if is_catalog_name(name):
        return str(installed_folder(name)), None
    path = expanded(name)
    if path.suffix == ".gguf" and path.is_file():
        return str(path.parent), path.name
    if path.is_dir():
        return str(path), None
    if path.is_absolute() or name.startswith((".", "~")) or path.suffix == ".gguf":
        raise ModelError(f"Language model {name!r}: there is no such file or folder.")
    return name, None


def _place(source: str) -> str:
    """One spelling for a folder; a hub id as it is."""
    path = expanded(source)
    return str(path.resolve()) if path.is_dir() else source


def resolve_device(device: str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        target = torch.device(device)
    except RuntimeError as error:
        raise OptionError(f"Device {device!r} is unknown; use cpu, cuda or cuda:N.") from error
    if target.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"Device {device!r}: this machine offers no CUDA; use cpu.")
    try:
        torch.zeros(1, device=target).cpu()
    except (RuntimeError, NotImplementedError, AssertionError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise OptionError(
            f"Device {device!r} cannot be used ({reason}); use cpu, cuda or cuda:N."
        ) from error
    return target


def _require_causal(config: Any, name: str) -> None:
    encoder_only = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(
        config, "is_decoder", False
    )
    if encoder_only or getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"Language model {name!r} is of type {config.model_type!r}, not a causal decoder; "
            "choose a causal language model such as a Llama or Qwen."
        )


def require_ordinary_files(name: str, folder: Path) -> None:
    """Refuse a folder with a pipe in it, which would be waited for without end."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ModelError(f"Language model {name!r}: {path} is not an ordinary file.")


def require_sizes(config: Any, name: str) -> None:
    """Refuse sizes that no model has, before memory is asked for them."""
    text_config = config.get_text_config()
    for size in ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"):
        value = getattr(text_config, size, None)
        if type(value) is not int or not 1 <= value <= _MOST[size]:
            raise ModelError(
                f"Language model {name!r}: its configuration has {size}={value!r:.40}, not a whole "
                f"number from 1 to {_MOST[size]}."
            )


def _require_all_weights(name: str, found: Any) -> None:
    """Refuse a model that lacks weights, which would then be random, or brings others.

    Args:
        name: What the user called it.
        found: What transformers says of loading it; weights that are tied count as found.
    """
    for field, what in (
        ("missing_keys", "lacks weights"),
        ("unexpected_keys", "holds weights that its configuration has no place for"),
        ("mismatched_keys", "holds weights of other sizes than its configuration says"),
        ("error_msgs", "could not be read in full"),
    ):
        keys = sorted(map(str, found.get(field) or ()))
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise ModelError(
                f"Language model {name!r} {what}: {', '.join(keys[:3])}{more}; get it again, or "
                "repair its config.json."
            )


def require_own_tokenizer(name: str, model: Any, tokenizer: Any) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if tokenizer.vocab_size > rows:
        raise ModelError(
            f"Language model {name!r}: its tokenizer has {tokenizer.vocab_size} tokens and its "
            f"weights are for {rows}; it is the tokenizer of another model."
        )


def _max_tokens(config: Any, tokenizer: Any) -> int:
    text_config = config.get_text_config()
    limit = getattr(text_config, "max_position_embeddings", None)
    return int(limit) if limit else int(tokenizer.model_max_length)


def _cannot_load(name: str, error: Exception) -> str:
    first_line = str(error).strip().split("\n")[0][:300]
    return (
        f"Language model {name!r} cannot be loaded ({type(error).__name__}: {first_line}). Without "
        "a network, give a folder or GGUF file, or run: inspector models install "
        "smollm2-135m-instruct"
    )
