"""The judge `inspector`: probes on a frozen language model's hidden states, without decoding.

Source: Representation-as-a-Judge, arXiv 2601.22588. We differ in pooling without padding, in
running only the layers that the probes ask for, and in averaging the probabilities of a few layers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inspector_plugin.data.text import plain
from inspector_plugin.errors import OptionError
from inspector_plugin.judges.inspector.layout import PromptLayout, ReadRequest
from inspector_plugin.judges.inspector.linear import Array
from inspector_plugin.judges.inspector.options import InspectorOptions
from inspector_plugin.judges.inspector.pack_choice import read_packs, require_fit
from inspector_plugin.judges.inspector.packs import ProbePack, label_scale
from inspector_plugin.judges.inspector.probe import TRAINED_ON, AnyProbe, Seen
from inspector_plugin.judging.judge import Judge
from inspector_plugin.lm.batches import Breaker, Fault, parse_batch_size
from inspector_plugin.lm.forward import Pooled, pooled_features
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
    Cross-fitted probes flag "off-task", "unlike-training", and "addresses-judge" where sentences
    that speak to the judge were left out.
    Where a request says whether the answer is right, that is the score of `correctness`, flagged
    "gold-answer".
    """

    # To be raised whenever responses come to be read otherwise: packs say nothing of that. Scores
    # of version 1 may also have been left out by another judge's min_confidence.
    scoring_version = 2
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
        self._packs = read_packs(options)
        name = options.model or str(next(iter(self._packs.values())).language_model["name"])
        self._language_model: LanguageModel | None = load_language_model(
            name, options.device, options.dtype
        )
        self._description = self._language_model.describe()
        for pack in self._packs.values():
            require_fit(pack, self._language_model)

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
            **({} if self._min_confidence is None else {"min_confidence": self._min_confidence}),
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
        read = [layout.read(requests[index]) for index in chosen]
        prompts = self._encode(layout, asked, read)
        pooled, faults = self._pooled(prompts, asked)
        for place, fault in faults.items():
            reason = unscored(fault.reason, transient=fault.transient)
            index = chosen[place]
            scores[index].update(dict.fromkeys(names & set(requests[index].keys), reason))
        good = [place for place in range(len(chosen)) if place not in faults]
        if not good:
            return
        seen = Seen(
            pooled,
            [read[place].question for place in good],
            [read[place].response for place in good],
        )
        for probe in asked:
            key, found = probe.criterion.key, probe.predict(seen)
            for row, place in enumerate(good):
                request = requests[chosen[place]]
                if key not in request.keys:
                    continue
                remarks = (*found.flags[row], *read[place].remarks)
                flags = self._flags(dataset, prompts[place].truncated, remarks)
                label = None if found.labels is None else int(found.labels[row])
                scores[chosen[place]][key] = self._score(
                    probe.criterion, request, found.probabilities[row], label, flags
                )

    def _encode(
        self, layout: PromptLayout, probes: Sequence[AnyProbe], read: Sequence[ReadRequest]
    ) -> list[Encoding]:
        """Lay out requests as the prompts that the probes share."""
        suffixes = dict(probe.layout.suffix for probe in probes if probe.layout.suffix)
        language_model = self._open_language_model()
        return [
            encode(language_model, layout.laid_out(each), suffixes=suffixes, joined=layout.joined)
            for each in read
        ]

    def _pooled(
        self, prompts: Sequence[Encoding], probes: Sequence[AnyProbe]
    ) -> tuple[Pooled, dict[int, Fault]]:
        """Run prompts through the language model.

        Returns:
            The features of those that could be read, in order; and why the others could not, by
            their place.
        """
        features = sorted(set().union(*(probe.features() for probe in probes)))
        plan = ForwardPlan(tuple(features), self._batch_size)
        faults = _without_tokens(prompts, features)
        readable = [place for place in range(len(prompts)) if place not in faults]
        found: dict[int, Fault] = {}
        pooled = pooled_features(
            self._open_language_model(),
            [prompts[place] for place in readable],
            plan,
            None,
            found.__setitem__,
        )
        faults |= {readable[place]: fault for place, fault in found.items()}
        for place in range(len(prompts)):
            self._breaker.note(faults.get(place))
        good = [place for place in range(len(readable)) if place not in found]
        return {feature: rows[good] for feature, rows in pooled.items()}, faults

    def _score(
        self,
        criterion: Criterion,
        request: JudgeRequest,
        probabilities: Array,
        label: int | None,
        flags: tuple[str, ...],
    ) -> CriterionScore:
        """One score: known from the right answer, estimated, or left out with the reason."""
        scale = label_scale(criterion, self._labels)
        if criterion == CORRECTNESS and request.correct is not None:
            known = expected_score(np.eye(2)[int(request.correct)], scale)
            return replace(known, flags=(GOLD_ANSWER, *flags))
        if not np.isfinite(probabilities).all():
            return unscored("the probe gave probabilities that are not finite")
        confidence = float(probabilities.max())
        if self._min_confidence is not None and confidence < self._min_confidence:
            return unscored(
                f"the confidence {confidence:.2f} is below min_confidence {self._min_confidence:g}"
            )
        score = expected_score(probabilities.tolist(), scale)
        return replace(score, label=score.label if label is None else label, flags=flags)

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


def _by_prompt(pack: ProbePack) -> dict[PromptLayout, list[AnyProbe]]:
    """Group probes by what their layouts share, so that each prompt is run once."""
    groups: dict[PromptLayout, list[AnyProbe]] = {}
    for probe in pack.probes.values():
        groups.setdefault(probe.layout.shared, []).append(probe)
    return groups
