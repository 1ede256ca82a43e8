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
from inspector_plugin.judges.lager.aggregation import (
    Array,
    aggregate,
    expected_scores,
    uniform_weights,
)
from inspector_plugin.judges.lager.feedback import before_score, write_feedback
from inspector_plugin.judges.lager.items import LagerItems, items_fingerprint
from inspector_plugin.judges.lager.options import LagerOptions
from inspector_plugin.judges.lager.packs import LagerPack, read_lager_pack, require_fit
from inspector_plugin.judges.lager.presets import PRESETS, Aggregation, altered
from inspector_plugin.judges.lager.prompts import make_prompt_form, question_fingerprint
from inspector_plugin.judges.lager.readings import (
    LogitReader,
    ReadingPoint,
    extended,
    reading_point,
)
from inspector_plugin.judging.judge import Judge
from inspector_plugin.lm.batches import Breaker, Fault, parse_batch_size
from inspector_plugin.lm.forward import FloatArray
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.score_tokens import ScorePosition, find_score_position
from inspector_plugin.lm.tokens import Encoding, encode
from inspector_plugin.schema.criteria import MULTICLASS, Criterion, Scale
from inspector_plugin.schema.records import CriterionScore, Judgement, JudgeRequest, unscored

TRUNCATED = "truncated"
_TUNED_FOR = ("layers", "final_norm", "combine")
_Asked = tuple[JudgeRequest, Criterion]


