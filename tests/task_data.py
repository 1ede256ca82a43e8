"""A few rows of our own in the layout of the data sets."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

GSM8K = [{"question": f"What is {n} + 1?", "answer": f"{n} + 1.\n#### {n + 1}"} for n in range(6)]
MATH = [
    {"problem": f"Find {n}.", "solution": f"It is $\\boxed{{{n}}}$.", "type": kind, "level": "1"}
    for n, kind in enumerate(["Algebra", "Counting & Probability", "Algebra", "Number Theory"])
]
GPQA = [
    {"Question": f"Which word is {n}?", "Correct Answer": f"right {n}"}
    | {f"Incorrect Answer {k}": f"wrong {n}{k}" for k in (1, 2, 3)}
    for n in range(4)
]


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
