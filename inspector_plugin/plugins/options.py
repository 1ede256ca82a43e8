"""Options and judges by name: what a backend declares, and the specification `name:key=value`.

An option is written once, as a field of a frozen dataclass made by `option`. The signature, the
command line's flags, `inspector judges` and docs/cli.md follow from it.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspector_plugin.errors import OptionError, PluginError, one_of, shown
from inspector_plugin.judging.judge import Judge
from inspector_plugin.plugins.members import MEMBERS, member_texts, option_texts

OptionValue = str | int | float | bool | None

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


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


def option(default: Any, help: str, choices: Sequence[str] = ()) -> Any:
    """Declare an option as a field of an options class.

    Args:
        default: The value if the option is not given.
        help: One line.
        choices: The values allowed, if there are only some.
    """
    return field(default=default, metadata={"help": help, "choices": tuple(choices)})


def options_of(options_class: type) -> tuple[Option, ...]:
    """List the options that an options class declares.

    Args:
        options_class: A dataclass whose fields are made by `option`; other fields are left out.
    """
    hints = typing.get_type_hints(options_class)
    return tuple(
        Option(
            each.name,
            each.metadata["help"],
            _plain_type(hints[each.name]),
            None if each.default is dataclasses.MISSING else each.default,
            each.metadata["choices"],
        )
        for each in dataclasses.fields(options_class)
        if "help" in each.metadata
    )


def _plain_type(hint: Any) -> Any:
    """Take `None` out of a type hint such as `int | None`."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next(each for each in typing.get_args(hint) if each is not type(None))
    return hint


@dataclass(frozen=True)
class Backend:
    """A kind of judge, as a plugin registers it.

    Attributes:
        name: The name in specifications, such as "inspector".
        summary: One line on what it does.
        factory: Makes the judge: a callable, or "module:name", imported when the first judge is
            made, so that registering stays cheap. It takes the options as keywords; if `options`
            is an options class, it takes one instance of that.
        options: The options it takes: `Option`s, or a dataclass whose fields are made by `option`.
    """

    name: str
    summary: str
    factory: Callable[..., Judge] | str
    options: tuple[Option, ...] | type = ()

    @property
    def option_list(self) -> tuple[Option, ...]:
        """The options, however they were declared."""
        return options_of(self.options) if isinstance(self.options, type) else self.options

    def make(self, factory: Callable[..., Judge], given: Mapping[str, OptionValue]) -> Judge:
        """Make a judge with checked options.

        Args:
            factory: The factory, imported if `factory` is text.
            given: The options given.

        Raises:
            OptionError: If an option is unknown or its value cannot be used.
        """
        values = self.convert_options(given)
        if isinstance(self.options, type):
            return factory(self.options(**values))
        return factory(**values)

    def convert_options(self, given: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
        """Check the options given and fill in the defaults of the others.

        Raises:
            OptionError: If an option is unknown or its value cannot be used.
        """
        known = {option.name: option for option in self.option_list}
        for name in given:
            if name not in known:
                raise OptionError(f"Judge {self.name!r}: " + one_of(name, known, "option"))
        return {
            name: option.convert(given[name]) if name in given else option.default
            for name, option in known.items()
        }


def require_declared(backend: Backend) -> None:
    """Refuse a backend whose summary, factory or options are not what they should be.

    Raises:
        PluginError: If one is not; the message names it.
    """
    if not isinstance(backend.summary, str):
        raise PluginError(f"judge {backend.name!r}: its summary must be text")
    if not isinstance(backend.factory, str) and not callable(backend.factory):
        raise PluginError(
            f"judge {backend.name!r}: its factory must be a callable or 'module:name'"
        )
    try:
        options = list(backend.option_list)
        for each in options:
            _require_option(each)
    except (TypeError, ValueError, KeyError, AttributeError, NameError, OptionError) as error:
        raise PluginError(
            f"judge {backend.name!r}: its options are malformed "
            f"({type(error).__name__}: {shown(error, 200)})"
        ) from error
    names = [each.name for each in options]
    if len(set(names)) < len(names):
        raise PluginError(f"judge {backend.name!r}: two of its options have one name")


def _require_option(given: Option) -> None:
    if not isinstance(given, Option):
        raise TypeError(f"a {type(given).__name__} in place of an Option")
    if not isinstance(given.name, str) or not given.name.isidentifier():
        raise ValueError(f"the name {given.name!r} is not an identifier")
    if not isinstance(given.help, str):
        raise TypeError(f"the help of {given.name!r} is not text")
    if given.type not in (str, int, float, bool):
        raise TypeError(f"the type of {given.name!r} is not str, int, float or bool")
    if isinstance(given.choices, str) or not all(isinstance(c, str) for c in given.choices):
        raise TypeError(f"the choices of {given.name!r} are not texts")
    given.convert(given.default)


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
        for part in option_texts(rest) if rest else []:
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

    @property
    def members(self) -> list[JudgeSpec]:
        """The judges within this one, such as those of a panel.

        Raises:
            OptionError: If one of them is malformed.
        """
        given = self.options.get(MEMBERS)
        texts = member_texts(given) if isinstance(given, str) else []
        return [JudgeSpec.parse(text) for text in texts]

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
