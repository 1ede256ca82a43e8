"""Exact arithmetic on small expressions, and how they are written out.

An expression is Python's notation of numbers, names, + - * / % **, and the functions sqrt, comb,
factorial and gcd. It is evaluated in fractions, and never by Python itself.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from fractions import Fraction

Values = Mapping[str, Fraction]
_PRECEDENCE = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.Div: 2, ast.Mod: 2, ast.Pow: 3}
_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Div: "/", ast.Mod: "mod"}
_ATOM = 4


class ArithmeticFault(ValueError):
    """An expression has no exact value."""


def parse(text: str) -> ast.expr:
    """Parse an expression."""
    return ast.parse(text.strip(), mode="eval").body


def names_in(node: ast.expr) -> set[str]:
    """Return the facts and results that an expression uses."""
    functions = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
    names = (each for each in ast.walk(node) if isinstance(each, ast.Name))
    return {name.id for name in names if id(name) not in functions}


def evaluate(node: ast.expr, values: Values) -> Fraction:
    """Evaluate an expression exactly.

    Raises:
        ArithmeticFault: If it has no exact value, as a root that does not come out even.
    """
    if isinstance(node, ast.Constant):
        return Fraction(str(node.value))
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.Call):
        return _call(node, values)
    assert isinstance(node, ast.BinOp)
    left, right = evaluate(node.left, values), evaluate(node.right, values)
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, ast.Pow):
        return left ** _whole(right)
    if right == 0:
        raise ArithmeticFault("division by zero")
    if isinstance(node.op, ast.Div):
        return left / right
    assert isinstance(node.op, ast.Mod)
    return Fraction(_whole(left) % _whole(right))


def number(value: Fraction, latex: bool = False) -> str:
    """Write a number: whole, as a decimal that ends, or as a fraction."""
    digits = decimals(value)
    if digits == 0:
        return str(value.numerator)
    if digits is not None and digits <= 4:
        return f"{float(value):.{digits}f}"
    if latex:
        return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    return f"{value.numerator}/{value.denominator}"


def decimals(value: Fraction) -> int | None:
    """Count the decimals of a number; None if they do not end."""
    rest, digits = value.denominator, 0
    while rest % 10 == 0:
        rest, digits = rest // 10, digits + 1
    while rest % 2 == 0 or rest % 5 == 0:
        rest, digits = rest // (2 if rest % 2 == 0 else 5), digits + 1
    return digits if rest == 1 else None


def plain(node: ast.expr, values: Values, times: str) -> str:
    """Write an expression with its numbers in plain text."""
    return _plain(node, values, times)[0]


def latex(node: ast.expr, values: Values, times: str) -> str:
    """Write an expression with its numbers in LaTeX."""
    return _latex(node, values, times)[0]


def _call(node: ast.Call, values: Values) -> Fraction:
    assert isinstance(node.func, ast.Name)
    arguments = [evaluate(each, values) for each in node.args]
    if min(arguments) < 0:
        raise ArithmeticFault("a negative argument")
    if node.func.id == "sqrt":
        return _root(arguments[0])
    whole = list(map(_whole, arguments))
    functions: dict[str, Callable[..., int]] = {
        "comb": math.comb,
        "factorial": math.factorial,
        "gcd": math.gcd,
    }
    return Fraction(functions[node.func.id](*whole))


def _root(value: Fraction) -> Fraction:
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    if root * root != value:
        raise ArithmeticFault(f"the root of {value} is not rational")
    return root


def _whole(value: Fraction) -> int:
    if value.denominator != 1:
        raise ArithmeticFault(f"{value} is not whole")
    return value.numerator


def _wrapped(part: tuple[str, int], least: int) -> str:
    return part[0] if part[1] >= least else f"({part[0]})"


def _parts(node: ast.BinOp) -> tuple[int, int, int]:
    """The precedence of an operation, and the least that its sides may have without brackets."""
    own = _PRECEDENCE[type(node.op)]
    return own, own + isinstance(node.op, ast.Pow), own + 1


def _plain(node: ast.expr, values: Values, times: str) -> tuple[str, int]:
    if isinstance(node, (ast.Constant, ast.Name)):
        value = evaluate(node, values)
        text = number(value)
        return text, _ATOM if value >= 0 and "/" not in text else 0
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        arguments = [_plain(each, values, times) for each in node.args]
        if node.func.id == "factorial":
            return _wrapped(arguments[0], _ATOM) + "!", _ATOM
        name = {"comb": "C"}.get(node.func.id, node.func.id)
        return f"{name}({', '.join(text for text, _ in arguments)})", _ATOM
    assert isinstance(node, ast.BinOp)
    own, left_least, right_least = _parts(node)
    left = _wrapped(_plain(node.left, values, times), left_least)
    right = _wrapped(_plain(node.right, values, times), right_least)
    if isinstance(node.op, ast.Pow):
        return f"{left}^{right}", own
    return (
        f"{left} {times if isinstance(node.op, ast.Mult) else _SIGNS[type(node.op)]} {right}",
        own,
    )


def _latex(node: ast.expr, values: Values, times: str) -> tuple[str, int]:
    if isinstance(node, (ast.Constant, ast.Name)):
        value = evaluate(node, values)
        return number(value, latex=True), _ATOM if value >= 0 else 0
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        arguments = [_latex(each, values, times) for each in node.args]
        texts = [text for text, _ in arguments]
        if node.func.id == "factorial":
            return _wrapped(arguments[0], _ATOM) + "!", _ATOM
        if node.func.id == "sqrt":
            return rf"\sqrt{{{texts[0]}}}", _ATOM
        if node.func.id == "comb":
            return rf"\binom{{{texts[0]}}}{{{texts[1]}}}", _ATOM
        return rf"\gcd({', '.join(texts)})", _ATOM
    assert isinstance(node, ast.BinOp)
    own, left_least, right_least = _parts(node)
    if isinstance(node.op, ast.Div):
        top, bottom = (_latex(each, values, times)[0] for each in (node.left, node.right))
        return rf"\frac{{{top}}}{{{bottom}}}", _ATOM
    left = _wrapped(_latex(node.left, values, times), left_least)
    right = _wrapped(_latex(node.right, values, times), right_least)
    if isinstance(node.op, ast.Pow):
        # A fraction needs no brackets, but for one that is raised to a power.
        base = f"({left})" if left.startswith(r"\frac") else left
        return f"{base}^{{{right}}}", own
    signs = {ast.Mult: times, ast.Mod: r"\bmod", ast.Add: "+", ast.Sub: "-"}
    return f"{left} {signs[type(node.op)]} {right}", own
