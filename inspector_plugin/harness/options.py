"""What a run asks of us in lm_eval's metadata: each key, its meaning and its default, once.

`inspector run` has the same as flags, and docs/cli.md is made of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from inspector_plugin.plugins.options import option
from inspector_plugin.schema.criteria import LABELS

# lm_eval's own model arguments, which land in the metadata too, may hold a device and a dtype.
FLAGS = {"judge_device": "device", "judge_dtype": "dtype", "judge_batch_size": "batch_size"}
# What version 0.1 called a key.
OLD_KEYS = {"aspects": "criteria"}


@dataclass(frozen=True)
class RunOptions:
    """The metadata keys of our tasks."""

    judge: str = option("inspector", "a judge, or a list of them: name or name:key=value,key=value")
    reference: str | None = option(None, "the judge that the others are compared with")
    criteria: str | None = option(
        None, "roscoe, some of its keys, or criteria files, comma-separated; default: roscoe"
    )
    labels: str | None = option(
        None, "scores on each criterion's scale, or low/high quality", LABELS
    )
    data: str | None = option(
        None, "folder with the tasks' data; default: INSPECTOR_DATA, or the hub"
    )
    seed: int = option(0, "seed of the bootstrap and of the order of GPQA's options")
    resamples: int = option(1000, "resamples of the bootstrap")
    judge_device: str | None = option(
        None, "where the judge's language model runs: cpu, cuda, cuda:1, ..."
    )
    judge_dtype: str | None = option(None, "number format of the judge's language model")
    judge_batch_size: str | None = option(
        None, "most prompts that the judge's language model reads at once; auto: what fits"
    )
    cache: bool = option(True, "whether the judge cache is read and filled")
    gold: bool = option(
        False,
        "tell judges whether the answer is right, by the task's exact_match: inspector gives that "
        "as the score of the criterion correctness, flagged gold-answer",
    )
    split: str | None = option(
        None, "the split to generate responses for; default: lm_eval's", ("train", "test")
    )


def flag_of(key: str) -> str:
    """The flag of `inspector run` that sets a metadata key."""
    return "--no-cache" if key == "cache" else "--" + FLAGS.get(key, key).replace("_", "-")
