"""What a run asks of us, read from lm_eval's metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inspector_plugin.aspects import ASPECT_KEYS, parse_aspects
from inspector_plugin.errors import DataError, OptionError, one_of
from inspector_plugin.judge import JudgeSpec, OptionValue, unique_names
from inspector_plugin.schema import SCALES

DEFAULT_JUDGE = "inspector"
SPLITS = ("train", "test")
DATA_VARIABLE = "INSPECTOR_DATA"
# lm_eval's own model arguments, which land in the metadata too, may hold a device and a dtype.
_DEFAULTS = {
    "labels": "labels",
    "device": "judge_device",
    "dtype": "judge_dtype",
    "batch_size": "judge_batch_size",
}


@dataclass(frozen=True)
class Settings:
    """The judges of a run and what they judge.

    Attributes:
        judges: The judges by name; each has its own rows in the results.
        reference: The name and specification of the reference judge, if there is one.
        defaults: Options for every judge that has them and whose specification leaves them open:
            `labels`, `device`, `dtype` and `batch_size`.
        aspects: The aspects to judge.
        data: The folder to read the tasks' documents from; None for the Hugging Face hub.
        seed: Seed of the bootstrap, and of the order of GPQA's options.
        resamples: Number of bootstrap resamples, at least 1.
        cache: Whether the judge cache is read and filled.
        split: The split to generate responses for; None for the one that lm_eval takes.
    """

    judges: Mapping[str, JudgeSpec]
    reference: tuple[str, JudgeSpec] | None = None
    defaults: Mapping[str, OptionValue] = field(default_factory=dict)
    aspects: tuple[str, ...] = ASPECT_KEYS
    data: Path | None = None
    seed: int = 0
    resamples: int = 1000
    cache: bool = True
    split: str | None = None

    @property
    def specs(self) -> dict[str, JudgeSpec]:
        """All judges by name, the reference last."""
        reference = {} if self.reference is None else dict([self.reference])
        return {**self.judges, **reference}

    @staticmethod
    def read(metadata: Mapping[str, Any]) -> Settings:
        """Read the settings out of a task's metadata.

        lm_eval puts all its model arguments there as well: keys that are not ours are ignored. An
        empty list of judges means that nothing is judged.

        Raises:
            OptionError: If a value of ours cannot be used.
            DataError: If the data folder does not exist.
        """
        unjudged = metadata.get("judge") == []
        judges = [] if unjudged else _texts(metadata, "judge", DEFAULT_JUDGE)
        specs = [JudgeSpec.parse(text) for text in judges]
        references = [JudgeSpec.parse(text) for text in _texts(metadata, "reference")]
        if len(references) > 1:
            raise OptionError(f"reference takes one judge, not {len(references)}.")
        names = unique_names([*specs, *references])
        return Settings(
            judges=dict(zip(names, specs, strict=False)),
            reference=(names[-1], references[0]) if references else None,
            defaults=_defaults(metadata),
            aspects=parse_aspects(",".join(_texts(metadata, "aspects")) or None),
            data=_data_folder(metadata.get("data")),
            seed=_whole_number(metadata, "seed", default=0, minimum=0),
            resamples=_whole_number(metadata, "resamples", default=1000, minimum=1),
            cache=_yes_or_no(metadata, "cache", default=True),
            split=_split(metadata),
        )


def _texts(metadata: Mapping[str, Any], key: str, default: str | None = None) -> list[str]:
    value = metadata.get(key)
    if value is None:
        return [] if default is None else [default]
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise OptionError(f"{key} takes a text or a list of texts, not {value!r}.")
    return texts


def _defaults(metadata: Mapping[str, Any]) -> dict[str, OptionValue]:
    given = {name: metadata.get(key) for name, key in _DEFAULTS.items()}
    for name, value in given.items():
        number = name == "batch_size" and type(value) is int
        if value is not None and not isinstance(value, str) and not number:
            raise OptionError(f"{_DEFAULTS[name]} takes a text, not {value!r}.")
    if given["batch_size"] is not None:
        given["batch_size"] = str(given["batch_size"])  # the option takes "auto" as well
    labels = given["labels"]
    if labels is not None and labels not in SCALES:
        raise OptionError(one_of(labels, SCALES, "labels"))
    return {name: value for name, value in given.items() if value is not None}


def _data_folder(value: Any) -> Path | None:
    given = value if value is not None else os.environ.get(DATA_VARIABLE) or None
    if given is None:
        return None
    if not isinstance(given, str) or not Path(given).is_dir():
        source = "data" if value is not None else DATA_VARIABLE
        raise DataError(f"{source} takes an existing folder, not {given!r}.")
    return Path(given)


def _split(metadata: Mapping[str, Any]) -> str | None:
    value = metadata.get("split")
    if value is not None and value not in SPLITS:
        raise OptionError(one_of(str(value), SPLITS, "split"))
    return None if value is None else str(value)


def _yes_or_no(metadata: Mapping[str, Any], key: str, default: bool) -> bool:
    value = metadata.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise OptionError(f"{key} takes true or false, not {value!r}.")
    return value


def _whole_number(metadata: Mapping[str, Any], key: str, default: int, minimum: int) -> int:
    value = metadata.get(key)
    if value is None:
        return default
    if type(value) is not int or value < minimum:
        raise OptionError(f"{key} takes a whole number from {minimum} up, not {value!r}.")
    return value
