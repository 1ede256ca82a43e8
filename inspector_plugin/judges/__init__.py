"""The built-in judges, registered through the same hook as anyone's.

The factories are named by module and class: a backend's module, and torch with it, is imported
when the first judge of that kind is made.
"""

from __future__ import annotations

from collections.abc import Callable

from inspector_plugin.judges.cascade import CASCADE
from inspector_plugin.judges.inspector.options import INSPECTOR
from inspector_plugin.judges.lager.options import LAGER
from inspector_plugin.judges.panel import PANEL
from inspector_plugin.judges.prompt.options import DEEPSEEK, PROMPT
from inspector_plugin.judges.recorded import RECORDED
from inspector_plugin.judges.tuned.options import TUNED
from inspector_plugin.plugins.hookspecs import hookimpl
from inspector_plugin.plugins.options import Backend


@hookimpl
def register_judges(register: Callable[[Backend], None]) -> None:
    """Register the judges of this package."""
    for backend in (INSPECTOR, TUNED, LAGER, RECORDED, PROMPT, DEEPSEEK, PANEL, CASCADE):
        register(backend)
