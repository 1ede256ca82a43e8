"""What a generator of rubrics is trained on: its best rubrics, and best against worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inspector_plugin.lm.lora_plan import Example, Preference
from inspector_plugin.rubrics.candidates import Candidate, write_items
from inspector_plugin.rubrics.rewards import CHANCE, LABELS, Reward, best_against_worst, best_of
from inspector_plugin.rubrics.tuning_stages import TuningPlan

FEWEST_VALID = 2
TokenIds = tuple[int, ...]
Encode = Callable[[str], TokenIds]


def _count_valid(rewards: Sequence[Reward]) -> int:
    """How many of a problem's rubrics have a reward."""
    return sum(reward.value is not None for reward in rewards)


def best_examples(
    prompts: Sequence[TokenIds],
    candidates: Sequence[Sequence[Candidate]],
    rewards: Sequence[Sequence[Reward]],
    encode: Encode,
    plan: TuningPlan,
) -> tuple[list[Example], int]:
    """Take the best rubric of each problem, where it is better than one that says nothing.

    Args:
        prompts: For each problem what the generator was asked.
        candidates: The rubrics that it wrote.
        rewards: Their rewards.
        encode: Turns text into token ids.
        plan: How to tune.

    Returns:
        The examples, and how many further problems give none. Problems with fewer than two valid
        rubrics are left out, and not counted here.
    """
    examples, unused = [], 0
    for prompt, written, given in zip(prompts, candidates, rewards, strict=True):
        if _count_valid(given) < FEWEST_VALID:
            continue
        best = best_of(given)
        value = None if best is None else given[best].value
        if best is None or value is None or (plan.reward == LABELS and value <= CHANCE):
            unused += 1
            continue
        # What is learnt is the rubric, in the form that is asked for, and no text around it.
        examples.append(Example(prompt, encode(write_items(written[best].items))))
    return examples, unused


def best_and_worst(
    prompts: Sequence[TokenIds],
    candidates: Sequence[Sequence[Candidate]],
    rewards: Sequence[Sequence[Reward]],
    encode: Encode,
    plan: TuningPlan,
) -> tuple[list[Preference], int]:
    """Hold the best against the worst rubric of each problem, of similar length.

    Args and returns are those of `best_examples`.
    """
    pairs, unused = [], 0
    for prompt, written, given in zip(prompts, candidates, rewards, strict=True):
        if _count_valid(given) < FEWEST_VALID:
            continue
        chosen = best_against_worst(written, given, plan.length_ratio)
        if chosen is None:
            unused += 1
            continue
        better, worse = (encode(written[place].text) for place in chosen)
        pairs.append(Preference(prompt, better, worse))
    return pairs, unused
