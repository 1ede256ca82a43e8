"""Drawing candidate rubrics from a generator on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.errors import DataError
from inspector_plugin.judging.resume import REMEDY, opened_output
from inspector_plugin.lm.chats import Chat
from inspector_plugin.lm.generation import Sampling, encode_chat, generate
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.progress import Progress
from inspector_plugin.rubrics.candidates import (
    BEGINNING,
    Candidate,
    ask_for_rubric,
    read_candidate,
)

# A rubric that is read and encoded again may have a few tokens more.
_SLACK = 16


@dataclass(frozen=True)
class Draw:
    """How candidates are drawn.

    Attributes:
        candidates: How many for each problem, the K of the paper.
        temperature: What logits are divided by.
        top_p: Draw from the likeliest tokens that together have this probability.
        max_tokens: The most tokens of a candidate.
        at_once: Problems in one batch.
        seed: Seed of the draws.
    """

    candidates: int = 8
    temperature: float = 1.0
    top_p: float = 0.95
    max_tokens: int = 512
    at_once: int = 1
    seed: int = 0


def chat_for(problem: LabelledProblem, shown: bool) -> Chat:
    """Ask for a rubric for a problem, as `inspector rubric generate` does for an instance.

    Args:
        problem: The problem.
        shown: Whether to show two responses, the best and the worst where that is known. Their
            order follows from the problem's name, and says nothing.
    """
    if not shown or len(problem.responses) < 2:
        return ask_for_rubric(problem.question)
    places = problem.contrast or (0, 1)
    order = sorted(places) if int(problem.problem, 16) % 2 else sorted(places, reverse=True)
    return ask_for_rubric(problem.question, [problem.responses[place] for place in order])


def draw_candidates(
    language_model: LanguageModel,
    problems: Sequence[LabelledProblem],
    prompts: Sequence[Sequence[int]],
    draw: Draw,
    out: Path,
    made_by: Mapping[str, Any],
    stage: str,
) -> list[list[Candidate]]:
    """Draw candidates for each problem into a file, from where an earlier run has come to.

    Args:
        language_model: The generator.
        problems: The problems.
        prompts: Their prompts, as token ids.
        draw: How to draw.
        out: The file: a line for each problem, with the texts.
        made_by: What makes the file.
        stage: What progress calls it.

    Returns:
        For each problem its candidates.

    Raises:
        DataError: If the file was made by another run, or is damaged.
    """
    with (
        opened_output(out, made_by, overwrite=False) as output,
        Progress(len(problems), f"Rubrics ({stage})", "problem") as progress,
    ):
        lines = [row for _, row in read_rows(out)] if output.resumed else []
        # Batches begin at the same problems however often a run was interrupted.
        done = min(len(lines) - len(lines) % draw.at_once, len(problems))
        if len(lines) != len(problems):
            output.replace(json.dumps(line) + "\n" for line in lines[:done])
        else:
            done = len(problems)
        progress.advance(done)
        while done < len(problems):
            places = range(done, min(done + draw.at_once, len(problems)))
            texts = _draw(language_model, [prompts[place] for place in places], draw, done)
            output.append(
                json.dumps({"problem": problems[place].problem, "candidates": written}) + "\n"
                for place, written in zip(places, texts, strict=True)
            )
            progress.advance(len(places))
            done += len(places)
    return _read_back(out, problems, draw.candidates)


def encode_prompts(
    language_model: LanguageModel,
    problems: Sequence[LabelledProblem],
    shown: bool,
    max_tokens: int,
) -> tuple[list[LabelledProblem], list[tuple[int, ...]]]:
    """Encode the prompts of problems, leaving out those for which the model has no room.

    Returns:
        The problems kept, and their prompts as token ids.
    """
    kept, prompts = [], []
    for problem in problems:
        prompt = tuple(encode_chat(language_model, chat_for(problem, shown)))
        if len(prompt) + max_tokens + _SLACK <= language_model.max_tokens:
            kept.append(problem)
            prompts.append(prompt)
    return kept, prompts


def _draw(
    language_model: LanguageModel, prompts: Sequence[Sequence[int]], draw: Draw, first: int
) -> list[list[str]]:
    """Draw the candidates of a batch of problems.

    Their beginning is given: a small generator seldom finds the form by itself. It is trained to
    write the beginning, too.
    """
    beginning = language_model.tokenizer(BEGINNING, add_special_tokens=False).input_ids
    repeated = [[*prompt, *beginning] for prompt in prompts for _ in range(draw.candidates)]
    sampling = Sampling(draw.temperature, draw.top_p, draw.seed + first)
    written = generate(language_model, repeated, draw.max_tokens, sampling=sampling)
    texts = [_kept(BEGINNING + each.text, each.cut) for each in written]
    return [
        texts[place : place + draw.candidates] for place in range(0, len(texts), draw.candidates)
    ]


def _kept(text: str, cut: bool) -> str:
    """Leave an unfinished last line out where the limit of tokens has cut a text."""
    return text.rpartition("\n")[0] if cut and "\n" in text else text


def _read_back(out: Path, problems: Sequence[LabelledProblem], count: int) -> list[list[Candidate]]:
    rows = [row for _, row in read_rows(out)]
    candidates = []
    for place, problem in enumerate(problems):
        texts = rows[place].get("candidates") if place < len(rows) else None
        is_sound = (
            isinstance(texts, list)
            and len(texts) == count
            and all(isinstance(text, str) for text in texts)
            and rows[place].get("problem") == problem.problem
        )
        if not is_sound or not isinstance(texts, list):
            raise DataError(f"{out}, line {place + 1}: not a line that this run wrote: {REMEDY}.")
        candidates.append([read_candidate(text) for text in texts])
    return candidates
