"""Text that comes from outside: may it be tokenised, and how is it printed safely?"""

from __future__ import annotations


def is_unicode(text: str) -> bool:
    """Whether a text holds no unpaired surrogate, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(text: str) -> str:
    """Make untrusted text safe to print in one line.

    Returns:
        The text with every white space as a blank, and every other character that does not print
        (escape sequences, changes of writing direction, unpaired surrogates) as U+FFFD.
    """
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "\ufffd"
        for character in text
    )
