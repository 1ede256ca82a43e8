"""The judges of this process: one for each specification, whatever the number of tasks.

The judge cache is shared as well.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Mapping

from inspector_plugin.errors import DataError, JudgeError
from inspector_plugin.harness.evaluated import offer_evaluated_models
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.plugins.options import JudgeSpec, OptionValue
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.report.tables import plain

_LOG = logging.getLogger(__name__)
_caches: list[JudgeCache | None] = []
_judges: dict[tuple[str, frozenset[tuple[str, OptionValue]]], Judge] = {}


def shared_judge(spec: JudgeSpec, defaults: Mapping[str, OptionValue]) -> Judge:
    """Return the judge of a specification, making it when it is first asked for.

    Args:
        spec: The judge.
        defaults: Options for that the specification doesn't set.

    Raises:
        InspectorError: If the judge or one of its options cannot be used.
    """
    key = (str(spec), frozenset(defaults.items()))
    if key not in _judges:
        offer_evaluated_models()
        _judges[key] = create_judge(spec, defaults)
    return _judges[key]


def shared_cache() -> JudgeCache | None:
    """Return the judge cache, opened when it is first asked for.

    Returns:
        None if it cannot be used; a warning says so, once.
    """
    if not _caches:
        try:
            _caches.append(JudgeCache())
        except DataError as error:
            _LOG.warning("Judging without the judge cache: %s", plain(str(error)))
            _caches.append(None)
    return _caches[0]


@atexit.register
def close_judges() -> None:
    """Close all judges and the cache; a notebook can free their memory with it."""
    while _judges:
        judge = _judges.popitem()[1]
        try:
            with judge:
                pass
        except JudgeError as error:  # a plugin's close()
            _LOG.warning("%s", plain(str(error)))
    while _caches:
        cache = _caches.pop()
        if cache is not None:
            cache.close()
