"""What a judge is: the class that every backend extends, and the specification that names one."""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import TracebackType
from typing import Any

from inspector_plugin.errors import OptionError, one_of
from inspector_plugin.schema import MULTICLASS, Judgement, JudgeRequest, Scale

OptionValue = str | int | float | bool | None

# A comma ends an option only where the next option's name follows, so that values may hold commas.
_NEXT_OPTION = re.compile(r",\s*(?=[A-Za-z_][A-Za-z0-9_]*=)")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Judge(abc.ABC):
    """Scores responses. Backends extend this class; `judging.judge_all` is its only caller.

    Attributes:
        scale: The scores that this judge gives.
        reads_rubrics: Whether it judges by the rubric of a request that has one. `judge_all` hands
            such requests to no other judge.
    """

    scale: Scale = MULTICLASS
    reads_rubrics: bool = False

    @abc.abstractmethod
    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge a batch of requests.

        Args:
            requests: The requests, perhaps none.

        Returns:
            One judgement for each request, in the same order, each with a score or a reason
            for every aspect that its request asks for. What cannot be judged is unscored with a
            reason; an exception means that no request at all can be judged any more.
        """

    def describe(self) -> Mapping[str, Any]:
        """Say what this judge is made of (model, options, versions), for results and logs.

        The judge cache takes judges of one class with equal descriptions for the same judge, so
        everything that changes a score belongs here. A judge without a description is not cached.

        Returns:
            Values that JSON can hold. Never a key or a password.
        """
        return {}

    def close(self) -> None:
        """Free what the judge holds. Closing twice is allowed."""

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


JudgementGroups = Generator[list[tuple[int, Judgement]], None, None]


class StreamingJudge(Judge):
    """A judge whose judgements come one by one, such as one that makes many calls at a time.

    Attributes:
        independent_aspects: Whether the aspects of a request are judged apart, so that one request
            for each aspect comes to the same. Each is then cached as soon as it is judged.
    """

    independent_aspects: bool = False

    @abc.abstractmethod
    def judge_each(self, requests: Sequence[JudgeRequest]) -> JudgementGroups:
        """Judge requests, handing over judgements as soon as they are finished.

        A group has been dealt with (put into the judge cache, say) when the next is asked for.

        Args:
            requests: The requests, in any number.

        Yields:
            Groups of judgements, each with the position of its request, each position once, in
            any order.
        """

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Judge a batch of requests; see `Judge.judge`."""
        judged = dict(chain.from_iterable(self.judge_each(requests)))
        return [judged[position] for position in range(len(requests))]


@dataclass(frozen=True)
class Option:
    """One option of a judge backend.

    Attributes:
        name: The keyword under which the backend's factory takes it.
        help: One line.
        type: How text is converted: str, int, float or bool.
        default: The value if it is not given.
        choices: The values allowed, if there are only some.
    """

    name: str
    help: str
    type: type[str] | type[int] | type[float] | type[bool] = str
    default: OptionValue = None
    choices: tuple[str, ...] = ()

    def convert(self, value: OptionValue) -> OptionValue:
        """Check a value, converting it from text where it is text.

        Raises:
            OptionError: If the value is not of the option's type or not among its choices.
        """
        if value is None:
            return None
        converted = self._parse(value) if isinstance(value, str) else value
        if self.type is float and type(converted) is int:
            converted = float(converted)
        if type(converted) is not self.type:
            wanted = self.type.__name__
            raise OptionError(
                f"Option {self.name!r} takes a value of type {wanted}, not {value!r}."
            )
        if self.choices and converted not in self.choices:
            raise OptionError(one_of(str(value), self.choices, f"value of option {self.name!r}:"))
        return converted

    def _parse(self, text: str) -> OptionValue:
        if self.type is bool and text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        if self.type in (int, float):
            try:
                return self.type(text)
            except ValueError:
                return text
        return text


@dataclass(frozen=True)
class Backend:
    """A kind of judge, as a plugin registers it.

    Attributes:
        name: The name in specifications, such as "inspector".
        summary: One line on what it does.
        factory: Makes the judge from the options as keywords: a callable, or "module:name",
            imported when the first judge is made, so that registering stays cheap.
        options: The options it takes.
    """

    name: str
    summary: str
    factory: Callable[..., Judge] | str
    options: tuple[Option, ...] = ()

    def convert_options(self, given: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
        """Check the options given and fill in the defaults of the others.

        Raises:
            OptionError: If an option is unknown or its value cannot be used.
        """
        known = {option.name: option for option in self.options}
        for name in given:
            if name not in known:
                raise OptionError(f"Judge {self.name!r}: " + one_of(name, known, "option"))
        return {
            name: option.convert(given[name]) if name in given else option.default
            for name, option in known.items()
        }


@dataclass(frozen=True)
class JudgeSpec:
    """A judge by name and options, written `name` or `name:key=value,key=value`.

    Attributes:
        name: The backend's name.
        options: The options given, as text or as converted values.
    """

    name: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    @staticmethod
    def parse(text: str) -> JudgeSpec:
        """Read a specification. A value may hold colons, equal signs and commas.

        Raises:
            OptionError: If the text is not of the form `name:key=value,...`.
        """
        name, _, rest = text.strip().partition(":")
        options: dict[str, OptionValue] = {}
        for part in _NEXT_OPTION.split(rest) if rest else []:
            key, equals, value = part.partition("=")
            if not equals or not key.strip():
                raise OptionError(
                    f"Judge specification {text!r}: {part!r} is not key=value; write "
                    "name:key=value,key=value."
                )
            if key.strip() in options:
                raise OptionError(f"Judge specification {text!r} gives {key.strip()!r} twice.")
            options[key.strip()] = value
        if not name:
            raise OptionError(f"Judge specification {text!r} names no judge.")
        return JudgeSpec(name, options)

    def __str__(self) -> str:
        options = ",".join(f"{k}={_text(v)}" for k, v in self.options.items() if v is not None)
        return f"{self.name}:{options}" if options else self.name


def _text(value: OptionValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def unique_names(specs: Sequence[JudgeSpec]) -> list[str]:
    """Name the judges of one run: by backend, or by the whole specification where that is shared.

    Args:
        specs: The judges of the run.

    Returns:
        One name for each, all different; tables and files use them as keys.

    Raises:
        OptionError: If the same specification is given twice.
    """
    backends = [spec.name for spec in specs]
    names = [spec.name if backends.count(spec.name) == 1 else str(spec) for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"Judge {name!r} is given twice; give each judge once.")
    return names
