"""From judged responses to what the arms of a fine-tuning study are trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inspector_plugin.data.arms import Arms, choose_arms
from inspector_plugin.data.best_rows import row_scores
from inspector_plugin.data.jsonl import read_rows, response_field, text_field
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.score_table import ScoreTable
from inspector_plugin.data.stored_scores import RESPONSE_FIELDS
from inspector_plugin.data.text import is_unicode
from inspector_plugin.errors import DataError
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.lora import encode_completion, encode_prompt
from inspector_plugin.lm.lora_plan import Example
from inspector_plugin.lm.templates import has_template
from inspector_plugin.schema.flags import DroppedFlags
from inspector_plugin.workflows.sft_plan import QUESTION, SftPlan
from inspector_plugin.workflows.task_test import QUESTION_FIELDS

TESTED = "its problem is in the test data"
TOO_LONG = "too long for --max-length"


@dataclass(frozen=True)
class Response:
    """A response that may be trained on.

    Attributes:
        problem: The problem's identity.
        question: The problem.
        text: The response.
        score: What the judge said of it.
    """

    problem: str
    question: str
    text: str
    score: float


@dataclass(frozen=True)
class Trained:
    """What there is to train on, encoded.

    Attributes:
        responses: The responses.
        examples: Each as prompt and completion.
        left_out: How many rows are left out, by reason.
        base_fingerprint: That of the weights of the base model.
    """

    responses: list[Response]
    examples: list[Example]
    left_out: Counter[str]
    base_fingerprint: str


def read_responses(
    table: ScoreTable,
    judge: str,
    by: str | None,
    dropped: DroppedFlags | None,
    tested: frozenset[str],
) -> tuple[list[Response], Counter[str]]:
    """Read the scored responses of a file, without those whose problem is tested.

    Args:
        table: The scores.
        judge: Whose scores count.
        by: The criterion, or the total; see `best_rows`.
        dropped: Which flags leave a row out.
        tested: The identities of the problems of the test data.

    Returns:
        The responses, each once, and how many rows are left out, by reason.

    Raises:
        DataError: If none is left, or there is no total.
    """
    scores, reasons = row_scores(table, judge, by, dropped=dropped)
    left_out = Counter(reason for reason in reasons if reason is not None)
    usable = [row for row, reason in enumerate(reasons) if reason is None]
    found: dict[tuple[str, str], Response] = {}
    for row, content in table.read_rows(usable).items():
        where = table.where(row)
        question = text_field(content, ("question",), where)
        text, missing = response_field(content, RESPONSE_FIELDS, where)
        problem = problem_identity(question)
        if missing or not text.strip() or not is_unicode(question + text):
            left_out["there is no text to train on"] += 1
        elif problem in tested:
            left_out[TESTED] += 1
        elif (problem, text.strip()) in found:
            left_out["the same response to the same problem as an earlier row"] += 1
        else:
            found[problem, text.strip()] = Response(problem, question, text, float(scores[row]))
    if not found:
        raise DataError(
            f"No row is left to train on; {_listed(left_out)}; give a judgement file of responses "
            "to other problems."
        )
    return list(found.values()), left_out


def problems_of_file(path: Path) -> frozenset[str]:
    """The identities of the problems in a JSONL file, under question, problem or Question.

    Raises:
        DataError: If a row has none of these.
    """
    return frozenset(
        problem_identity(text_field(row, QUESTION_FIELDS, f"{path}, line {number}"))
        for number, row in read_rows(path)
    )


def encode_example(
    language_model: LanguageModel, prompt: str, question: str, answer: str
) -> Example:
    """Encode a problem and an answer as lm_eval would put the prompt to the model.

    With a chat template the prompt is the user's message; without one it is continued by a blank
    and the answer.
    """
    text = prompt.replace(QUESTION, question)
    if has_template(language_model):
        chat = [{"role": "user", "content": text}]
        return Example(
            encode_prompt(language_model, chat), encode_completion(language_model, answer)
        )
    ids = language_model.tokenizer(text, split_special_tokens=True, verbose=False).input_ids
    return Example(tuple(ids), encode_completion(language_model, f" {answer.lstrip()}"))


def encode_responses(
    language_model: LanguageModel,
    plan: SftPlan,
    responses: Sequence[Response],
    left_out: Counter[str],
) -> Trained:
    """Encode responses, without those that are too long.

    Raises:
        DataError: If all are.
    """
    most = min(plan.max_length, language_model.max_tokens)
    kept, examples, left = [], [], Counter(left_out)
    for each in responses:
        example = encode_example(language_model, plan.prompt, each.question, each.text.strip())
        if len(example.prompt) + len(example.completion) > most:
            left[TOO_LONG] += 1
        else:
            kept.append(each)
            examples.append(example)
    if not kept:
        raise DataError(f"No row is left to train on; {_listed(left)}; raise --max-length.")
    return Trained(kept, examples, left, language_model.fingerprint)


def arms_of(plan: SftPlan, data: Trained) -> Arms:
    """Choose the rows of the arms; see `choose_arms`."""
    return choose_arms(
        [each.problem for each in data.responses],
        np.array([each.score for each in data.responses]),
        np.array([len(each.completion) for each in data.examples], dtype=np.intp),
        plan.arms,
        share=plan.share,
        epochs=plan.epochs,
        seed=plan.settings.seed,
        tolerance=plan.tolerance,
    )


def _listed(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{count} rows: {reason}" for reason, count in reasons.items()) or "no rows"
