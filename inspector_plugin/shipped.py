"""Where the files are that travel with the package. Imports next to nothing."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """Find a folder that travels with the package: "tasks" or "probes".

    Returns:
        The folder inside the package, where a wheel puts it; in a clone, the one at its root.
    """
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
