"""Prompt layouts: how a request is laid out for the language model whose states are probed.

A layout is data, not code: a list of literal texts and fields. A probe pack stores the layout that
it was trained with, and a judge lays out its requests by the pack's. Three are known:

- `published`: definition and anchors of the criterion, question, response. Five criteria are five
  prompts.
- `suffix`: question, response, then a line for the criterion. The criteria share all but that line.
- `bare`: question and response alone. The criteria share everything.

Probes that were trained elsewhere bring the prompt of where they come from, as a `template`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from inspector_plugin.errors import OptionError, PackError, one_of
from inspector_plugin.judges.inspector.question_forms import QUESTION_FORMS
from inspector_plugin.judges.inspector.response_forms import RESPONSE_FORMS, ReadResponse
from inspector_plugin.lm.tokens import ALL, Segment
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest

FIELDS = ("question", "response")


@dataclass(frozen=True)
class ReadRequest:
    """A request as a probe reads it.

    Attributes:
        question: The problem, in the form of the probe's data set.
        response: The response, in the form that the probe was trained on.
        remarks: Flags for what is not read of the response.
    """

    question: str
    response: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromptLayout:
    """The prompt for one criterion.

    Attributes:
        name: What the layout is called in options and cards.
        parts: Pairs of kind and value: ("text", literal text) or ("field", "question" or
            "response").
        suffix: Name of span and literal text of what follows the parts for this criterion alone;
            None if nothing does.
        question_form: The name in `QUESTION_FORMS` of how the probe reads questions; None for as
            they are.
        joined: Whether the prompt is tokenised as one text, as whoever formats a prompt first and
            tokenises it then does; else each part by itself.
        response_form: The name in `RESPONSE_FORMS` of how the probe reads responses; None for as
            they are.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    suffix: tuple[str, str] | None = None
    question_form: str | None = None
    joined: bool = False
    response_form: str | None = None

    def question(self, question: str) -> str:
        """Bring a question into the form that the probe was trained on."""
        return (
            question if self.question_form is None else QUESTION_FORMS[self.question_form](question)
        )

    def read(self, request: JudgeRequest) -> ReadRequest:
        """Bring question and response into the forms that the probe was trained on."""
        form = ReadResponse if self.response_form is None else RESPONSE_FORMS[self.response_form]
        return ReadRequest(self.question(request.question), *form(request.response))

    def segments(self, request: JudgeRequest) -> list[Segment]:
        """Lay out a request, read in the probe's forms."""
        return self.laid_out(self.read(request))

    def laid_out(self, read: ReadRequest) -> list[Segment]:
        """Lay out what was read. Fields become spans; what stands in them is never interpreted."""
        fields = {"question": read.question, "response": read.response}
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
        """What several criteria may have in common: the layout without its suffix."""
        return replace(self, suffix=None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a card."""
        row: dict[str, Any] = {
            "name": self.name,
            "parts": [{kind: value} for kind, value in self.parts],
        }
        if self.suffix:
            row["suffix"] = self.suffixes
        if self.question_form:
            row["question_form"] = self.question_form
        if self.response_form:
            row["response_form"] = self.response_form
        if self.joined:
            row["joined"] = True
        return row

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
        form, response_form = row.get("question_form"), row.get("response_form")
        if form is not None and form not in QUESTION_FORMS:
            raise PackError(f"Prompt layout {row['name']!r}: unknown question form {form!r}.")
        if response_form is not None and response_form not in RESPONSE_FORMS:
            raise PackError(
                f"Prompt layout {row['name']!r}: unknown response form {response_form!r}."
            )
        suffixes = [(str(span), str(text)) for span, text in row.get("suffix", {}).items()]
        suffix = suffixes[0] if suffixes else None
        joined = row.get("joined", False) is True
        return PromptLayout(str(row["name"]), parts, suffix, form, joined, response_form)


def published_layout(criterion: Criterion) -> PromptLayout:
    """The layout of INSPECTOR: definition and anchors, question, response, call for a score.

    Source: arXiv 2601.22588, judge prompt; the wording is ours.
    """
    scale = criterion.scale
    lines = [f"{label}: {text}\n" for label, text in criterion.anchors.items()]
    anchors = "".join([*lines, "\n"] if lines else [])
    instruction = (
        f"Rate the {criterion.title.lower()} of a response to a problem. {criterion.definition}"
        f"\n\n{anchors}Problem:\n"
    )
    return PromptLayout(
        "published",
        (
            ("text", instruction),
            ("field", "question"),
            ("text", "\n\nResponse:\n"),
            ("field", "response"),
            (
                "text",
                f"\n\nReturn only the score, a whole number from {scale.minimum} to "
                f"{scale.maximum}.\nScore:",
            ),
        ),
    )


_QUESTION_AND_RESPONSE = (("field", "question"), ("text", "\n\n"), ("field", "response"))


def suffix_layout(criterion: Criterion) -> PromptLayout:
    """Question and response, then a line that names the criterion and calls for a score."""
    scale = criterion.scale
    text = (
        f"\n\n{criterion.title}: {criterion.definition}\n"
        f"Score from {scale.minimum} to {scale.maximum}:"
    )
    return PromptLayout("suffix", _QUESTION_AND_RESPONSE, (f"{criterion.key}_line", text))


def bare_layout(criterion: Criterion) -> PromptLayout:
    """Question and response alone, whatever the criterion."""
    return PromptLayout("bare", _QUESTION_AND_RESPONSE)


LAYOUTS = {"published": published_layout, "suffix": suffix_layout, "bare": bare_layout}


def layout_for(name: str, criterion: Criterion, dataset: str) -> PromptLayout:
    """Return a layout of the given name for a criterion on problems of a data set.

    Raises:
        OptionError: If there is no such layout.
    """
    if name not in LAYOUTS:
        raise OptionError(one_of(name, LAYOUTS, "prompt layout"))
    form = dataset if dataset in QUESTION_FORMS else None
    return replace(LAYOUTS[name](criterion), question_form=form)
