"""What a run asks of us, read from lm_eval's metadata and checked."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inspector_plugin.agreement.bootstrap import MOST_RESAMPLES
from inspector_plugin.errors import CriteriaError, DataError, OptionError, one_of
from inspector_plugin.harness.options import FLAGS, OLD_KEYS, RunOptions
from inspector_plugin.plugins.options import JudgeSpec, OptionValue, options_of, unique_names
from inspector_plugin.schema.criteria import LABELS, Criterion
from inspector_plugin.schema.criteria_files import parse_criteria

DATA_VARIABLE = "INSPECTOR_DATA"
_OPTIONS = {option.name: option for option in options_of(RunOptions)}
# Closer than this, a key is taken for a misspelt one of ours: "judges", "refrence", "criterion".
_CLOSE = 0.8


@dataclass(frozen=True)
class Settings:
    """The judges of a run and what they judge.

    Attributes:
        judges: The judges by name; each has its own rows in the results.
        reference: The name and specification of the reference judge, if there is one.
        defaults: Options for every judge that has them and whose specification doesn't set them:
            `labels`, `device`, `dtype` and `batch_size`.
        criteria: The criteria to judge on; None for those of the task.
        data: The folder to read the tasks' documents from; None for the Hugging Face hub.
        seed: Seed of the bootstrap, and of the order of GPQA's options.
        resamples: Number of bootstrap resamples, at least 1.
        cache: Whether the judge cache is read and filled.
        gold: Whether judges are told if the answer is right.
        split: The split to generate responses for; None for the one that lm_eval takes.
    """

    judges: Mapping[str, JudgeSpec]
    reference: tuple[str, JudgeSpec] | None = None
    defaults: Mapping[str, OptionValue] = field(default_factory=dict)
    criteria: tuple[Criterion, ...] | None = None
    data: Path | None = None
    seed: int = 0
    resamples: int = 1000
    cache: bool = True
    gold: bool = False
    split: str | None = None

    @property
    def specs(self) -> dict[str, JudgeSpec]:
        """All judges by name, the reference last."""
        reference = {} if self.reference is None else dict([self.reference])
        return {**self.judges, **reference}

    @staticmethod
    def read(metadata: Mapping[str, Any], shown: Callable[[str], str] = str) -> Settings:
        """Read the settings out of a task's metadata.

        lm_eval puts all its model arguments there as well: keys that are not ours are ignored,
        unless they look like a misspelt one of ours. An empty list of judges means that nothing is
        judged.

        Args:
            metadata: The metadata.
            shown: What messages call a key; a command line shows its flag.

        Raises:
            OptionError: If a value of ours cannot be used.
            DataError: If the data folder does not exist.
        """
        _refuse_near_misses(metadata)
        given = _Given(metadata, shown)
        unjudged = metadata.get("judge") == []
        judges = [] if unjudged else given.texts("judge", _OPTIONS["judge"].default)
        specs = [JudgeSpec.parse(text) for text in judges]
        references = [JudgeSpec.parse(text) for text in given.texts("reference")]
        if len(references) > 1:
            raise OptionError(f"{shown('reference')} takes one judge, not {len(references)}.")
        names = unique_names([*specs, *references])
        return Settings(
            judges=dict(zip(names, specs, strict=False)),
            reference=(names[-1], references[0]) if references else None,
            defaults=given.judge_defaults(),
            criteria=given.criteria(),
            data=given.data_folder(),
            seed=given.whole_number("seed", minimum=0),
            resamples=given.whole_number("resamples", minimum=1, maximum=MOST_RESAMPLES),
            cache=given.yes_or_no("cache"),
            gold=given.yes_or_no("gold"),
            split=given.choice("split"),
        )


def _refuse_near_misses(metadata: Mapping[str, Any]) -> None:
    known = [*_OPTIONS, *OLD_KEYS]
    for key in metadata:
        if key in known or not isinstance(key, str):
            continue
        close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=_CLOSE)
        if close:
            raise OptionError(
                f"Metadata key {key!r} is not one of this package; did you mean {close[0]!r}?"
            )


@dataclass(frozen=True)
class _Given:
    """The values that metadata gives for our keys, checked one by one."""

    metadata: Mapping[str, Any]
    shown: Callable[[str], str]

    def texts(self, key: str, default: OptionValue = None) -> list[str]:
        value = self.metadata.get(key)
        if value is None:
            return [] if default is None else [str(default)]
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
            raise OptionError(f"{self.shown(key)} takes a text or a list of texts, not {value!r}.")
        return texts

    def criteria(self) -> tuple[Criterion, ...] | None:
        keys = ["criteria", *(old for old, new in OLD_KEYS.items() if new == "criteria")]
        parts = [part for key in keys for part in self.texts(key)]
        return parse_criteria(",".join(parts)) if parts else None

    def judge_defaults(self) -> dict[str, OptionValue]:
        defaults: dict[str, OptionValue] = {}
        for key, name in (("labels", "labels"), *FLAGS.items()):
            value = self.metadata.get(key)
            if value is None:
                continue
            number = name == "batch_size" and type(value) is int
            if not isinstance(value, str) and not number:
                raise OptionError(f"{self.shown(key)} takes a text, not {value!r}.")
            defaults[name] = str(value)  # a batch size may be "auto" as well
        if defaults.get("labels", LABELS[0]) not in LABELS:
            raise OptionError(one_of(str(defaults["labels"]), LABELS, self.shown("labels")))
        return defaults

    def data_folder(self) -> Path | None:
        value = self.metadata.get("data")
        given = value if value is not None else os.environ.get(DATA_VARIABLE) or None
        if given is None:
            return None
        if not isinstance(given, str) or not os.path.isdir(given):
            source = self.shown("data") if value is not None else DATA_VARIABLE
            raise DataError(f"{source} takes an existing folder, not {given!r}.")
        return Path(given)

    def choice(self, key: str) -> str | None:
        value = self.metadata.get(key)
        choices = _OPTIONS[key].choices
        if value is not None and value not in choices:
            raise OptionError(one_of(str(value), choices, self.shown(key)))
        return None if value is None else str(value)

    def yes_or_no(self, key: str) -> bool:
        value = self.metadata.get(key)
        if value is None:
            return bool(_OPTIONS[key].default)
        if not isinstance(value, bool):
            raise OptionError(f"{self.shown(key)} takes true or false, not {value!r}.")
        return value

    def whole_number(self, key: str, minimum: int, maximum: float = math.inf) -> int:
        value = self.metadata.get(key)
        if value is None:
            value = _OPTIONS[key].default
        if type(value) is not int or value < minimum:
            raise OptionError(
                f"{self.shown(key)} takes a whole number from {minimum} up, not {value!r}."
            )
        if value > maximum:
            raise OptionError(f"{self.shown(key)} takes a number up to {maximum}, not {value}.")
        return value


def read_task_criteria(value: Any, folder: Path) -> tuple[Criterion, ...] | None:
    """Read the criteria that a task's YAML file names; files are looked up beside it.

    Raises:
        CriteriaError: If they cannot be used.
    """
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise CriteriaError(f"criteria: must be a text or a list of texts, not {value!r:.60}.")
    beside = {part.strip(): folder / part.strip() for part in parts}
    return parse_criteria(
        [str(path) if os.path.isfile(path) else part for part, path in beside.items()]
    )
