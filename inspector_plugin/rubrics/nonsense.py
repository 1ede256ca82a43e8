"""Items that state nothing a judge could look for, told from their words, English ones.

Small language models write such items, and large ones now and then: fragments, remarks to the
reader, pieces of their prompt, statements about the task in place of the response, and statements
that would suit any response to anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from inspector_plugin.rubrics.item_texts import SENTENCE_ENDS, content_words
from inspector_plugin.rubrics.verbs import gives_an_order, has_verb, listed
from inspector_plugin.schema.rubrics import normal_text

# An item of which so much stands in a text word for word is a copy of it.
_FEWEST_COPIED, _SHARE_COPIED = 5, 0.6
_FEWEST_REPEATED = 6
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”")
_LETTER = re.compile(r"[^\W\d_]")
# Without any of these a text may be in another language, of which nothing is known here.
_ENGLISH = re.compile(r"\b(?:the|of|and|with|each|every|response|answer)\b", re.IGNORECASE)
_REMARK = re.compile(
    r"^\W*(?:(?:sure|certainly|of course|okay|ok)\b\s*[,!.:]|here(?:'s| is| are)\b|as an ai\b"
    r"|(?:i|we)(?:['’]\w+)? [a-z]|(?:let me|please|thanks?(?: you)?|todo|lorem|n/a|note that)\b"
    r"|\(?\d+ ?(?:points?|marks?|%) for\b)",
    re.IGNORECASE,
)
_OPEN_QUESTION = re.compile(
    r"^\W*(?:what|how|why|which|who|where|when|to what)\b.*\?\W*$", re.IGNORECASE | re.DOTALL
)
_PLACEHOLDER = re.compile(
    r"[\[<{]\s*(?:insert|your)\b[^\]>}]*[\]>}]|^\W*[\[<{]\s*[\w ]+[\]>}]\W*$"
    r"|(?<![\"“'])(?:\.\.\.|…)\s*$|\bX{3,}\b",
    re.IGNORECASE,
)
# Marks and words of our prompts, JSON, and the figures that refining shows a generator.
_PROMPT = re.compile(
    r"^\W*===|=== (?:end of|task|problem|response)\b|\bproblem \d+\b|\((?:better|worse)\)"
    r"|(?<![#\w])(?=(?:[a-f]*\d){2})(?=(?:\d*[a-f]){2})[0-9a-f]{6,}\b"
    r"|[\"“'](?:the )?response[\"”']"
    r"|\bpitfall\s*:|\[(?:rule|principle|pitfall)\b|^\W*[\"'](?:text|kind|weight|items)[\"']\s*:"
    r"|\bmet by (?:more than )?\d+%|\bno verdict could be read\b"
    r"|\b(?:better|best|good|bad) ones do (?:better|worse)\b"
    r"|\bwrite (?:one|two|a single|a|short) statements?\b|\bone statement a line\b",
    re.IGNORECASE,
)
_CUT = re.compile(r"(?<!['\"“‘])\b(?:a|an|the|and|or|but|because|than|with the|of the)\s*$")
_SUBJECT = re.compile(
    r"^\W*(?:the|this)\s+(?P<subject>task|problem|question|prompt|data ?set|data)\s+"
    r"(?:(?:is|are|was|were)\s+(?!(?:not\s+|never\s+|also\s+|fully\s+|first\s+|then\s+)*"
    r"(?:\w+ed|\w+ly \w+ed|\w+en|\w*put|set|met|read|split|\w+ght|\w+lt|shown|drawn|found|made"
    r"|told|said)\b)"
    r"|(?:(?:has|have)(?! been)|does|do|contains?|asks?|wants?|needs?|requires?|meets?|includes?"
    r"|says?|must|should|can)\b)|^\W*(?:the|this)\s+(?P<other>rubric\b|user (?:asks?|wants?)\b)",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\b(?:both|two|first|second|either|other|better|worse|best|worst)\s+responses?\b"
    r"|\b[Rr]esponses? [A-H]\b",
)
# What is said of any response: words of praise and blame, of being there, of demands unnamed.
_PRAISE = listed("""
    good bad great excellent perfect nice poor poorly well best better worse worst acceptable ok
    okay fine decent satisfactory adequate appropriate suitable proper high low quality really very
    quite overall valid
