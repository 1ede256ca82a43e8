"""Probes for one's own criteria and data set: scores on their scales, and what cannot be judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_probes import example_requests, write_pack

from inspector_plugin.errors import OptionError
from inspector_plugin.judges.inspector.packs import read_pack
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import cannot_judge, judge_all
from inspector_plugin.lm.forward import pooled_features
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.lm.plan import ForwardPlan
from inspector_plugin.lm.tokens import encode
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import BINARY, ROSCOE, JudgeRequest
from inspector_plugin.testing import OTHER_CRITERIA, check_judge

CARE, ANSWERED = OTHER_CRITERIA  # on 1-7, and on 0-1


@pytest.fixture(scope="module")
def lm(tiny_lm: Path) -> LanguageModel:
    return load_language_model(str(tiny_lm))


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory, lm: LanguageModel) -> Path:
    root = tmp_path_factory.mktemp("probes")
    write_pack(root, lm, "multiclass", dataset="mine", criteria=OTHER_CRITERIA)
    write_pack(root, lm, "binary", dataset="mine", criteria=(CARE,))
    write_pack(root, lm, "multiclass", dataset="gsm8k", criteria=ROSCOE[:1])
    return root


@pytest.fixture(scope="module")
def judge(probes: Path) -> Judge:
    return create_judge(f"inspector:probes={probes},dataset=mine")


def asked(count: int = 3) -> list[JudgeRequest]:
    return [replace(request, criteria=OTHER_CRITERIA) for request in example_requests(count)]


def test_the_contract(probes: Path) -> None:
    check_judge(create_judge(f"inspector:probes={probes},dataset=mine"))


def test_each_criterion_is_scored_on_its_own_scale(
    probes: Path, lm: LanguageModel, judge: Judge
) -> None:
    requests = asked()
    judged = judge_all(judge, requests, progress=False)
    pack = read_pack(next(probes.glob("*/mine/multiclass")))
    for criterion in OTHER_CRITERIA:
        probe, labels = pack.probes[criterion.key], np.array(criterion.scale.labels)
        encodings = [encode(lm, probe.layout.segments(request)) for request in requests]
        pooled = pooled_features(lm, encodings, ForwardPlan(tuple(sorted(probe.features()))))
        members = [
            member.classifier.probabilities(member.representation.select(pooled))
            for member in probe.members
        ]
        expected = np.mean(members, axis=0)
        assert expected.shape == (3, len(labels))
        for judgement, row in zip(judged, expected, strict=True):
            score = judgement.scores[criterion.key]
            assert score.probabilities is not None
            assert tuple(score.probabilities) == criterion.scale.labels
            np.testing.assert_allclose(list(score.probabilities.values()), row, atol=2e-4)
            assert score.score == pytest.approx(row @ labels, abs=1e-3)
            assert score.label == labels[row.argmax()]
            assert (score.scale, score.fingerprint) == (criterion.scale, criterion.fingerprint)


def test_binary_probes_score_low_and_high_quality(probes: Path) -> None:
    judge = create_judge(f"inspector:probes={probes},dataset=mine,labels=binary")
    requests = [replace(request, criteria=(CARE,)) for request in asked()]
    for judgement in judge_all(judge, requests, progress=False):
        score = judgement.scores["care"]
        assert score.scale == BINARY
        assert score.probabilities is not None
        assert set(score.probabilities) == {0, 1}
        assert score.score == score.probabilities[1]


def test_what_has_no_probe_is_unscored_with_the_reason(judge: Judge) -> None:
    reworded = replace(CARE, definition="The response is careful.")
    known, new = asked(2)
    requests = [
        replace(known, criteria=(ROSCOE[3], CARE)),
        replace(new, criteria=(reworded, ANSWERED)),
    ]
    first, second = judge_all(judge, requests, progress=False)
    assert list(first.scores) == ["fluency", "care"]
    assert first.scores["fluency"].reason == (
        "there is no probe for 'fluency' on the data set 'mine'"
    )
    assert not first.scores["fluency"].transient
    assert first.scores["care"].score is not None
    assert second.scores["care"].reason == (
        "the probe for 'care' was trained on another criterion of that key "
        f"(fingerprint {CARE.fingerprint}, asked for {reworded.fingerprint})"
    )
    assert second.scores["care"].fingerprint == reworded.fingerprint != CARE.fingerprint
    assert second.scores["answered"].score is not None


@pytest.mark.parametrize(
    "other", [replace(CARE, anchors={1: "none"}), replace(CARE, title="Carefulness")]
)
def test_other_anchors_or_another_title_are_another_criterion(judge: Judge, other: object) -> None:
    assert "another criterion" in str(judge.cannot_judge(other, "mine"))  # type: ignore[arg-type]
    assert judge.cannot_judge(CARE, "mine") is None


def test_a_data_set_without_probes_is_named_with_those_that_have_some(probes: Path) -> None:
    judge = create_judge(f"inspector:probes={probes}")
    unknown, mine = asked(2)
    unknown, mine = replace(unknown, dataset="openai/gsm8k"), replace(mine, dataset="mine")
    reason = (
        "there are no probes for the data set 'openai/gsm8k', only for gsm8k, mine; choose with "
        "inspector:dataset=NAME, or train some with: inspector train"
    )
    first, second = judge_all(judge, [unknown, mine], progress=False)
    assert [score.reason for score in first.scores.values()] == [reason] * 2
    assert [score.reason for score in second.scores.values()] == [None] * 2
    counts = Counter((c, each.dataset) for each in (unknown, mine) for c in each.criteria)
    assert cannot_judge(judge, counts) == {reason: 2}


def test_the_option_dataset_goes_before_what_a_request_names(judge: Judge) -> None:
    here, elsewhere = asked(1)[0], replace(asked(1)[0], dataset="openai/gsm8k")
    assert judge_all(judge, [here], progress=False) == judge_all(judge, [elsewhere], progress=False)


def test_a_data_set_that_has_no_probes_is_no_option(probes: Path) -> None:
    with pytest.raises(OptionError, match=r"'nope'; choose from: gsm8k, mine\. .*inspector train"):
        create_judge(f"inspector:probes={probes},dataset=nope")
    with pytest.raises(OptionError, match="'gsm8k'; choose from: mine"):
        create_judge(f"inspector:probes={probes},dataset=gsm8k,labels=binary")
