"""What a pickle of a scikit-learn classifier may hold, as inert records.

Nothing here is an object of scikit-learn or NumPy: a class or function is its name, an instance is
the name of its class and its attributes, an array is its dtype, shape and bytes. Bytes become an
array only when a number in them is asked for, after the whole file has been read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.pickle_opcodes import Refused

_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
# Their instances are read as attributes.
INSTANCES = frozenset(
    {
        ("sklearn.model_selection._search", "GridSearchCV"),
        ("sklearn.model_selection._split", "KFold"),
        ("sklearn.model_selection._split", "StratifiedKFold"),
        ("sklearn.pipeline", "Pipeline"),
        ("sklearn.preprocessing._data", "StandardScaler"),
        ("sklearn.linear_model._logistic", "LogisticRegression"),
        ("sklearn.svm._classes", "SVC"),
        ("sklearn.metrics._scorer", "_Scorer"),
    }
)
# Named in a file, but never called: scoring functions, and what an array or a random state is of.
NAMES = frozenset(
    {
        ("sklearn.metrics._classification", "f1_score"),
        ("sklearn.metrics._classification", "accuracy_score"),
        ("sklearn.metrics._classification", "balanced_accuracy_score"),
        ("numpy", "ndarray"),
        ("numpy.ma", "MaskedArray"),
        ("numpy.ma.core", "MaskedArray"),
        ("numpy.random._mt19937", "MT19937"),
    }
)
_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|O8?|U[1-9]\d{0,3}")
_NUMBERS = "biuf"


@dataclass(frozen=True)
class Name:
    """A class or function, by name alone."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)
class Instance:
    """An instance of a class of `INSTANCES`: the name, and the attributes that were stored."""

    of: Name
    attributes: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class DType:
    """A dtype: kind and size such as "f8", and the byte order."""

    code: str
    order: str = "|"


@dataclass(eq=False, repr=False)
class Array:
    """An array: what its bytes mean, and the bytes; a list in place of them holds Python values."""

    dtype: DType | None = None
    shape: tuple[int, ...] = (0,)
    order: str = "C"
    data: bytes | list[Any] = b""


@dataclass(eq=False, repr=False)
class Scalar:
    """A NumPy number."""

    dtype: DType
    data: bytes


@dataclass(eq=False, repr=False)
class Unread:
    """What is in the files and never looked at: random states and masked arrays."""


# --- what a reducing function is given, and what is made of it ------------------------------------


def _dtype(arguments: tuple[Any, ...]) -> DType:
    code = arguments[0] if arguments else None
    if type(code) is not str or not _DTYPE.fullmatch(code):
        raise Refused("a dtype that is not one of plain numbers or text")
    return DType(code)


def _scalar(arguments: tuple[Any, ...]) -> Scalar:
    if len(arguments) != 2:
        raise Refused("a NumPy scalar in another form")
    dtype, data = arguments
    if type(dtype) is not DType or type(data) is not bytes:
        raise Refused("a NumPy scalar in another form")
    return Scalar(dtype, data)


def _empty_array(arguments: tuple[Any, ...]) -> Array:
    if len(arguments) != 3 or arguments[0] != Name("numpy", "ndarray"):
        raise Refused("an array of another class than numpy.ndarray")
    return Array()


def _array_of_buffer(arguments: tuple[Any, ...]) -> Array:
    if len(arguments) != 4:
        raise Refused("an array in another form")
    data, dtype, shape, order = arguments
    array = Array()
    _fill(array, dtype, shape, order == "F", data)
    return array


def _unread(arguments: tuple[Any, ...]) -> Unread:
    return Unread()


Reducer = Callable[[tuple[Any, ...]], Any]
REDUCERS: Mapping[tuple[str, str], Reducer] = {
    ("numpy", "dtype"): _dtype,
    **{(module, "scalar"): _scalar for module in _MULTIARRAY},
    **{(module, "_reconstruct"): _empty_array for module in _MULTIARRAY},
    **{(module, "_frombuffer"): _array_of_buffer for module in _NUMERIC},
    ("numpy.ma.core", "_mareconstruct"): _unread,
    ("numpy.random._pickle", "__randomstate_ctor"): _unread,
    ("numpy.random._pickle", "__bit_generator_ctor"): _unread,
}
ALLOWED = INSTANCES | NAMES | REDUCERS.keys()


