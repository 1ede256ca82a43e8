"""Packs of tuned judges that were altered, or belong to another base: refused in one line."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from tiny_tuning import arguments, write_data, write_encoder

from inspector_plugin.cli.main import main
from inspector_plugin.errors import InspectorError, OptionError, PackError
from inspector_plugin.judges.packs import sha256_of
from inspector_plugin.plugins.registry import create_judge

Card = dict[str, Any]
HEADS, WEIGHTS = "models/shared/heads.safetensors", "models/shared/encoder.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("packs") / "base")


@pytest.fixture(scope="module")
def good(base: Path) -> Path:
    out = base.parent / "pack"
    data = write_data(base.parent, problems=12)
    command = arguments(*data, base, out, "--target", "binary", "--epochs", "1")
    assert main(command) == 0
    return out


@pytest.fixture
def pack(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path / "pack")
    return tmp_path / "pack"


def refusal(pack: Path, *options: str) -> str:
    with pytest.raises(InspectorError) as caught:
        create_judge(f"tuned:path={pack}" + "".join(f",{each}" for each in options))
    assert isinstance(caught.value, PackError)
    message = str(caught.value)
    assert "\n" not in message
    return message


def reseal(
    pack: Path,
    change_card: Callable[[Card], object] = lambda card: None,
    change_heads: Callable[[dict[str, torch.Tensor]], object] = lambda heads: None,
) -> None:
    """Change a pack and set all hashes right, as whoever means harm would."""
    card: Card = json.loads((pack / "card.json").read_text())
    heads = load_file(pack / HEADS)
    change_card(card)
    change_heads(heads)
    entry = card["models"][0]
    entry["files"]["encoder.safetensors"] = hashlib.sha256(
        (pack / WEIGHTS).read_bytes()
    ).hexdigest()
    del entry["files"]["heads.safetensors"]
    content = save(heads, metadata={"card_sha256": sha256_of(card)})
    (pack / HEADS).write_bytes(content)
    entry["files"]["heads.safetensors"] = hashlib.sha256(content).hexdigest()
    (pack / "card.json").write_text(json.dumps(card))


def test_a_pack_that_is_set_right_again_is_read(pack: Path) -> None:
    reseal(pack)
    create_judge(f"tuned:path={pack}").close()


def test_a_binary_pack_does_not_score_on_the_scale(pack: Path) -> None:
    with pytest.raises(OptionError, match="low from high quality only"):
        create_judge(f"tuned:path={pack},labels=multiclass")
    with pytest.raises(OptionError, match="tuned:path=PACK"):
        create_judge("tuned")


@pytest.mark.parametrize("file", [HEADS, WEIGHTS, "card.json"])
def test_what_was_altered_is_refused(pack: Path, file: str) -> None:
    content = bytearray((pack / file).read_bytes())
    if file == "card.json":
        content = bytearray(bytes(content).replace(b'"seed": 0', b'"seed": 1'))
    else:
        content[-1] ^= 1
    (pack / file).write_bytes(content)
    assert "altered" in refusal(pack) or "SHA-256 differs" in refusal(pack)


@pytest.mark.parametrize("file", [HEADS, WEIGHTS, "card.json"])
def test_what_is_missing_or_no_safetensors_is_refused(pack: Path, file: str) -> None:
    (pack / file).unlink()
    refusal(pack)

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("a pickle was loaded",))

    (pack / file).write_bytes(pickle.dumps(Harm()))
    refusal(pack)
    if file == WEIGHTS:
        reseal(pack)
        assert "does not fit" in refusal(pack)


def set_at(*path: Any, value: Any) -> Callable[[Card], None]:
    def change(card: Card) -> None:
        place: Any = card
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at("target", value="magic"), "target"),
        (set_at("labels", value="multiclass"), "does not give multiclass labels"),
        (set_at("max_tokens", value=0), "max_tokens"),
        (set_at("models", 0, "name", value="../../elsewhere"), "models"),
        (set_at("models", 0, "criteria", value=["tone", "other"]), "not those of its criteria"),
        (set_at("models", 0, "files", "../x", value="0"), "does not have the files"),
        (set_at("criteria", "tone", "fingerprint", value="0" * 16), "fingerprint"),
        (set_at("base", "hidden_size", value=16), "hidden_size"),
        (set_at("base", "type", value="roberta"), "type roberta"),
        (set_at("format_version", value=2), "upgrade"),
    ],
)
def test_a_card_that_says_something_else_is_refused(
    pack: Path, change: Callable[[Card], None], message: str
) -> None:
    card = json.loads((pack / "card.json").read_text())
    name = card["models"][0]["name"]
    reseal(pack, change)
    assert name == "shared"
    assert message in refusal(pack)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda heads: heads["0.linear.bias"].fill_(float("nan")), "not finite"),
        (lambda heads: heads.update({"0.linear.bias": torch.zeros(3)}), "does not fit"),
        (lambda heads: heads.pop("0.linear.bias"), "does not fit"),
        (lambda heads: heads.update({"9.extra": torch.zeros(3)}), "does not fit"),
    ],
)
def test_heads_that_do_not_fit_are_refused(
    pack: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    reseal(pack, change_heads=change)
    assert message in refusal(pack)


def test_weights_that_do_not_fit_are_refused(pack: Path) -> None:
    weights = load_file(pack / WEIGHTS)
    weights.popitem()
    save_file(weights, pack / WEIGHTS)
    reseal(pack)
    assert "does not fit the base model" in refusal(pack)


@pytest.mark.parametrize("version", [1, 4])
def test_a_pack_of_probes_is_called_one(tmp_path: Path, version: int) -> None:
    card = {"format_version": version, "language_model": {}, "criteria": {}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    message = refusal(tmp_path)
    assert f"{tmp_path} is a pack of probes, not of a tuned judge" in message
    assert "inspector:probes=FOLDER" in message


def test_another_base_is_refused(pack: Path, tmp_path: Path, tiny_lm: Path) -> None:
    wider = write_encoder(tmp_path / "wider", hidden_size=16)
    assert "hidden_size 32" in refusal(pack, f"base={wider}")
    other = write_encoder(tmp_path / "other", seed=1)
    assert "has weights" in refusal(pack, f"base={other}")
    with pytest.raises(InspectorError, match="of type 'llama'"):
        create_judge(f"tuned:path={pack},base={tiny_lm}")
