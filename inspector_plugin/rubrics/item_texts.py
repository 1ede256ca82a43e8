"""Telling faults of an item from its words, English ones."""

from __future__ import annotations

import re

from inspector_plugin.rubrics.verbs import VERBS, with_s

# Words of praise that say nothing of what is to be seen in the response.
_VAGUE = re.compile(
    r"\b(?:good|well|nice(?:ly)?|(?-i:great)|excellent|poor(?:ly)?|bad(?:ly)?|appropriate(?:ly)?"
    r"|adequate(?:ly)?|sufficient(?:ly)?|proper(?:ly)?|reasonabl[ey]|suitabl[ey]|satisfactor(?:y|ily)"
    r"|effective(?:ly)?|high[- ]quality|quality|helpful(?:ly)?|useful(?:ly)?|meaningful(?:ly)?"
    r"|comprehensive(?:ly)?|thorough(?:ly)?|insightful|nuanced|robust|engaging|impressive"
    r"|professional(?:ly)?|somewhat|fairly|as needed|if necessary|where appropriate|best practices?"
    r"|perfect(?:ly)?|outstanding|compelling|fitting|decent|easy to (?:follow|read|understand)"
    r")\b"
    r"|\b(?:is|are) (?:very |quite )?clear\b(?! (?:from|that|which|whether|where|who|what|how)\b)"
    r"|\b(?:contains?|has|have|makes?|with|of|is|are|there)\b(?: not)?(?: contain| have| make)?"
    r" (?:no|any|an?|some) (?:error|mistake|issue)s?\s*\.?\s*$|^\W*no errors?\W*$",
    re.IGNORECASE,
)
# What nobody can see who has the problem and the response alone.
_UNVERIFIABLE = re.compile(
    r"\b(?:reference (?:answer|solution|response)|gold(?:en)?(?: answer| solution)?|ground[- ]truth"
    r"|answer key|model answer|expected (?:answer|output|result)|official (?:answer|solution)"
    r"|intends|(?:is|are|was|were) intended to|intentionally|believe[sd]?|feels?"
    r"|sincere(?:ly)?|tr(?:y|ies|ied) hard|effort|experts? (?:would|agree)"
    r"|users? (?:would|will|is satisfied|are satisfied|likes?)"
    r"|readers? (?:would|will) (?:like|enjoy|be)|in practice|in the real world|other responses"
    r"|previous (?:response|conversation)s?|verified (?:online|externally)|quickly|in time)\b",
    re.IGNORECASE,
)
_NAMED_ANSWER = re.compile(
    r"(?:\\boxed\{([^{}]{1,40})\}|####\s*(\S{1,40})"
    r"|\b(?:final |correct |right )?(?:answer|result|total|solution)\s+(?:is|as|of|equals|=)\s+"
    r"(?:exactly\s+)?([$€£]?-?\d[\d,]*(?:\.\d+)?%?|[\"'(]?[A-E][\"')](?=\W|$))"
    r"|\bresponse is (\d[\d,.]*)\W*$)",
    re.IGNORECASE,
)
_VERBS = "|".join(
    ["is|are|was|were|has|have|had|does|do", *(f"{with_s(verb)}|{verb}" for verb in sorted(VERBS))]
)
_ADVERB = r"(?:(?:also|then|not|never|always|clearly|correctly|explicitly|fully|each|it|\w+ly)\s+)*"
_JOINT = re.compile(
    rf"(?:,\s*)?\b(?:and|or|but|while|as well as)\s+{_ADVERB}(?:{_VERBS})\b"
    r"|\band/or\b|;\s*\w+",
    re.IGNORECASE,
)
# The end of a sentence, not of an abbreviation.
SENTENCE_ENDS = re.compile(r"(?<![A-Z])(?<!\b[A-Z][a-z])(?<!e\.g)(?<!i\.e)[.!?]\s+(?=[A-Z])")
_COMMON = re.compile(
    r"the|a|an|of|to|in|on|for|and|or|is|are|was|be|been|it|its|this|that|with|as|by|at|from|not|no"
    r"|does|do|has|have|any|all|each|every|response|answer|solution|problem|statement"
)
_IRREGULAR = {"shown": "show", "given": "give", "written": "write", "taken": "take", "made": "make"}
_SUFFIX = re.compile(r"(?:ations?|ings?|edly|ed|es|s|ly)$")


def vague_word(text: str) -> str | None:
    """The first word that leaves open what is meant; None if there is none."""
    return _first(_VAGUE, text)


def unverifiable_word(text: str) -> str | None:
    """The first word on what problem and response do not tell; None if there is none."""
    return _first(_UNVERIFIABLE, text)


def double_claim(text: str) -> str | None:
    """What joins two claims, with the beginning of the second; None if there is one claim."""
    joint = _first(_JOINT, text)
    if joint is not None:
        return " ".join(joint.strip(" ,").split())
    sentences = SENTENCE_ENDS.split(text.strip())
    return " ".join(sentences[1].split()[:3]) if len(sentences) > 1 else None


def named_answer(text: str) -> str | None:
    """An answer that the text spells out as such; None if it does not."""
    match = _NAMED_ANSWER.search(text)
    return None if match is None else next(group for group in match.groups() if group)


def mentions_answer(text: str, question: str, answer: str) -> bool:
    """Whether a text mentions a known answer that the problem does not.

    Args:
        text: The item.
        question: The problem.
        answer: Its answer. One of a single letter or digit is too short to be told from other
            uses, and counts as not mentioned.
    """
    wanted = _plain(answer)
    if len(wanted) < 2:
        return False
    return _has(text, wanted) and not _has(question, wanted)


def likeness(first: str, second: str) -> float:
    """How much of their words of content two texts share.

    Returns:
        From 0 to 1: shared words over all words of the shorter text and half of those that only
        the longer one has.
    """
    ours, theirs = content_words(first), content_words(second)
    if not ours or not theirs:
        return 0.0
    shared, less, more = len(ours & theirs), *sorted((len(ours), len(theirs)))
    return shared / (less + (more - less) / 2)


def content_words(text: str) -> frozenset[str]:
    """The words of a text that say what it is about, without endings.

    "not" and "no" do not count, so that a statement and its contrary are alike: their verdicts are
    each other's opposites.
    """
    words = re.findall(r"\w+", text.casefold())
    return frozenset(_stem(word) for word in words if not _COMMON.fullmatch(word))


def _stem(word: str) -> str:
    word = _IRREGULAR.get(word, word)
    return (_SUFFIX.sub("", word) if len(word) > 4 else word).rstrip("e")


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return None if match is None else match[0]


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace(",", "").strip(" .$").split())


def _has(text: str, wanted: str) -> bool:
    pattern = rf"(?<![\w.]){re.escape(wanted)}(?![\w]|\.\d)"
    return re.search(pattern, _plain(text)) is not None
