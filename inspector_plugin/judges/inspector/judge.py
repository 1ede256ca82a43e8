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

import numpy as np

from inspector_plugin.data.text import plain
from inspector_plugin.errors import OptionError, PackError, one_of
from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.inspector.layout import PromptLayout
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.pack_folders import (
    available_datasets,
    find_pack,
    model_folder,
    model_slug,
)
from inspector_plugin.judges.inspector.packs import ProbePack, label_scale, read_pack
from inspector_plugin.judges.inspector.probe import TRAINED_ON, AnyProbe, Seen
from inspector_plugin.judging.judge import Judge
from inspector_plugin.lm.batches import Breaker, Fault, parse_batch_size
from inspector_plugin.lm.forward import pooled_features
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.lm.plan import Feature, ForwardPlan
from inspector_plugin.lm.tokens import Encoding, encode
from inspector_plugin.schema.correctness import CORRECTNESS
from inspector_plugin.schema.criteria import BINARY, Criterion
from inspector_plugin.schema.records import (
    CriterionScore,
    Judgement,
    JudgeRequest,
    expected_score,
    unscored,
)

logger = logging.getLogger(__name__)

DEFAULT_DATASET = "gsm8k"
# The name of the packs of single probes that ship.
FAST = "fast"
TRUNCATED = "truncated"
# A score of correctness that is known from the right answer instead of being estimated.
GOLD_ANSWER = "gold-answer"


