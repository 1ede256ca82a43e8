"""Features for fitting probes, of every layer, kept between runs.

Each prompt's features are a file of their own, named by a hash of the model, the prompt's tokens
and what was pooled. An interrupted extraction resumes, and a second one with other criteria,
classifiers or seeds finds all it needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from inspector_plugin.data.files import require_ordinary, write_whole
from inspector_plugin.folders import cache_folder
from inspector_plugin.lm.forward import FloatArray, Pooled, pooled_features
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import Feature, ForwardPlan
from inspector_plugin.lm.tokens import Encoding
from inspector_plugin.progress import Progress

_CHUNK = 64


def every_feature(
    layers: int, spans: Sequence[str], poolings: Sequence[str]
) -> tuple[Feature, ...]:
    """All combinations of layer, span and pooling, in a fixed order."""
    return tuple(
        Feature(layer, span, pooling)
        for layer in range(layers)
        for span in spans
        for pooling in poolings
    )


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
        plan: ForwardPlan,
        description: str = "Features",
    ) -> list[Path]:
        """Compute the features that are not on disk yet, or are damaged there.

        Args:
            language_model: The model.
            encodings: The prompts.
            plan: What to keep of each, and how to run them.
            description: What the progress bar says.

        Returns:
            For each prompt the file with its features.
        """
        paths = [self._path(language_model, encoding, plan.features) for encoding in encodings]
        width = sum(feature.width(language_model) for feature in plan.features)
        found = {path: _is_whole(path, width) for path in dict.fromkeys(paths)}
        missing = list({path: i for i, path in enumerate(paths) if not found[path]}.values())
        with Progress(len(missing), description, "row") as progress:
            for start in range(0, len(missing), _CHUNK):
                chunk = missing[start : start + _CHUNK]

                def save(indices: list[int], pooled: Pooled, chunk: list[int] = chunk) -> None:
                    rows = np.concatenate([pooled[feature] for feature in plan.features], axis=1)
                    for index, row in zip(indices, rows, strict=True):
                        _write(paths[chunk[index]], row)
                    progress.advance(len(indices))

                prompts = [encodings[index] for index in chunk]
                pooled_features(language_model, prompts, plan, save)
        return paths

    def _path(
        self, language_model: LanguageModel, encoding: Encoding, features: Sequence[Feature]
    ) -> Path:
        kept = [(feature.layer, feature.span, feature.pooling) for feature in features]
        content = [
            language_model.fingerprint,
            language_model.dtype,
            list(encoding.token_ids),
            sorted(encoding.spans.items()),
            kept,
        ]
        if len(encoding.suffixes) > 1:
            # A single suffix makes the prompt an ordinary one.
            content.append(list(encoding.suffixes))
        name = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return self.folder / language_model.fingerprint[:16] / name[:2] / f"{name}.safetensors"


def read_features(
    paths: Sequence[Path], widths: Mapping[Feature, int]
) -> dict[Feature, FloatArray]:
    """Read the features of several prompts.

    Args:
        paths: A file for each prompt.
        widths: What the files hold, in order: each feature's number of values.

    Returns:
        For each feature [prompts, width] float32.
    """
    rows = np.stack([load_file(path)["features"].reshape(-1) for path in paths])
    ends = np.cumsum(list(widths.values()))
    return dict(zip(widths, np.split(rows, ends[:-1], axis=1), strict=True))


def _write(path: Path, row: FloatArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save({"features": np.ascontiguousarray(row)}))


def _is_whole(path: Path, width: int) -> bool:
    """Whether a file is there and holds features of that width."""
    try:
        require_ordinary(path)
        row = load_file(path)["features"]
    # Whatever the file holds instead, numbers of an unknown type among it.
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError):
        return False
    return row.dtype == np.float32 and row.size == width and bool(np.isfinite(row).all())