""")
_ONE_OF_PRAISE = f"(?:{'|'.join(sorted(_PRAISE))})"
# A X is (not) a X; both X and X.
_CIRCLE = re.compile(
    r"^\W*(?:the|an?|no|every)\s+(?P<a>[\w ]{1,40}?)\s+(?:is|are)\s+(?:not\s+)?"
    rf"(?:the|an?)\s+(?:{_ONE_OF_PRAISE} )?(?P=a)\s*(?:[.,;!]|$)",
    re.IGNORECASE,
)
_TWICE = re.compile(
    r"\b(?!(?:more|less|again|over|through)\b)([^\W\d_]{3,})\s+(?:and|or|but)\s+"
    r"(?:an?\s+|the\s+|not\s+)?\1\b(?!\s+(?:not|on)\b)"
    r"|\b(\w{3,}) because (?:it|they|this) (?:is|are) \2\b"
    r"|\b(?!(?:that|had)\b)([^\W\d_]{2,})\s+\3\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:is|are|has|have|contains?|gives?|shows?|uses?|names?)?\s*not\s+(?!only\b|just\b|merely\b)"
    r"(?P<a>[^,;.]+?)\s*,?\s+(?P<link>but|and|yet|but rather|but instead)\s+"
    r"(?P<again>(?:rather|instead|also|it|still)\s+)?(?P<verb>is|are|has|does|it)?\s*"
    r"(?P<b>[^,;.]+)",
    re.IGNORECASE,
)
_PRAISED = re.compile(rf"\b{_ONE_OF_PRAISE}\s+(?:one|answer|response|solution|job|way)s?\b", re.I)
_CALLED = re.compile(
    r"\b(?:is|are|be)\s+(?:not\s+)?(?:an?|the|in fact an?)\s+(?:response|answer|solution)\b", re.I
)
_OF_THE_TASK = re.compile(
    r"\b(?:to|of|for|in|on|by|with|about|regarding)\s+(?:the|this|that|an?|its)\s+(?:given\s+)?"
    r"(?:task|question|problem|request|prompt|subject|topic|user|query)\b",
    re.IGNORECASE,
)
# Not every response has an answer, or gives it where it should.
_HANDS_OVER = re.compile(
    r"\b(?:begins?|starts?|ends?|gives?|given|provides?|contains?|includes?|has)\b"
    rf"(?!.*\b{_ONE_OF_PRAISE}\s+answer).*\banswer\b"
    r"|\banswer\s+(?:is|must be|should be)\s+(?:given|provided)\b|\banswers\s+(?:the|it|all)\b",
    re.IGNORECASE,
)
_SAYS_NOTHING = _PRAISE | listed("""
    response responses it its itself this that these there which who what the a an no not never
    some any all each every other certain something thing things and or but also so then than if as
    of to in on for with by at from about is are was were be been being has have had does do did
    must should shall will can could may contain contains contained include includes consist
    consists exist exists begin begins beginning start starts end ends make makes made write writes
    written give gives given provide provides provided present meet meets met fulfil fulfils fulfill
    fulfills satisfy satisfies answer answers solution task tasks statement statements item items
    text texts word words sentence sentences line lines letter letters character characters content
    contents information language fault faults flaw flaws topic subject criterion criteria
    requirement requirements standard standards expectation expectations rule rules rubric way
    general generally same means