def set_state(target: Any, state: Any) -> None:
    """Give a record the state that goes with it in a file.

    Raises:
        Refused: If it is none that takes a state of such a form.
    """
    if type(target) is Instance and type(state) is dict:
        target.attributes = state
    elif type(target) is DType and type(state) is tuple:
        _set_dtype(target, state)
    elif type(target) is Array and type(state) is tuple and len(state) == 5:
        _fill(target, state[2], state[1], state[3] is True, state[4])
    elif type(target) is not Unread:
        raise Refused("a state for something that takes none")


def _set_dtype(dtype: DType, state: tuple[Any, ...]) -> None:
    # Version, byte order, then subarray, names and fields, which plain dtypes do not have.
    if len(state) < 5 or state[0] != 3 or state[2:5] != (None, None, None):
        raise Refused("a dtype with fields")
    if type(state[1]) is not str or state[1] not in ("<", ">", "=", "|"):
        raise Refused("a dtype with an unknown byte order")
    dtype.order = state[1]


def _fill(array: Array, dtype: Any, shape: Any, fortran: bool, data: Any) -> None:
    if type(dtype) is not DType or type(shape) is not tuple or len(shape) > 8:
        raise Refused("an array in another form")
    if not all(type(length) is int and 0 <= length < 2**40 for length in shape):
        raise Refused("an array whose shape is not of whole numbers")
    if type(data) is not bytes and not (type(data) is list and dtype.code[0] == "O"):
        raise Refused("an array in another form")
    array.dtype, array.shape = dtype, shape
    array.order, array.data = "F" if fortran else "C", data


# --- numbers out of records ----------------------------------------------------------------------


def numbers_in(value: Any, what: str) -> npt.NDArray[Any]:
    """Return the numbers that a record of an array or a scalar, or a plain number, holds.

    Args:
        value: The record.
        what: What messages call it.

    Raises:
        PackError: If it holds none, or bytes and shape do not fit each other.
    """
    if type(value) in (bool, int, float) and abs(value) < 2**63:
        return np.array(value)
    if type(value) is Array and type(value.data) is list:
        return _plain_numbers(value.data, value.shape, what)
    if type(value) not in (Array, Scalar) or type(value.data) is not bytes:
        raise PackError(f"{what} does not hold numbers")
    shape = value.shape if type(value) is Array else ()
    dtype = value.dtype
    if dtype is None or dtype.code[0] not in _NUMBERS:
        raise PackError(f"{what} does not hold numbers")
    size = int(dtype.code[1:])
    if math.prod(shape) * size != len(value.data):
        raise PackError(f"{what}: shape and number of bytes do not fit each other")
    # Truth values are read as bytes: one that is neither 0 nor 1 is not what it seems.
    code = "u1" if dtype.code == "b1" else dtype.code
    order = "" if size == 1 else dtype.order.replace("|", "=")
    flat = np.frombuffer(value.data, dtype=np.dtype(order + code))
    layout: Any = value.order if type(value) is Array else "C"
    return _reshaped(flat, shape, layout, what)


def _plain_numbers(values: list[Any], shape: tuple[int, ...], what: str) -> npt.NDArray[Any]:
    if not all(type(each) in (bool, int, float) and abs(each) < 2**63 for each in values):
        raise PackError(f"{what} does not hold numbers")
    if math.prod(shape) != len(values):
        raise PackError(f"{what}: shape and number of values do not fit each other")
    return _reshaped(np.array(values), shape, "C", what)


def _reshaped(
    flat: npt.NDArray[Any], shape: tuple[int, ...], order: Any, what: str
) -> npt.NDArray[Any]:
    try:
        return flat.reshape(shape, order=order)
    except ValueError as error:  # NumPy refuses (0, 2**39, 2**39), which holds nothing
        raise PackError(f"{what}: not the shape of an array") from error
