"""The judge `tuned`: an encoder or a LoRA-tuned language model, fine-tuned on scores.

Source: the tuned baselines of Representation-as-a-Judge, arXiv 2601.22588 (RoBERTa, and the small
language model LoRA-tuned as a classifier). We differ in sharing one model over criteria unless
asked otherwise, and in stopping by problems that are neither fitted on nor measured.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.text import plain
from inspector_plugin.errors import OptionError
from inspector_plugin.judges.tuned.model import Text, TunedModel, encode_text
from inspector_plugin.judges.tuned.options import TunedOptions
from inspector_plugin.judges.tuned.packs import load_models, read_pack
from inspector_plugin.judges.tuned.plan import BINARY_LABELS, MULTICLASS, label_scale
from inspector_plugin.judging.judge import Judge
from inspector_plugin.lm.batches import Breaker, Fault, parse_batch_size, run_in_batches
from inspector_plugin.schema.criteria import BINARY, Criterion
from inspector_plugin.schema.records import (
    CriterionScore,
    Judgement,
    JudgeRequest,
    expected_score,
    unscored,
)

logger = logging.getLogger(__name__)

TRUNCATED, TRAINED_ON, TRANSFERRED = "truncated", "trained-on", "transferred"


class TunedJudge(Judge):
    """Scores responses by a model that was fine-tuned on scores.

    The label is the likeliest one, the score the expected value under the probabilities. It can
    judge the criteria that it was tuned on, told by their fingerprint. A score is flagged
    "truncated" if problem and response were too long together, "trained-on" if the model learnt
    from the problem, and "transferred" if the request names another data set than the pack's.
    """

    rubric_form = "tuned"  # tuned on a rubric's scores, it judges it as any other criterion

    def __init__(self, options: TunedOptions) -> None:
        """Read the pack and load its models.

        Args:
            options: The options; `path` must be given.

        Raises:
            ModelError: If the base model cannot be loaded.
            OptionError: If an option's value cannot be used.
            PackError: If there is no pack, it was altered, or it belongs to another base model.
        """
        if options.path is None:
            raise OptionError(
                "Judge 'tuned' needs the folder of a pack: tuned:path=PACK; make one with: "
                "inspector tune"
            )
        self._batch_size = parse_batch_size(options.batch_size)
        self._pack = read_pack(Path(options.path))
        self._labels = options.labels or self._pack.labels
        if self._labels == MULTICLASS and self._pack.labels == BINARY_LABELS:
            raise OptionError(
                f"{options.path} tells low from high quality only (target binary), and labels is "
                f"{MULTICLASS}; tune another pack with --target {MULTICLASS} or ordinal."
            )
        self.scale = BINARY if self._labels == BINARY_LABELS else None
        self._warned: set[str] = set()
        self._breaker = Breaker()
        self._models = load_models(self._pack, options.base, options.device, options.dtype)
        base = self._models[0].base
        self._made_of = {
            "kind": self._pack.kind,
            "base": base.name,
            "fingerprint": self._pack.card["base"]["fingerprint"],
            "dtype": base.dtype,
            "tokenizer": base.tokenizer_fingerprint,
            "pack": self._pack.sha256,
            "labels": self._labels,
        }

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        """Say why the pack knows nothing of a criterion; see `Judge.cannot_judge`."""
        known = self._pack.criteria.get(criterion.key)
        if known is None:
            return f"this judge was not tuned on {criterion.key!r}"
        if known.fingerprint != criterion.fingerprint:
            return (
                f"this judge was tuned on another criterion of the key {criterion.key!r} "
                f"(fingerprint {known.fingerprint}, asked for {criterion.fingerprint})"
            )
        return None

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge a batch; see `Judge.judge`."""
        scores: list[dict[str, CriterionScore]] = [{} for _ in requests]
        models = self._open_models()
        base, room = models[0].base, self._pack.max_tokens
        texts = [encode_text(base, each.question, each.response, room) for each in requests]
        flags = [self._flags(*each) for each in zip(requests, texts, strict=True)]
        for model in models:
            asked = [
                place for place, request in enumerate(requests) if set(model.keys) & {*request.keys}
            ]
            found = self._run(model, [texts[place] for place in asked])
            for place, outcome in zip(asked, found, strict=True):
                for criterion in requests[place].criteria:
                    if criterion.key in model.keys:
                        score = self._score(criterion, outcome)
                        scores[place][criterion.key] = (
                            score if score.score is None else replace(score, flags=flags[place])
                        )
        return [
            Judgement({key: found_here[key] for key in request.keys})
            for request, found_here in zip(requests, scores, strict=True)
        ]

    def describe(self) -> Mapping[str, Any]:
        """Kind, base model, number format and pack."""
        return self._made_of

    def close(self) -> None:
        """Let go of the models."""
        self._models = []

    def _open_models(self) -> list[TunedModel]:
        if not self._models:
            raise RuntimeError("this judge is closed")
        return self._models

    def _run(
        self, model: TunedModel, texts: Sequence[Text]
    ) -> list[dict[str, list[float]] | Fault]:
        """Return the probabilities of the labels by criterion, or why there are none, by text."""
        faults: dict[int, Fault] = {
            place: Fault("the response has no token for the language model")
            for place, text in enumerate(texts)
            if not text.response_tokens
        }
        readable = [place for place in range(len(texts)) if place not in faults]
        found: dict[int, dict[str, list[float]]] = {}

        def run(batch: list[int]) -> dict[str, list[list[float]]]:
            with torch.inference_mode():
                logs = model([texts[readable[index]] for index in batch])
            return {key: each.double().softmax(dim=1).tolist() for key, each in logs.items()}

        lengths = [len(texts[place].token_ids) for place in readable]
        batches = run_in_batches(
            model.base,
            lengths,
            self._batch_size,
            run,
            lambda index, fault: faults.update({readable[index]: fault}),
        )
        for batch, by_key in batches:
            for row, index in enumerate(batch):
                found[readable[index]] = {key: rows[row] for key, rows in by_key.items()}
        for place in range(len(texts)):
            self._breaker.note(faults.get(place))
        return [faults.get(place) or found[place] for place in range(len(texts))]

    def _score(
        self, criterion: Criterion, outcome: Mapping[str, Sequence[float]] | Fault
    ) -> CriterionScore:
        if isinstance(outcome, Fault):
            return unscored(outcome.reason, transient=outcome.transient)
        probabilities = outcome[criterion.key]
        if not all(0 <= probability <= 1 for probability in probabilities):
            return unscored("the model gave probabilities that are not finite")
        scale = label_scale(criterion, self._pack.labels)
        score = expected_score(probabilities, scale)
        return score.as_binary(scale) if self._labels == BINARY_LABELS else score

    def _flags(self, request: JudgeRequest, text: Text) -> tuple[str, ...]:
        flags = [TRUNCATED] if text.truncated else []
        if problem_identity(request.question) in self._pack.known_problems:
            self._warn(
                TRAINED_ON,
                "Some responses are to problems that this judge was tuned on: those scores are "
                "flagged %s, and agreement with a reference on them says little.",
                TRAINED_ON,
            )
            flags.append(TRAINED_ON)
        learnt = self._pack.dataset
        if learnt is not None and request.dataset not in (None, learnt):
            self._warn(
                f"{TRANSFERRED} {request.dataset}",
                "Responses to %s are judged by what was learnt on %s (%s): how well this agrees "
                "with a reference there is not known.",
                request.dataset,
                learnt,
                TRANSFERRED,
            )
            flags.append(TRANSFERRED)
        return tuple(flags)

    def _warn(self, kind: str, message: str, *values: object) -> None:
        """Warn once of each kind."""
        if kind not in self._warned:
            self._warned.add(kind)
            logger.warning(message, *(plain(str(value)) for value in values))
