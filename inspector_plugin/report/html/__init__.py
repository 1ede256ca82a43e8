"""A report as one HTML page that loads nothing, neither from outside nor from beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from inspector_plugin import __version__
from inspector_plugin.report.document import Chart, Document, ShownScore, Table, written

_PAGE = "page.html"
# Shades of a table are classes: a style of its own for each cell would need a laxer policy.
_SHADES = 9


def as_html(document: Document) -> str:
    """Write a report as a page.

    All text is escaped. The page's policy allows one style sheet and one script, by their hashes,
    and nothing else: no request, no frame, no form, no script that a response might bring along.
    """
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["written"] = written
    environment.filters["readable"] = readable
    environment.filters["by_key"] = _by_key
    environment.filters["by_number"] = _by_number
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.tests["chart"] = lambda part: isinstance(part, Chart)
    style, script = _template("style.css"), _template("script.js")
    return environment.get_template(_PAGE).render(
        document=document,
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        style_hash=content_hash(style),
        script_hash=content_hash(script),
        judges=_unique(score.judge for response in document.responses for score in response.scores),
        keys=_unique(score.key for response in document.responses for score in response.scores),
        models=_unique(r.model for r in document.responses if r.model is not None),
        flags=_unique(flag for response in document.responses for flag in response.flags),
        shade=shade,
        markup=Markup,
    )


def content_hash(text: str) -> str:
    """The hash of a style sheet or a script, as a Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def readable(text: str) -> str:
    """Keep line ends and tabs of untrusted text; what else does not print becomes U+FFFD.

    Changes of writing direction and unpaired surrogates are among what does not print.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        c if c.isprintable() or c in "\n\t" else " " if c.isspace() else "\ufffd" for c in lines
    )


def shade(value: float) -> int:
    """The class of a share in [0, 1]: from 0, for nothing, to 9."""
    return round(min(max(value, 0.0), 1.0) * _SHADES)


def _template(name: str) -> str:
    return files(__name__).joinpath("templates", name).read_text(encoding="utf-8")


def _by_key(scores: Sequence[ShownScore]) -> list[tuple[str, list[ShownScore]]]:
    """The scores of each criterion, in the order given."""
    groups: dict[str, list[ShownScore]] = {}
    for score in scores:
        groups.setdefault(score.key, []).append(score)
    return list(groups.items())


def _by_number(differences: Mapping[str, float], keys: Sequence[str]) -> dict[int, float]:
    """The differences by the number of the criterion, which says it more briefly."""
    return {keys.index(key): value for key, value in differences.items()}


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
