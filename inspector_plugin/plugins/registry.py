"""Finding plugins and making judges.

Built-in backends come through the same hook as third parties'. A plugin that cannot be used is
set aside as a `PluginProblem`, which names it; the others go on working.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

from inspector_plugin import __version__
from inspector_plugin.errors import InspectorError, OptionError, PluginError, one_of, shown
from inspector_plugin.judging.judge import Judge
from inspector_plugin.plugins import hookspecs
from inspector_plugin.plugins.options import (
    Backend,
    JudgeSpec,
    OptionValue,
    require_declared,
)

ENTRY_POINT_GROUP = "inspector_plugin"
BUILT_IN = "inspector_plugin"
_MOST_CHARACTERS = 500
_BACKEND_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class PluginProblem:
    """Why a plugin, or one of its judges, cannot be used."""

    plugin: str
    message: str
    judge: str | None = None

    def __str__(self) -> str:
        return f"Plugin {self.plugin!r}: {self.message}"


@dataclass(frozen=True)
class RegisteredBackend:
    """A backend and the plugin that it comes from."""

    backend: Backend
    plugin: str
    version: str


class JudgeRegistry:
    """The backends that the plugins of one plugin manager offer.

    Attributes:
        problems: What is wrong with the plugins that cannot be used.
    """

    def __init__(self) -> None:
        self._registered: dict[str, RegisteredBackend] = {}
        self.problems: list[PluginProblem] = []

    def add(self, backend: Backend, plugin: str, version: str) -> None:
        """Take in one backend of one plugin.

        Raises:
            PluginError: If it is no `Backend`, or its name is malformed or already taken.
        """
        if not isinstance(backend, Backend):
            raise PluginError(f"register() takes a Backend, not {type(backend).__name__}")
        name = backend.name
        if not isinstance(name, str) or not _BACKEND_NAME.fullmatch(name):
            raise PluginError(
                f"judge name {name!r} is not lower-case letters, digits, '-' and '_' after a letter"
            )
        first = self._registered.get(name)
        if first is not None:
            raise PluginError(
                f"judge name {name!r} is already taken by plugin {first.plugin!r}; rename one of "
                "them or uninstall one of the two plugins"
            )
        require_declared(backend)
        self._registered[name] = RegisteredBackend(backend, plugin, version)

    @property
    def backends(self) -> dict[str, RegisteredBackend]:
        """The usable backends, by name: without names that two third-party plugins dispute."""
        disputed = {problem.judge for problem in self.problems}
        return {
            name: registered
            for name, registered in self._registered.items()
            if registered.plugin == BUILT_IN or name not in disputed
        }

    def get(self, name: str) -> RegisteredBackend:
        """Return the backend of a name, and whose it is.

        Raises:
            PluginError: If two third-party plugins want that name, so that it is nobody's.
            OptionError: If no backend has that name.
        """
        backends = self.backends
        if name in backends:
            return backends[name]
        for problem in self.problems:
            if problem.judge == name:
                raise PluginError(str(problem))
        hint = "".join(f" {problem}" for problem in self.problems)
        raise OptionError(one_of(name, backends, "judge") + hint)


def make_plugin_manager(
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
) -> tuple[pluggy.PluginManager, list[PluginProblem]]:
    """Make a fresh plugin manager with the built-in and the installed plugins.

    Args:
        entry_points: The third-party entry points; those installed if None.

    Returns:
        The manager, and the problems of the plugins that were left out.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    manager.register(importlib.import_module("inspector_plugin.judges"), name=BUILT_IN)
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    problems: list[PluginProblem] = []
    for entry_point in sorted(entry_points, key=lambda point: (point.name, point.value)):
        try:
            _register_entry_point(manager, entry_point)
        except KeyboardInterrupt:
            raise
        # A third party's module may raise anything at all when it is imported, or try to exit.
        except BaseException as error:  # noqa: BLE001
            problems.append(PluginProblem(_plugin_name(entry_point), _one_line(error)))
    return manager, problems


def make_registry(
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
) -> JudgeRegistry:
    """Collect the backends of the built-in and the installed plugins.

    Args:
        entry_points: The third-party entry points; those installed if None.
    """
    manager, problems = make_plugin_manager(entry_points)
    registry = JudgeRegistry()
    registry.problems.extend(problems)
    plugins = manager.list_name_plugin()
    plugins.sort(key=lambda pair: pair[0] != BUILT_IN)
    for name, plugin in plugins:
        if plugin is not None:
            _collect(manager, registry, name, plugin)
    return registry


