"""Prompt layouts: how a request is laid out for the language model whose states are probed.

A layout is data, not code: a list of literal texts and fields. A probe pack stores the layout that
it was trained with, and a judge lays out its requests by the pack's. Three are known:

- `published`: instruction and criteria of the aspect, question, response. Five aspects are five
  prompts.
- `suffix`: question, response, then a line for the aspect. The aspects share all but that line.
- `bare`: question and response alone. The aspects share everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from inspector_plugin.aspects import Aspect
from inspector_plugin.errors import OptionError, PackError, one_of
from inspector_plugin.lm.tokens import ALL, Segment
from inspector_plugin.schema import JudgeRequest

FIELDS = ("question", "response")


@dataclass(frozen=True)
class PromptLayout:
    """The prompt for one aspect.

    Attributes:
        name: What the layout is called in options and cards.
        parts: Pairs of kind and value: ("text", literal text) or ("field", "question" or
            "response").
        suffix: Name of span and literal text of what follows the parts for this aspect alone;
            None if nothing does.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    suffix: tuple[str, str] | None = None

    def segments(self, request: JudgeRequest) -> list[Segment]:
        """Lay out a request. Fields become spans; what stands in them is never interpreted."""
        fields = {"question": request.question, "response": request.response}
        return [
            Segment(fields[value], span=value) if kind == "field" else Segment(value)
            for kind, value in self.parts
        ]

    @property
    def spans(self) -> tuple[str, ...]:
        """The spans that can be pooled over, besides "all"."""
        fields = tuple(value for kind, value in self.parts if kind == "field")
        return (*fields, self.suffix[0]) if self.suffix else fields

    @property
    def suffixes(self) -> dict[str, str]:
        """The suffix as `encode` takes it: text by name of span; empty if there is none."""
        return dict([self.suffix]) if self.suffix else {}

    @property
    def screened_spans(self) -> tuple[str, ...]:
        """The spans among which training chooses: the response, and what has seen the most of it,
        or the question where nothing follows the response."""
        if self.suffix:
            return ("response", self.suffix[0])
        ends_with_response = self.parts[-1] == ("field", "response")
        return ("question", "response") if ends_with_response else (ALL, "response")

    @property
    def shared(self) -> PromptLayout:
        """What several aspects may have in common: the layout without its suffix."""
        return replace(self, suffix=None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a card."""
        row = {"name": self.name, "parts": [{kind: value} for kind, value in self.parts]}
        return {**row, "suffix": self.suffixes} if self.suffix else row

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> PromptLayout:
        """Make the layout that `to_json` wrote.

        Raises:
            PackError: If it holds anything but literal texts and known fields.
        """
        parts = tuple(next(iter(part.items())) for part in row["parts"])
        for kind, value in parts:
            if kind not in ("text", "field") or (kind == "field" and value not in FIELDS):
                raise PackError(f"Prompt layout {row['name']!r}: unknown part {kind}={value!r}.")
        suffixes = [(str(span), str(text)) for span, text in row.get("suffix", {}).items()]
        return PromptLayout(str(row["name"]), parts, suffixes[0] if suffixes else None)


def published_layout(aspect: Aspect) -> PromptLayout:
    """The layout of INSPECTOR: instruction and criteria, question, response, call for a score.

    Source: arXiv 2601.22588, judge prompt; the wording is ours.
    """
    scale = "\n".join(f"{score}: {text}" for score, text in enumerate(aspect.criteria, start=1))
    instruction = (
        f"Rate the {aspect.title.lower()} of a response to a problem. {aspect.definition}\n\n"
        f"{scale}\n\nProblem:\n"
    )
    return PromptLayout(
        "published",
        (
            ("text", instruction),
            ("field", "question"),
            ("text", "\n\nResponse:\n"),
            ("field", "response"),
            ("text", "\n\nReturn only the score, a whole number from 1 to 5.\nScore:"),
        ),
    )


_QUESTION_AND_RESPONSE = (("field", "question"), ("text", "\n\n"), ("field", "response"))


def suffix_layout(aspect: Aspect) -> PromptLayout:
    """Question and response, then a line that names the aspect and calls for a score."""
    text = f"\n\n{aspect.title}: {aspect.definition}\nScore from 1 to 5:"
    return PromptLayout("suffix", _QUESTION_AND_RESPONSE, (aspect.key, text))


def bare_layout(aspect: Aspect) -> PromptLayout:
    """Question and response alone, whatever the aspect."""
    return PromptLayout("bare", _QUESTION_AND_RESPONSE)


LAYOUTS = {"published": published_layout, "suffix": suffix_layout, "bare": bare_layout}
# docs/RESULTS.md compares them.
DEFAULT_LAYOUT = "bare"


def layout_for(name: str, aspect: Aspect) -> PromptLayout:
    """Return a layout of the given name for an aspect.

    Raises:
        OptionError: If there is no such layout.
    """
    if name not in LAYOUTS:
        raise OptionError(one_of(name, LAYOUTS, "prompt layout"))
    return LAYOUTS[name](aspect)
