"""Where files are: those that travel with the package, and the cache. Imports next to nothing."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """Find a folder that travels with the package: "tasks" or "probes".

    Returns:
        The folder inside the package, where a wheel puts it; in a clone, the one at its root.
    """
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def expanded(name: str) -> Path:
    """Make a path of a name that may begin with "~"; that of no user stays as it is."""
    return Path(os.path.expanduser(name))  # that of Path raises an error


def cache_folder() -> Path:
    """Where this package keeps its files: INSPECTOR_CACHE_DIR, or else the user's cache."""
    override = os.environ.get("INSPECTOR_CACHE_DIR")
    if override:
        return expanded(override)
    from platformdirs import user_cache_path

    return user_cache_path("inspector_plugin")
