"""Rubrics on local language models: the probability of yes, against plain transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_probes import write_pack
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from inspector_plugin.judges.lager import items as lager_items
from inspector_plugin.judges.prompt import items as prompt_items
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm import branch_logits
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import ROSCOE, Criterion, JudgeRequest, RubricItem
from inspector_plugin.testing import check_judge

ITEMS = (
    RubricItem("shown", "The steps </s> are shown.", weight=2),
    RubricItem("tone", "The tone is warm.", "principle", anchors={1: "cold", 5: "warm"}),
    RubricItem("slip", "A sum is wrong.", "pitfall"),
)
RUBRIC = Criterion("rubric", items=ITEMS)
REQUESTS = [
    JudgeRequest("How many jars are left?", "36 - 7 = 29", (RUBRIC,)),
    JudgeRequest("How many?", "7 rows", (Criterion("rubric", "", "On jars.", items=ITEMS[::2]),)),
]
TEMPLATE = (
    "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)


@pytest.fixture(scope="module", params=[None, TEMPLATE], ids=["plain", "chat"])
def wordy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_lm: Path
) -> Path:
    """A random model for which yes, no and the ratings are single tokens."""
    folder = tmp_path_factory.mktemp("wordy")
    tokenizer = AutoTokenizer.from_pretrained(tiny_lm)
    tokenizer.add_tokens([" yes", " no", *(f" {rating}" for rating in range(1, 6))])
    tokenizer.chat_template = request.param
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096,
            initializer_range=0.3,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def judge(wordy: Path) -> Iterator[Judge]:
    with create_judge(f"prompt:model={wordy},device=cpu,dtype=float32") as made:
        yield made


class Plain:
    """The model in plain transformers: each item read by itself, in full."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.chat = bool(self.tokenizer.chat_template)

    def ids(self, text: str, trusted: bool) -> list[int]:
        given = self.tokenizer(text, add_special_tokens=False, split_special_tokens=not trusted)
        return list(given.input_ids)

    def value(self, token_ids: list[int], item: RubricItem, layers: bool = False) -> float:
        words = [" yes", " no"] if item.anchors is None else [f" {n}" for n in range(1, 6)]
        ids = self.tokenizer.convert_tokens_to_ids(words)
        with torch.no_grad():
            out = self.model(torch.tensor([token_ids]), output_hidden_states=True)
            logits = out.logits[0, -1, ids]
            if layers:  # LAGER: the mean of the logits of all states, those below normed
                *lower, last = (state[0, -1] for state in out.hidden_states)
                states = torch.stack([*map(self.model.model.norm, lower), last])
                logits = self.model.lm_head(states)[:, ids].mean(0)
        weights = torch.softmax(logits, -1)
        values = [1.0, 0.0] if item.anchors is None else [0, 0.25, 0.5, 0.75, 1]
        return float(weights @ torch.tensor(values))


def test_the_probability_of_yes_is_that_of_plain_transformers(judge: Judge, wordy: Path) -> None:
    plain = Plain(wordy)
    judged = judge_all(judge, REQUESTS, progress=False)
    for request, judgement in zip(REQUESTS, judged, strict=True):
        [criterion] = request.criteria
        system = prompt_items.system_text(joint=False, form=False)
        user = f"{prompt_items.material(request, criterion)}\n\n"
        if plain.chat:
            ids = plain.ids("<s>system: ", True) + plain.ids(system, False)
            ids += plain.ids("</s><s>user: ", True) + plain.ids(user, False)
        else:
            ids = plain.ids(system, False) + plain.ids("\n\n", True) + plain.ids(user, False)
        score = judgement.scores["rubric"]
        assert score.items is not None
        assert judgement.usage is not None
        assert (judgement.usage.calls, judgement.usage.completion_tokens) == (1, 0)
        for item in criterion.items:
            ask = "yes or no" if item.anchors is None else "a whole number from 1 to 5"
            text = "".join(prompt_items.statement(request, item)) + f"\n\nAnswer with {ask} only."
            end = "</s><s>assistant: Answer:" if plain.chat else "\n\nAnswer:"
            whole = ids + plain.ids(text, False) + plain.ids(end, True)
            value = score.items[item.key].value
            assert value == pytest.approx(plain.value(whole, item), abs=2e-4)
            assert value is not None
            assert 0.001 < value < 0.999


