"""Outputs that a second run resumes.

Beside an output stands `OUT.run.json`, which says what made it. A run that finds an output made the
very same way resumes it; any other is refused. One process at a time writes an output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector_plugin.data.files import (
    locked,
    read_json,
    require_ordinary,
    run_file,
    write_whole,
)
from inspector_plugin.errors import DataError

_BYTES_AT_ONCE = 2**20
REMEDY = "pass --overwrite to begin anew, or another --out"


@dataclass(frozen=True)
class Output:
    """An output that this process alone writes.

    Attributes:
        path: The file.
        resumed: Whether it was there before, made the same way.
    """

    path: Path
    resumed: bool

    def append(self, lines: Iterable[str]) -> None:
        """Add lines at the end.

        Raises:
            DataError: If they cannot be written.
        """
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def replace(self, lines: Iterable[str]) -> None:
        """Put lines in place of all that is there: after this, or not at all.

        Raises:
            DataError: If they cannot be written.
        """
        draft = self.path.with_name(self.path.name + ".draft")
        with writing(self.path):
            try:
                with draft.open("w", encoding="utf-8") as file:
                    file.writelines(lines)
                draft.replace(self.path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise


@contextmanager
def opened_output(out: Path, made_by: Mapping[str, Any], overwrite: bool) -> Iterator[Output]:
    """Make an output ready to be written, and keep other processes from it.

    Args:
        out: The file. A link is followed, and stays.
        made_by: What decides the output's content, as values that JSON can hold.
        overwrite: Whether to begin anew where an output is already there.

    Yields:
        The output; a line whose writing was interrupted is gone from it.

    Raises:
        DataError: If it cannot be written, comes from another run, or another process writes it.
    """
    out = Path(os.path.realpath(out)) if out.is_symlink() else out
    with locked(out):
        with writing(out):
            if out.exists():
                require_ordinary(out)  # a device would be replaced by a file
            resumed = out.exists() and not overwrite
        if resumed:
            _require_same(out, made_by)
            _remove_unfinished_line(out)
        else:
            with writing(out):
                out.unlink(missing_ok=True)
                write_whole(run_file(out), (json.dumps(made_by, indent=2) + "\n").encode())
        yield Output(out, resumed)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what goes wrong in writing an output into a `DataError`."""
    try:
        yield
    except OSError as error:
        raise DataError(f"Cannot write {out}: {error}.") from error


def _require_same(out: Path, made_by: Mapping[str, Any]) -> None:
    path = run_file(out)
    try:
        before = read_json(path)
    except FileNotFoundError as error:
        raise DataError(f"{out} exists, and no {path.name} says what made it: {REMEDY}.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read {path} ({error}): {REMEDY}.") from error
    wanted = json.loads(json.dumps(made_by))
    if before != wanted:
        known = before if isinstance(before, dict) else {}
        differing = sorted(
            key for key in wanted.keys() | known.keys() if wanted.get(key) != known.get(key)
        )
        raise DataError(
            f"{out} comes from another run (other {', '.join(differing)} in {path.name}): {REMEDY}."
        )


def _remove_unfinished_line(out: Path) -> None:
    """Remove what stands after the last newline: a line whose writing was interrupted."""
    with writing(out), out.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(end - _BYTES_AT_ONCE, 0)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)
