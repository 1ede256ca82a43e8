"""Prompts that cannot be run, and batches that are too large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_prompt_local import chanting_model
from tiny_probes import write_pack

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm import batches
from inspector_plugin.lm.batches import Breaker, Fault, run_in_batches
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE

MARK = "~"
LAGER = "lager:model={model},answer_prefix=Score:,"
SPECS = [
    "inspector:probes={probes},model={model}",
    "inspector:probes={probes},model={model},batch_size=4",
    LAGER + "preset=paper",
    LAGER + "batch_size=4",
    LAGER + "reasoning=true,reasoning_tokens=4",
    "prompt:model={model}",
    "prompt:model={model},batch_size=4",
]


def requests(count: int, bad: int | None = None) -> list[JudgeRequest]:
    marked = {bad: MARK * 300}
    return [
        JudgeRequest(f"What is {n}?", marked.get(n, f"It is {n}."), ROSCOE[:1], "gsm8k")
        for n in range(count)
    ]


@pytest.fixture
def judge_of(tmp_path: Path, tiny_lm: Path) -> Callable[[str], tuple[Judge, Any]]:
    """Make a judge of a specification, and give the language model that it runs."""
    write_pack(tmp_path / "probes", load_language_model(str(tiny_lm)), "multiclass", layout="bare")
    talker = chanting_model(tmp_path / "talker", tiny_lm, "4", "5", context=4096)

    def make(spec: str) -> tuple[Judge, Any]:
        model = talker if spec.startswith("prompt") else tiny_lm
        judge = create_judge(spec.format(probes=tmp_path / "probes", model=model))
        return judge, load_language_model(str(model))

    return make


def break_on_mark(monkeypatch: pytest.MonkeyPatch, lm: Any, how: str, most: int = 100) -> None:
    """Let a model fail on a prompt full of a mark: for memory, or with NaN."""
    (mark,) = lm.tokenizer(MARK, add_special_tokens=False).input_ids
    embeddings = lm.model.get_input_embeddings()
    real = embeddings.forward

    def forward(ids: torch.Tensor) -> torch.Tensor:
        bad = (ids == mark).sum(dim=1) > most if most else ids.sum(dim=1) > 0
        if how == "memory" and bad.any():
            raise torch.OutOfMemoryError("CUDA out of memory")
        states: torch.Tensor = real(ids)
        return torch.where(bad[:, None, None], torch.nan, states)

    monkeypatch.setattr(embeddings, "forward", forward)


@pytest.mark.parametrize("how", ["memory", "not finite"])
@pytest.mark.parametrize("spec", SPECS)
def test_one_prompt_that_cannot_be_run_costs_that_row(
    spec: str,
    how: str,
    judge_of: Callable[[str], tuple[Judge, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge, lm = judge_of(spec)
    alone = judge_all(judge, requests(9), progress=False)
    batches._budgets.clear()
    break_on_mark(monkeypatch, lm, how)
    judged = judge_all(judge, requests(9, bad=4), progress=False)
    (score,) = judged[4].scores.values()
    generates = spec.startswith("prompt") or "reasoning" in spec
    what = "logits" if generates else "hidden states"
    wanted = "does not fit into the memory" if how == "memory" else f"{what} that are not finite"
    assert score.score is None
    assert score.reason is not None
    assert wanted in score.reason
    assert score.transient == (how == "memory")
    for place in set(range(9)) - {4}:
        (found,), (expected,) = judged[place].scores.values(), alone[place].scores.values()
        assert found.reason == expected.reason
        if expected.score is not None:
            assert found.score == pytest.approx(expected.score, abs=1e-3)


@pytest.mark.parametrize("spec", [SPECS[0], SPECS[2], SPECS[4], SPECS[5]])
def test_many_such_prompts_in_a_row_end_the_run(
    spec: str, judge_of: Callable[[str], tuple[Judge, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, lm = judge_of(spec)
    break_on_mark(monkeypatch, lm, "not finite", most=0)
    with pytest.raises(JudgeError, match="32 prompts in a row could not be run"):
        judge_all(judge, requests(99), progress=False)


def test_the_breaker_counts_what_is_in_a_row() -> None:
    breaker = Breaker(most=3)
    for fault in (Fault("x"), Fault("x"), None, Fault("x"), Fault("x")):
        breaker.note(fault)
    with pytest.raises(JudgeError, match="3 prompts in a row could not be run: y"):
        breaker.note(Fault("y"))


def test_a_batch_size_that_is_too_large_is_halved(tiny_lm: Path) -> None:
    tried = []

    def run(batch: list[int]) -> list[int]:
        tried.append(len(batch))
        if len(batch) > 2:
            raise MemoryError
        return batch

    lm = load_language_model(str(tiny_lm))
    ran = [batch for batch, _ in run_in_batches(lm, [1] * 9, 8, run)]
    assert sorted(index for batch in ran for index in batch) == list(range(9))
    assert tried == [8, 4, 2, 2, 2, 2, 1]
