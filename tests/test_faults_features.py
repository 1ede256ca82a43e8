"""Features on disk that are damaged, or written by two at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from inspector_plugin.lm.feature_store import FeatureStore
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.plan import Feature, ForwardPlan
from inspector_plugin.lm.tokens import ALL, Encoding

FEATURE = Feature(1, ALL, "mean")


def damage_file(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if how == "pipe":
        os.mkfifo(path)
    elif how == "loop":
        path.symlink_to(path)
    elif how == "not finite":
        values = load_file_numpy(content)
        save_file({"features": torch.full(values, torch.nan)}, path)
    elif how == "other width":
        save_file({"features": torch.ones(7)}, path)
    elif how == "other name":
        save_file({"others": torch.ones(32)}, path)
    elif how == "other type":
        save_file({"features": torch.ones(32, dtype=torch.bfloat16)}, path)
    else:
        path.write_bytes({"empty": b"", "cut": content[:-9], "garbage": b"\xff" * 200}[how])


def load_file_numpy(content: bytes) -> tuple[int, ...]:
    from safetensors.numpy import load

    shape: tuple[int, ...] = load(content)["features"].shape
    return shape


@pytest.mark.parametrize(
    "how",
    [
        "pipe",
        "loop",
        "not finite",
        "other width",
        "other name",
        "other type",
        "empty",
        "cut",
        "garbage",
    ],
)
def test_a_damaged_feature_file_is_computed_again(how: str, tiny_lm: Path, tmp_path: Path) -> None:
    lm, store = load_language_model(str(tiny_lm)), FeatureStore(tmp_path)
    encodings = [Encoding((3, 4, 5 + n), {ALL: (0, 3)}, False) for n in range(3)]
    paths = store.extract(lm, encodings, ForwardPlan((FEATURE,)))
    before = [path.read_bytes() for path in paths]
    damage_file(paths[1], how)
    assert store.extract(lm, encodings, ForwardPlan((FEATURE,))) == paths
    assert [path.read_bytes() for path in paths] == before
    assert not list(tmp_path.rglob("*.part"))


def test_two_writers_of_one_feature_file_share_no_scratch_file(
    tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writes the file while the first has written its own part of it."""
    lm, encoding = load_language_model(str(tiny_lm)), Encoding((3, 4, 5), {ALL: (0, 3)}, False)
    plan, real, entered = ForwardPlan((FEATURE,)), Path.replace, []

    def replace(self: Path, target: Any) -> Any:
        if not entered:
            entered.append(self)
            FeatureStore(tmp_path).extract(lm, [encoding], plan)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    (path,) = FeatureStore(tmp_path).extract(lm, [encoding], plan)
    assert entered
    assert load_file(path)["features"].shape == (1, 32) or load_file(path)["features"].numel() == 32
