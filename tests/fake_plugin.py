"""Third-party plugins for tests: a module and its metadata in a folder that goes on sys.path."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HEADER = """
from inspector_plugin import AspectScore, Backend, Judge, Judgement, Option, hookimpl, unscored
"""


def write_plugin(folder: Path, name: str, source: str) -> None:
    """Write a distribution `name` whose one module registers in the group inspector_plugin."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(HEADER + textwrap.dedent(source), encoding="utf-8")
    info = folder / f"{module}-1.2.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    entry_point = f"[inspector_plugin]\n{module} = {module}\n"
    (info / "entry_points.txt").write_text(entry_point, encoding="utf-8")


@contextmanager
def plugin_folder(folder: Path) -> Iterator[Path]:
    """Put a folder on sys.path; afterwards forget what was imported from it."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]
