"""What the packs of all judges share: cards, arrays, and the hashes that tie them together.

A pack is a folder of `card.json` and safetensors files. The card names the SHA-256 of each file,
and each file holds the SHA-256 of what the card says of it, so that neither can change without the
other. Loading one runs nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from inspector_plugin.data.files import read_json, require_ordinary, write_whole
from inspector_plugin.errors import PackError

CARD = "card.json"
_MOST_BYTES = 2**30
Arrays = Mapping[str, npt.NDArray[Any]]


def sha256_of(content: Any) -> str:
    """Hash plain values, whatever the order of their keys; 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_card(
    folder: Path, newest: int, missing: str, check: Callable[[Mapping[str, Any]], None]
) -> dict[str, Any]:
    """Read the card in a pack's folder.

    Args:
        folder: The folder.
        newest: The newest format version that is read.
        missing: What to say where there is no card.
        check: Raises a ValueError if the card is not what it has to look like.

    Raises:
        PackError: If there is none, it is not JSON or not what a card has to look like, or of a
            newer format.
    """
    path = folder / CARD
    try:
        card = read_json(path)
    except FileNotFoundError as error:
        raise PackError(missing) from error
    except (OSError, ValueError) as error:
        raise PackError(f"Cannot read {path}: {error}.") from error
    version = card.get("format_version") if isinstance(card, dict) else None
    if type(version) is not int or version < 1:
        raise PackError(f"{path} is not the card of a pack: it has no format_version.")
    if version > newest:
        raise PackError(
            f"{path} has format version {version}, and this version of inspector_plugin reads up "
            f"to {newest}; upgrade inspector_plugin."
        )
    try:
        check(card)
    except ValueError as error:
        raise PackError(f"{path} is incomplete or altered: {error}; get the pack again.") from error
    return dict(card)


def judge_of(folder: Path) -> str | None:
    """The judge that a pack's card names; None where it names none, or cannot be read."""
    try:
        card = read_json(folder / CARD)
    except (OSError, ValueError):
        return None
    named = card.get("judge") if isinstance(card, dict) else None
    return named if isinstance(named, str) else None


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write the card of a pack, replacing the one there."""
    write_whole(folder / CARD, (json.dumps(card, indent=1) + "\n").encode())


def write_arrays(path: Path, arrays: Arrays, card_sha256: str) -> str:
    """Write arrays that belong to what a card says.

    Args:
        path: The file.
        arrays: The arrays.
        card_sha256: Hash of what the card says of them.

    Returns:
        The SHA-256 of the file, for the card.
    """
    kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content: bytes = save(kept, metadata={"card_sha256": card_sha256})
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def read_arrays(path: Path, sha256: Any) -> tuple[dict[str, npt.NDArray[Any]], str | None]:
    """Read arrays and check that they are those that a card names.

    Args:
        path: The file.
        sha256: Its SHA-256 according to the card.

    Returns:
        The arrays, and the hash of what the card said when they were written.

    Raises:
        PackError: If the file cannot be read or is another one.
    """
    try:
        require_ordinary(path, _MOST_BYTES)
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise PackError(f"{path} is not the file that {CARD} describes: its SHA-256 differs.")
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, (file.metadata() or {}).get("card_sha256")
    # A type of number that NumPy does not have ends in one of the latter three.
    except (OSError, SafetensorError, TypeError, ValueError, AttributeError) as error:
        raise PackError(f"Cannot read {path}: {error}") from error