class InspectorJudge(Judge):
    """Scores responses by probe packs.

    Multiclass packs score on each criterion's scale, binary packs 0 (low) or 1 (high quality). The
    label is the likeliest one, or what an imported classifier decides on; the score is the expected
    value under the probabilities.

    It can judge the criteria that its probes were trained on, told by their fingerprint. A score is
    flagged "truncated" if the prompt was too long for the language model, and "trained-on" if the
    probe learnt from the problem: it may agree there with its reference better than elsewhere.
    Where a request says whether the answer is right, that is the score of `correctness`, flagged
    "gold-answer".
    """

    rubric_form = "probe"  # a probe trained on a rubric's scores judges it as any other criterion

    def __init__(self, options: InspectorOptions) -> None:
        """Read the packs and load the language model.

        Args:
            options: Without `model`, the language model is the one that the probes were trained
                with. Without `dataset`, the probes of a request are those of the data set that it
                names, and of gsm8k where it names none.

        Raises:
            ModelError: If the language model cannot be loaded.
            PackError: If there is no pack, or it was made for another language model.
            OptionError: If an option's value cannot be used.
        """
        self._batch_size = parse_batch_size(options.batch_size)
        self._labels = options.labels
        self._min_confidence = _checked_confidence(options.min_confidence)
        self.scale = BINARY if options.labels == "binary" else None
        self._dataset = options.dataset
        self._warned: set[str] = set()
        self._breaker = Breaker()
        # The packs are read first: that is quick, and spares loading a language model in vain.
        self._packs = _read_packs(options)
        name = options.model or str(next(iter(self._packs.values())).language_model["name"])
        self._language_model: LanguageModel | None = load_language_model(
            name, options.device, options.dtype
        )
        self._description = self._language_model.describe()
        for pack in self._packs.values():
            _require_fit(pack, self._language_model)

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        """Say why there is no probe for a criterion; see `Judge.cannot_judge`."""
        name = self._name_of(dataset)
        packs = self._packs
        if criterion.is_rubric and not (name in packs and criterion.key in packs[name].probes):
            return (
                "probes do not execute the items of a rubric, and none was trained on the scores "
                f"of {criterion.key!r} on the data set {name!r}; use prompt, deepseek or lager"
            )
        if name not in packs:
            return (
                f"there are no probes for the data set {name!r}, only for "
                f"{', '.join(sorted(self._packs))}; choose with inspector:dataset=NAME, or train "
                "some with: inspector train"
            )
        probe = self._packs[name].probes.get(criterion.key)
        if probe is None:
            return f"there is no probe for {criterion.key!r} on the data set {name!r}"
        if probe.criterion.fingerprint != criterion.fingerprint:
            return (
                f"the probe for {criterion.key!r} was trained on another criterion of that key "
                f"(fingerprint {probe.criterion.fingerprint}, asked for {criterion.fingerprint})"
            )
        return None

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge a batch; see `Judge.judge`."""
        scores: list[dict[str, CriterionScore]] = [{} for _ in requests]
        by_dataset: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            by_dataset.setdefault(self._dataset_of(request), []).append(index)
        for dataset, indices in by_dataset.items():
            self._warn_of_transfer(dataset)
            for layout, probes in _by_prompt(self._packs[dataset]).items():
                self._judge_prompts(dataset, layout, probes, indices, requests, scores)
        return [
            Judgement({key: found[key] for key in request.keys})
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

    def _name_of(self, dataset: str | None) -> str:
        return self._dataset or dataset or DEFAULT_DATASET

    def _dataset_of(self, request: JudgeRequest) -> str:
        if not (self._dataset or request.dataset):
            self._warn(
                "default",
                "No data set is named: judging by the %s probes; choose with dataset=NAME.",
                DEFAULT_DATASET,
            )
        return self._name_of(request.dataset)

    def _warn_of_transfer(self, dataset: str) -> None:
        pack = self._packs[dataset]
        if pack.transferred_to:
            self._warn(
                f"transfer {dataset}",
                "Responses to %s are judged by probes trained on %s (transferred): how well they "
                "agree with a reference there is not known.",
                dataset,
                pack.dataset,
            )

    def _warn(self, kind: str, message: str, *values: object) -> None:
        """Warn once of each kind."""
        if kind not in self._warned:
            self._warned.add(kind)
            # Names come from cards, which anybody may have written.
            logger.warning(message, *(plain(str(value)) for value in values))

    def _judge_prompts(
        self,
        dataset: str,
        layout: PromptLayout,
        probes: Sequence[AnyProbe],
        indices: Sequence[int],
        requests: Sequence[JudgeRequest],
        scores: list[dict[str, CriterionScore]],
    ) -> None:
        """Score what the requests of some indices ask of the probes that share a prompt."""
        keys = {key for index in indices for key in requests[index].keys}
        asked = [probe for probe in probes if probe.criterion.key in keys]
        names = {probe.criterion.key for probe in asked}
        chosen = [index for index in indices if names & set(requests[index].keys)]
        if not chosen:
            return
        suffixes = dict(probe.layout.suffix for probe in asked if probe.layout.suffix)
        language_model = self._open_language_model()
        encodings = [
            encode(
                language_model,
                layout.segments(requests[index]),
                suffixes=suffixes,
                joined=layout.joined,
            )
            for index in chosen
        ]
        features = sorted(set().union(*(probe.features() for probe in asked)))
        plan = ForwardPlan(tuple(features), self._batch_size)
        faults = _without_tokens(encodings, features)
        readable = [place for place in range(len(chosen)) if place not in faults]
        found: dict[int, Fault] = {}
        pooled = pooled_features(
            language_model,
            [encodings[place] for place in readable],
            plan,
            None,
            found.__setitem__,
        )
        faults |= {readable[place]: fault for place, fault in found.items()}
        for place, index in enumerate(chosen):
            fault = faults.get(place)
            self._breaker.note(fault)
            if fault is not None:
                reason = unscored(fault.reason, transient=fault.transient)
                scores[index].update(dict.fromkeys(names & set(requests[index].keys), reason))
        good = [place for place in range(len(readable)) if place not in found]
        pooled = {feature: rows[good] for feature, rows in pooled.items()}
        chosen = [chosen[readable[place]] for place in good]
        encodings = [encodings[readable[place]] for place in good]
        if not chosen:
            return
        seen = Seen(
            pooled,
            [layout.question(requests[index].question) for index in chosen],
            [requests[index].response for index in chosen],
        )
        for probe in asked:
            scale = label_scale(probe.criterion, self._labels)
            found_here = probe.predict(seen)
            labels = found_here.labels
            for row, (index, encoding, probabilities, remarks) in enumerate(
                zip(chosen, encodings, found_here.probabilities, found_here.flags, strict=True)
            ):
                if probe.criterion.key not in requests[index].keys:
                    continue
                flags = self._flags(dataset, encoding.truncated, remarks)
                correct = requests[index].correct
                if probe.criterion == CORRECTNESS and correct is not None:
                    known = expected_score(np.eye(2)[int(correct)], scale)
                    scores[index][CORRECTNESS.key] = replace(known, flags=(GOLD_ANSWER, *flags))
                    continue
                if not np.isfinite(probabilities).all():
                    score = unscored("the probe gave probabilities that are not finite")
                    scores[index][probe.criterion.key] = score
                    continue
                confidence = float(probabilities.max())
                if self._min_confidence is not None and confidence < self._min_confidence:
                    scores[index][probe.criterion.key] = unscored(
                        f"the confidence {confidence:.2f} is below min_confidence "
                        f"{self._min_confidence:g}"
                    )
                    continue
                score = expected_score(probabilities, scale)
                label = score.label if labels is None else int(labels[row])
                scores[index][probe.criterion.key] = replace(score, label=label, flags=flags)

    def _flags(self, dataset: str, truncated: bool, remarks: tuple[str, ...]) -> tuple[str, ...]:
        if TRAINED_ON in remarks:
            self._warn(
                f"{TRAINED_ON} {dataset}",
                "Some responses are to problems that the %s probes were trained on: those scores "
                "are flagged %s, and agreement with a reference on them says little.",
                self._packs[dataset].dataset,
                TRAINED_ON,
            )
        return (TRUNCATED, *remarks) if truncated else remarks

    def _open_language_model(self) -> LanguageModel:
        if self._language_model is None:
            raise RuntimeError("this judge is closed")
        return self._language_model


def _checked_confidence(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 1:
        raise OptionError(f"min_confidence must be from 0 to 1, not {value:g}.")
    return value


def _without_tokens(encodings: Sequence[Encoding], features: Sequence[Feature]) -> dict[int, Fault]:
    """Find the prompts in which a span that is pooled over is empty."""
    spans = sorted({feature.span for feature in features})
    return {
        place: Fault(f"the {span} has no token for the language model")
        for place, encoding in enumerate(encodings)
        for span in spans
        if encoding.spans[span][0] == encoding.spans[span][1]
    }


def _read_packs(options: InspectorOptions) -> dict[str, ProbePack]:
    """Read the packs of a language model: that of one data set, or of all that there are."""
    root = Path(options.probes) if options.probes else None
    if options.probes == FAST and not Path(FAST).is_dir():
        root = shipped_folder("probes") / FAST
    folder = model_folder(root, options.model)
    available = available_datasets(folder, options.labels)
    if options.dataset is not None and options.dataset not in available:
        raise OptionError(
            one_of(options.dataset, available, f"data set of {options.labels} probes in {folder}")
            + " Train probes for it with: inspector train"
        )
    datasets = [options.dataset] if options.dataset else available
    packs = {name: read_pack(find_pack(folder, name, options.labels)) for name in datasets}
    for pack in packs.values():
        if pack.labels != options.labels:
            raise PackError(
                f"{pack.folder} holds probes with {pack.labels} labels in the place of those with "
                f"{options.labels} labels."
            )
    return packs


def _require_fit(pack: ProbePack, language_model: LanguageModel) -> None:
    wanted = pack.language_model
    if wanted["fingerprint"] is None:
        _require_name_and_sizes(pack, language_model)
        return
    if language_model.fingerprint == wanted["fingerprint"]:
        for size in ("layers", "hidden_size", "attention_heads"):
            if wanted.get(size, getattr(language_model, size)) != getattr(language_model, size):
                raise PackError(
                    f"{pack.folder} was altered: it says {size} {wanted[size]} of a language model "
                    f"with {getattr(language_model, size)}."
                )
        return
    raise PackError(
        f"The probes in {pack.folder} were trained on {wanted['name']!r} (hidden size "
        f"{wanted['hidden_size']}, weights {wanted['fingerprint'][:12]}), and "
        f"{language_model.name!r} has hidden size {language_model.hidden_size}, weights "
        f"{language_model.fingerprint[:12]}: judge with model={wanted['name']}, or train "
        f"probes for {language_model.name!r} with: inspector train"
    )


def _require_name_and_sizes(pack: ProbePack, language_model: LanguageModel) -> None:
    """Compare what can be compared where a pack was made without the weights at hand."""
    wanted = pack.language_model
    found = (language_model.hidden_size, language_model.layers)
    same_name = model_slug(language_model.name) == model_slug(wanted["name"])
    if same_name and found == (wanted["hidden_size"], wanted["layers"]):
        return
    raise PackError(
        f"The probes in {pack.folder} are for {wanted['name']!r} (hidden size "
        f"{wanted['hidden_size']}, {wanted['layers']} layers), and {language_model.name!r} has "
        f"hidden size {found[0]}, {found[1]} layers: judge with model={wanted['name']}. If that is "
        f"the same model under another name, import the probes again with --model "
        f"{language_model.name}, which binds them to its weights."
    )


def _by_prompt(pack: ProbePack) -> dict[PromptLayout, list[AnyProbe]]:
    """Group probes by what their layouts share, so that each prompt is run once."""
    groups: dict[PromptLayout, list[AnyProbe]] = {}
    for probe in pack.probes.values():
        groups.setdefault(probe.layout.shared, []).append(probe)
    return groups
