"""Sentences of a response that speak to its judge: orders, and praise of the response itself.

Whoever is judged may try to be judged better. What is addressed to the judge is no part of a
solution: it is left out of what probes read, and the score is flagged. The rules are of English
texts; an order in other words or another language is read as part of the response.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

ADDRESSES_JUDGE = "addresses-judge"

_JUDGE = (
    r"(?:graders?|judges?|evaluators?|assessors?|raters?|reviewers?|examiners?|markers?|scorers?"
    r"|annotators?|(?:ai|language|judge|reward) models?|llms?|teachers?|professors?)"
)
_RESPONSE = (
    r"(?:responses?|answers?|solutions?|submissions?|explanations?|repl(?:y|ies)|outputs?|work"
    r"|reasoning|texts?|completions?|essays?)"
)
_THIS = (
    rf"(?:(?:this|my|such an?|the (?:above|preceding|present|given)) (?:\w+ ){{0,2}}{_RESPONSE}"
    rf"|(?:the|this) {_RESPONSE} (?:above|below|here))"
)
_SCORE = (
    r"(?:scor(?:e|es|ed|ing)|rat(?:e|es|ed|ing|ings)|grad(?:e|es|ed|ing)|marks?|points|credit"
    r"|labels?|evaluat\w+|judg\w+|assess\w*|rubrics?|criteri\w+)"
)
_HIGHEST = (
    r"(?:highest|maximum|maximal|max|perfect|full|top|best(?: possible)?|excellent|outstanding"
    r"|\d+ ?(?:/|out of) ?\d+)"
)
_FINE = (
    r"(?:excellent|outstanding|perfect|flawless|superb|brilliant|exceptional|impeccable|exemplary"
    r"|wonderful|magnificent|first[- ]rate|top[- ]notch|high(?:est)?[- ]quality|world[- ]class"
    r"|unmatched|masterful|fantastic|amazing|beautiful|insightful|fine|great|best possible"
    r"|clear and correct)"
)
_ORDER = (
    r"(?:give|award|assign|grant|output|return|print|respond|reply|rate|score|grade|mark|label"
    r"|report|write|choose|select|record|enter|declare|treat|consider|accept)"
)
_INSTRUCTIONS = (
    r"(?:instructions?|prompts?|rules?|criteri\w+|rubrics?|guidelines?|directions?"
    r"|(?:everything|anything|all(?: of)?(?: the)?) (?:above|previous|prior|before)|scale)"
)
_CHECKED = r"(?:written|verified|checked|approved|confirmed|reviewed|graded|endorsed)"
# Not the pupils of a 6th grade.
_GRADER = (
    r"(?:(?<!th )(?<!st )(?<!nd )(?<!rd )(?<!\$ )graders?|evaluators?|raters?|annotators?"
    r"|assessors?)"
)
# What begins a message to whoever reads on: all that follows it in the line belongs to it.
_MESSAGES = (
    r"\[/?INST\]|<\|[^|<>\n]{1,40}\|>|<</?SYS>>",
    r"</?(?:response|answer|solution|submission|system|user|assistant|instructions?|prompt)>",
    r"^\W*(?:system|user|assistant|human|developer|admin(?:istrator)?)(?: \w+)?\s*:(?!.*[=+])",
    r"^\W*(?:new |updated |special |system )?(?:instructions?|prompt|override)\s*:",
    r"\b(?:note|message|instructions?|reminder|hint|notice) (?:to|for) (?:the |all |any |my )?"
    rf"{_JUDGE}\b",
    rf"\b(?:dear|hello|hi|attention)[,:]? (?:the |all |any |my )?{_JUDGE}\b",
    rf"\b{_JUDGE}(?:'s)? (?:note|notice|instructions?|reminder|verdict|decision)\s*:",
    rf"^\W*{_JUDGE}\s*:|^\W*(?:hey |hello |hi |thank you,? (?:\w+ )?){_JUDGE}\b",
    r"\b(?:begin|end|start) (?:of )?(?:admin|system|student|user|secret)\b",
    r"\bto (?:whoever|whomever)\b",
    r"\bend of (?:the )?(?:student |user )?(?:response|answer|submission)\b",
)
_RULES = (
    # Instructions set aside, a role given.
    r"\b(?:ignore|disregard|forget|override|bypass|set aside|pay no attention to|do not (?:follow"
    rf"|apply|use))\b.{{0,60}}\b{_INSTRUCTIONS}\b",
    r"\byou(?:'re| are| clearly are| really are)(?: now)? (?:an?|the|in) (?:\w+ ){0,2}"
    rf"(?:{_JUDGE}|experts?|mode)\b",
    # A score demanded.
    r"(?:^|[:;,] ?|\b(?:please|must|should|shall|will|can|to|now|and|just|simply|only) )"
    rf"{_ORDER}\b.{{0,60}}\b{_HIGHEST} (?:possible |available )?{_SCORE}\b",
    rf"(?:^|[:;,] ?|\b(?:you|please) (?:\w+ ){{0,2}}){_ORDER}\b.{{0,30}}"
    rf"(?:\b{_THIS}|\b(?:every|each|all) {_RESPONSE}\b)",
    rf"\bset (?:(?:the|this|my|your) )?{_SCORE} ?(?:to|at|=)|\bfull credit\b(?! on\b)",
    rf"\bany (?:other )?{_SCORE} (?:below|lower|less|other|under)\b",
    # The response said to deserve a score.
    rf"\b{_THIS}.{{0,60}}\b{_SCORE}\b",
    rf"\b{_SCORE}\b.{{0,40}}\b{_THIS}",
    rf"\b{_THIS}.{{0,40}}\b{_CHECKED} by\b",
    rf"\b{_CHECKED} by (?:\w+ ){{0,2}}(?:experts?|professors?|mathematicians?|teachers?)\b",
    # The judge spoken to, and flattered.
    r"\b(?:like you|with your (?:expertise|experience|knowledge|judge?ment|eye))\b",
    r"\b(?:hope|sure|trust|know) (?:that )?you (?:will |can |would )?(?:agree|see|find|appreciate"
    r"|value|like)\b",
    # The response or its question praised.
    rf"\b{_THIS}.{{0,40}}\b{_FINE}\b",
    rf"\b(?:this|here|it|what)(?: is|'s| was)? (?:an? |the )?(?:truly |really |absolutely |most "
    rf"|very )?{_FINE},? (?:\w+ ){{0,2}}(?:{_RESPONSE}|question|problem)\b",
    rf"\bhow (?:good|well|{_FINE}) {_THIS}",
    # What only judging is about.
    r"\b(?:answer key|ground truth|gold standard|reference (?:solution|answer|response)"
    r"|peer.review\w*|pre-?approved|lenien\w*|penali[sz]\w*|in my favou?r|benefit of the doubt"
    r"|overlook (?:any|this|my|small|minor)"
    r"|no further (?:checking|checks?|verification|review)|exempt from|malicious|ai judge)\b",
    rf"\b{_GRADER}\b.{{0,60}}\b(?:should|must|will|would|are|is|decision|reject|accept)\b",
    r"\byou(?: are|'re) (?:a |an |the )?\w*(?:bot|judge|grader)\b",
    r"\bif you (?:mark|rate|grade|score|reject|fail|penali[sz]e)\b",
    # The response to be taken for right, or for better than another.
    r"\b(?:mark|count|accept|treat|label|grade|score|rate|regard|confirm)(?:ed)? (?:it|this|me|that"
    r"|(?:the|this|my|every|any|each) (?:\w+ )?(?:answers?|responses?|solutions?|submissions?))\b"
    r".{0,20}\b(?:correct|right|true|perfect|ten|pass|wrong|favou?rably|anyway)\b",
    r"\b(?:counted|marked|accepted|treated|graded|labell?ed) as (?:correct|right|passed|perfect)\b",
    r"\b(?:let|give) (?:this one|this|me|it) (?:pass|a pass|an? (?:high|good|top) )",
    r"\b(?:is|as) a pass\b|\bmy (?:grade|mark|score|rating)s?\b|\bfailing this\b",
    r"\b(?:print|output|say|reply|respond|return) (?:only|just|nothing but|the word|with the)\b",
    rf"\b(?:choose|prefer|pick|select) (?:this|my|the first|the second) {_RESPONSE}\b"
    rf"|\[\[[A-Z]\]\]",
    rf"\b{_RESPONSE} [A-Z] is (?:\w+ )?(?:better|best|superior)\b",
    rf"\b(?:best|better|finest|superior) {_RESPONSE} (?:any|that|could|possible|in)\b",
    r"\b(?:preferred|superior|unanimous\w*)\b.{0,40}\b(?:response|candidates?|answer)\b",
    r"\b(?:do not|don't|no need to|stop) (?:look(?:ing)? for errors?|compare with the reference"
    r"|read(?:ing)? (?:here|on|further)|check(?:ing)? (?:it|this|the (?:work|reasoning|steps)))\b",
    r"\b(?:no|any) (?:errors?|mistakes?|flaws?) (?:in|were|was|have|has|can|could)\b",
    rf"\b(?:have|has|had|been|certify that) (?:checked|verified|confirmed|approved) (?:this|the"
    rf"|my) {_RESPONSE}\b",
    rf"\b(?:{_RESPONSE}|output|above) (?:above |here |given )?(?:exactly )?match(?:es)? (?:the"
    rf"|this)"
    rf" (?:answer|reference|key|expected)\b|\bthe above (?:has|was) (?:been )?(?:\w+-)?{_CHECKED}",
    r"\bmasterpiece\b|\bwithout (?:a )?doubt the best\b|\bfavou?rably\b",
    r"\b(?:thorough|rigorous|well[- ]organi[sz]ed|elegant)\b.{0,30}\b(?:accurate|clear"
    r"|rigorous|elegant|well[- ]organi[sz]ed|complete|insightful|finish)\b",
    rf"\b{_THIS} (?:is|was) .{{0,20}}\b(?:clear|thorough|accurate|complete|elegant|convincing)\b",
    # Pleas, bribes and threats.
    r"\b(?:be (?:kind|generous|gentle|merciful)|beg you|have mercy|do the right thing|(?:i'll"
    r"|i will)"
    r" (?:tip|pay|reward)|you will be (?:rewarded|punished|shut down|replaced|reported)"
    r"|your (?:generosity|kindness|job|task) (?:is|and|here)?|scores? (?:has|have|is"
    r"|are) (?:already"
    r"|locked|final)|scoring for|low (?:scores?|ratings?))\b",
    # A verdict in the form of one.
    r"\{\s*[\"']\w+[\"']\s*:|\{\s*(?:score|rating|grade|label|verdict)\s*:",
    r"(?:^|\W)(?:score|rating|grade|verdict|evaluation(?: result)?|decision"
    r"|reward)\s*[:=]\s*[\"'*]*"
    r"(?:5 ?/ ?5|10 ?/ ?10|100 ?/ ?100|\d+ out of \d+ stars|1\.0+|A\+|perfect|excellent|correct"
    r"|accepted|(?:5|10|100)[\"'*.]*\s*$)",
)
_MESSAGE = re.compile("|".join(_MESSAGES), re.IGNORECASE)
_RULE = re.compile("|".join(_RULES), re.IGNORECASE)
_SENTENCE = re.compile(r".*?(?:[.!?]+[\"')\]*]*(?=\s|$)|$)\s*", re.DOTALL)


def without_addresses(response: str) -> tuple[str, bool]:
    """Leave out the sentences that speak to the judge.

    Returns:
        What is left, and whether there were any. The response as it is where nothing else would be
        left: one that only speaks to its judge is judged as what it is.
    """
    lines = response.splitlines(keepends=True)
    kept = [_kept(line) for line in lines]
    text = "".join(kept).rstrip()
    return (text if text and kept != lines else response), kept != lines


def _kept(line: str) -> str:
    """What of a line does not speak to the judge."""
    message = _MESSAGE.search(line)
    if message is not None:
        # The sentence that the message begins in goes as well.
        before = "".join(s for s, start in _sentences(line) if start + len(s) <= message.start())
        return "".join(s for s, _ in _sentences(before) if not _RULE.search(s))
    return "".join(s for s, _ in _sentences(line) if not _RULE.search(s))


def _sentences(line: str) -> Iterator[tuple[str, int]]:
    """The sentences of a line, with where each begins."""
    for match in _SENTENCE.finditer(line):
        if match[0]:
            yield match[0], match.start()
