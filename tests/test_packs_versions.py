"""Packs of format version 1 still load, those that ship among them; version 2 names criteria."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save
from tiny_probes import example_requests, write_pack

from inspector_plugin.errors import PackError
from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.inspector.packs import read_pack
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS
from inspector_plugin.testing import OTHER_CRITERIA

Card = dict[str, Any]


@pytest.fixture(scope="module")
def lm(tiny_lm: Path) -> LanguageModel:
    return load_language_model(str(tiny_lm))


def seal(folder: Path, card: Card) -> None:
    """Write a card with hashes that are right, whatever it says."""
    name = "criteria" if "criteria" in card else "aspects"
    head = {key: value for key, value in card.items() if key != name}
    for entry in card[name].values():
        file = folder / entry.pop("arrays")["file"]
        content = {"head": head, "entry": entry}
        sha256 = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        data = save(load_file(file), metadata={"card_sha256": sha256})
        file.write_bytes(data)
        entry["arrays"] = {"file": file.name, "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "card.json").write_text(json.dumps(card))


def read(folder: Path) -> Card:
    card: Card = json.loads((folder / "card.json").read_text())
    return card


def make_version_1(folder: Path) -> None:
    """Turn a pack into what version 0.1 wrote."""
    card = read(folder)
    entries = card.pop("criteria")
    for entry in entries.values():
        del entry["criterion"], entry["fingerprint"]
        entry["layout"].pop("question_form", None)
    seal(folder, {**card, "format_version": 1, "aspects": entries})


@pytest.mark.parametrize("dataset", ["gsm8k", "gpqa"])
def test_a_pack_of_version_1_is_that_of_version_2(
    tmp_path: Path, lm: LanguageModel, dataset: str
) -> None:
    judged = []
    for version in (1, 2):
        root = tmp_path / str(version)
        folder = write_pack(root, lm, "multiclass", dataset=dataset)
        if version == 1:
            make_version_1(folder)
        assert read(folder)["format_version"] == version
        judge = create_judge(f"inspector:probes={root},dataset={dataset}")
        judged.append(judge_all(judge, example_requests(4), progress=False))
    assert judged[0] == judged[1]
    old, new = (read_pack(next((tmp_path / v).glob("*/*/multiclass"))) for v in ("1", "2"))
    for key, probe in new.probes.items():
        assert old.probes[key].criterion == probe.criterion
        assert old.probes[key].layout == probe.layout
        assert old.probes[key].record == probe.record
        for ours, theirs in zip(old.probes[key].members, probe.members, strict=True):
            for name, array in theirs.classifier.arrays.items():
                np.testing.assert_array_equal(ours.classifier.arrays[name], array)
    form = old.probes["fluency"].layout.question_form
    assert form == ("gpqa" if dataset == "gpqa" else None)


def test_version_1_knew_the_built_in_criteria_only(tmp_path: Path, lm: LanguageModel) -> None:
    folder = write_pack(tmp_path, lm, "multiclass", criteria=OTHER_CRITERIA[:1])
    read_pack(folder)
    make_version_1(folder)
    with pytest.raises(PackError, match="Unknown built-in criterion 'care'"):
        read_pack(folder)


def change_criterion(entry: Card) -> None:
    entry["criterion"]["definition"] = "Something else."


def change_form(entry: Card) -> None:
    entry["layout"]["question_form"] = "riddle"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: entry.update(fingerprint="0" * 16), "does not have the fingerprint named"),
        (change_criterion, "does not have the fingerprint named"),
        (lambda entry: entry["criterion"].update(key="other"), "not have the fingerprint named"),
        (lambda entry: entry.pop("fingerprint"), "incomplete or altered"),
        (lambda entry: entry["criterion"].update(scale=[1, 3]), "incomplete or altered"),
        (change_form, "unknown question form 'riddle'"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused_though_its_hashes_are_right(
    tmp_path: Path, lm: LanguageModel, change: Callable[[Card], object], message: str
) -> None:
    folder = write_pack(tmp_path, lm, "multiclass", criteria=OTHER_CRITERIA[:1])
    card = read(folder)
    seal(folder, card)
    read_pack(folder)
    change(card["criteria"]["care"])
    seal(folder, card)
    with pytest.raises(PackError, match=message):
        read_pack(folder)


def test_an_entry_under_another_key_is_refused(tmp_path: Path, lm: LanguageModel) -> None:
    folder = write_pack(tmp_path, lm, "multiclass", criteria=OTHER_CRITERIA[:1])
    card = read(folder)
    card["criteria"]["caution"] = card["criteria"].pop("care")
    seal(folder, card)
    with pytest.raises(PackError, match="the criterion of 'caution' does not have"):
        read_pack(folder)


SHIPPED = sorted(p.parent for p in (shipped_folder("probes") / "fast").rglob("card.json"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: "-".join(folder.parts[-3:]))
def test_the_shipped_packs_are_for_the_built_in_criteria(folder: Path) -> None:
    assert read(folder)["format_version"] == 1
    pack = read_pack(folder)
    assert tuple(pack.probes) == ROSCOE_KEYS
    fingerprints = [probe.criterion.fingerprint for probe in pack.probes.values()]
    assert fingerprints == [criterion.fingerprint for criterion in ROSCOE]
    forms = {probe.layout.question_form for probe in pack.probes.values()}
    assert forms == ({"gpqa"} if pack.dataset == "gpqa" else {None})


def test_packs_ship() -> None:
    assert len(SHIPPED) >= 6