""")


@dataclass(frozen=True)
class Fault:
    """Why an item states nothing.

    Attributes:
        rule: The name of the rule.
        problem: What is wrong.
        remedy: What to do about it.
    """

    rule: str
    problem: str
    remedy: str


def states_nothing(
    text: str, passages: Sequence[str] = (), instructions: Sequence[str] = (), rated: bool = False
) -> Fault | None:
    """Say why an item states nothing that could be looked for in a response.

    Args:
        text: The item.
        passages: Problems and responses that it might be copied from, as `words_of` gives them.
        instructions: What its writer was told, in the same form.
        rated: Whether it is answered by a rating, for which an open question serves.

    Returns:
        The first reason found; None if there is none.
    """
    # Patterns take long over a run of blanks, and items come from anybody.
    text = " ".join(text.split())
    return (
        _copied(text, passages, instructions)
        or _no_sentence(text, rated)
        or _of_something_else(text)
        or _suits_anything(text)
        or _at_odds(text)
    )


def words_of(passage: str) -> str:
    """A passage as its words, in the form in which copies are looked for."""
    return f" {normal_text(passage)} "


def _no_sentence(text: str, rated: bool) -> Fault | None:
    remedy = 'write a whole sentence about the response, such as "The response names ..."'

    def found(problem: str) -> Fault:
        return Fault("no statement", problem, remedy)

    if not _LETTER.search(text):
        return found("it has no words")
    if _PLACEHOLDER.search(text):
        return found("a place in it was left to be filled in")
    if _REMARK.match(text):
        return found("it speaks to its reader, and not of the response")
    if not rated and _OPEN_QUESTION.match(text):
        return found("it is a question that yes or no does not answer")
    if _CUT.search(text):
        return found("it breaks off")
    words = _words(_QUOTED.sub(" ", text)) or _words(text)
    if gives_an_order(words):
        return found("it gives an order, which neither holds nor fails of a response")
    is_english = _ENGLISH.search(text) or len(words) < 5
    if is_english and _is_ascii(text) and not has_verb(words):
        return found("it has no verb")
    return None


def _copied(text: str, passages: Sequence[str], instructions: Sequence[str]) -> Fault | None:
    mark = _PROMPT.search(text)
    if mark is not None:
        return Fault(
            "copied",
            f"{mark[0]!r} comes from what its writer was shown",
            "say what is to be seen in the response, in words of its own",
        )
    words = normal_text(text).split()
    run = max(_FEWEST_COPIED, math.ceil(_SHARE_COPIED * len(words)))
    runs = [f" {' '.join(words[at : at + run])} " for at in range(len(words) - run + 1)]
    for source, what in ((passages, "a problem or a response"), (instructions, "the instructions")):
        if any(each in passage for passage in source for each in runs):
            return Fault(
                "copied",
                f"{run} of its {len(words)} words follow one another in {what}",
                "say what a response should do with it",
            )
    return None


def _of_something_else(text: str) -> Fault | None:
    subject = _SUBJECT.match(text)
    if subject is not None:
        named = (subject["subject"] or subject["other"].split()[0]).casefold()
        return Fault(
            "other subject",
            f"it speaks of the {named}, not of the response",
            "make the response its subject",
        )
    others = _OTHERS.search(text)
    if others is not None:
        return Fault(
            "other subject",
            f"{others[0]!r}: a judge sees one response by itself",
            "say what is to be seen in that response alone",
        )
    return None


def _at_odds(text: str) -> Fault | None:
    """Sentences that say a thing twice, or say it and deny it."""
    remedy = "say once what is to be seen in the response"
    for sentence in SENTENCE_ENDS.split(text):
        twice = _TWICE.search(sentence) or _CIRCLE.match(sentence)
        if twice is not None:
            return Fault("says it twice", f"{twice[0].strip()!r} says one thing twice", remedy)
        denial = _DENIAL.search(sentence)
        if denial is not None:
            denied, stated = content_words(denial["a"]), content_words(denial["b"])
            # "not a sum but a difference" corrects; "not a sum, and is a sum" denies itself.
            anew = denial["verb"] is not None or denial["link"].casefold() == "and"
            if denied and (denied == stated or (anew and denied <= stated)):
                return Fault("says it twice", f"{denial[0].strip()!r} denies what it says", remedy)
    words = [word for word in _words(text) if len(word) > 3]
    if len(words) >= _FEWEST_REPEATED and len(set(words)) <= len(words) / 2:
        return Fault("says it twice", "its words repeat each other", remedy)
    return None


def _suits_anything(text: str) -> Fault | None:
    plain = _PRAISED.sub(" ", _CALLED.sub(" ", _OF_THE_TASK.sub(" ", text)))
    if set(_words(plain)) <= _SAYS_NOTHING and not _HANDS_OVER.search(text):
        return Fault(
            "says nothing",
            "it would suit any response to anything",
            "say what exactly is to be seen in the response",
        )
    return None


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _is_ascii(text: str) -> bool:
    letters: list[str] = _LETTER.findall(text)
    return sum(letter.isascii() for letter in letters) >= 0.9 * len(letters)
