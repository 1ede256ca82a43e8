"""The texts that cross-fitted models learn from, each once: real responses, and made ones."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from inspector_plugin.data.folds import fold_of
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.scored_rows import ScoredRow
from inspector_plugin.data.text import is_unicode
from inspector_plugin.judges.inspector.arithmetic import final_answer, quantities, strip_annotations
from inspector_plugin.judges.inspector.negatives import KINDS, NONSENSE, Solution, make_negatives
from inspector_plugin.judges.inspector.styles import AS_GOOD, AS_RIGHT, STYLES, restyle

FOLDS = 5
ATTEMPT = "attempt"
# Nonsense is bad in every respect, except that another problem's solution may read well.
_READS_WELL = ("other_solution", "problem_repeated", "off_topic", "refusal")
FLUENCY, INFORMATIVENESS, CORRECTNESS = "fluency", "informativeness", "correctness"
# Where a real response comes from.
SCORED, SOLUTIONS, ATTEMPTS = "scored", "solutions", "attempts"
WORKED, PAIRS = "worked", "pairs"


@dataclass(frozen=True)
class TrainingText:
    """A response to learn from.

    Attributes:
        question: The problem.
        response: The response, without calculator annotations.
        problems: Identities of all problems whose text it holds, that of the question first.
        dataset: The data set of the problem.
        origin: `SCORED`, `SOLUTIONS`, `ATTEMPTS`, `WORKED` or `PAIRS`.
        correct: Whether the solution is right; None where nobody says.
        author: The model that wrote it, where that is known.
        kind: The kind of a made response, a key of `KINDS` or of `STYLES`; None for a real one.
        scores: Its score by criterion.
    """

    question: str
    response: str
    problems: tuple[str, ...]
    dataset: str
    origin: str
    correct: bool | None = None
    author: str | None = None
    kind: str | None = None
    scores: Mapping[str, ScoredRow] = field(default_factory=dict)

    @property
    def folds(self) -> frozenset[int]:
        """The folds of its problems: a model fitted without any of these never saw them."""
        return frozenset(fold_of(problem, FOLDS) for problem in self.problems)

    def breaks(self, key: str) -> bool:
        """Whether it was made to be bad on a criterion; `ATTEMPT` stands for being no attempt."""
        if self.kind is None or self.kind in STYLES:
            return False
        if self.kind in NONSENSE:
            return key != FLUENCY or self.kind not in _READS_WELL
        return key in KINDS[self.kind]

    def is_good(self, key: str) -> bool:
        """Whether it counts as free of made flaws on a criterion: real, and not known as wrong."""
        if key == ATTEMPT:
            return not self.breaks(key)
        doubtful = key not in (FLUENCY, INFORMATIVENESS)
        if self.kind in STYLES:
            return self.kind in (AS_RIGHT if doubtful else AS_GOOD)
        return self.kind is None and not (self.correct is False and doubtful)

    @property
    def is_faultless(self) -> bool:
        """Whether nobody found a fault in it: right where that is known, all scores high."""
        return self.correct is not False and all(row.is_high for row in self.scores.values())


def scored_texts(
    dataset: str, rows: Sequence[ScoredRow], answers: Mapping[str, str] | None = None
) -> list[TrainingText]:
    """The scored responses, each once.

    Args:
        dataset: The data set.
        rows: Scored rows; a response may occur under several criteria.
        answers: Right answers by `problem_identity`, as far as they are known: a response is
            correct if its final answer is the same number.
    """
    found: dict[tuple[str, str], dict[str, ScoredRow]] = {}
    for row in rows:
        if row.can_be_judged:
            found.setdefault((row.question, row.response), {}).setdefault(row.criterion.key, row)
    texts = []
    for (question, response), scores in found.items():
        problem = problem_identity(question)
        right = None if answers is None else answers.get(problem)
        texts.append(
            TrainingText(
                question,
                strip_annotations(response),
                (problem,),
                dataset,
                SCORED,
                None if right is None else _ends_in(response, right),
                scores=scores,
            )
        )
    return texts


def other_texts(dataset: str, rows: Iterable[Mapping[str, Any]], origin: str) -> list[TrainingText]:
    """Real responses without scores.

    Args:
        dataset: The data set.
        rows: `question` and `response`; `is_correct` and `model` where they are known.
        origin: `SOLUTIONS` or `ATTEMPTS`.
    """
    seen: dict[tuple[str, str], TrainingText] = {}
    for row in rows:
        question, response = str(row["question"]), strip_annotations(str(row["response"]))
        if question.strip() and response.strip() and is_unicode(question + response):
            correct = row.get("is_correct")
            seen[question, response] = TrainingText(
                question,
                response,
                (problem_identity(question),),
                dataset,
                origin,
                correct if isinstance(correct, bool) else None,
                str(row["model"]) if row.get("model") is not None else None,
            )
    return list(seen.values())


def worked_texts(
    dataset: str, rows: Sequence[Mapping[str, Any]], most: int, seed: int
) -> list[TrainingText]:
    """Some solutions that people wrote, all of them right.

    Args:
        dataset: The data set.
        rows: `question` and `answer`, or `problem` and `solution`.
        most: How many to draw at most.
        seed: Seed of the draw.
    """
    drawn = random.Random(seed).sample(list(rows), min(most, len(rows)))
    named = [
        {
            "question": row["question"] if "question" in row else row["problem"],
            "response": row["answer"] if "question" in row else row["solution"],
            "is_correct": True,
        }
        for row in drawn
    ]
    return other_texts(dataset, named, WORKED)


def pair_texts(dataset: str, rows: Sequence[Mapping[str, Any]]) -> list[TrainingText]:
    """Right solutions, and the same with an error planted.

    Args:
        dataset: The data set.
        rows: `question`, `response` (right) and `planted` (with the error).
    """
    right = [{**row, "is_correct": True} for row in rows]
    wrong = [{**row, "response": row["planted"], "is_correct": False} for row in rows]
    return other_texts(dataset, [*wrong, *right], PAIRS)


def restyled_texts(real: Sequence[TrainingText], most: int, seed: int) -> list[TrainingText]:
    """Write faultless solutions in other styles: as good as far as a style takes nothing away.

    Args:
        real: Real responses of one origin.
        most: How many of them are restyled at most, each in every style that it allows.
        seed: Seed of all choices.
    """
    faultless = [text for text in real if text.is_faultless]
    found = []
    for text in random.Random(seed).sample(faultless, min(most, len(faultless))):
        for style in STYLES:
            rng = random.Random(f"{seed}/{style}/{text.question}/{text.response}")
            restyled = restyle(text.response, style, rng)
            if restyled is not None:
                found.append(
                    replace(
                        text, response=restyled, correct=None, author=None, kind=style, scores={}
                    )
                )
    return found


def made_texts(
    real: Sequence[TrainingText], nonsense_from: int, flawed_from: int, seed: int
) -> list[TrainingText]:
    """Make responses that are bad in a known way out of real ones.

    Args:
        real: Real responses of one origin; of pairs, the right ones serve.
        nonsense_from: From how many of them nonsense is made.
        flawed_from: From how many of them flawed solutions are made, out of the faultless ones.
        seed: Seed of all choices.
    """
    drawn = random.Random(seed)
    real = [text for text in real if not (text.origin == PAIRS and text.correct is False)]
    faultless = [text for text in real if text.is_faultless]
    sources = {
        NONSENSE: drawn.sample(list(real), min(nonsense_from, len(real))),
        tuple(kind for kind in KINDS if kind not in NONSENSE): drawn.sample(
            faultless, min(flawed_from, len(faultless))
        ),
    }
    made = []
    for kinds, texts in sources.items():
        solutions = [Solution(text.question, text.response, text.problems[0]) for text in texts]
        for each in make_negatives(solutions, seed, kinds):
            made.append(
                TrainingText(
                    each.question,
                    each.response,
                    each.problems,
                    texts[0].dataset,
                    texts[0].origin,
                    kind=each.kind,
                )
            )
    return made


def _ends_in(response: str, right: str) -> bool | None:
    """Whether a response ends in the right number; None if the right answer is no number."""
    wanted = quantities(right)
    answer = final_answer(response)
    if not wanted:
        return None
    return answer is not None and wanted[-1].value in answer.readings
