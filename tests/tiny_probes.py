"""Probe packs for the tiny language model, fitted to random labels in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inspector_plugin.data.problems import problem_key
from inspector_plugin.judges.inspector.classifiers import fit_classifier
from inspector_plugin.judges.inspector.layout import layout_for
from inspector_plugin.judges.inspector.pack_folders import pack_folder
from inspector_plugin.judges.inspector.packs import label_scale, write_probe
from inspector_plugin.judges.inspector.plan import ClassifierSettings, TrainingPlan
from inspector_plugin.judges.inspector.probe import Probe, ProbeMember
from inspector_plugin.judges.inspector.representation import Representation
from inspector_plugin.judges.inspector.training import card_head
from inspector_plugin.lm.forward import pooled_features
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import ForwardPlan
from inspector_plugin.lm.tokens import encode
from inspector_plugin.schema import ROSCOE, Criterion, JudgeRequest

MEMBERS = (Representation(1, "response", "concat"), Representation(3, "all", "last"))
SETTINGS = ClassifierSettings("logistic_regression", 1.0)


def example_requests(count: int = 15) -> list[JudgeRequest]:
    """Responses of our own to word problems of our own."""
    return [
        JudgeRequest(
            f"A crate holds {n + 2} melons. How many do {n + 3} crates hold?",
            f"{n + 2} * {n + 3} = {(n + 2) * (n + 3) + n % 2}.\n" + "So that is it. " * (n % 5),
            dataset="gsm8k",
        )
        for n in range(count)
    ]


def write_pack(
    root: Path,
    language_model: LanguageModel,
    labels: str,
    dataset: str = "gsm8k",
    layout: str = "published",
    criteria: tuple[Criterion, ...] = ROSCOE,
) -> Path:
    """Write a pack of probes below a root, and return its folder."""
    plan = TrainingPlan(dataset, labels, layout)
    folder = pack_folder(root, language_model.name, dataset, labels)
    head = card_head(language_model, plan, "0" * 64)
    for number, criterion in enumerate(criteria):
        write_probe(folder, head, make_probe(language_model, criterion, plan, seed=number))
    return folder


def make_probe(
    language_model: LanguageModel, criterion: Criterion, plan: TrainingPlan, seed: int
) -> Probe:
    """Fit a probe to labels that are random, but each of which occurs."""
    layout = layout_for(plan.layout, criterion, plan.dataset)
    representations = [*MEMBERS]
    if layout.suffix:
        representations.append(Representation(2, layout.suffix[0], "last"))
    requests = example_requests()
    encodings = [
        encode(language_model, layout.segments(request), suffixes=layout.suffixes)
        for request in requests
    ]
    features = {feature for member in representations for feature in member.features()}
    pooled = pooled_features(language_model, encodings, ForwardPlan(tuple(sorted(features))))
    label_count = len(label_scale(criterion, plan.labels).labels)
    labels = np.random.default_rng(seed).permutation(np.arange(len(requests)) % label_count)
    members = tuple(
        ProbeMember(member, fit_classifier(SETTINGS, member.select(pooled), labels, seed))
        for member in representations
    )
    keys = [problem_key(request.question) for request in requests]
    record = {"classifier": SETTINGS.to_json(), "problem_keys": keys}
    return Probe(criterion, layout, members, record)
