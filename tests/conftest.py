"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from task_data import GPQA, GSM8K, MATH, write_rows

from inspector_plugin.cli.main import make_parser
from inspector_plugin.harness.shared import close_judges
from inspector_plugin.judging import cache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.plugins import registry as plugins
from inspector_plugin.plugins.options import Backend, Option
from inspector_plugin.plugins.registry import JudgeRegistry

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may need the hub
os.environ["TOKENIZERS_PARALLELISM"] = "false"

pytest_plugins = ["endpoint_judges"]

UseJudges = Callable[..., JudgeRegistry]
TOKENIZER_TEXT = (
    "Question: A shelf holds 4 rows of 9 jars. Seven jars are sold. How many are left?\n"
    "Answer: There are 4 * 9 = 36 jars at first, and 36 - 7 = 29 are left.\n#### 29\n"
    "Problem: Solve $x^2 = 16$ for $x > 0$. Put the final answer in \\boxed{}. 0123456789"
)


@pytest.fixture(autouse=True)
def _own_judge_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> Iterator[None]:
    """Keep judgements of one test out of the next, and out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(cache, "cache_folder", lambda: folder)
    close_judges()
    yield
    close_judges()


@pytest.fixture
def use_judges(monkeypatch: pytest.MonkeyPatch) -> UseJudges:
    """Make judges known by name for one test: `use_judges(name=factory, ...)`.

    A factory takes the keyword `labels`; `create_judge` calls it as it calls any other.
    """
    # A command that is imported while this holds would keep it for all tests after.
    make_parser()

    def use(**factories: Callable[[str], Judge]) -> JudgeRegistry:
        registry = JudgeRegistry()
        labels = Option("labels", "", default="multiclass", choices=("multiclass", "binary"))
        for name, factory in factories.items():
            registry.add(Backend(name, "for a test", factory, (labels,)), "test", "0")
        monkeypatch.setattr(plugins, "make_registry", lambda: registry)
        return registry

    return use


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random Llama (4 layers, width 32) with its own tokeniser."""
    import tokenizers
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_lm")
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([TOKENIZER_TEXT], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder in the layout of the data, with a few rows of our own."""
    folder = tmp_path / "data"
    for name in ("gsm8k", "math", "gpqa"):
        (folder / name).mkdir(parents=True)
    for split in ("train", "test"):
        write_rows(folder / f"gsm8k/{split}.jsonl", GSM8K)
        write_rows(folder / f"math/{split}.jsonl.gz", MATH)
    write_rows(folder / "gpqa/gpqa_main.jsonl.gz", GPQA)
    return folder
