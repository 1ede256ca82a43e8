"""Outputs that a second run resumes.

Beside an output stands `OUT.run.json`, which says what made it. A run that finds an output made the
very same way resumes it; any other is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inspector_plugin.errors import DataError


def begin_output(out: Path, made_by: Mapping[str, Any], overwrite: bool) -> bool:
    """Make an output ready to be appended to.

    Args:
        out: The file.
        made_by: What decides the output's content, as values that JSON can hold.
        overwrite: Whether to begin anew where an output is already there.

    Returns:
        Whether there is an output to be resumed. A line whose writing was interrupted is gone.

    Raises:
        DataError: If the output cannot be written, or comes from another run.
    """
    run_file = out.with_name(out.name + ".run.json")
    if out.exists() and not overwrite:
        _require_same(out, run_file, made_by)
        _remove_unfinished_line(out)
        return True
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.unlink(missing_ok=True)
        draft = run_file.with_name(run_file.name + ".draft")
        draft.write_text(json.dumps(made_by, indent=2) + "\n", encoding="utf-8")
        os.replace(draft, run_file)
    return False


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what goes wrong in writing an output into a `DataError`."""
    try:
        yield
    except OSError as error:
        raise DataError(f"Cannot write {out}: {error}.") from error


def _require_same(out: Path, run_file: Path, made_by: Mapping[str, Any]) -> None:
    remedy = "pass --overwrite to begin anew, or another --out"
    if not run_file.exists():
        raise DataError(f"{out} exists, and no {run_file.name} says what made it: {remedy}.")
    try:
        before = json.loads(run_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"Cannot read {run_file} ({error}): {remedy}.") from error
    wanted = json.loads(json.dumps(made_by))
    if before != wanted:
        known = before if isinstance(before, dict) else {}
        differing = sorted(
            key for key in wanted.keys() | known.keys() if wanted.get(key) != known.get(key)
        )
        raise DataError(
            f"{out} comes from another run (other {', '.join(differing)} in {run_file.name}): "
            f"{remedy}."
        )


def _remove_unfinished_line(out: Path) -> None:
    """Remove what stands after the last newline: a line whose writing was interrupted."""
    with writing(out), out.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
