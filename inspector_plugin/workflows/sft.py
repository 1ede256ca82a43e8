"""Filter, fine-tune, test: does training on the responses that a judge prefers help?

One LoRA adapter is trained for each arm (`data.arms`), and tested beside the base model. The
published study is that of Li et al., arXiv 2601.22588, which compares the best fraction by total
score with a random one. We also give the worst and all, make the arms equal in rows and tokens,
and refuse rows whose problem is tested.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin import __version__
from inspector_plugin.data.arms import Arm, Arms, choose_arms
from inspector_plugin.data.best_rows import row_scores
from inspector_plugin.data.files import read_json, write_whole
from inspector_plugin.data.jsonl import read_rows, response_field, text_field
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.score_table import ScoreTable
from inspector_plugin.data.stored_scores import RESPONSE_FIELDS
from inspector_plugin.data.text import is_unicode
from inspector_plugin.errors import DataError
from inspector_plugin.lm.adapters import WEIGHTS, read_adapter_card
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.lora import encode_completion, encode_prompt, train_supervised, write_card
from inspector_plugin.lm.lora_plan import Example, LoraSettings
from inspector_plugin.lm.templates import has_template
from inspector_plugin.schema.flags import DroppedFlags

BASE = "base"
QUESTION = "{question}"
TESTED = "its problem is in the test data"
TOO_LONG = "too long for --max-length"
_REMEDY = "pass --overwrite to begin anew, or give another --out"
_ROWS = "rows.jsonl"
_PROBLEM_FIELDS = ("question", "problem", "Question")


@dataclass(frozen=True)
class SftPlan:
    """How the arms of a study are trained.

    Attributes:
        base: The base model.
        arms: The names of the arms.
        share: How much of the problems an arm holds.
        epochs: How often it shows each row.
        tolerance: By how much the arms may differ in tokens.
        prompt: What the model is asked; `{question}` stands for the problem.
        max_length: The most tokens of prompt and response together.
        settings: How the adapters are trained; its epochs are 1, since `epochs` is in the rows.
        dtype: The number format of the base model's weights.
        device: Where training runs.
    """

    base: str
    arms: tuple[str, ...]
    share: float
    epochs: int
    tolerance: float
    prompt: str
    max_length: int
    settings: LoraSettings
    dtype: str | None = None
    device: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values; where it runs decides nothing."""
        return {key: value for key, value in asdict(self).items() if key != "device"}


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
    """

    responses: list[Response]
    examples: list[Example]
    left_out: Counter[str]


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
    """The identities of the problems in a JSONL file, under question or problem.

    Raises:
        DataError: If a row has neither.
    """
    return frozenset(
        problem_identity(text_field(row, _PROBLEM_FIELDS, f"{path}, line {number}"))
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
    return Trained(kept, examples, left)


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


class Study:
    """The folder of a study: an adapter for each arm, and what tests have found."""

    def __init__(self, out: Path, plan: SftPlan, data: Trained, arms: Arms) -> None:
        """Name the folder, and what makes it."""
        self.out, self._plan, self._data, self._arms = out, plan, data, arms
        self._made_by = {
            "inspector_plugin": __version__,
            "plan": plan.to_json(),
            "rows": {name: self._digest(arm) for name, arm in arms.arms.items()},
        }

    def open(self, overwrite: bool) -> None:
        """Make the folder ready; finished arms of the same run are kept.

        Raises:
            DataError: If another run made it, or it cannot be written.
        """
        path = self.out / "run.json"
        try:
            if overwrite and path.exists():
                shutil.rmtree(self.out)
            if path.exists():
                self._require_same(read_json(path))
                return
            if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
                raise DataError(f"{self.out} is there already and no study: give another --out.")
            self.out.mkdir(parents=True, exist_ok=True)
            write_whole(path, (json.dumps(self._made_by, indent=2) + "\n").encode())
        except (OSError, ValueError) as error:
            raise DataError(f"Cannot use {self.out}: {error}.") from error

    def train(self, name: str, judged_by: Mapping[str, Any]) -> bool:
        """Train the adapter of an arm, unless it is there.

        Args:
            name: The arm.
            judged_by: What the card says of the scores.

        Returns:
            Whether it was trained now.
        """
        folder = self.adapter(name)
        if folder.is_dir() and "arm" in read_adapter_card(folder):
            return False
        arm, plan = self._arms.arms[name], self._plan
        training = train_supervised(
            plan.base,
            [self._data.examples[row] for row in arm.shown],
            folder,
            plan.settings,
            device=plan.device,
            dtype=plan.dtype,
        )
        self._write_rows(folder, arm)
        described = {
            "arm": name,
            "rows": len(arm.rows),
            "shown": len(arm.shown),
            "tokens": arm.tokens,
            "bands": self._arms.bands,
            "scores": judged_by,
            "plan": plan.to_json(),
            "training": training.to_json(),
        }
        write_card(folder, described, _readme(described))
        return True

    def adapter(self, name: str) -> Path:
        """The folder of an arm's adapter."""
        return self.out / name

    def stored_test(self, name: str, kind: str, settings: Mapping[str, Any]) -> Any | None:
        """What an earlier run has found in a test of an arm; None if it has not.

        Args:
            name: The arm, or `BASE`.
            kind: Which test.
            settings: What decides its outcome.
        """
        try:
            content = read_json(self._test_file(name, kind))
            same = content["made_by"] == json.loads(json.dumps(self._test_made_by(name, settings)))
            return content["found"] if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store_test(self, name: str, kind: str, settings: Mapping[str, Any], found: Any) -> None:
        """Keep what a test of an arm has found.

        Raises:
            DataError: If it cannot be written.
        """
        content = {"made_by": self._test_made_by(name, settings), "found": found}
        path = self._test_file(name, kind)
        try:
            path.parent.mkdir(exist_ok=True)
            write_whole(path, (json.dumps(content) + "\n").encode())
        except OSError as error:
            raise DataError(f"Cannot write {path}: {error}.") from error

    def _test_file(self, name: str, kind: str) -> Path:
        return self.out / "tests" / f"{name}.{kind}.json"

    def _test_made_by(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        weights = self.adapter(name) / WEIGHTS
        content = weights.read_bytes() if name != BASE and weights.is_file() else b""
        return {**settings, "adapter": hashlib.sha256(content).hexdigest()[:16]}

    def _write_rows(self, folder: Path, arm: Arm) -> None:
        responses = [self._data.responses[row] for row in arm.rows]
        lines = [
            json.dumps({"question": r.question, "response": r.text, "score": r.score}) + "\n"
            for r in responses
        ]
        try:
            write_whole(folder / _ROWS, "".join(lines).encode())
        except OSError as error:
            raise DataError(f"Cannot write {folder / _ROWS}: {error}.") from error

    def _digest(self, arm: Arm) -> str:
        examples = [self._data.examples[row] for row in arm.shown]
        return hashlib.sha256(json.dumps([asdict(each) for each in examples]).encode()).hexdigest()

    def _require_same(self, before: Any) -> None:
        wanted = json.loads(json.dumps(self._made_by))
        if before == wanted:
            return
        known = before if isinstance(before, dict) else {}
        plans = [each.get("plan") or {} for each in (known, wanted)]
        differing = [key for key in plans[1] if plans[0].get(key) != plans[1][key]]
        differing += [key for key in ("inspector_plugin", "rows") if known.get(key) != wanted[key]]
        raise DataError(
            f"{self.out} comes from another run (other {', '.join(differing)}): {_REMEDY}."
        )


def _listed(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{count} rows: {reason}" for reason, count in reasons.items()) or "no rows"


def _readme(card: Mapping[str, Any]) -> str:
    plan, training = card["plan"], card["training"]
    first, last = training["losses"][0], training["losses"][-1]
    return (
        f"# The arm `{card['arm']}` of a fine-tuning study\n\n"
        f"A LoRA adapter for `{plan['base']}`, made by `inspector sft`: {card['rows']} rows, shown "
        f"{card['shown']} times in all, {card['tokens']} tokens to learn. Scores: "
        f"{json.dumps(card['scores'])}. The loss went from {first:.3f} to {last:.3f}. `rows.jsonl` "
        "holds the rows. What it is worth on a test stands in figures.json of the study.\n"
    )
