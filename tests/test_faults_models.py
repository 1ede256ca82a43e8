"""Language models that are damaged or half installed, and templates that misbehave."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from inspector_plugin.cli.main import main
from inspector_plugin.errors import ModelError, OptionError
from inspector_plugin.judges.lager.prompts import make_prompt_form
from inspector_plugin.lm import catalog, templates
from inspector_plugin.lm.generation import encode_chat
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.templates import around_messages

USER = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def model(tiny_lm: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to be damaged."""
    return Path(shutil.copytree(tiny_lm, tmp_path / "model"))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})


def edit_json(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **changes}))


# --- folders that are not a whole model ----------------------------------------------------------

MLP = "model.layers.1.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop(MLP), f"lacks weights: {MLP}"),
        (lambda w: w.pop("lm_head.weight"), "lacks weights: lm_head.weight"),
        (lambda w: w.pop("model.norm.weight"), "lacks weights: model.norm.weight"),
        (lambda w: w.update(more=torch.ones(2)), "has no place for: more"),
        (lambda w: w.update({"model.layers.4.mlp.up_proj.weight": w[MLP] + 1}), "has no place for"),
        (lambda w: w.update({MLP: w[MLP][:5].clone()}), "cannot be loaded|other sizes"),
        (lambda w: w.clear(), "lacks weights"),
    ],
)
def test_weights_that_are_missing_or_left_over_are_refused(
    model: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    edit_weights(model, change)
    with pytest.raises(ModelError, match=message):
        load_language_model(str(model))


def test_a_model_whose_layers_are_more_than_its_weights_is_refused(model: Path) -> None:
    edit_json(model, "config.json", num_hidden_layers=5)
    with pytest.raises(ModelError, match=r"lacks weights: model.layers.4"):
        load_language_model(str(model))
    edit_json(model, "config.json", num_hidden_layers=3)
    with pytest.raises(ModelError, match="has no place for"):
        load_language_model(str(model))


def test_tied_weights_count_as_found(model: Path) -> None:
    edit_json(model, "config.json", tie_word_embeddings=True)
    edit_weights(model, lambda weights: weights.pop("lm_head.weight"))
    lm = load_language_model(str(model)).model
    assert torch.equal(lm.lm_head.weight, lm.model.embed_tokens.weight)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\x00" * 50, b"\xff" * 8, (10**9).to_bytes(8, "little") + b"{}"],
    ids=range(5),
)
def test_weights_that_cannot_be_read_are_one_line(model: Path, content: bytes) -> None:
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_language_model(str(model))


def test_truncated_weights_are_one_line(model: Path) -> None:
    content = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_language_model(str(model))


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 0},
        {"hidden_size": -32},
        {"hidden_size": "32"},
        {"hidden_size": 10**18},
        {"num_hidden_layers": 10**9},
        {"num_attention_heads": 0},
        {"num_attention_heads": 7},
        {"vocab_size": 10**12},
        {"vocab_size": 5},
        {"max_position_embeddings": "many"},
        {"model_type": "no-such-model"},
        {"model_type": 5},
        {"rope_parameters": {"rope_type": "no such rope"}},
        {"hidden_act": "no such function"},
        {"rms_norm_eps": "x"},
    ],
    ids=str,
)
def test_a_configuration_that_no_model_has_is_one_line(model: Path, changes: Any) -> None:
    edit_json(model, "config.json", **changes)
    with pytest.raises(ModelError) as caught:
        load_language_model(str(model))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, "5", "pipe"])
def test_files_that_are_no_model_are_one_line(model: Path, name: str, content: str) -> None:
    (model / name).unlink()
    if content == "pipe":
        os.mkfifo(model / name)
    else:
        (model / name).write_text(content)
    if name == "tokenizer_config.json" and content in ("[]", "5"):
        return  # transformers does without it
    with pytest.raises(ModelError) as caught:
        load_language_model(str(model))
    assert "\n" not in str(caught.value)


