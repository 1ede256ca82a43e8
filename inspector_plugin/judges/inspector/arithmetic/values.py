"""Exact arithmetic within bounds: whatever would grow beyond them is unknown."""

from __future__ import annotations

import math
from fractions import Fraction

MAX_BITS = 1024
MAX_FACTORIAL = 60
# Roots that are no fractions are computed to so many decimals.
ROOT_DECIMALS = 60


def _bounded(value: Fraction) -> Fraction | None:
    large = max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS
    return None if large else value


def combine(sign: str, left: Fraction | None, right: Fraction | None) -> Fraction | None:
    if left is None or right is None:
        return None
    if sign == "+":
        return _bounded(left + right)
    if sign == "-":
        return _bounded(left - right)
    if sign == "*":
        return _bounded(left * right)
    return _bounded(left / right) if right else None


def power(base: Fraction | None, exponent: Fraction | None) -> Fraction | None:
    """A power, if it stays within the bounds: 10^10^10 is refused before it is computed."""
    if base is None or exponent is None:
        return None
    if exponent == Fraction(1, 2):
        return exact_root(base)
    if exponent.denominator != 1 or (base == 0 and exponent <= 0):
        return None
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent) > MAX_BITS:
        return None
    return base ** int(exponent)


def exact_root(value: Fraction | None) -> Fraction | None:
    if value is None or value < 0:
        return None
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    return root if root * root == value else None


def factorial(value: Fraction | None) -> Fraction | None:
    if value is None or value.denominator != 1 or not 0 <= value <= MAX_FACTORIAL:
        return None
    return Fraction(math.factorial(int(value)))


def rough_root(value: Fraction) -> Fraction:
    """The square root of a number that is not negative, to 60 decimals."""
    return Fraction(math.isqrt(int(value * 10 ** (2 * ROOT_DECIMALS))), 10**ROOT_DECIMALS)
