"""The judge `inspector` on a tiny language model."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_probes import example_requests, make_probe, write_pack
from transformers import LlamaForCausalLM

from inspector_plugin.errors import OptionError, PackError
from inspector_plugin.judges.inspector.judge import InspectorJudge
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.pack_folders import pack_folder
from inspector_plugin.judges.inspector.packs import read_pack, write_probe, write_transfer
from inspector_plugin.judges.inspector.plan import TrainingPlan
from inspector_plugin.judges.inspector.training import card_head
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS
from inspector_plugin.testing import check_judge

FLUENCY = ROSCOE[ROSCOE_KEYS.index("fluency")]


@pytest.fixture(scope="module")
def lm(tiny_lm: Path) -> LanguageModel:
    return load_language_model(str(tiny_lm))


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory, lm: LanguageModel) -> Path:
    root = tmp_path_factory.mktemp("probes")
    for labels in ("multiclass", "binary"):
        source = write_pack(root, lm, labels)
        write_transfer(source.parent.parent / "math" / labels, "math", source)
    write_pack(root, lm, "multiclass", dataset="gpqa")
    return root


@pytest.mark.parametrize("labels", ["multiclass", "binary"])
def test_it_keeps_the_contract(probes: Path, labels: str) -> None:
    check_judge(create_judge(f"inspector:probes={probes},labels={labels}"))


def test_a_score_is_what_the_pack_says_of_hugging_faces_hidden_states(
    probes: Path, lm: LanguageModel
) -> None:
    request = example_requests()[3]
    judgement = create_judge(f"inspector:probes={probes}").judge([request])[0]
    pack = read_pack(next(probes.glob("*/gsm8k/multiclass")))
    for key in ROSCOE_KEYS:
        probe = pack.probes[key]
        text = "".join(segment.text for segment in probe.layout.segments(request))
        before = text.index(request.response, text.index("Response:\n"))
        ids = lm.tokenizer(text, return_offsets_mapping=True)
        inside = [
            before <= start and end <= before + len(request.response)
            for start, end in ids.offset_mapping
        ]
        with torch.no_grad():
            output = lm.model(torch.tensor([ids.input_ids]), output_hidden_states=True)
        span = output.hidden_states[2][0][inside].numpy()
        last = output.hidden_states[4][0, -1].numpy()
        concat = np.concatenate([span.min(0), span.max(0), span.mean(0)])
        each = [
            member.classifier.probabilities(features[None])[0]
            for member, features in zip(probe.members, (concat, last), strict=True)
        ]
        expected = np.mean(each, axis=0)
        score = judgement.scores[key]
        assert score.probabilities is not None
        np.testing.assert_allclose(list(score.probabilities.values()), expected, atol=1e-4)
        assert score.label == 1 + int(expected.argmax())
        assert score.score == pytest.approx(expected @ np.arange(1, 6), abs=1e-4)


@pytest.mark.parametrize(("layout", "passes"), [("published", 5), ("suffix", 1), ("bare", 1)])
def test_criteria_share_what_their_layout_lets_them_share(
    tmp_path: Path, lm: LanguageModel, layout: str, passes: int
) -> None:
    """All five criteria of a response in one pass give the scores of each criterion alone."""
    write_pack(tmp_path, lm, "multiclass", layout=layout)
    judge = create_judge(f"inspector:probes={tmp_path},model={lm.name}")
    requests = example_requests(6)
    alone = {
        key: [
            judgement.scores[key]
            for judgement in judge.judge([replace(r, criteria=(key,)) for r in requests])
        ]
        for key in ROSCOE_KEYS
    }
    judge.judge(requests[:1])  # what is done once for each model is done
    ran: list[int] = []
    embeddings = lm.model.get_input_embeddings()
    hook = embeddings.register_forward_hook(lambda _, given, output: ran.append(len(given[0])))
    together = judge.judge(requests)
    hook.remove()
    assert sum(ran) == passes * len(requests)
    for key, expected in alone.items():
        for judgement, single in zip(together, expected, strict=True):
            score = judgement.scores[key]
            assert score.label == single.label
            assert score.score == pytest.approx(single.score, abs=1e-4)


def test_only_the_criteria_that_are_asked_for_are_judged(probes: Path) -> None:
    request = JudgeRequest("How many?", "Five.", criteria=("fluency",), dataset="gsm8k")
    judgement = create_judge(f"inspector:probes={probes}").judge([request])[0]
    assert list(judgement.scores) == ["fluency"]


def test_a_criterion_without_a_probe_is_unscored(tmp_path: Path, lm: LanguageModel) -> None:
    plan = TrainingPlan("gsm8k", "binary")
    folder = pack_folder(tmp_path, lm.name, "gsm8k", "binary")
    write_probe(folder, card_head(lm, plan, ""), make_probe(lm, FLUENCY, plan, seed=0))
    judge = create_judge(f"inspector:probes={tmp_path},labels=binary")
    judgement = judge_all(judge, example_requests(1))[0]
    assert judgement.scores["fluency"].score is not None
    assert judgement.scores["logicality"].reason == (
        "there is no probe for 'logicality' on the data set 'gsm8k'"
    )


def test_requests_are_judged_by_the_probes_of_their_data_set(probes: Path) -> None:
    judge = create_judge(f"inspector:probes={probes}")
    gsm8k = JudgeRequest("How many?", "Five.", dataset="gsm8k")
    others = [JudgeRequest("How many?", "Five.", dataset=name) for name in ("math", "gpqa")]
    first, math, gpqa = judge.judge([gsm8k, *others])
    assert math == first  # transferred
    assert gpqa == judge.judge([others[1]])[0]
    packs = judge.describe()["packs"]
    assert packs["math"] == {**packs["gsm8k"], "transferred": True}
    fixed = create_judge(f"inspector:probes={probes},dataset=gsm8k")
    assert fixed.judge([others[1]])[0] == first


def test_without_a_data_set_the_probes_of_gsm8k_judge_and_a_warning_says_so(
    probes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judge = create_judge(f"inspector:probes={probes}")
    with caplog.at_level(logging.WARNING):
        unnamed = judge.judge([JudgeRequest("How many?", "Five.")] * 2)
    assert unnamed == judge.judge([JudgeRequest("How many?", "Five.", dataset="gsm8k")] * 2)
    assert len([r for r in caplog.records if "judging by the gsm8k probes" in r.message]) == 1


def test_a_response_longer_than_the_context_is_judged_and_flagged(probes: Path) -> None:
    judge = create_judge(f"inspector:probes={probes}")
    long = JudgeRequest("How many?", "One more step. " * 2000, dataset="gsm8k")
    judgement = judge_all(judge, [long])[0]
    for score in judgement.scores.values():
        assert score.score is not None
        assert score.flags == ("truncated",)
        assert score.to_json()["flags"] == ["truncated"]


def test_problems_that_the_probes_were_trained_on_are_flagged_and_warned_of(
    probes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judge = create_judge(f"inspector:probes={probes}")
    known = JudgeRequest(
        "A crate holds 2 melons. \n How many crates do 3 hold?\n", "6.", dataset="gsm8k"
    )
    new = JudgeRequest("A crate holds 2 lemons. How many do 3 crates hold?", "6.", dataset="gsm8k")
    with caplog.at_level(logging.WARNING):
        judged = judge.judge([known, new, known])
    flags = [{score.flags for score in judgement.scores.values()} for judgement in judged]
    assert flags == [{("trained-on",)}, {()}, {("trained-on",)}]
    assert len([r for r in caplog.records if "flagged trained-on" in r.message]) == 1


def test_probes_for_another_language_model_are_refused(
    probes: Path, lm: LanguageModel, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    LlamaForCausalLM(lm.model.config).save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(PackError, match=r"were trained on .*judge with model="):
        InspectorJudge(InspectorOptions(model=str(tmp_path), probes=str(next(probes.iterdir()))))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            "dataset=gpqa,labels=binary",
            OptionError,
            "binary probes .*'gpqa'; choose from: gsm8k, math",
        ),
        (
            "dataset=aime",
            OptionError,
            "multiclass probes .*'aime'; choose from: gpqa, gsm8k, math",
        ),
        ("labels=ternary", OptionError, "Unknown value of option 'labels'"),
        ("batch_size=0", OptionError, "from 1 up, not '0'"),
        ("batch_size=many", OptionError, "auto or a whole number"),
        ("colour=red", OptionError, "Unknown option 'colour'"),
    ],
)
def test_unusable_options(probes: Path, options: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        create_judge(f"inspector:probes={probes},{options}")