def test_the_tokenizer_of_another_model_is_refused(model: Path) -> None:
    def shrink(weights: dict[str, torch.Tensor]) -> None:
        for name in ("lm_head.weight", "model.embed_tokens.weight"):
            weights[name] = weights[name][:100].clone()

    edit_weights(model, shrink)
    edit_json(model, "config.json", vocab_size=100)
    with pytest.raises(ModelError, match="the tokenizer of another model"):
        load_language_model(str(model))


def test_a_device_without_data_is_refused(model: Path) -> None:
    for device in ("meta", "cpu:x", "cuda:99", "nonsense", ""):
        with pytest.raises(OptionError, match="Device"):
            load_language_model(str(model), device)


def test_lager_does_not_judge_by_random_weights(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_weights(model, lambda weights: weights.pop(MLP))
    (tmp_path / "in.jsonl").write_text('{"question": "q", "response": "r"}\n')
    spec = f"lager:model={model}"
    assert main(["score", str(tmp_path / "in.jsonl"), "--judge", spec, "--no-cache"]) == 1
    assert "lacks weights" in capsys.readouterr().err.splitlines()[-1]


# --- chat templates ------------------------------------------------------------------------------

ENDLESS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    "{{ messages[0].content }}"
)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('no\nsuch role') }}", "fails .*no such role"),
        ("{{ messages[5].content.x.y }}", "fails"),
        ("{{ 1 / 0 }}", "fails"),
        ("{% for x in %}", "fails"),
        ("{{ messages.__class__.__mro__ }}", "fails"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "fails"),
        ("Hello", "does not put message 1"),
        ("", "model has no template"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "does not put message 1"),
        ("{{ messages[0].content[:5] }}", "does not put message 1"),
        ("{{ messages[0].content | upper }}", "does not put message 1"),
        ("{{ 'x' * 2000000 }}{{ messages[0].content }}", "no prompt of a sensible length"),
    ],
)
def test_a_template_that_fails_or_drops_the_message_is_an_error(
    model: Path, template: str, message: str
) -> None:
    lm = load_language_model(str(model))
    lm.tokenizer.chat_template = template
    if not template:
        assert encode_chat(lm, USER)
        return
    with pytest.raises(ModelError, match=message):
        around_messages(lm, USER)
    with pytest.raises(ModelError, match=message):
        encode_chat(lm, USER)
    with pytest.raises(ModelError, match=message):
        make_prompt_form(lm, None, "Score:", reasoning=False)


def test_a_template_without_end_is_ended(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(templates, "SECONDS", 0.5)
    lm = load_language_model(str(model))
    lm.tokenizer.chat_template = ENDLESS
    started = time.monotonic()
    with pytest.raises(ModelError, match="has not ended after"):
        around_messages(lm, USER)
    assert time.monotonic() - started < 10
    deadline = time.monotonic() + 10
    while any(thread.name == "chat template" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "it goes on taking time"
        time.sleep(0.05)


def test_messages_out_of_order_are_an_error(model: Path) -> None:
    lm = load_language_model(str(model))
    lm.tokenizer.chat_template = "{{ messages[1].content }}{{ messages[0].content }}"
    with pytest.raises(ModelError, match="once and in its place"):
        around_messages(lm, [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])


def test_a_good_template_surrounds_the_messages(model: Path) -> None:
    lm = load_language_model(str(model))
    lm.tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "Message-0-Content"}]
    assert around_messages(lm, chat) == ["<system>", "\n<user>", "\n<assistant>"]


# --- installations that were killed --------------------------------------------------------------


def test_what_a_killed_installation_left_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", str(tmp_path))
    leftover = tmp_path / "models" / ".installing-abc" / "converted"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"x" * 1000)
    with catalog.locked(tmp_path / "models" / "smollm2-135m-instruct"):
        assert main(["models", "list"]) == 0
        assert leftover.exists(), "another process is installing"
    assert main(["models", "list"]) == 0
    assert [path.name for path in (tmp_path / "models").iterdir()] == []