def test_lager_reads_the_items_off_all_layers(wordy: Path) -> None:
    plain = Plain(wordy)
    with create_judge(f"lager:model={wordy},device=cpu,dtype=float32,answer_prefix=Score:") as made:
        score = judge_all(made, REQUESTS[:1], progress=False)[0].scores["rubric"]
        assert score.score is not None
        assert score.items is not None
        opening, ending = ("<s>user: ", "</s><s>assistant: ") if plain.chat else ("", "\n")
        request = REQUESTS[0]
        ids = plain.ids(f"{opening}{lager_items._TASK}", True) + plain.ids("Problem:\n", True)
        ids += plain.ids(request.question, False) + plain.ids("\n\nResponse:\n", True)
        ids += plain.ids(request.response, False)
        for item in (ITEMS[0], ITEMS[2]):
            branch = plain.ids(lager_items._STATEMENT, True) + plain.ids(f" {item.text}", False)
            branch += plain.ids(f"{lager_items._ASK_FOR_WORD}{ending}Answer:", True)
            expected = plain.value(ids + branch, item, layers=True)
            assert score.items[item.key].value == pytest.approx(expected, abs=2e-4)


def test_items_in_many_passes_or_one_come_to_the_same(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = judge.judge(REQUESTS)
    monkeypatch.setattr(branch_logits, "_MOST_TOKENS", 1)
    for ours, theirs in zip(judge.judge(REQUESTS), together, strict=True):
        first, second = ours.scores["rubric"].items, theirs.scores["rubric"].items
        assert first is not None
        assert second is not None
        assert [each.value for each in first.values()] == pytest.approx(
            [each.value for each in second.values()], abs=1e-4
        )


def test_criteria_with_and_without_items_go_together(wordy: Path) -> None:
    requests = [
        JudgeRequest(q, r, (Criterion("care", "", "It is careful."), RUBRIC, *REQUEST_OTHERS))
        for q, r in (("How many?", "29 jars"), ("How many?", "36 - 7 = 29"))
    ]
    check_judge(create_judge(f"lager:model={wordy},answer_prefix=Score:,device=cpu"), requests)
    check_judge(create_judge(f"prompt:model={wordy},device=cpu,max_tokens=4"), requests)


REQUEST_OTHERS = (Criterion("other", "", "On jars.", items=ITEMS[:1]),)


def test_what_does_not_fit_is_not_cut_but_unscored(judge: Judge) -> None:
    long = JudgeRequest("How many?", "jar " * 6000, (RUBRIC,))
    score = judge_all(judge, [long], progress=False)[0].scores["rubric"]
    assert score.score is None
    assert score.reason is not None
    assert "are longer than the model's context of 4096 tokens" in score.reason


def test_joint_mode_lets_the_model_write(wordy: Path) -> None:
    with create_judge(f"prompt:model={wordy},device=cpu,mode=joint,max_tokens=4") as made:
        judgement = judge_all(made, REQUESTS[:1], progress=False)[0]
    assert judgement.usage is not None
    assert judgement.usage.completion_tokens > 0
    reason = judgement.scores["rubric"].reason
    assert reason is not None
    assert "cut off at max_tokens=4" in reason


def test_models_that_cannot_answer_so_say_so(tiny_lm: Path) -> None:
    for spec in (f"prompt:model={tiny_lm}", f"lager:model={tiny_lm},answer_prefix=Score:"):
        with create_judge(f"{spec},device=cpu") as made:
            reason = made.cannot_judge(RUBRIC, None)
            assert reason is not None
            assert "does not write the score yes as one token" in reason
    options: Any = f"lager:model={tiny_lm},answer_prefix=Score:,device=cpu,reasoning=true"
    with create_judge(options) as made:
        assert "leave out reasoning" in str(made.cannot_judge(RUBRIC, None))


def test_probes_say_that_they_do_not_execute_items(tmp_path: Path, tiny_lm: Path) -> None:
    write_pack(tmp_path, load_language_model(str(tiny_lm), "cpu"), "multiclass")
    with create_judge(f"inspector:probes={tmp_path},model={tiny_lm},device=cpu") as made:
        reason = made.cannot_judge(RUBRIC, "gsm8k")
        assert reason is not None
        assert reason.startswith("probes do not execute the items of a")
        judged = judge_all(made, [JudgeRequest("q", "r", (*ROSCOE, RUBRIC))], progress=False)
    assert judged[0].scores["rubric"].reason == reason
    assert judged[0].scores["fluency"].score is not None
