"""Files that others may have damaged, and files that we write.

What is read is an ordinary file of bounded size: a pipe in its place would be waited for without
end. What is written is there whole or not at all. An output is locked while a run writes it, and
is never one of the run's own inputs.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import math
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from inspector_plugin.errors import DataError, OptionError

_DEEPEST = 64
_MOST_JSON_BYTES = 64 * 2**20
# How compressed files begin.
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


def require_ordinary(path: Path, most_bytes: int | None = None) -> None:
    """Refuse what is not an ordinary file, or is too large.

    Raises:
        OSError: If it is not there, is a folder, a pipe or a device, or has more bytes.
    """
    try:
        found = path.stat()
    except ValueError as error:  # a null byte, or half of a surrogate pair
        raise OSError("no file can have such a name") from error
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError("it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is not an ordinary file but a pipe or a device")
    if most_bytes is not None and found.st_size > most_bytes:
        raise OSError(f"it has {found.st_size} bytes, more than {most_bytes}")


def why_no_text(path: Path) -> str | None:
    """Say of a file that is no text why that is, where its first bytes tell."""
    with path.open("rb") as file:
        start = file.read(max(map(len, _PACKED)))
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it is UTF-16; save it as UTF-8"
    packed = next((name for mark, name in _PACKED.items() if start.startswith(mark)), None)
    if packed is None or (packed == "gzip" and path.suffix == ".gz"):  # that one is unpacked
        return None
    hint = ", or let its name end in .gz" if packed == "gzip" else ""
    return f"it is compressed ({packed}); unpack it first{hint}"


def read_json(path: Path) -> Any:
    """Read a JSON file that somebody else may have written.

    Raises:
        OSError: If it is not an ordinary file that can be read.
        ValueError: If it is not JSON, or nested too deeply, or a number in it is not finite.
    """
    require_ordinary(path, _MOST_JSON_BYTES)
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """Read JSON that somebody else may have written; see `read_json`."""
    try:
        content = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if _is_deeper(content, _DEEPEST):
        raise ValueError("it is nested too deeply")
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is not finite")
    return number


def _is_deeper(content: Any, most: int) -> bool:
    level = [content]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all; others may write it at the same time.

    Raises:
        OSError: If it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path, flag: str = "--out") -> Iterator[None]:
    """Keep other processes from writing what this one writes.

    The operating system holds the lock for the process: it ends when the process does, however that
    comes.

    Args:
        path: What is written, a file or a folder.
        flag: What the user calls it.

    Raises:
        DataError: If another process holds the lock, or it cannot be made.
    """
    real = Path(os.path.realpath(path))
    place = real.parent / f".{real.name}.lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()  # where that cannot be, the lock would seem to be another's
        lock = FileLock(place, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise DataError(
            f"{path} is being written by another process; wait for it, or give another {flag}."
        ) from error
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error}.") from error
    try:
        yield
    finally:
        # Whoever has opened the file by now finds that it has no name any more, and opens it anew.
        with contextlib.suppress(OSError):
            place.unlink()
        lock.release()


def require_output(out: Path, flag: str, inputs: Iterable[Path]) -> None:
    """Refuse an output that is one of the run's inputs, or no ordinary file.

    Args:
        out: The file to be written; OUT.run.json beside it is written, too.
        flag: What the user calls it.
        inputs: What the run reads.

    Raises:
        OptionError: If it is one of these.
    """
    if out.suffix == ".gz":
        raise OptionError(f"{flag} {out}: the output is written as plain JSONL; drop the .gz.")
    given = list(inputs)
    require_file_name(out, flag)
    written = (out, run_file(out))
    for each in written:
        require_no_input(each, flag, given)
    for each in written:
        require_ordinary_output(each, flag)


def require_further_output(path: Path, flag: str, others: Iterable[Path]) -> None:
    """Refuse a further file to be written that could not be, before anything is spent on it.

    Args:
        path: The file.
        flag: What the user calls it.
        others: What the run reads, or writes elsewhere.

    Raises:
        OptionError: If it is one of these, or no ordinary file.
    """
    require_file_name(path, flag)
    require_no_input(path, flag, others)
    require_ordinary_output(path, flag)


def require_file_name(out: Path, flag: str) -> None:
    """Refuse an output that no file can be called.

    Raises:
        OptionError: If it is one.
    """
    try:
        named = bool(os.fsencode(out.name)) and "\0" not in str(out)
    except UnicodeEncodeError:
        named = False
    if not named:
        raise OptionError(f"{flag} {str(out)!r} is not the name of a file.")


def require_ordinary_output(out: Path, flag: str) -> None:
    """Refuse an output that is there and is a folder, a pipe or a device.

    Raises:
        OptionError: If it is one of these.
    """
    # A link that leads nowhere is written through; one that leads to itself is not.
    if os.path.lexists(out) and (out.exists() or _is_loop(out)) and not out.is_file():
        raise OptionError(f"{flag} {out}: it is not an ordinary file; give another {flag}.")


def require_no_input(written: Path, flag: str, inputs: Iterable[Path]) -> None:
    """Refuse to write a file that the run reads, or writes elsewhere.

    Raises:
        OptionError: If it is one of these.
    """
    for given in inputs:
        if is_same(given, written):
            raise OptionError(
                f"{flag}: {written} is the input itself ({given}); write to another file."
            )


def run_file(out: Path) -> Path:
    """The file beside an output that says what made it."""
    return out.parent / f"{out.name}.run.json"  # with_name() takes no "." and no "/"


def is_same(one: Path, other: Path) -> bool:
    """Whether two names, links among them, mean one file."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
    except ValueError:  # no file can have such a name
        return False


def _is_loop(path: Path) -> bool:
    return os.path.islink(os.path.realpath(path))
