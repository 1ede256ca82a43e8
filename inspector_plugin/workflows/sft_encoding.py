"""What a fine-tuning study encodes, kept in its folder.

A study whose arms and tests are all there is shown again from that, without loading the model.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.data.files import read_json, write_whole
from inspector_plugin.errors import DataError
from inspector_plugin.lm.loading import LanguageModel, locate
from inspector_plugin.lm.lora_plan import Example
from inspector_plugin.workflows.sft_data import (
    TOO_LONG,
    Response,
    Trained,
    encode_example,
    encode_responses,
)
from inspector_plugin.workflows.sft_plan import SftPlan

_FILE = "encoded.json"
# A problem and its gold answer.
GoldAnswer = tuple[str, str]


@dataclass(frozen=True)
class StudyTexts:
    """What a study reads, before any of it is encoded.

    Attributes:
        responses: What may be trained on.
        left_out: How many rows are left out already, by reason.
        gold: Problems and gold answers, to measure the loss on.
    """

    responses: Sequence[Response]
    left_out: Counter[str]
    gold: Sequence[GoldAnswer]


@dataclass(frozen=True)
class Encoding:
    """What a study reads, as token ids.

    Attributes:
        data: What is trained on.
        gold: Problems and gold answers; those longer than the model's context are left out.
    """

    data: Trained
    gold: list[Example]


def encode_texts(language_model: LanguageModel, plan: SftPlan, texts: StudyTexts) -> Encoding:
    """Encode what a study reads.

    Raises:
        DataError: If nothing is left to train on; see `encode_responses`.
    """
    gold = [encode_example(language_model, plan.prompt, *each) for each in texts.gold]
    most = language_model.max_tokens
    return Encoding(
        encode_responses(language_model, plan, texts.responses, texts.left_out),
        [each for each in gold if len(each.prompt) + len(each.completion) <= most],
    )


def stored_encoding(folder: Path, plan: SftPlan, texts: StudyTexts) -> Encoding | None:
    """Read what an earlier run of the study encoded; None if that is missing or of other texts."""
    try:
        content = read_json(folder / _FILE)
        if content["asked"] != _asked(plan, texts):
            return None
        examples, gold = (_examples(content[name]) for name in ("examples", "gold"))
        kept = [texts.responses[place] for place in content["kept"]]
        fingerprint = str(content["base_fingerprint"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    left_out = Counter(texts.left_out)
    if len(kept) < len(texts.responses):
        left_out[TOO_LONG] += len(texts.responses) - len(kept)
    return Encoding(Trained(kept, examples, left_out, fingerprint), gold)


def store_encoding(folder: Path, plan: SftPlan, texts: StudyTexts, encoding: Encoding) -> None:
    """Keep what was encoded.

    Raises:
        DataError: If it cannot be written.
    """
    places = {id(each): place for place, each in enumerate(texts.responses)}
    content = {
        "asked": _asked(plan, texts),
        "base_fingerprint": encoding.data.base_fingerprint,
        "kept": [places[id(each)] for each in encoding.data.responses],
        "examples": [[each.prompt, each.completion] for each in encoding.data.examples],
        "gold": [[each.prompt, each.completion] for each in encoding.gold],
    }
    try:
        write_whole(folder / _FILE, (json.dumps(content) + "\n").encode())
    except OSError as error:
        raise DataError(f"Cannot write {folder / _FILE}: {error}.") from error


def _asked(plan: SftPlan, texts: StudyTexts) -> str:
    """A hash of all that decides the encoding; of the base, whether its files were touched."""
    decides: list[Any] = [__version__, plan.base, plan.prompt, plan.max_length]
    folder = Path(locate(plan.base)[0])
    files = sorted(filter(Path.is_file, folder.iterdir())) if folder.is_dir() else []
    decides += [[each.name, each.stat().st_size, each.stat().st_mtime_ns] for each in files]
    decides += [[asdict(each) for each in texts.responses], list(texts.gold)]
    return hashlib.sha256(json.dumps(decides).encode("utf-8", "surrogatepass")).hexdigest()


def _examples(pairs: Any) -> list[Example]:
    return [Example(*(tuple(map(int, ids)) for ids in pair)) for pair in pairs]
