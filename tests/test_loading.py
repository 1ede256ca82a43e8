"""Loading language models: what is accepted, what is refused, and how it is told apart."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, LlamaForCausalLM

from inspector_plugin.errors import ModelError, OptionError
from inspector_plugin.lm.loading import load_language_model, weight_fingerprint


def test_a_model_is_loaded_once_while_somebody_holds_it(tiny_lm: Path) -> None:
    first = load_language_model(str(tiny_lm))
    assert load_language_model(str(tiny_lm)) is first
    assert load_language_model(str(tiny_lm), dtype="bfloat16") is not first
    del first
    gc.collect()


def test_what_a_model_says_of_itself(tiny_lm: Path) -> None:
    lm = load_language_model(str(tiny_lm), device="cpu")
    assert (lm.layers, lm.hidden_size, lm.max_tokens, lm.dtype) == (4, 32, 1024, "float32")
    assert not any(parameter.requires_grad for parameter in lm.model.parameters())
    assert not lm.model.training
    assert lm.describe()["fingerprint"] == lm.fingerprint


def test_the_fingerprint_tells_weights_apart_but_not_number_formats(tiny_lm: Path) -> None:
    whole = load_language_model(str(tiny_lm))
    half = load_language_model(str(tiny_lm), dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    assert half.fingerprint == whole.fingerprint
    other = LlamaForCausalLM(whole.model.config)
    assert weight_fingerprint(other) != whole.fingerprint


def test_an_encoder_is_refused(tmp_path: Path, tiny_lm: Path) -> None:
    config = BertConfig(
        vocab_size=320,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="'bert', not a causal decoder"):
        load_language_model(str(tmp_path))


def test_pickled_weights_are_refused(tmp_path: Path, tiny_lm: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_lm, folder)
    (folder / "model.safetensors").unlink()
    model = load_language_model(str(tiny_lm)).model
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_language_model(str(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./not-there", "no such file or folder"),
        ("/not/there.gguf", "no such file or folder"),
        ("nobody/no-such-model", "Without a network, give a folder or GGUF file"),
        ("smollm2-135m-instruct", "not installed; run: inspector models install"),
    ],
)
def test_a_model_that_is_not_there_is_one_line(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", str(tmp_path))
    with pytest.raises(ModelError, match=message) as caught:
        load_language_model(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu9"}, "Device 'tpu9' is unknown"),
        ({"dtype": "float8"}, "Unknown dtype 'float8'"),
    ],
)
def test_unusable_options(options: dict[str, str], message: str, tiny_lm: Path) -> None:
    with pytest.raises(OptionError, match=message):
        load_language_model(str(tiny_lm), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="checks the refusal where there is no CUDA")
def test_cuda_is_refused_where_there_is_none(tiny_lm: Path) -> None:
    with pytest.raises(OptionError, match="no CUDA"):
        load_language_model(str(tiny_lm), device="cuda")
