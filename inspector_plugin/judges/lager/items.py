"""The items of a rubric, read by LAGER: the aggregated logits of yes and no, or of 1 to 5.

Problem and response are read once; each item continues the prompt by itself. The layers' logits are
combined as those of scores are, with the same weights. This is our extension: the paper reads one
score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from inspector_plugin.errors import ModelError
from inspector_plugin.judges.lager.aggregation import Array, aggregate
from inspector_plugin.judges.lager.presets import Aggregation
from inspector_plugin.judges.lager.prompts import PromptForm
from inspector_plugin.lm.batches import Fault
from inspector_plugin.lm.branch_logits import Branch, BranchedPrompt, BranchReader
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.score_tokens import ScorePosition, find_score_position
from inspector_plugin.lm.tokens import Segment, encode, token_ids
from inspector_plugin.schema.criteria import OF_ITEMS, Criterion
from inspector_plugin.schema.records import CriterionScore, JudgeRequest
from inspector_plugin.schema.rubric_scores import rubric_score
from inspector_plugin.schema.rubrics import RATINGS, ItemVerdict, RubricItem, rating_value

_WORDS = ("yes", "no")
_ANSWER = "Answer: "
_TASK = "Check a response to a problem.\n\n"
_PROBLEM = "Problem:\n"
_RESPONSE = "\n\nResponse:\n"
_STATEMENT = "\n\nStatement about the response:"
_ASK_FOR_WORD = "\n\nIs the statement true of the response? Answer with yes or no only."
_ASK_FOR_RATING = "\n\nWhich rating fits the response? Answer with a whole number from 1 to 5 only."
# Responses whose logits of all layers are held in memory at once.
_AT_ONCE = 16


class LagerItems:
    """Scores responses by the items of rubrics."""

    def __init__(
        self,
        language_model: LanguageModel,
        form: PromptForm,
        weights: Array,
        aggregation: Aggregation,
        batch_size: int | None,
        truncated: str,
    ) -> None:
        """Take the model and how its layers are combined.

        Args:
            language_model: The model.
            form: What surrounds a request.
            weights: The weight of each state.
            aggregation: How they are combined.
            batch_size: The most prompts in a batch; None for as many as fit.
            truncated: The flag of a response that was too long to be read in full.
        """
        self._language_model = language_model
        self._form = form
        self._weights = weights
        self._aggregation = aggregation
        self._truncated = truncated
        self._reader = BranchReader(
            language_model, batch_size, all_states=True, final_norm=aggregation.final_norm
        )
        self._positions: dict[bool, ScorePosition | str] = {}

    def cannot_judge(self, criterion: Criterion) -> str | None:
        """Say why the answers to a rubric's items cannot be read; None if they can."""
        instances = [item for instance in criterion.instances for item in instance.items]
        try:
            for rated in {item.anchors is not None for item in (*criterion.items, *instances)}:
                self._position(rated)
        except ModelError as error:
            return str(error)
        return None

    def scores(
        self, asked: Sequence[tuple[JudgeRequest, Criterion]]
    ) -> list[CriterionScore | Fault]:
        """Score responses, each by its rubric."""
        scores: list[CriterionScore | Fault] = []
        for start in range(0, len(asked), _AT_ONCE):
            some = asked[start : start + _AT_ONCE]
            prompts = [self._prompt(*pair) for pair in some]
            faults: dict[int, Fault] = {}
            logits = self._reader.read(prompts, faults.__setitem__)
            for place, (_, criterion) in enumerate(some):
                if place in faults:
                    scores.append(faults[place])
                    continue
                verdicts = {
                    item.key: ItemVerdict(self._value(item, states))
                    for item, states in zip(criterion.items, logits[place], strict=True)
                }
                cut = prompts[place].encoding.truncated
                flags = (self._truncated,) if cut else ()
                scores.append(rubric_score(criterion, verdicts, flags=flags))
        return scores

    def _value(self, item: RubricItem, logits: np.ndarray) -> float:
        """The probability of yes, or the value of the expected rating."""
        (probabilities,) = aggregate(logits[None], self._weights, self._aggregation.combine)
        values = [1.0, 0.0] if item.anchors is None else [rating_value(each) for each in RATINGS]
        if self._aggregation.score == "argmax":
            return values[int(probabilities.argmax())]
        return float(np.clip(probabilities @ np.array(values), 0.0, 1.0))

    def _prompt(self, request: JudgeRequest, criterion: Criterion) -> BranchedPrompt:
        branches = tuple(self._branch(item) for item in criterion.items)
        longest = max(len(branch.token_ids) for branch in branches)
        about = criterion.definition
        rubric = [] if about == OF_ITEMS else [Segment(f"{about}\n\n", "rubric")]
        segments = [
            Segment(self._form.opening + _TASK),
            *rubric,
            Segment(_PROBLEM),
            Segment(request.question, "question"),
            Segment(_RESPONSE),
            Segment(request.response, "response"),
        ]
        room = self._language_model.max_tokens - longest
        encoding = encode(
            self._language_model, segments, max(room, 1), start_token=not self._form.chat
        )
        return BranchedPrompt(encoding, branches)

    def _branch(self, item: RubricItem) -> Branch:
        lines = [f"\n{rating}: {text}" for rating, text in (item.anchors or {}).items()]
        segments = [
            Segment(_STATEMENT),
            Segment(f" {item.text}{''.join(lines)}", "statement"),
        ]
        position = self._position(item.anchors is not None)
        own = token_ids(self._language_model, segments)
        return Branch((*own, *position.token_ids), position.score_ids)

    def _position(self, rated: bool) -> ScorePosition:
        """Find the tokens of the answers; what is asked before them is part of the text.

        Raises:
            ModelError: If they are not single tokens.
        """
        if rated not in self._positions:
            ask = _ASK_FOR_RATING if rated else _ASK_FOR_WORD
            prefix = self._form.answer_prefix if rated else _ANSWER
            try:
                self._positions[rated] = find_score_position(
                    self._language_model,
                    ask + self._form.ending + prefix,
                    RATINGS if rated else _WORDS,
                )
            except ModelError as error:
                self._positions[rated] = str(error)
        position = self._positions[rated]
        if isinstance(position, str):
            raise ModelError(position)
        return position


def items_fingerprint() -> str:
    """Hash all that items are asked about with.

    Returns:
        16 hexadecimal digits.
    """
    texts = (_TASK, _PROBLEM, _RESPONSE, _STATEMENT, _ASK_FOR_WORD, _ASK_FOR_RATING, _ANSWER)
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:16]
