"""Problems of our own with right solutions and planted errors, for audits of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hanna")


def problem(number: int) -> dict[str, Any]:
    """A problem of our own with its right solution, and one with an error planted."""
    who, boxes, eggs, lost = NAMES[number % 8], number % 7 + 3, number % 9 + 4, number % 5 + 1
    total = boxes * eggs
    response = (
        f"{who} starts with {boxes} boxes of {eggs} eggs.\n"
        f"That makes {boxes} * {eggs} = {total} eggs in all.\n"
        f"Then {lost} of them break on the way home.\n"
        f"So {who} has {total} - {lost} = {total - lost} eggs left."
    )
    return {
        "id": number,
        "question": f"{who} ({number}) buys {boxes} boxes of {eggs}; {lost} eggs break. And now?",
        "response": response,
        "planted": response.replace(f"= {total} eggs", f"= {total + 2} eggs"),
        "error": "random number" if number % 2 else "random operation",
    }


ROWS = [problem(number) for number in range(40)]


def written(path: Path, rows: list[Any]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
