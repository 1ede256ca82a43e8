"""One run of `inspector tune`: what it is asked for, and the base model, loaded when it is needed.

A run is known by what it is asked for, so that one that is finished, or whose folds all are, is
found without the base model.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.data.scored_rows import ScoredRow, data_sha256
from inspector_plugin.judges.packs import sha256_of
from inspector_plugin.judges.tuned.examples import Examples, examples_of
from inspector_plugin.judges.tuned.model import Text
from inspector_plugin.judges.tuned.packs import describe_base
from inspector_plugin.judges.tuned.plan import JUDGE, LORA, TuningPlan
from inspector_plugin.judges.tuned.training import Tuner
from inspector_plugin.lm.loading import resolve_device
from inspector_plugin.lm.number_format import chosen_dtype

_LIBRARIES = ("torch", "transformers", "tokenizers")


class TuningRun:
    """What is to be tuned, on what.

    Attributes:
        plan: What to fit and how.
        examples: What is learnt from.
        name: Names the run: the same for the same plan, base, data and versions.
    """

    def __init__(
        self,
        plan: TuningPlan,
        base: str,
        device: str | None,
        dtype: str | None,
        rows: Sequence[ScoredRow],
        keys: Sequence[str],
    ) -> None:
        """Say what to tune; nothing is loaded yet.

        Args:
            plan: What to fit and how.
            base: The base model, by name.
            device: A torch device; CUDA where there is one if None.
            dtype: What is computed in; see `Tuner`.
            rows: Scored rows.
            keys: The criteria to learn, by key.

        Raises:
            OptionError: If the device or the dtype cannot be used.
        """
        self.plan = plan
        self.examples: Examples = examples_of(rows, plan, keys)
        self._base, self._device = base, device
        self._dtype = chosen_dtype(dtype, resolve_device(device))
        self._data = data_sha256(rows)
        self.name = sha256_of({**self._asked(), "base": base, "criteria": list(keys)})

    @cached_property
    def tuner(self) -> Tuner:
        """What fits, with the base model loaded.

        Raises:
            ModelError, OptionError: See `Tuner`.
        """
        return Tuner(self.plan, self._base, self._device, self._dtype)

    @cached_property
    def texts(self) -> list[Text]:
        """The texts of the examples, as the base reads them; it is loaded."""
        return self.tuner.encode(self.examples)

    def about_base(self) -> dict[str, Any]:
        """What a card says of the base model and of the texts that it reads; it is loaded."""
        truncated = sum(text.truncated for text in self.texts)
        return {
            "base": describe_base(self.tuner.base),
            "max_tokens": self.tuner.max_tokens,
            "truncated": {"texts": truncated, "of": len(self.texts)},
        }

    def head(self) -> dict[str, Any]:
        """What a card says of the run itself."""
        return {
            **self._asked(),
            "target": self.plan.target,
            "labels": self.plan.labels,
            "dataset": self.plan.dataset,
            "run": self.name,
            "known_problems": sorted(set(self.examples.problems)),
        }

    def _asked(self) -> dict[str, Any]:
        libraries = (*_LIBRARIES, "peft") if self.plan.kind == LORA else _LIBRARIES
        return {
            "judge": JUDGE,
            "kind": self.plan.kind,
            "training": {
                **self.plan.to_json(),
                "dtype": self._dtype,
                "data_sha256": self._data,
                "versions": {
                    "inspector_plugin": __version__,
                    **{name: importlib.metadata.version(name) for name in libraries},
                },
            },
        }
