"""Features for fitting probes: pooled hidden states of every layer, kept between runs.

Each prompt's features are a file of their own, named by a hash of the model, the prompt's tokens
and what was pooled. An interrupted extraction goes on where it stopped, and a second one with other
aspects, classifiers or seeds finds all it needs.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from tqdm.auto import tqdm

from inspector_plugin.lm.catalog import cache_folder
from inspector_plugin.lm.forward import FloatArray, HiddenState, pooled_hidden_states
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.pooling import POOLINGS
from inspector_plugin.lm.tokens import Encoding

_CHUNK = 64


def every_hidden_state(layers: int, spans: Sequence[str]) -> list[HiddenState]:
    """All combinations of layer, span and pooling, in a fixed order."""
    return [
        HiddenState(layer, span, pooling)
        for layer in range(layers)
        for span in spans
        for pooling in POOLINGS
    ]


class FeatureStore:
    """Features on disk.

    Attributes:
        folder: The folder that holds them; `features` in the cache folder if None is given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "features"

    def extract(
        self,
        language_model: LanguageModel,
        encodings: Sequence[Encoding],
        wanted: Sequence[HiddenState],
        batch_tokens: int = 2048,
        description: str = "Features",
        run: Callable[..., FloatArray] | None = None,
    ) -> list[Path]:
        """Compute the features that are not on disk yet.

        Args:
            language_model: The model.
            encodings: The prompts.
            wanted: What to pool.
            batch_tokens: Most tokens in a batch.
            description: What the progress bar says.
            run: What computes them in the place of `pooled_hidden_states`, called as that is.

        Returns:
            For each prompt the file with its features.
        """
        paths = [self._path(language_model, encoding, wanted) for encoding in encodings]
        missing = list({path: i for i, path in enumerate(paths) if not path.exists()}.values())
        compute = run or pooled_hidden_states
        hidden = not sys.stderr.isatty()
        with tqdm(total=len(missing), desc=description, unit="row", disable=hidden) as bar:
            for start in range(0, len(missing), _CHUNK):
                chunk = missing[start : start + _CHUNK]

                def save(indices: list[int], rows: FloatArray, chunk: list[int] = chunk) -> None:
                    for index, row in zip(indices, rows, strict=True):
                        _write(paths[chunk[index]], row)
                    bar.update(len(indices))

                prompts = [encodings[index] for index in chunk]
                compute(language_model, prompts, wanted, batch_tokens, save)
        return paths

    def _path(
        self, language_model: LanguageModel, encoding: Encoding, wanted: Sequence[HiddenState]
    ) -> Path:
        states = [(state.layer, state.span, state.pooling) for state in wanted]
        content = [
            language_model.fingerprint,
            language_model.dtype,
            list(encoding.token_ids),
            sorted(encoding.spans.items()),
            states,
        ]
        name = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return self.folder / language_model.fingerprint[:16] / name[:2] / f"{name}.safetensors"


def read_features(paths: Sequence[Path]) -> FloatArray:
    """Read the features of several prompts.

    Returns:
        [prompts, states, hidden] float32.
    """
    return np.stack([load_file(path)["features"] for path in paths])


def _write(path: Path, row: FloatArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    save_file({"features": np.ascontiguousarray(row)}, scratch)
    scratch.replace(path)
