"""The number format of language models, where it is left to us."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inspector_plugin.errors import OptionError
from inspector_plugin.lm import number_format
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.number_format import chosen_dtype, has_fast_bfloat16

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
AVX2 = "processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f avx512bw\nbugs\t: avx512_bf16\n"
BF16 = "processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f avx512_bf16\n"
AMX = "processor\t: 0\nflags\t\t: fpu avx2 amx_bf16 amx_tile\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


@pytest.mark.parametrize(
    ("text", "fast"),
    [(BF16, True), (AMX, True), (BF16 + AMX, True), (AVX2, False), (BF16 + AVX2, False),
     (ARM, False), ("", False)],
)  # fmt: skip
def test_the_flags_of_all_processors_decide(text: str, fast: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_fast_bfloat16(tmp_path / "cpuinfo") is fast


def test_without_a_list_of_flags_the_answer_is_no(tmp_path: Path) -> None:
    assert has_fast_bfloat16(tmp_path / "none") is False


@pytest.mark.parametrize("fast", [True, False])
def test_auto(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_format, "has_fast_bfloat16", lambda: fast)
    assert chosen_dtype("auto", CPU) == ("bfloat16" if fast else "float32")
    assert chosen_dtype("auto", CUDA) == "bfloat16"
    assert chosen_dtype(None, CPU) == "float32"
    assert chosen_dtype(None, CUDA) == "bfloat16"
    assert chosen_dtype("float32", CUDA) == "float32"


def test_auto_and_what_it_stands_for_share_one_model(
    tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(number_format, "has_fast_bfloat16", lambda: True)
    chosen = load_language_model(str(tiny_lm), "cpu", "auto")
    assert chosen.dtype == "bfloat16"  # which stands in results and cache keys
    assert chosen is load_language_model(str(tiny_lm), "cpu", "bfloat16")
    assert chosen.model.dtype == torch.bfloat16


def test_another_value_is_refused() -> None:
    with pytest.raises(OptionError, match="auto, bfloat16, float32"):
        chosen_dtype("float16", CPU)
