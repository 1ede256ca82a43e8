"""How probes read the questions of a data set, where that differs from how judges get them.

The reference scores of GPQA, on which its probes were trained, were given to questions in a form of
their own: an instruction on the form of the answer, then the options without letters. Judges get
what the evaluated model got, so the probes bring it into their form here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_INSTRUCTION = " Put the final answer in \\boxed{}."
# The last option (A), and the others after it, each at the beginning of a line.
_OPTIONS = re.compile(r"\n\(A\) (.*)\n\(B\) (.*)\n\(C\) (.*)\n\(D\) (.*)\Z", re.DOTALL)


def _gpqa(question: str) -> str:
    """Put the instruction after the question, and the options below without their letters."""
    start = question.rfind("\n(A) ")
    found = _OPTIONS.match(question, start) if start >= 0 else None
    if found is None:
        return question
    return "\n".join([question[:start] + _INSTRUCTION, *found.groups()])


# By data set.
QUESTION_FORMS: Mapping[str, Callable[[str], str]] = {"gpqa": _gpqa}
