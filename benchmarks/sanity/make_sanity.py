"""Write the sanity suite that ships: inspector_plugin/audits/sanity.jsonl and sanity.json.

    python benchmarks/sanity/make_sanity.py          # writes both files
    python benchmarks/sanity/make_sanity.py --check  # exits with 1 if they are not up to date

The same sources give the same files to the byte. Whoever changes a source raises the version in
kinds.yaml, so that figures can be told apart by the version.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

import yaml
from problems import HERE, Problem, read_problems
from responses import (
    cut_off,
    gibberish,
    in_turn,
    miscopied,
    missing_step,
    other_solution,
    repeated_problem,
    repeated_word,
    shuffled_steps,
    wrong_calculations,
)
from solutions import STYLES, bare_answer, right, write, write_in_other_language

TARGET = HERE.parents[1] / "inspector_plugin" / "audits"
_WRONG_CALCULATIONS = 2
Row = dict[str, Any]


def main() -> int:
    """Write the files, or compare them."""
    files = make_files()
    if "--check" in sys.argv[1:]:
        stale = [name for name, text in files.items() if _read(TARGET / name) != text]
        for name in stale:
            print(f"{name} is not up to date; run: python {sys.argv[0]}", file=sys.stderr)
        return 1 if stale else 0
    for name, text in files.items():
        (TARGET / name).write_text(text, encoding="utf-8")
    return 0


def make_files() -> dict[str, str]:
    """Make the content of both files, by name."""
    about = yaml.safe_load((HERE / "kinds.yaml").read_text(encoding="utf-8"))
    texts = yaml.safe_load((HERE / "texts.yaml").read_text(encoding="utf-8"))
    kinds = [{**kind, "lower_on": kind.get("lower_on", [])} for kind in about["kinds"]]
    problems = read_problems()
    lower_on = {kind["key"]: kind["lower_on"] for kind in kinds}
    rows = [
        {**row, "lower_on": lower_on[row["kind"]]}
        for place, problem in enumerate(problems)
        for row in _rows(problem, place, problems, texts)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    head = {
        "suite": "sanity",
        "version": about["version"],
        "problems": len(problems),
        "responses": len(rows),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "kinds": kinds,
    }
    return {"sanity.jsonl": lines, "sanity.json": json.dumps(head, indent=2) + "\n"}


def _rows(
    problem: Problem, place: int, problems: list[Problem], texts: dict[str, list[str]]
) -> list[Row]:
    rows: list[Row] = []

    def add(kind: str, response: str, number: int | None = None, **more: str) -> None:
        name = kind if number is None else f"{kind}-{number}"
        rows.append(
            {
                "id": f"{problem.name}/{name}",
                "problem": problem.name,
                "dataset": problem.dataset,
                "kind": kind,
                **more,
                "question": problem.question,
                "response": response,
            }
        )

    def draw(kind: str) -> random.Random:
        # A generator for each response: a change to one leaves the others as they are.
        return random.Random(f"{problem.name}/{kind}")

    def changed(kind: str, made: tuple[str, str, str], number: int | None = None) -> None:
        response, style, change = made
        add(kind, response, number, made_from=style, change=change)

    whole = right(problem)
    for style in STYLES:
        add(style, write(whole, style, draw(style)))
    add("bare_answer", bare_answer(whole, draw("bare_answer")))
    errors = wrong_calculations(problem, draw("wrong_calculation"), _WRONG_CALCULATIONS)
    for number, made in enumerate(errors, 1):
        changed("wrong_calculation", made, number)
    changed("miscopied_quantity", miscopied(problem, draw("miscopied_quantity")))
    changed("missing_step", missing_step(problem, draw("missing_step")))
    changed("shuffled_steps", shuffled_steps(problem, draw("shuffled_steps")))
    changed("cut_off", cut_off(problem, draw("cut_off")))
    translated = write_in_other_language(whole, draw("other_language"))
    add("other_language", translated, language=problem.language)
    add("instructions", in_turn(texts["instructions"], place, 5))
    response, other = other_solution(problem, problems, draw("other_solution"))
    add("other_solution", response, other_problem=other)
    add("repeated_problem", repeated_problem(problem, draw("repeated_problem")))
    add("repeated_word", repeated_word(texts["word"], draw("repeated_word")))
    add("gibberish", gibberish(texts["gibberish"], draw("gibberish")))
    add("refusal", in_turn(texts["refusal"], place, 0))
    add("off_topic", in_turn(texts["off_topic"], place, 3))
    return rows


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
