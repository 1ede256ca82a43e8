"""Judging by imported classifiers is the published procedure, end to end on a tiny Qwen3."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_forms import describe, dump, fit_search
from published_runs import TEMPLATE, quiet, run_import, write_qwen
from transformers import AutoModelForCausalLM, AutoTokenizer

from inspector_plugin.judges.inspector.judge import InspectorJudge
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.packs import read_pack
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

# For each criterion the layers, the pooling, whether attention counts, and the classifier.
LOOKS: Mapping[str, tuple[list[int], str, bool, str]] = {
    "semantic_consistency": ([1], "mean", False, "lr"),
    "logicality": ([0, 3], "last", True, "linear_svm"),
    "informativeness": ([2], "concat", True, "rbf_svm"),
    "fluency": ([1, 2], "min", False, "linear_svm"),
    "factuality": ([3], "max", True, "lr"),
}


@pytest.fixture(scope="module")
def tiny_qwen(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen(tmp_path_factory.mktemp("models") / "tiny-qwen3", tiny_lm)


def requests(count: int) -> list[JudgeRequest]:
    """Problems and responses of very different lengths, some with words that look like fields."""
    return [
        JudgeRequest(
            f"A tram has {n + 2} cars with {2 * n + 5} seats each. How many seats are there?",
            f"{n + 2} * {2 * n + 5} = {(n + 2) * (2 * n + 5) + n % 3}. "
            + "Every car has as many. {question} " * (n % 6),
            dataset="gsm8k",
        )
        for n in range(count)
    ]


class TheirProcedure:
    """The published procedure, one prompt at a time: no padding, no batches."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")

    def features(self, request: JudgeRequest, layers: list[int], pool: str, attention: bool) -> Any:
        before, after = TEMPLATE.split("{question}")
        between, end = after.split("{response}")
        prompt = before + request.question + between + request.response + end
        with torch.no_grad():
            output = self.model(
                **self.tokenizer(prompt, return_tensors="pt"),
                output_hidden_states=True,
                output_attentions=True,
            )
        found = []
        for layer in layers:
            states = output.hidden_states[layer + 1][0]
            pooled = {
                "mean": [states.mean(0)],
                "last": [states[-1]],
                "min": [states.min(0).values],
                "max": [states.max(0).values],
                "concat": [states.min(0).values, states.max(0).values, states.mean(0)],
            }
            found += pooled[pool]
            if attention:
                weights = output.attentions[layer][0]
                found.append(-(weights * torch.log(weights + 1e-12)).sum(-1).mean(-1))
        return torch.cat(found).numpy()


@pytest.fixture(scope="module")
def theirs(tiny_qwen: Path) -> TheirProcedure:
    return TheirProcedure(tiny_qwen)


@pytest.fixture(scope="module")
def published(
    tiny_qwen: Path, theirs: TheirProcedure, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[tuple[str, str], Any]]:
    """A folder as theirs, with classifiers that learnt random labels, and the classifiers."""
    folder, searches = tmp_path_factory.mktemp("published"), {}
    rows = requests(40)
    for criterion, (layers, pool, attention, name) in LOOKS.items():
        features = np.stack([theirs.features(row, layers, pool, attention) for row in rows])
        for kind, labels in (("binary", [0, 1]), ("multi", [1, 2, 3, 4, 5])):
            answers = np.random.default_rng(7).permutation(np.resize(labels, len(rows)))
            search = fit_search(name, features, answers)
            searches[kind, criterion] = search
            metadata = describe(
                llm="tiny-qwen3",
                dimension=criterion,
                classification=kind,
                layers=layers,
                pool=pool,
                use_attn=attention,
            )
            dump(folder / f"gsm8k_{kind}_clfs/{criterion}.pkl", search, metadata)
    return folder, searches


@pytest.mark.parametrize("kind", ["binary", "multi"])
def test_judging_is_the_published_procedure(
    kind: str, published: Any, theirs: TheirProcedure, tiny_qwen: Path, tmp_path: Path
) -> None:
    folder, searches = published
    assert run_import(folder, tiny_qwen, tmp_path / "packs") == 0
    labels = "binary" if kind == "binary" else "multiclass"
    options = InspectorOptions(probes=str(tmp_path / "packs"), model=str(tiny_qwen), labels=labels)
    rows = requests(60)[20:]
    other_than_likeliest = 0
    with InspectorJudge(options) as judge:
        judgements = judge.judge(rows)
        assert next(iter(judge_all(judge, rows[:2]))).scores.keys() == set(ROSCOE_KEYS)
    for criterion, (layers, pool, attention, _) in LOOKS.items():
        features = np.stack([theirs.features(row, layers, pool, attention) for row in rows])
        search = searches[kind, criterion]
        expected = quiet(search.predict_proba, features)
        scores = [judgement.scores[criterion] for judgement in judgements]
        assert [score.label for score in scores] == search.predict(features).tolist(), criterion
        found = np.array([list((score.probabilities or {}).values()) for score in scores])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4, err_msg=criterion)
        values = expected @ search.classes_
        np.testing.assert_allclose([score.score for score in scores], values, rtol=0, atol=1e-3)
        likeliest = search.classes_[expected.argmax(axis=1)]
        other_than_likeliest += int((likeliest != search.predict(features)).sum())
    assert other_than_likeliest > 0  # else nothing tells the two apart


def test_entropies_behind_the_states_of_all_layers_are_told_from_those_between(
    theirs: TheirProcedure, tiny_qwen: Path, tmp_path: Path
) -> None:
    rows = requests(40)
    features = np.stack([theirs.features(row, [1, 2], "last", True) for row in rows])
    behind = np.concatenate(
        [features[:, :32], features[:, 36:68], features[:, 32:36], features[:, 68:]], axis=1
    )
    search = fit_search("lr", behind, np.arange(len(rows)) % 2)
    metadata = describe(llm="tiny-qwen3", layers=[1, 2], pool="last", use_attn=True)
    dump(tmp_path / "gsm8k_binary_clfs/fluency.pkl", search, metadata)
    assert run_import(tmp_path / "gsm8k_binary_clfs", tiny_qwen, tmp_path / "packs") == 0
    (member,) = read_pack(tmp_path / "packs/tiny-qwen3/gsm8k/binary").probes["fluency"].members
    poolings = [feature.pooling for feature in member.representation.features()]
    assert poolings == ["last", "last", "attention_entropy", "attention_entropy"]
