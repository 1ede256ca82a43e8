"""Probe packs on disk: what was written is read, and what was altered is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_probes import make_probe, write_pack

from inspector_plugin.errors import PackError
from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.inspector.card_format import check_card
from inspector_plugin.judges.inspector.layout import LAYOUTS, PromptLayout, layout_for
from inspector_plugin.judges.inspector.pack_folders import model_folder
from inspector_plugin.judges.inspector.packs import (
    finished_criteria,
    label_scale,
    read_card,
    read_pack,
    write_probe,
    write_transfer,
)
from inspector_plugin.judges.inspector.plan import TrainingPlan
from inspector_plugin.judges.inspector.training import card_head
from inspector_plugin.judges.packs import CARD
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.lm.tokens import ALL
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS

FLUENCY = ROSCOE[ROSCOE_KEYS.index("fluency")]


@pytest.fixture(scope="module")
def lm(tiny_lm: Path) -> LanguageModel:
    return load_language_model(str(tiny_lm))


@pytest.fixture
def folder(tmp_path: Path, lm: LanguageModel) -> Path:
    return write_pack(tmp_path, lm, "multiclass")


def test_a_probe_is_read_as_it_was_written(tmp_path: Path, lm: LanguageModel) -> None:
    plan = TrainingPlan("gsm8k", "binary")
    probe = make_probe(lm, FLUENCY, plan, seed=1)
    write_probe(tmp_path, card_head(lm, plan, "0" * 64), probe)
    pack = read_pack(tmp_path)
    assert pack.labels == "binary"
    assert pack.language_model["fingerprint"] == lm.fingerprint
    read = pack.probes["fluency"]
    assert label_scale(read.criterion, pack.labels).labels == (0, 1)
    assert read.criterion == probe.criterion
    assert read.layout == probe.layout
    assert read.record == probe.record
    for ours, theirs in zip(probe.members, read.members, strict=True):
        assert ours.representation == theirs.representation
        assert ours.classifier.arrays.keys() == theirs.classifier.arrays.keys()
        for name, array in ours.classifier.arrays.items():
            np.testing.assert_array_equal(array, theirs.classifier.arrays[name])


def test_the_card_says_what_a_reader_needs(folder: Path, lm: LanguageModel) -> None:
    card = read_card(folder)
    assert card["format_version"] == 2
    assert card["language_model"]["fingerprint"] == lm.fingerprint
    assert card["training"].keys() >= {"data_sha256", "seed", "versions", "layout"}
    assert list(card["criteria"]) == list(ROSCOE_KEYS)
    entry = card["criteria"]["fluency"]
    assert entry["criterion"] == FLUENCY.to_json()
    assert entry["fingerprint"] == FLUENCY.fingerprint
    assert entry["members"][0] == {"layer": 1, "span": "response", "pooling": "concat"}
    assert {"field": "response"} in entry["layout"]["parts"]


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(json.dumps(card))


def member(card: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = card["criteria"]["fluency"]["members"][0]
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: member(card).update(layer=2), "was altered"),
        (lambda card: card.update(dataset="other"), "was altered"),
        (lambda card: card["language_model"].update(fingerprint="0"), "was altered"),
        (lambda card: card.update(format_version=5), "upgrade inspector_plugin"),
        (lambda card: card.pop("format_version"), "no format_version"),
        (lambda card: card.pop("labels"), "incomplete or altered"),
        (lambda card: card["criteria"]["fluency"].pop("members"), "altered"),
        (lambda card: card["criteria"]["fluency"]["arrays"].update(sha256="0"), "SHA-256 differs"),
        (lambda card: card["criteria"]["fluency"]["arrays"].update(file="x"), "Cannot read"),
    ],
)
def test_an_altered_card_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    read_pack(folder)
    edit_card(folder, change)
    with pytest.raises(PackError, match=message):
        read_pack(folder)


@pytest.mark.parametrize("packs", ["", "fast"])
@pytest.mark.parametrize("field", ["transferred", "scored"])
def test_probes_lead_to_no_other_pack_and_name_plain_data_sets(packs: str, field: str) -> None:
    card = read_card(shipped_folder("probes") / packs / "smollm2-135m-instruct/gsm8k/binary")
    check_card(card)
    for value in ("\x1b[31m", True, 3):
        with pytest.raises(ValueError, match=field):
            check_card({**card, field: value})


def test_altered_arrays_are_refused(folder: Path) -> None:
    path = folder / "fluency.safetensors"
    arrays = load_file(path)
    arrays["0.bias"] += 1
    save_file(arrays, path)
    with pytest.raises(PackError, match="SHA-256 differs"):
        read_pack(folder)


@pytest.mark.parametrize("content", [b"", b"not a card", b"[1]", b"\xff\xfe"])
def test_what_is_no_card_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CARD).write_bytes(content)
    with pytest.raises(PackError, match=CARD):
        read_pack(tmp_path)


def test_a_folder_without_a_pack_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no probe pack in"):
        read_pack(tmp_path)


def test_the_hash_tells_packs_apart(tmp_path: Path, lm: LanguageModel) -> None:
    plan = TrainingPlan("gsm8k", "binary")
    hashes = set()
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        write_probe(folder, card_head(lm, plan, "0" * 64), make_probe(lm, FLUENCY, plan, seed))
        hashes.add(read_pack(folder).sha256)
    assert len(hashes) == 2


def test_a_layout_holds_nothing_but_texts_and_fields() -> None:
    with pytest.raises(PackError, match="unknown part"):
        PromptLayout.from_json({"name": "x", "parts": [{"field": "__class__"}]})


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_goes_through_a_card_unchanged(name: str) -> None:
    for criterion, dataset in product(ROSCOE, ("gsm8k", "gpqa")):
        layout = layout_for(name, criterion, dataset)
        assert PromptLayout.from_json(json.loads(json.dumps(layout.to_json()))) == layout
        assert set(layout.screened_spans) <= {ALL, *layout.spans}
        assert layout.shared == layout_for(name, ROSCOE[0], dataset).shared or name == "published"


def test_a_run_resumes_only_in_its_own_folder(tmp_path: Path, lm: LanguageModel) -> None:
    plan = TrainingPlan("gsm8k", "binary")
    head = card_head(lm, plan, "0" * 64)
    assert finished_criteria(tmp_path, head) == {}
    write_probe(tmp_path, head, make_probe(lm, FLUENCY, plan, seed=1))
    assert finished_criteria(tmp_path, head) == {"fluency": FLUENCY.fingerprint}
    with pytest.raises(PackError, match="another training run"):
        finished_criteria(tmp_path, card_head(lm, plan, "1" * 64))


def test_a_transferred_pack_says_so_and_leads_to_its_source(folder: Path) -> None:
    math = folder.parent.parent / "math" / "multiclass"
    write_transfer(math, "math", folder)
    card = read_card(math)
    assert card["transferred"] is True
    assert card["transferred_from"] == "gsm8k"
    pack = read_pack(math)
    assert (pack.dataset, pack.transferred_to) == ("gsm8k", "math")
    assert set(pack.probes) == set(ROSCOE_KEYS)


def test_finding_the_folder_of_a_language_model(tmp_path: Path, lm: LanguageModel) -> None:
    with pytest.raises(PackError, match="no folder of probe packs"):
        model_folder(tmp_path / "nothing", None)
    with pytest.raises(PackError, match="no language model"):
        model_folder(tmp_path, None)
    only = write_pack(tmp_path, lm, "binary").parent.parent
    assert model_folder(tmp_path, None) == only
    assert model_folder(only, None) == only
    (tmp_path / "other" / "gsm8k" / "binary").mkdir(parents=True)
    (tmp_path / "other" / "gsm8k" / "binary" / CARD).touch()
    with pytest.raises(PackError, match="name one with model="):
        model_folder(tmp_path, None)
    assert model_folder(tmp_path, lm.name) == only
