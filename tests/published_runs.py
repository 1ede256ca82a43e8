"""Imports of classifiers in the published form, and a tiny language model that they are for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from inspector_plugin.cli.main import main

TEMPLATE = "Problem: {question}\nResponse: {response}\nRate its {{fluency}} from 1 to 5. Score: "


def quiet(answer: Any, features: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return answer(features)


def write_qwen(folder: Path, tiny_lm: Path) -> Path:
    """Write a random Qwen3 of 4 layers, with the tokenizer of the tiny Llama, to a folder."""
    AutoTokenizer.from_pretrained(tiny_lm).save_pretrained(folder)
    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1024,
    )
    Qwen3ForCausalLM(config).eval().save_pretrained(folder)
    return folder


def run_import(folder: Path, model: Path | str, out: Path, template: str = TEMPLATE) -> int:
    file = out.parent / "prompt.txt"
    file.write_bytes(template.encode())
    command = ["probes", "import", str(folder), "--model", str(model), "--out", str(out)]
    return main([*command, "--template", str(file)])
