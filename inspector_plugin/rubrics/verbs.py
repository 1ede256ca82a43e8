"""Whether an English sentence has a verb, by word lists and the places where words stand.

No tagger is asked: where a word may be a verb it counts as one, so that fragments are missed sooner
than sentences are blamed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise


def listed(words: str) -> frozenset[str]:
    """The words of a list that is written as one text."""
    return frozenset(words.split())


def with_s(verb: str) -> str:
    """The form of a verb that goes with one: "shows", "matches", "carries"."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "sh", "ch", "x", "go")) else f"{verb}s"


# What responses do, in the form that goes with plurals.
VERBS = listed("""
    add address answer avoid begin calculate check cite compute conclude confuse consider contain
    contradict convert define demonstrate derive describe discuss divide end explain follow give
    identify ignore include introduce justify keep label leave list make match mention multiply name
    omit present provide reach remain repeat set show simplify state stay subtract support use
    verify write
""")
# Verbs that are nouns as often, or rarer.
_FURTHER = listed("""
    agree allow apologise apologize appear apply argue ask assume bear become believe belong break
    bring build buy call carry cause change choose claim close cohere come compare compile connect
    copy cost count cover create decline depend die differ draw drink drop eat enable enter equal
    exceed express face fail fall feel fill find fit form get go greet grow handle happen hear help
    hold join know lack lead learn let lie link live load look matter mean meet miss mix move need
    note occur offer open overlap parse pass pay pick play point print produce prove put quote raise
    react read receive recommend refer reflect refuse relate rely remember respond rest return rhyme
    rise round run save say scan see seem select sell send serve sit skip solve sort sound speak
    stand start stop suggest sum take talk tally teach tell thank think total touch treat try turn
    understand urge vary want warn wish work
""")
_PAST = listed("""
    ate became began bought broke brought built came caught chose drank drew drove fell felt forgot
    found gave got grew heard held kept knew led left lost made met paid put ran rang rode rose said
    sang sat saw sent sold spent spoke stood swam taught thought threw told took went won wore wrote
""")
_SURE = listed("""
    is are was were be been isn't aren't wasn't weren't has have had hasn't haven't does do did
    doesn't don't didn't can could can't cannot couldn't must mustn't should shouldn't shall will
    would won't wouldn't may might it's there's that's
""")
_BASE = (VERBS | _FURTHER | _PAST) - {"set"}  # a data set
_WITH_S = frozenset(map(with_s, VERBS | _FURTHER))
# What a noun, or a word that goes with one, follows.
_BEFORE_NOUNS = listed("""
    the a an this these those its their his her your our my no any some all each every both few many
    several other another more most less least of in on at to for from with without by about between
    into over under per as than and or two three four five six seven eight nine ten first second
    third last next final main whole correct wrong right clear short long new old same own such key
    good bad better best worse worst proper simple plain
""")
_DETERMINERS = listed("the a an all each every any no its their at how why that what")
# After a first word in -s: "advises against", "asks whether", "refers to".
_AFTER_VERBS = _DETERMINERS | listed("against to from when if whether not neither only")
_ORDERS = {("do", "not"), ("make", "sure"), ("be", "sure"), ("ensure", "that"), ("ensure", "the")}
_ADJECTIVE = re.compile(r"(?:al|ive|ous|ful|able|ible|[^m]ent|ant|ate|less|ed|ing|est)$")
_NOUNS_IN_ING = listed("reasoning meaning ending heading wording spelling greeting")
_PARTICIPLE = re.compile(r"(?:[^e]ed|[ow]wn|ken|ven|tten)$")


def has_verb(words: Sequence[str]) -> bool:
    """Say whether words may make a sentence.

    Args:
        words: The words in their order, in lower case.
    """
    if not words:
        return False
    return (
        any(word in _SURE for word in words)
        or words[0] in _WITH_S
        or (_has_s(words[0]) and len(words) > 1 and words[1] in _AFTER_VERBS)
        or gives_an_order(words)
        or any(_may_be_verb(*pair, first=not place) for place, pair in enumerate(pairwise(words)))
    )


def gives_an_order(words: Sequence[str]) -> bool:
    """Say whether words begin as an order does, such as "show all steps" or "do not guess"."""
    start = tuple(words[:2])
    return start in _ORDERS or (
        len(start) > 1 and start[0] in _BASE - _PAST and start[1] in _DETERMINERS
    )


def _may_be_verb(before: str, word: str, *, first: bool) -> bool:
    """Whether a word may be a verb, by itself and by the word before it."""
    if before in _BEFORE_NOUNS:
        return False
    if word in _WITH_S:
        return True
    is_adjective = bool(_ADJECTIVE.search(before)) and before not in _NOUNS_IN_ING
    if word in _BASE or _has_s(word) or _PARTICIPLE.search(word):
        return not is_adjective
    # What several do: "the steps cohere".
    return not first and _has_s(before) and word not in _BEFORE_NOUNS and word.isalpha()


def _has_s(word: str) -> bool:
    return len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
