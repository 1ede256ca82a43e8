"""The scored responses that benchmarks of cross-fitted probes share, and their strength."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inspector_plugin.data.scored_rows import read_scored
from inspector_plugin.judges.inspector.training_texts import TrainingText, scored_texts
from inspector_plugin.schema.roscoe import ROSCOE

STRENGTH = 0.005
FILES = {
    "gsm8k": "reference/gsm8k.deepseek-v3.jsonl",
    "gpqa": "reference/gpqa.deepseek-v3.jsonl.gz",
}


def scored_data_sets(folder: Path) -> Iterator[tuple[str, list[TrainingText]]]:
    """Each data set's name and scored responses, out of a folder of data."""
    for dataset, name in FILES.items():
        yield dataset, scored_texts(dataset, read_scored(folder / name, ROSCOE))
