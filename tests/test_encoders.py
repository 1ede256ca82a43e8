"""Loading encoders, and laying out pairs: as the tokenizer itself does it, and safely."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from safetensors.torch import load_file, save_file
from tiny_tuning import write_encoder
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.encoders import load_encoder

QUESTION, RESPONSE = "how many melons ?", "then 3 * 4 = 12 . that is it ."


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random RoBERTa: no token types, two special tokens in the middle, positions from 2 on."""
    folder = tmp_path_factory.mktemp("roberta")
    words = ["how", "many", "melons", "?", "then", "is", "it", "."]
    names = ["<s>", "<pad>", "</s>", "<unk>", *words]
    inner = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="<unk>")
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(names),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=22,
        pad_token_id=1,
    )
    RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("which", ["tiny_encoder", "tiny_roberta"])
def test_a_pair_is_laid_out_as_the_tokenizer_does(
    which: str, request: pytest.FixtureRequest
) -> None:
    encoder = load_encoder(str(request.getfixturevalue(which)), "cpu")
    pair = encoder.encode_pair(QUESTION, RESPONSE)
    wanted = encoder.tokenizer(QUESTION, RESPONSE, return_token_type_ids=True)
    assert list(pair.token_ids) == wanted.input_ids
    assert list(pair.token_types) == wanted.token_type_ids
    assert pair.lengths == (wanted.sequence_ids(0).count(0), wanted.sequence_ids(0).count(1))
    assert not pair.truncated


def test_special_tokens_that_a_text_spells_out_are_ordinary_words(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder), "cpu")
    separator, pad = encoder.tokenizer.sep_token_id, encoder.tokenizer.pad_token_id
    pair = encoder.encode_pair("how [SEP] many", "[PAD] then [CLS]")
    assert pair.token_ids.count(separator) == 2
    assert pad not in pair.token_ids
    assert pair.token_ids.count(encoder.tokenizer.cls_token_id) == 1


def test_texts_that_are_too_long_lose_their_middle(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder), "cpu")
    response = "wrong " + "then " * 30 + "fine"
    pair = encoder.encode_pair("how many", response, max_tokens=15)
    assert (len(pair.token_ids), pair.lengths, pair.truncated) == (15, (2, 10), True)
    words = encoder.tokenizer.convert_ids_to_tokens(pair.token_ids)
    assert words[:5] == ["[CLS]", "how", "many", "[SEP]", "wrong"]
    assert words[-2:] == ["fine", "[SEP]"]
    with pytest.raises(ModelError, match="reads at most 4 tokens"):
        encoder.encode_pair("how", "many", max_tokens=4)


def test_positions_that_roberta_keeps_for_padding_hold_no_text(tiny_roberta: Path) -> None:
    encoder = load_encoder(str(tiny_roberta), "cpu")
    assert encoder.max_tokens == 20
    pair = encoder.encode_pair("how many " * 20, "is it " * 20)
    import torch

    found = encoder.model(input_ids=torch.tensor([pair.token_ids]))
    assert found.last_hidden_state.shape[1] == len(pair.token_ids) <= 20


def changed(folder: Path, out: Path, **config: Any) -> Path:
    out.mkdir()
    for path in folder.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    path = out / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return out


def test_what_is_no_encoder_is_refused(tiny_encoder: Path, tiny_lm: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"of type 'llama'.*--kind lora"):
        load_encoder(str(tiny_lm), "cpu")
    with pytest.raises(ModelError, match="with a decoder"):
        load_encoder(str(changed(tiny_encoder, tmp_path / "d", is_decoder=True)), "cpu")
    with pytest.raises(ModelError, match="lacks weights"):
        load_encoder(str(changed(tiny_encoder, tmp_path / "l", num_hidden_layers=3)), "cpu")
    with pytest.raises(ModelError, match="no such file or folder"):
        load_encoder(str(tmp_path / "none"), "cpu")


def test_weights_that_are_a_pickle_are_not_read(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = changed(tiny_encoder, tmp_path / "pickle")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_encoder(str(folder), "cpu")


def test_a_pooler_that_the_checkpoint_lacks_is_not_made_up(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = changed(tiny_encoder, tmp_path / "headless")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: each for name, each in weights.items() if "pooler" not in name},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    encoder = load_encoder(str(folder), "cpu")
    assert encoder.fingerprint == load_encoder(str(tiny_encoder), "cpu").fingerprint
    assert not any("pooler" in name for name, _ in encoder.model.named_parameters())
