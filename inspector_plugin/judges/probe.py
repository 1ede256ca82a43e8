"""The judge `inspector`: probes on a frozen language model's hidden states, without decoding.

Source: Representation-as-a-Judge, arXiv 2601.22588. We differ in pooling without padding, in
running only the layers that the probes ask for, and in averaging the probabilities of a few layers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inspector_plugin.errors import PackError
from inspector_plugin.judge import Judge
from inspector_plugin.lm.batches import parse_batch_size
from inspector_plugin.lm.forward import pooled_features
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.lm.plan import AUTO, ForwardPlan
from inspector_plugin.lm.tokens import encode
from inspector_plugin.probing.figures import aspect_scores
from inspector_plugin.probing.folders import available_datasets, find_pack, model_folder
from inspector_plugin.probing.layout import PromptLayout
from inspector_plugin.probing.packs import ProbePack, read_pack
from inspector_plugin.probing.probe import Probe
from inspector_plugin.problems import problem_key
from inspector_plugin.schema import SCALES, AspectScore, Judgement, JudgeRequest, unscored

logger = logging.getLogger(__name__)

DEFAULT_DATASET = "gsm8k"
TRUNCATED = "truncated"
TRAINED_ON = "trained-on"


class InspectorJudge(Judge):
    """Scores responses by probe packs.

    Multiclass packs score 1-5, binary packs 0 (low) or 1 (high, a score above 3). The label is the
    likeliest one, the score the expected value under the probabilities.

    A score is flagged "truncated" if the prompt was too long for the language model, and
    "trained-on" if the probe learnt from the problem: it may agree there with its reference better
    than it does elsewhere.

    Args:
        model: Language model as hub id, folder, GGUF file or installed name; the one that the
            probes were trained with if None.
        probes: Folder of probe packs; the packs that ship if None.
        dataset: Whose probes to use for every request; if None, those of the data set that a
            request names, and of gsm8k where it names none.
        labels: "multiclass" or "binary".
        device: Torch device.
        dtype: "float32" or "bfloat16".
        batch_size: The most prompts in a batch, or "auto" for as many as fit.

    Raises:
        ModelError: If the language model cannot be loaded.
        PackError: If there is no pack, or it was made for another language model.
        OptionError: If an option's value cannot be used.
    """

    def __init__(
        self,
        model: str | None = None,
        probes: str | None = None,
        dataset: str | None = None,
        labels: str = "multiclass",
        device: str | None = None,
        dtype: str | None = None,
        batch_size: str | int = AUTO,
    ) -> None:
        self._batch_size = parse_batch_size(batch_size)
        self.scale = SCALES[labels]
        self._labels = labels
        self._dataset = dataset
        self._warned: set[str] = set()
        # The packs are read first: that is quick, and spares loading a language model in vain.
        self._packs = _read_packs(Path(probes) if probes else None, model, dataset, labels)
        name = model or str(next(iter(self._packs.values())).language_model["name"])
        self._language_model: LanguageModel | None = load_language_model(name, device, dtype)
        self._description = self._language_model.describe()
        for pack in self._packs.values():
            _require_fit(pack, self._language_model)

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge a batch; see `Judge.judge`."""
        scores: list[dict[str, AspectScore]] = [{} for _ in requests]
        by_dataset: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            by_dataset.setdefault(self._dataset_of(request), []).append(index)
        for dataset, indices in by_dataset.items():
            self._warn_of_transfer(dataset)
            for layout, probes in _by_prompt(self._packs.get(dataset)).items():
                self._judge_prompts(layout, probes, indices, requests, scores)
        return [
            Judgement({key: found.get(key, _no_probe(key)) for key in request.aspects})
            for request, found in zip(requests, scores, strict=True)
        ]

    def describe(self) -> Mapping[str, Any]:
        """The language model, and for each data set where its probes come from."""
        return {
            **self._description,
            "labels": self._labels,
            "packs": {
                dataset: {
                    "trained_on": pack.dataset,
                    "transferred": pack.transferred_to is not None,
                    "layout": pack.training["layout"],
                    "sha256": pack.sha256,
                }
                for dataset, pack in sorted(self._packs.items())
            },
        }

    def close(self) -> None:
        """Let go of the language model."""
        self._language_model = None

    def _dataset_of(self, request: JudgeRequest) -> str:
        if self._dataset or request.dataset:
            return self._dataset or str(request.dataset)
        if "" not in self._warned:
            self._warned.add("")
            logger.warning(
                "No data set is named: judging by the %s probes; choose with dataset=NAME.",
                DEFAULT_DATASET,
            )
        return DEFAULT_DATASET

    def _warn_of_transfer(self, dataset: str) -> None:
        pack = self._packs.get(dataset)
        if pack is not None and pack.transferred_to and dataset not in self._warned:
            self._warned.add(dataset)
            logger.warning(
                "Responses to %s are judged by probes trained on %s (transferred): how well they "
                "agree with a reference there is not known.",
                dataset,
                pack.dataset,
            )

    def _warn_of_known_problems(self, dataset: str) -> None:
        warning = f"{TRAINED_ON} {dataset}"
        if warning not in self._warned:
            self._warned.add(warning)
            logger.warning(
                "Some responses are to problems that the %s probes were trained on: those scores "
                "are flagged %s, and agreement with a reference on them says little.",
                self._packs[dataset].dataset,
                TRAINED_ON,
            )

    def _judge_prompts(
        self,
        layout: PromptLayout,
        probes: Sequence[Probe],
        indices: Sequence[int],
        requests: Sequence[JudgeRequest],
        scores: list[dict[str, AspectScore]],
    ) -> None:
        """Score what the requests of some indices ask of the probes that share a prompt."""
        aspects = set().union(*(requests[index].aspects for index in indices))
        asked = [probe for probe in probes if probe.aspect in aspects]
        names = {probe.aspect for probe in asked}
        chosen = [index for index in indices if names & set(requests[index].aspects)]
        suffixes = dict(probe.layout.suffix for probe in asked if probe.layout.suffix)
        language_model = self._open_language_model()
        encodings = [
            encode(language_model, layout.segments(requests[index]), suffixes=suffixes)
            for index in chosen
        ]
        features = sorted(set().union(*(probe.features() for probe in asked)))
        plan = ForwardPlan(tuple(features), self._batch_size)
        pooled = pooled_features(language_model, encodings, plan)
        keys = {index: problem_key(requests[index].question) for index in chosen}
        for probe in asked:
            judged = aspect_scores(probe.probabilities(pooled), self.scale)
            for index, encoding, score in zip(chosen, encodings, judged, strict=True):
                if probe.aspect not in requests[index].aspects:
                    continue
                known = keys[index] in probe.problem_keys
                if known:
                    self._warn_of_known_problems(self._dataset_of(requests[index]))
                flags = _flags(encoding.truncated, known)
                scores[index][probe.aspect] = replace(score, flags=flags)

    def _open_language_model(self) -> LanguageModel:
        if self._language_model is None:
            raise RuntimeError("this judge is closed")
        return self._language_model


