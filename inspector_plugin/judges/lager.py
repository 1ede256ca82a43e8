"""The judge `lager`: the expected score under the score-token logits of all layers, one prefill.

Source: LAGER, arXiv 2508.03550. We differ in reading K rows of the unembedding instead of the whole
vocabulary, in padding to the longest prompt of a batch only, and in never filling in a score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from inspector_plugin.errors import ModelError, OptionError
from inspector_plugin.judge import Judge
from inspector_plugin.lager.aggregation import Array, aggregate, expected_scores, uniform_weights
from inspector_plugin.lager.feedback import before_score, write_feedback
from inspector_plugin.lager.options import ANSWER_PREFIX, DEFAULT_MODEL
from inspector_plugin.lager.packs import LagerPack, read_lager_pack, require_fit
from inspector_plugin.lager.presets import PRESETS, Aggregation, altered
from inspector_plugin.lager.prompts import make_prompt_form
from inspector_plugin.lager.readings import LogitReader, ReadingPoint, extended, reading_point
from inspector_plugin.lm.batches import parse_batch_size
from inspector_plugin.lm.forward import FloatArray
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.plan import AUTO
from inspector_plugin.lm.score_tokens import find_score_position
from inspector_plugin.lm.tokens import Encoding, encode
from inspector_plugin.schema import AspectScore, Judgement, JudgeRequest, Scale, unscored

TRUNCATED = "truncated"
_TUNED_FOR = ("layers", "final_norm", "combine")


class LagerJudge(Judge):
    """Scores responses by the score-token logits of a causal language model's layers.

    Args:
        model: Hub id, folder, GGUF file or installed name.
        preset: A name in `PRESETS`; "paper" if None. What else is given replaces its choices.
        layers: The states that count: "all", "drop-last", "last" or "A-B".
        final_norm: Whether the states below the last pass the final norm.
        combine: "logits" or "probabilities".
        score: "expected" or "argmax".
        weights: Folder of tuned layer weights; all layers weigh alike if None.
        scale: The highest score; the lowest is 1.
        chat: Whether to use the chat template; None uses it where there is one.
        answer_prefix: What the model's answer begins with.
        reasoning: Whether the model writes feedback first.
        reasoning_tokens: Most tokens of feedback.
        keep: "layers" keeps each state's logits in the judgements.
        device: Torch device.
        dtype: "float32" or "bfloat16".
        batch_size: The most prompts in a batch, or "auto" for as many as fit.

    Raises:
        ModelError: If the model cannot be loaded, or the scores are not single tokens for it.
        PackError: If the weights are missing or were tuned for another model.
        OptionError: If an option's value cannot be used.
    """

    reads_rubrics = True

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        preset: str | None = None,
        layers: str | None = None,
        final_norm: bool | None = None,
        combine: str | None = None,
        score: str | None = None,
        weights: str | None = None,
        scale: int = 5,
        chat: bool | None = None,
        answer_prefix: str = ANSWER_PREFIX,
        reasoning: bool = False,
        reasoning_tokens: int = 256,
        keep: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: str | int = AUTO,
    ) -> None:
        _require_at_least("scale", scale, 2)
        _require_at_least("reasoning_tokens", reasoning_tokens, 1)
        self._batch_size = parse_batch_size(batch_size)
        pack = read_lager_pack(Path(weights)) if weights else None
        given = {"layers": layers, "final_norm": final_norm, "combine": combine, "score": score}
        self._aggregation = _choose(preset, given, pack)
        language_model = load_language_model(model, device, dtype)
        if pack is not None:
            require_fit(pack, language_model)
        states = language_model.layers + 1
        self._weights = pack.weights if pack else uniform_weights(self._aggregation, states)
        self.scale = Scale(tuple(range(1, scale + 1)))
        self._form = make_prompt_form(language_model, scale, chat, answer_prefix, reasoning)
        # Before anything is judged: can this model's score tokens be read at all?
        before = answer_prefix if reasoning else self._form.closing
        self._position = find_score_position(language_model, before, self.scale.labels)
        reader = LogitReader(language_model, self._batch_size)
        reader.head(self._position.score_ids)
        self._reader: LogitReader | None = reader
        self._feedback_tokens = reasoning_tokens if reasoning else None
        self._keep_layers = keep == "layers"
        self._description = {
            **language_model.describe(),
            **asdict(self._aggregation),
            "weights": "uniform" if pack is None else _sha256(pack.weights),
            "scale": scale,
            "chat": self._form.chat,
            "answer_prefix": None if reasoning else answer_prefix,
            "reasoning_tokens": self._feedback_tokens,
            "prompts": self._form.fingerprint(),
            "keep": keep,
        }

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge a batch; see `Judge.judge`."""
        asked = [(index, key) for index, request in enumerate(requests) for key in request.aspects]
        if self._feedback_tokens is None:
            points = [self.point(requests[index], key) for index, key in asked]
            scored = self._score(points)
        else:
            scored = self._reason([(requests[index], key) for index, key in asked])
        scores: list[dict[str, AspectScore]] = [{} for _ in requests]
        for (index, key), score in zip(asked, scored, strict=True):
            scores[index][key] = score
        return [Judgement(by_aspect) for by_aspect in scores]

    def describe(self) -> Mapping[str, Any]:
        """Name the language model, the prompt and the aggregation."""
        return self._description

    def close(self) -> None:
        """Let go of the language model."""
        self._reader = None

    def point(self, request: JudgeRequest, aspect: str) -> ReadingPoint:
        """Lay out the prompt whose next token is the score."""
        segments = self._form.segments(request, aspect)
        language_model = self._open().language_model
        return reading_point(language_model, segments, self._position, not self._form.chat)

    def _score(self, points: Sequence[ReadingPoint]) -> list[AspectScore]:
        """Read the logits of prompts and make scores of them."""
        if not points:
            return []
        logits = self._open().read(points)[:, int(self._aggregation.final_norm)]
        probabilities = aggregate(logits, self._weights, self._aggregation.combine)
        expected = expected_scores(probabilities, self.scale.labels)
        return [
            self._aspect_score(*row)
            for row in zip(points, probabilities, expected, logits, strict=True)
        ]

    def _aspect_score(
        self, point: ReadingPoint, probabilities: Array, expected: float, logits: FloatArray
    ) -> AspectScore:
        label = self.scale.labels[int(probabilities.argmax())]
        by_label = zip(self.scale.labels, probabilities, strict=True)
        return AspectScore(
            score=float(label if self._aggregation.score == "argmax" else expected),
            label=label,
            probabilities={score: float(p) for score, p in by_label},
            flags=(TRUNCATED,) if point.encoding.truncated else (),
            layer_logits=tuple(tuple(round(float(z), 5) for z in state) for state in logits)
            if self._keep_layers
            else None,
        )

    def _reason(self, asked: Sequence[tuple[JudgeRequest, str]]) -> list[AspectScore]:
        """Let the model write feedback, then read the score that it names there."""
        language_model = self._open().language_model
        assert self._feedback_tokens is not None
        closing = language_model.tokenizer(
            self._form.closing, add_special_tokens=False, verbose=False
        ).input_ids
        # The feedback is tokenised anew for reading, and may then take a few tokens more.
        room = language_model.max_tokens - len(closing) - 2 * self._feedback_tokens
        prompts = []
        for request, aspect in asked:
            segments = self._form.segments(request, aspect)
            encoding = encode(language_model, segments, max(room, 1), not self._form.chat)
            prompts.append(extended(encoding, closing))
        texts = write_feedback(language_model, prompts, self._feedback_tokens, self._batch_size)
        points: dict[int, ReadingPoint] = {}
        scores: dict[int, AspectScore] = {}
        for index, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
            try:
                points[index] = self._point_in_feedback(prompt, text)
            except ModelError as error:
                scores[index] = unscored(str(error))
        scores.update(zip(points, self._score(list(points.values())), strict=True))
        return [replace(scores[index], explanation=text) for index, text in enumerate(texts)]

    def _point_in_feedback(self, prompt: Encoding, feedback: str) -> ReadingPoint:
        """Find where the score stands in feedback.

        Raises:
            ModelError: If there is no score, or no single token for one.
        """
        scores = self.scale.labels
        before = before_score(feedback, scores)
        if before is None:
            raise ModelError(f"the feedback names no score from 1 to {self.scale.maximum}")
        position = find_score_position(self._open().language_model, before, scores, trusted=False)
        return ReadingPoint(extended(prompt, position.token_ids), position.score_ids)

    def _open(self) -> LogitReader:
        if self._reader is None:
            raise RuntimeError("this judge is closed")
        return self._reader


def _choose(preset: str | None, given: Mapping[str, Any], pack: LagerPack | None) -> Aggregation:
    """Start from the preset, or from what the weights were tuned for, and apply the options."""
    start = PRESETS[preset] if preset else pack.aggregation if pack else PRESETS["paper"]
    chosen = altered(start, **given)
    if pack is not None:
        _require_tuned_for(pack, chosen)
    return chosen


def _require_tuned_for(pack: LagerPack, chosen: Aggregation) -> None:
    for name in _TUNED_FOR:
        wanted, got = getattr(pack.aggregation, name), getattr(chosen, name)
        if got != wanted:
            raise OptionError(
                f"{name}={got} does not go with the weights in {pack.folder}, which were tuned "
                f"with {name}={wanted}; leave it out, or leave out weights=."
            )


def _require_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise OptionError(f"Option {name!r} must be at least {least}, not {value}.")


def _sha256(weights: Array) -> str:
    return hashlib.sha256(weights.tobytes()).hexdigest()[:16]
