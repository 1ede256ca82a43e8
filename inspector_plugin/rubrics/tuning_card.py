"""What the card of a tuned generator says: what it was tuned on, how, and what came of it."""

from __future__ import annotations

from pathlib import Path

from inspector_plugin.errors import ModelError
from inspector_plugin.lm.adapters import read_adapter_card
from inspector_plugin.rubrics.tuning_stages import Tuned, TuningPlan


def problems_of_adapter(folder: Path) -> frozenset[str]:
    """The problems that a generator was tuned on, by their identity.

    Args:
        folder: The adapter's folder.

    Raises:
        ModelError: If its card does not say.
    """
    problems = read_adapter_card(folder).get("problems")
    if not isinstance(problems, list):
        raise ModelError(f"{folder} has no card that says which problems it was tuned on.")
    return frozenset(map(str, problems))


def readme(base: str, plan: TuningPlan, tuned: Tuned) -> str:
    """Write the card for people."""
    lines = [
        "# Generator of rubrics",
        "",
        f"A LoRA adapter of `{base}` that writes rubrics for responses to a problem.",
        f"Made by `inspector rubric tune` from {tuned.problems} problems; reward: {plan.reward}.",
        "",
        "| stage | problems | valid rubrics | dropped | unused | mean reward | trained on | loss |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for stage in tuned.stages:
        reward = "-" if stage.mean_reward is None else f"{stage.mean_reward:.3f}"
        training = stage.training
        trained = "0" if training is None else str(training.examples)
        loss = "-"
        if training is not None:
            loss = f"{training.losses[0]:.3f} to {training.losses[-1]:.3f}"
        lines.append(
            f"| {stage.name} | {stage.problems} | {stage.valid} of {stage.candidates} | "
            f"{stage.dropped} | {stage.unused} | {reward} | {trained} | {loss} |"
        )
    lines += [
        "",
        "Dropped: problems with fewer than two valid rubrics. Unused: no reward above chance, or "
        "no two rubrics of similar length that differ in reward.",
        "Rewards are of the problems that it was tuned on; `inspector rubric eval --leave-out` "
        "this folder measures it on others. `card.json` lists the problems and all options.",
        "",
    ]
    return "\n".join(lines)
