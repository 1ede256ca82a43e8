"""Turning a GGUF file into an ordinary Hugging Face folder in float32."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from inspector_plugin.errors import ModelError


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Read a GGUF file once and save model and tokenizer for quick loading.

    Args:
        gguf: The GGUF file.
        folder: The folder to write; it takes 4 bytes a parameter.

    Raises:
        ModelError: If the file cannot be read, or the disk has no room for the folder.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ModelError(f"Cannot read the GGUF file {gguf}: {error}") from error
    needed = sum(parameter.numel() * 4 for parameter in model.parameters())
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed * 1.1:
        raise ModelError(
            f"Cannot write {folder}: it needs {needed / 2**20:.0f} MiB and {free / 2**20:.0f} MiB "
            "are free; free some, or set INSPECTOR_CACHE_DIR to another disk."
        )
    # The weights are ordinary float32 by now; these marks of the GGUF reader refuse to be saved.
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
