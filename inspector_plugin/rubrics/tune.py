"""Tuning a generator of rubrics by the rewards of its own rubrics.

K rubrics are drawn for each problem and rewarded. The best ones are what the generator is first
trained on (supervised); then, in rounds, it draws again and is trained to favour its best rubric
over its worst (DPO). What is trained is a LoRA adapter. Each stage leaves its files in OUT/stages,
and an interrupted run resumes after the last finished one; drawing resumes in the middle.

Source: Dynamic Rubrics (arXiv 2605.30568): K = 8, two rounds. Theirs turns a meta-judge's ratings
into Bradley-Terry scores; here the ratings, or people's labels where there are any, are the
rewards.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from inspector_plugin.data.files import locked, read_json, write_whole
from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.errors import DataError, ModelError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.validate import description_of
from inspector_plugin.lm.adapter_files import write_card
from inspector_plugin.lm.adapters import CARD, CONFIG, WEIGHTS, read_adapter_card
from inspector_plugin.lm.loading import LanguageModel, load_language_model
from inspector_plugin.lm.lora import (
    encode_completion,
    require_trainers,
    train_preference,
    train_supervised,
)
from inspector_plugin.lm.lora_plan import Example, Preference, Training
from inspector_plugin.rubrics.candidates import Candidate
from inspector_plugin.rubrics.rewards import (
    LABELS,
    Reward,
    mean_value,
    rewards_by_labels,
    rewards_by_meta_judge,
)
from inspector_plugin.rubrics.sampling import draw_candidates, encode_prompts
from inspector_plugin.rubrics.tuning_card import readme
from inspector_plugin.rubrics.tuning_examples import (
    FEWEST_VALID,
    TokenIds,
    best_and_worst,
    best_examples,
)
from inspector_plugin.rubrics.tuning_stages import Stage, Tuned, TuningPlan

_REMEDY = "pass --overwrite to begin anew, or another --out"


def tune(
    problems: Sequence[LabelledProblem],
    plan: TuningPlan,
    judge: Judge,
    out: Path,
    *,
    judge_name: str = "judge",
    cache: JudgeCache | None = None,
    overwrite: bool = False,
) -> Tuned:
    """Tune a generator of rubrics.

    Args:
        problems: The problems; with labels that differ where these give the reward.
        plan: How to tune.
        judge: Scores responses by the rubrics, or the rubrics themselves (meta-judge).
        out: The folder of the adapter to write.
        judge_name: What progress calls the judge.
        cache: Where judgements are kept.
        overwrite: Whether to begin anew where the folder is already there.

    Returns:
        The adapter, and what was done.

    Raises:
        DataError: If the folder cannot be written or comes from another run.
        ModelError: If there is nothing to train on, or training fails.
        OptionError: If TRL or PEFT is not installed.
    """
    require_trainers()
    with locked(out):
        run = _Run(problems, plan, judge, out, judge_name, cache)
        run.open(overwrite)
        return run.tune()


class _Run:
    """One run of tuning, which finds what an earlier one has left."""

    def __init__(
        self,
        problems: Sequence[LabelledProblem],
        plan: TuningPlan,
        judge: Judge,
        out: Path,
        judge_name: str,
        cache: JudgeCache | None,
    ) -> None:
        self._given, self._plan, self._judge, self._out = problems, plan, judge, out
        self._judge_name, self._cache = judge_name, cache
        self._stages_folder = out / "stages"
        self._made_by = {
            "plan": plan.to_json(),
            "problems": _digest([[p.question, p.responses, p.labels] for p in problems]),
            "judge": dict(description_of(judge, judge_name)),
            "rubric_form": judge.rubric_form,
        }

    def open(self, overwrite: bool) -> None:
        """Make the folder ready.

        Raises:
            DataError: If it was made by another run, or cannot be written.
        """
        path = self._stages_folder / "run.json"
        try:
            if overwrite and path.exists():
                shutil.rmtree(self._out)
            if path.exists():
                if read_json(path) != json.loads(json.dumps(self._made_by)):
                    raise DataError(
                        f"{self._out} comes from another run (other data, judge or options): "
                        f"{_REMEDY}."
                    )
                return
            if self._out.exists() and (not self._out.is_dir() or any(self._out.iterdir())):
                raise DataError(f"{self._out} is there already and no tuning: give another --out.")
            self._stages_folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, (json.dumps(self._made_by, indent=2) + "\n").encode())
        except (OSError, ValueError) as error:
            raise DataError(f"Cannot use {self._out}: {error}.") from error

    def tune(self) -> Tuned:
        """Go through the stages."""
        stages: list[Stage] = []
        adapter: Path | None = None
        names = ["supervised", *(f"round {number + 1}" for number in range(self._plan.rounds))]
        for number, name in enumerate(names):
            stage, trained = self._stage(number, name, adapter)
            stages.append(stage)
            adapter = trained or adapter
        if adapter is None:
            raise ModelError(_nothing_to_train_on(stages))
        tuned = Tuned(self._out, tuple(stages), len(self._given), self._too_long(stages))
        self._publish(adapter, tuned)
        return tuned

    def _stage(self, number: int, name: str, start: Path | None) -> tuple[Stage, Path | None]:
        """Do one stage, or read what an earlier run has left of it.

        Returns:
            What was done, and the folder of the adapter; None if nothing was trained.
        """
        folder = self._stages_folder / name.replace(" ", "-")
        record = self._stages_folder / f"{folder.name}.json"
        if record.exists():
            stage = self._read_record(record)
            return stage, folder if stage.training is not None else None
        generator = self._plan.base if start is None else str(start)
        language_model = load_language_model(generator, self._plan.device, self._plan.dtype)
        draw = replace(self._plan.draw, seed=self._plan.draw.seed + 1_000_003 * number)
        problems, prompts = encode_prompts(
            language_model, self._given, self._plan.shown, draw.max_tokens
        )
        if not problems:
            raise ModelError(
                f"Tuning {self._plan.base!r}: it reads {language_model.max_tokens} tokens, too few "
                f"for any of the prompts and a rubric of {draw.max_tokens}; lower --max-tokens, or "
                "pass --no-responses."
            )
        candidates = draw_candidates(
            language_model,
            problems,
            prompts,
            draw,
            self._stages_folder / f"{folder.name}.candidates.jsonl",
            {"generator": language_model.fingerprint, "draw": asdict(draw), **self._made_by},
            name,
        )
        rewards = self._rewards(problems, candidates)
        self._write_rewards(folder.name, problems, rewards)
        examples, unused = self._chosen(number, language_model, prompts, candidates, rewards)
        del language_model  # training loads a copy of its own
        training = self._train(number, examples, folder, start)
        known = [[each for each in row if each.value is not None] for row in rewards]
        every = [reward for row in known for reward in row]
        stage = Stage(
            name=name,
            problems=len(problems),
            candidates=sum(map(len, candidates)),
            valid=len(every),
            dropped=sum(len(row) < FEWEST_VALID for row in known),
            unused=unused,
            mean_reward=mean_value(every),
            training=training,
        )
        self._write(record, stage.to_json())
        return stage, folder if training is not None else None

    def _rewards(
        self, problems: Sequence[LabelledProblem], candidates: Sequence[Sequence[Candidate]]
    ) -> list[list[Reward]]:
        reward = rewards_by_labels if self._plan.reward == LABELS else rewards_by_meta_judge
        return reward(problems, candidates, self._judge, name=self._judge_name, cache=self._cache)

    def _chosen(
        self,
        number: int,
        language_model: LanguageModel,
        prompts: Sequence[TokenIds],
        candidates: Sequence[Sequence[Candidate]],
        rewards: Sequence[Sequence[Reward]],
    ) -> tuple[Sequence[Example] | Sequence[Preference], int]:
        """Choose what a stage trains on; see `best_examples`."""

        def encode(text: str) -> TokenIds:
            return encode_completion(language_model, text)

        if number == 0:
            return best_examples(prompts, candidates, rewards, encode, self._plan)
        return best_and_worst(prompts, candidates, rewards, encode, self._plan)

    def _train(
        self,
        number: int,
        examples: Sequence[Example] | Sequence[Preference],
        folder: Path,
        start: Path | None,
    ) -> Training | None:
        if not examples:
            return None
        plan = self._plan
        train: Callable[..., Training] = train_supervised if number == 0 else train_preference
        settings = plan.supervised if number == 0 else plan.preference
        return train(
            plan.base,
            examples,
            folder,
            settings,
            start=start,
            device=plan.device,
            dtype=plan.dtype,
        )

    def _publish(self, adapter: Path, tuned: Tuned) -> None:
        """Put the last stage's adapter and its card where the user asked for them."""
        try:
            for name in (CONFIG, WEIGHTS, CARD):
                write_whole(self._out / name, (adapter / name).read_bytes())
        except OSError as error:
            raise DataError(f"Cannot write {self._out}: {error}.") from error
        card = {
            "made_for": "rubrics",
            "made_by": self._made_by,
            "problems": sorted({each.problem for each in self._given}),
            "too_long": tuned.too_long,
            "stages": [stage.to_json() for stage in tuned.stages],
        }
        base = str(read_adapter_card(adapter).get("base", self._plan.base))
        write_card(self._out, card, readme(base, self._plan, tuned))

    def _too_long(self, stages: Sequence[Stage]) -> int:
        return len(self._given) - stages[0].problems

    def _read_record(self, path: Path) -> Stage:
        try:
            return Stage.from_json(read_json(path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"Cannot read {path} ({error}): {_REMEDY}.") from error

    def _write_rewards(
        self,
        name: str,
        problems: Sequence[LabelledProblem],
        rewards: Sequence[Sequence[Reward]],
    ) -> None:
        rows = {
            problem.problem: [
                {key: value for key, value in vars(reward).items() if value is not None}
                for reward in given
            ]
            for problem, given in zip(problems, rewards, strict=True)
        }
        self._write(self._stages_folder / f"{name}.rewards.json", rows)

    def _write(self, path: Path, content: Any) -> None:
        try:
            write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
        except OSError as error:
            raise DataError(f"Cannot write {path}: {error}.") from error


def _nothing_to_train_on(stages: Sequence[Stage]) -> str:
    first = stages[0]
    return (
        f"There is nothing to tune on: of {first.problems} problems, {first.dropped} have fewer "
        f"than {FEWEST_VALID} valid rubrics of {first.candidates // max(first.problems, 1)}, and "
        f"{first.unused} no rubric better than chance. Give more problems or candidates, or a "
        "larger generator."
    )


def _digest(content: Any) -> str:
    text = json.dumps(content).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()