def _read_packs(
    root: Path | None, model: str | None, dataset: str | None, labels: str
) -> dict[str, ProbePack]:
    """Read the packs of a language model: that of one data set, or of all that there are."""
    folder = model_folder(root, model)
    datasets = [dataset] if dataset else available_datasets(folder, labels)
    return {name: read_pack(find_pack(folder, name, labels)) for name in datasets}


def _require_fit(pack: ProbePack, language_model: LanguageModel) -> None:
    wanted = pack.language_model
    if language_model.fingerprint == wanted["fingerprint"]:
        return
    raise PackError(
        f"The probes in {pack.folder} were trained on {wanted['name']!r} (hidden size "
        f"{wanted['hidden_size']}, weights {wanted['fingerprint'][:12]}), and "
        f"{language_model.name!r} has hidden size {language_model.hidden_size}, weights "
        f"{language_model.fingerprint[:12]}: judge with model={wanted['name']}, or train "
        f"probes for {language_model.name!r} with: inspector train"
    )


def _by_prompt(pack: ProbePack | None) -> dict[PromptLayout, list[Probe]]:
    """Group probes by what their layouts share, so that each prompt is run once."""
    groups: dict[PromptLayout, list[Probe]] = {}
    for probe in pack.probes.values() if pack else ():
        groups.setdefault(probe.layout.shared, []).append(probe)
    return groups


def _flags(truncated: bool, trained_on: bool) -> tuple[str, ...]:
    flags = {TRUNCATED: truncated, TRAINED_ON: trained_on}
    return tuple(flag for flag, holds in flags.items() if holds)


def _no_probe(aspect: str) -> AspectScore:
    return unscored(f"there is no probe for {aspect} of this data set")
