"""Training and reading LoRA adapters, on a tiny random model; PEFT is what merging is held to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_tuning import without_padding_token

pytest.importorskip("trl", reason="needs inspector_plugin[tune]")
pytest.importorskip("peft", reason="needs inspector_plugin[tune]")

from inspector_plugin.errors import ModelError, OptionError
from inspector_plugin.lm import lora
from inspector_plugin.lm.adapters import CARD, CONFIG, WEIGHTS
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.lora import (
    encode_completion,
    encode_prompt,
    train_preference,
    train_supervised,
)
from inspector_plugin.lm.lora_plan import Example, LoraSettings, Preference

SETTINGS = LoraSettings(rank=4, alpha=8, epochs=4, learning_rate=1e-2, batch_size=4, at_once=2)
CHOSEN, REJECTED = "29 are left.", "Seven jars."


def examples(folder: Path) -> list[Example]:
    language_model = load_language_model(str(folder))
    completion = encode_completion(language_model, CHOSEN)
    chats = [[{"role": "user", "content": f"Question {number}"}] for number in range(6)]
    return [Example(encode_prompt(language_model, chat), completion) for chat in chats]


def likelihood(name: str, example: Example, completion: tuple[int, ...]) -> float:
    """The log-probability of a completion after a prompt."""
    model = load_language_model(name).model
    ids = torch.tensor([[*example.prompt, *completion]])
    with torch.inference_mode():
        logprobs = torch.log_softmax(model(ids).logits[0, :-1], dim=-1)
    places = range(len(example.prompt) - 1, ids.shape[1] - 1)
    return sum(float(logprobs[place, ids[0, place + 1]]) for place in places)


@pytest.fixture(scope="module")
def supervised(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters") / "supervised"
    training = train_supervised(str(tiny_lm), examples(tiny_lm), folder, SETTINGS)
    assert training.examples == 6
    assert training.losses[-1] < training.losses[0]
    return folder


def test_supervised_training_makes_the_completion_likelier(tiny_lm: Path, supervised: Path) -> None:
    first = examples(tiny_lm)[0]
    before = likelihood(str(tiny_lm), first, first.completion)
    assert likelihood(str(supervised), first, first.completion) > before + 1


def test_the_loss_is_that_of_the_completion_alone(tiny_lm: Path, tmp_path: Path) -> None:
    first = examples(tiny_lm)[0]
    once = LoraSettings(rank=2, batch_size=1)
    training = train_supervised(str(tiny_lm), [first], tmp_path / "one", once)
    expected = -likelihood(str(tiny_lm), first, first.completion) / len(first.completion)
    assert training.losses == (pytest.approx(expected, abs=1e-4),)


def test_a_base_without_a_padding_token_trains_the_same(tiny_lm: Path, tmp_path: Path) -> None:
    bare = without_padding_token(tiny_lm, tmp_path / "bare")
    # Of different lengths, so that there is something to pad.
    some = [replace(each, prompt=each.prompt[n:]) for n, each in enumerate(examples(tiny_lm))]
    pairs = [Preference(each.prompt, each.completion, each.completion[1:]) for each in some]
    losses = [
        train_supervised(str(base), some, tmp_path / "supervised", SETTINGS).losses
        + train_preference(str(base), pairs, tmp_path / "preference", SETTINGS).losses
        for base in (tiny_lm, bare)
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


def test_the_same_seed_gives_the_same_adapter(
    tiny_lm: Path, tmp_path: Path, supervised: Path
) -> None:
    again = tmp_path / "again"
    train_supervised(str(tiny_lm), examples(tiny_lm), again, SETTINGS)
    assert (again / WEIGHTS).read_bytes() == (supervised / WEIGHTS).read_bytes()


def test_preference_training_goes_on_from_an_adapter_and_widens_the_gap(
    tiny_lm: Path, tmp_path: Path, supervised: Path
) -> None:
    rejected = encode_completion(load_language_model(str(tiny_lm)), REJECTED)
    pairs = [Preference(each.prompt, each.completion, rejected) for each in examples(tiny_lm)]
    out = tmp_path / "preference"
    training = train_preference(str(tiny_lm), pairs, out, SETTINGS, start=supervised)
    # DPO begins at log 2, where the model is its own reference: the adapter that it starts from.
    assert training.losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert training.losses[-1] < 0.6
    assert training.accuracies[-1] == 1.0

    def gap(name: Path) -> float:
        first = examples(tiny_lm)[0]
        return likelihood(str(name), first, first.completion) - likelihood(
            str(name), first, rejected
        )

    assert gap(out) > gap(supervised) + 0.5


def test_what_is_written_is_safetensors_and_json_and_names_the_base(
    tiny_lm: Path, supervised: Path
) -> None:
    assert sorted(path.name for path in supervised.iterdir()) == [CONFIG, WEIGHTS, CARD]
    config = json.loads((supervised / CONFIG).read_text())
    assert config["base_model_name_or_path"] == str(tiny_lm)
    card = json.loads((supervised / CARD).read_text())
    assert card["base_fingerprint"] == load_language_model(str(tiny_lm)).fingerprint


def test_merging_is_pefts(tiny_lm: Path, supervised: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    theirs: Any = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_lm), supervised
    )
    ids = torch.tensor([list(examples(tiny_lm)[0].prompt)])
    with torch.inference_mode():
        ours = load_language_model(str(supervised)).model(ids).logits
        wanted = theirs(ids).logits
        base = load_language_model(str(tiny_lm)).model(ids).logits
    assert torch.allclose(ours, wanted, atol=1e-5)
    assert not torch.allclose(ours, base, atol=1e-2)


def test_an_adapter_has_a_fingerprint_of_its_own_and_leaves_the_base_alone(
    tiny_lm: Path, supervised: Path
) -> None:
    base = load_language_model(str(tiny_lm))
    before = {name: each.clone() for name, each in base.model.named_parameters()}
    adapted = load_language_model(str(supervised))
    assert adapted.fingerprint != base.fingerprint
    assert all(torch.equal(each, before[name]) for name, each in base.model.named_parameters())


def changed(config: dict[str, Any]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / CONFIG
        path.write_text(json.dumps(json.loads(path.read_text()) | config))

    return change


def other_card(folder: Path) -> None:
    (folder / CARD).write_text(json.dumps({"base_fingerprint": "0" * 64}))


def no_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed({"use_dora": True}), "use_dora is not plain LoRA"),
        (changed({"peft_type": "IA3"}), "'IA3' is not plain LoRA"),
        (changed({"bias": "all"}), "bias is not plain LoRA"),
        (changed({"r": 0}), "r is 0"),
        (changed({"r": 8}), "do not fit rank 8"),
        (changed({"lora_alpha": "x"}), "not a number"),
        (changed({"base_model_name_or_path": None}), "does not name the base model"),
        (other_card, "made for other weights"),
        (no_weights, "cannot read adapter_model.safetensors"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_refused(
    supervised: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(supervised, folder)
    change(folder)
    with pytest.raises(ModelError, match=message):
        load_language_model(str(folder))


def test_special_tokens_that_a_text_spells_out_are_ordinary_characters(tiny_lm: Path) -> None:
    language_model = load_language_model(str(tiny_lm))
    end = language_model.tokenizer.eos_token_id
    ids = encode_completion(language_model, "a </s> b")
    assert ids[-1] == end
    assert end not in ids[:-1]


def test_what_cannot_be_trained_is_refused(tiny_lm: Path, tmp_path: Path, supervised: Path) -> None:
    long = Example((5,) * 10_000, (6,))
    with pytest.raises(ModelError, match="an example has 10001 tokens"):
        train_supervised(str(tiny_lm), [long], tmp_path / "out", SETTINGS)
    with pytest.raises(ModelError, match="is an adapter"):
        train_supervised(str(supervised), [Example((5,), (6,))], tmp_path / "out", SETTINGS)
    with pytest.raises(OptionError, match="rank must be at least 1"):
        LoraSettings(rank=0)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(OptionError, match=r"pip install 'inspector_plugin\[tune\]'"):
        lora.require_trainers()