class LagerJudge(Judge):
    """Scores responses by the score-token logits of a causal language model's layers.

    It judges any criterion whose scale has labels that are single tokens of the language model. The
    items of a rubric are read one by one, each by the logits of its answers.
    """

    scale = None
    rubric_form = items_fingerprint()
    question_form = question_fingerprint()

    def __init__(self, options: LagerOptions) -> None:
        """Load the language model.

        Args:
            options: `preset` makes the choices of aggregation; what else is given replaces them.

        Raises:
            ModelError: If the model cannot be loaded, or 1-5 are not single tokens for it.
            PackError: If the weights are missing or were tuned for another model.
            OptionError: If an option's value cannot be used.
        """
        _require_at_least("reasoning_tokens", options.reasoning_tokens, 1)
        self._batch_size = parse_batch_size(options.batch_size)
        pack = read_lager_pack(Path(options.weights)) if options.weights else None
        self._aggregation = _choose(options, pack)
        language_model = load_language_model(options.model, options.device, options.dtype)
        if pack is not None:
            require_fit(pack, language_model)
        states = language_model.layers + 1
        self._weights = pack.weights if pack else uniform_weights(self._aggregation, states)
        self._form = make_prompt_form(
            language_model, options.chat, options.answer_prefix, options.reasoning
        )
        self._before = options.answer_prefix if options.reasoning else None
        self._breaker = Breaker()
        self._positions: dict[Scale, ScorePosition | str] = {}
        self._reader: LogitReader | None = LogitReader(language_model, self._batch_size)
        self._items: LagerItems | None = LagerItems(
            language_model,
            self._form,
            self._weights,
            self._aggregation,
            self._batch_size,
            TRUNCATED,
        )
        # Before anything is judged: can this model's score tokens be read at all?
        self._reader.head(self._position(MULTICLASS).score_ids)
        self._feedback_tokens = options.reasoning_tokens if options.reasoning else None
        self._keep_layers = options.keep == "layers"
        self._description = {
            **language_model.describe(),
            **asdict(self._aggregation),
            "weights": "uniform" if pack is None else _sha256(pack.weights),
            "chat": self._form.chat,
            "answer_prefix": None if options.reasoning else options.answer_prefix,
            "reasoning_tokens": self._feedback_tokens,
            "prompts": self._form.fingerprint(),
            "keep": options.keep,
        }

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        """Say whether a label is not a single token; see `Judge.cannot_judge`."""
        if criterion.is_rubric:
            if self._feedback_tokens is not None or self._items is None:
                return "lager does not write feedback on the items of a rubric; leave out reasoning"
            return self._items.cannot_judge(criterion)
        try:
            self._position(criterion.scale)
        except ModelError as error:
            return str(error)
        return None

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge a batch; see `Judge.judge`."""
        asked = [
            (index, criterion)
            for index, request in enumerate(requests)
            for criterion in request.criteria
        ]
        scored: dict[int, CriterionScore | Fault] = {}
        for judging, is_rubric in ((self._judge_items, True), (self._judge_whole, False)):
            places = [n for n, (_, each) in enumerate(asked) if each.is_rubric == is_rubric]
            pairs = [(requests[asked[place][0]], asked[place][1]) for place in places]
            if pairs:
                scored.update(zip(places, judging(pairs), strict=True))
        scores: list[dict[str, CriterionScore]] = [{} for _ in requests]
        for place, (index, criterion) in enumerate(asked):
            scores[index][criterion.key] = self._settled(scored[place])
        return [Judgement(by_key) for by_key in scores]

    def _judge_items(self, pairs: Sequence[_Asked]) -> list[CriterionScore | Fault]:
        if self._items is None:
            raise RuntimeError("this judge is closed")
        return self._items.scores(pairs)

    def _judge_whole(self, pairs: Sequence[_Asked]) -> list[CriterionScore | Fault]:
        if self._feedback_tokens is not None:
            return self._reason(pairs)
        points = [self.point(*pair) for pair in pairs]
        return self._score(points, [criterion.scale for _, criterion in pairs])

    def describe(self) -> Mapping[str, Any]:
        """Name the language model, the prompt and the aggregation."""
        return self._description

    def close(self) -> None:
        """Let go of the language model."""
        self._reader = self._items = None

    def point(self, request: JudgeRequest, criterion: Criterion) -> ReadingPoint:
        """Lay out the prompt whose next token is the score."""
        segments = self._form.segments(request, criterion)
        position = self._position(criterion.scale)
        return reading_point(self._open().language_model, segments, position, not self._form.chat)

    def _position(self, scale: Scale) -> ScorePosition:
        """Find the score tokens of a scale.

        Raises:
            ModelError: If its labels are not single tokens.
        """
        if scale not in self._positions:
            before = self._form.closing(scale) if self._before is None else self._before
            try:
                found = find_score_position(self._open().language_model, before, scale.labels)
            except ModelError as error:
                self._positions[scale] = str(error)
            else:
                self._positions[scale] = found
        position = self._positions[scale]
        if isinstance(position, str):
            raise ModelError(position)
        return position

    def _settled(self, score: CriterionScore | Fault) -> CriterionScore:
        """Make a score of a prompt that could not be run, unless too many cannot."""
        fault = score if isinstance(score, Fault) else None
        self._breaker.note(fault)
        if isinstance(score, Fault):
            return unscored(score.reason, transient=score.transient)
        return score

    def _score(
        self, points: Sequence[ReadingPoint], scales: Sequence[Scale]
    ) -> list[CriterionScore | Fault]:
        """Read the logits of prompts and make scores of them, scale by scale."""
        scores: dict[int, CriterionScore | Fault] = {}
        for scale in dict.fromkeys(scales):
            rows = [row for row, each in enumerate(scales) if each == scale]
            faults: dict[int, Fault] = {}
            read = self._open().read([points[row] for row in rows], faults.__setitem__)
            scores.update((rows[place], fault) for place, fault in faults.items())
            good = [place for place in range(len(rows)) if place not in faults]
            rows = [rows[place] for place in good]
            logits = read[good, int(self._aggregation.final_norm)]
            probabilities = aggregate(logits, self._weights, self._aggregation.combine)
            expected = expected_scores(probabilities, scale.labels)
            for place, row in enumerate(rows):
                scores[row] = self._criterion_score(
                    points[row], scale, probabilities[place], expected[place], logits[place]
                )
        return [scores[row] for row in range(len(points))]

    def _criterion_score(
        self,
        point: ReadingPoint,
        scale: Scale,
        probabilities: Array,
        expected: float,
        logits: FloatArray,
    ) -> CriterionScore:
        label = scale.labels[int(probabilities.argmax())]
        by_label = zip(scale.labels, probabilities, strict=True)
        return CriterionScore(
            score=float(label if self._aggregation.score == "argmax" else expected),
            label=label,
            probabilities={score: float(p) for score, p in by_label},
            flags=(TRUNCATED,) if point.encoding.truncated else (),
            layer_logits=tuple(tuple(round(float(z), 5) for z in state) for state in logits)
            if self._keep_layers
            else None,
        )

    def _reason(self, asked: Sequence[_Asked]) -> list[CriterionScore | Fault]:
        """Let the model write feedback, then read the score that it names there."""
        language_model = self._open().language_model
        assert self._feedback_tokens is not None
        prompts = []
        for request, criterion in asked:
            closing = language_model.tokenizer(
                self._form.closing(criterion.scale), add_special_tokens=False, verbose=False
            ).input_ids
            # The feedback is tokenised anew for reading, and may then take a few tokens more.
            room = language_model.max_tokens - len(closing) - 2 * self._feedback_tokens
            segments = self._form.segments(request, criterion)
            encoding = encode(language_model, segments, max(room, 1), not self._form.chat)
            prompts.append(extended(encoding, closing))
        scores: dict[int, CriterionScore | Fault] = {}
        texts = write_feedback(
            language_model, prompts, self._feedback_tokens, self._batch_size, scores.__setitem__
        )
        points: dict[int, ReadingPoint] = {}
        for index, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
            if index in scores:
                continue
            try:
                points[index] = self._point_in_feedback(prompt, text, asked[index][1].scale)
            except ModelError as error:
                scores[index] = unscored(str(error))
        scales = [asked[index][1].scale for index in points]
        scores.update(zip(points, self._score(list(points.values()), scales), strict=True))
        return [_explained(scores[index], text) for index, text in enumerate(texts)]

    def _point_in_feedback(self, prompt: Encoding, feedback: str, scale: Scale) -> ReadingPoint:
        """Find where the score stands in feedback.

        Raises:
            ModelError: If there is no score, or no single token for one.
        """
        before = before_score(feedback, scale.labels)
        if before is None:
            raise ModelError(f"the feedback names no score from {scale.minimum} to {scale.maximum}")
        position = find_score_position(
            self._open().language_model, before, scale.labels, trusted=False
        )
        return ReadingPoint(extended(prompt, position.token_ids), position.score_ids)

    def _open(self) -> LogitReader:
        if self._reader is None:
            raise RuntimeError("this judge is closed")
        return self._reader


def _explained(score: CriterionScore | Fault, text: str) -> CriterionScore | Fault:
    return score if isinstance(score, Fault) else replace(score, explanation=text)


def _choose(options: LagerOptions, pack: LagerPack | None) -> Aggregation:
    """Start from the preset, or from what the weights were tuned for, and apply the options."""
    start = pack.aggregation if pack else PRESETS["paper"]
    chosen = altered(
        PRESETS[options.preset] if options.preset else start,
        layers=options.layers,
        final_norm=options.final_norm,
        combine=options.combine,
        score=options.score,
    )
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