def create_judge(
    spec: str | JudgeSpec,
    defaults: Mapping[str, OptionValue] | None = None,
    registry: JudgeRegistry | None = None,
) -> Judge:
    """Make a judge from its specification, checking every option first.

    Args:
        spec: `name:key=value,...`, or the parsed form.
        defaults: Values for options that the specification doesn't set, used where the backend
            has an option of that name (such as `device`, given once for all judges of a run).
        registry: Where to look the name up; a fresh one if None.

    Raises:
        OptionError: If the judge or an option is unknown, or a value cannot be used.
        PluginError: If two plugins dispute the name, or the plugin's factory cannot be used.
    """
    parsed = JudgeSpec.parse(spec) if isinstance(spec, str) else spec
    registered = (registry or make_registry()).get(parsed.name)
    backend = registered.backend
    known = {option.name for option in backend.option_list}
    given = {key: value for key, value in (defaults or {}).items() if key in known}
    judge = _make(registered, {**given, **parsed.options})
    if not isinstance(judge, Judge):
        raise PluginError(
            f"Plugin {registered.plugin!r}: the factory of judge {backend.name!r} made a "
            f"{type(judge).__name__}, which does not extend inspector_plugin.Judge."
        )
    judge.spec = str(parsed)
    return judge


def _make(registered: RegisteredBackend, given: Mapping[str, OptionValue]) -> Any:
    """Call the factory; whatever a plugin's raises, `sys.exit()` included, ends in one line."""
    options = registered.backend.convert_options(given)
    try:
        return registered.backend.make(_factory(registered), options)
    except (InspectorError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if registered.plugin == BUILT_IN:
            raise
        raise PluginError(
            f"Plugin {registered.plugin!r}: making judge {registered.backend.name!r} failed: "
            f"{_one_line(error)}; this is a bug in the plugin."
        ) from error


def _factory(registered: RegisteredBackend) -> Callable[..., Judge]:
    backend = registered.backend
    if not isinstance(backend.factory, str):
        return backend.factory
    module, _, name = backend.factory.partition(":")
    try:
        factory: Callable[..., Judge] = getattr(importlib.import_module(module), name)
    except (InspectorError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if registered.plugin == BUILT_IN and not isinstance(error, (ImportError, AttributeError)):
            raise
        raise PluginError(
            f"Plugin {registered.plugin!r}: judge {backend.name!r} cannot be loaded from "
            f"{backend.factory!r}: {_one_line(error)}."
        ) from error
    return factory


def _register_entry_point(
    manager: pluggy.PluginManager, entry_point: importlib.metadata.EntryPoint
) -> None:
    name = _plugin_name(entry_point)
    plugin = entry_point.load()
    if manager.has_plugin(name):
        raise PluginError("has more than one entry point; register all its judges in one hook")
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError):
        if manager.has_plugin(name):
            manager.unregister(name=name)
        raise
    if not manager.get_hookcallers(plugin):
        manager.unregister(name=name)
        raise PluginError("has no @hookimpl named register_judges")


def _collect(
    manager: pluggy.PluginManager, registry: JudgeRegistry, name: str, plugin: Any
) -> None:
    version = _version(name)
    judge: str | None = None

    def register(backend: Backend) -> None:
        nonlocal judge
        judge = backend.name if isinstance(backend, Backend) else None
        registry.add(backend, name, version)
        judge = None

    others = [other for _, other in manager.list_name_plugin() if other is not plugin]
    try:
        manager.subset_hook_caller("register_judges", others)(register=register)
    except PluginError as error:
        registry.problems.append(PluginProblem(name, _one_line(error), judge))
    except KeyboardInterrupt:
        raise
    # A third party's hook may raise anything at all.
    except BaseException as error:  # noqa: BLE001
        registry.problems.append(PluginProblem(name, _one_line(error)))


def _plugin_name(entry_point: importlib.metadata.EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist is not None else entry_point.name


def _version(plugin: str) -> str:
    if plugin == BUILT_IN:
        return __version__
    try:
        return importlib.metadata.version(plugin)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _one_line(error: BaseException) -> str:
    text = shown(error, _MOST_CHARACTERS)
    if isinstance(error, ImportError) and (error.name or "").startswith(BUILT_IN + "."):
        text += (
            "; the modules of this package have moved: import from inspector_plugin itself, "
            "inspector_plugin.schema, .testing and .errors"
        )
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"
