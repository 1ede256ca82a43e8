"""Lets a bare `lm_eval` find the tasks of inspector_plugin.

lm_eval 0.4.13 has no entry point for tasks, so `inspector_plugin.pth` calls `install` when Python
starts. It costs next to nothing until lm_eval is imported: a finder that answers for the one module
`lm_eval.tasks`, and that imports nothing but `sys` before then.
"""

import sys


class _TasksFinder:
    """Has `inspector_plugin.harness.discovery` look at lm_eval.tasks once it is loaded."""

    busy = False

    def find_spec(self, name, path=None, target=None):
        if name != "lm_eval.tasks" or self.busy:
            return None
        import importlib.util

        self.busy = True  # find_spec asks every finder, this one too
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.busy = False
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            _show_tasks(module)

        spec.loader.exec_module = exec_module
        return spec


def _show_tasks(module):
    # The package may be gone or broken, and lm_eval another one: it then works as if we were not.
    try:
        from inspector_plugin.harness import discovery

        manager = getattr(module, "TaskManager", None)
        if manager is not None:
            discovery.extend(manager)
    except Exception as error:  # noqa: BLE001
        import warnings

        warnings.warn(
            f"lm_eval does not find the tasks of inspector_plugin: {error!r}", stacklevel=2
        )


def install():
    """Put the finder first in line, once for each process."""
    if not any(isinstance(finder, _TasksFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TasksFinder())
