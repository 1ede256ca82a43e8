"""Whole numbers in English words."""

from __future__ import annotations

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def number_in_words(number: int) -> str:
    """A whole number from 0 to 9999 in words."""
    if number < len(ONES):
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number - 20, 10)
        return TENS[tens] + (f"-{ONES[ones]}" if ones else "")
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    count, rest = divmod(number, size)
    return f"{number_in_words(count)} {name}" + (f" {number_in_words(rest)}" if rest else "")
