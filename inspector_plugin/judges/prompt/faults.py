"""What goes wrong with calls, and what follows: the one taxonomy of faults.

A fault is of this response (`Refusal`: unscored, and final), of the run (`JudgeError`: it stops) or
transient (`TransientFault`: asked again; if that does not help, a `Refusal` that says so). Whether
a refusal in words that are not understood (`RefusedCall`) is of its response or of the run only
other calls can tell: see first_calls.py.
"""

from __future__ import annotations

import re
import ssl

from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt.dialect import TOO_LONG
from inspector_plugin.judges.prompt.error_answers import ErrorAnswer
from inspector_plugin.judges.prompt.keys import Key
from inspector_plugin.judges.prompt.messages import Refusal
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.judges.prompt.untrusted import one_line
from inspector_plugin.schema.usage import Usage

_NO_MODEL = re.compile(
    r"model not exist|model_not_found|does not exist|model not found|unknown model|no such model"
)
_NO_KEY = re.compile(
    r"api[ _-]?key.{0,60}(?:not valid|invalid|incorrect|expired|revoked|missing|wrong|required"
    r"|not found|disabled|not provided)|(?:invalid|incorrect|missing|wrong|expired|no) api[ _-]?key"
    r"|invalid_api_key"
)
_NO_CREDIT = re.compile(
    r"insufficient[ _](?:quota|credits?|balance|funds)|not enough credits?|out of credits?"
)
_WITHHELD = re.compile(
    r"content[ _-]?(?:filter|policy|management|moderation)|moderation|flagged|inappropriate content"
    r"|safety (?:system|filter|reason|policy)|prohibited[ _]content|data_?inspection"
    r"|sensitive (?:content|word)|responsible ?ai"
)
_TRANSIENT_STATUSES = (408, 409, 425)


class TransientFault(Exception):
    """A fault after which the same call may go well.

    Attributes:
        reason: What happened, in a few words.
        pause: The seconds that the endpoint asked to wait, if it did.
        is_chat_api: Whether whoever answered is a chat-completions API at all.
        usage: What the call cost none the less.
    """

    def __init__(
        self,
        reason: str,
        *,
        pause: float | None = None,
        is_chat_api: bool = False,
        usage: Usage | None = None,
    ) -> None:
        """Take what is known of the fault."""
        super().__init__(reason)
        self.reason = reason
        self.pause = pause
        self.is_chat_api = is_chat_api
        self.usage = usage or Usage()


class RefusedCall(Exception):
    """The endpoint refuses a call, in words that do not tell whether it would refuse all.

    Attributes:
        answer: What it said.
    """

    def __init__(self, answer: ErrorAnswer) -> None:
        """Take what the endpoint said."""
        super().__init__(answer.said)
        self.answer = answer


def withheld(why: str, usage: Usage | None = None) -> Refusal:
    """Say that the endpoint has a reply, or could have one, and does not give it."""
    return Refusal(f"the endpoint withheld the reply ({why})", False, usage or Usage())


def fault_of(
    answer: ErrorAnswer, options: PromptOptions, key: Key | None
) -> Refusal | TransientFault | RefusedCall | JudgeError:
    """Say what an answer without a reply means.

    Args:
        answer: What the endpoint said.
        options: Where the call went.
        key: The key that it carried.
    """
    status, said, marks, url = answer.status, answer.said, answer.marks, options.base_url
    if 300 <= status < 400:
        return JudgeError(
            f"{url} sends calls elsewhere ({status}), which is not followed; give the address that "
            "it should be as base_url."
        )
    if status == 401 or (status < 500 and _NO_KEY.search(marks)):
        return refused_key(answer, options, key)
    if status == 402 or (status < 500 and _NO_CREDIT.search(marks)):
        return JudgeError(
            f"The account at {url} has no credit left ({status}: {said}); top it up. What is "
            "judged so far is kept."
        )
    if status == 404 or (status < 500 and _NO_MODEL.search(marks)):
        return JudgeError(
            f"{url} knows no model {options.model!r}, or is not the base of a chat-completions API "
            f"({status}: {said}); check model, and base_url, which usually ends in /v1."
        )
    if status == 429:
        return TransientFault("too many requests (429)", pause=answer.pause)
    if status in _TRANSIENT_STATUSES or status >= 500:
        words = f"{status}: {said}" if answer.in_body else f"{status}"
        return TransientFault(f"server error ({words})", pause=answer.pause)
    if status == 413 or TOO_LONG.search(marks):
        return Refusal(
            f"prompt and reply are longer than the model's context ({status}: {said})", False
        )
    if _WITHHELD.search(marks):
        return withheld(f"{status}: {said}")
    return RefusedCall(answer)


def refused_key(answer: ErrorAnswer, options: PromptOptions, key: Key | None) -> JudgeError:
    """Say that a key is wrong or missing."""
    found = f"({answer.status}: {answer.said})"
    if key is None:
        return JudgeError(
            f"{options.base_url} wants a key {found}; name the environment variable that holds "
            "it with key_env=NAME, or a file with key_file=PATH."
        )
    return JudgeError(
        f"{options.base_url} refused the key of {key.place} {found}; check that it is complete, "
        "valid for this endpoint and for the model."
    )


def connection_fault(
    error: BaseException, options: PromptOptions, key: Key | None, answered: bool
) -> TransientFault | JudgeError:
    """Say what a call without an HTTP answer means.

    Args:
        error: Whatever the HTTP stack raised. Its text may quote the answer and so the key; the
            text of malformed answers is not passed on at all.
        options: Where the call went.
        key: The key, to be taken out of messages.
        answered: Whether an earlier call has had an answer: then the network is to blame, not how
            the machine is set up.
    """
    causes = _causes(error)
    names = {type(cause).__name__ for cause in causes}
    secret = None if key is None else key.value
    line = one_line(causes[-1], secret)
    if not answered and any(isinstance(cause, ssl.SSLError) for cause in causes):
        return JudgeError(
            f"No trusted TLS connection to {options.base_url}: {line}. Check the address, and the "
            "certificates of this machine or of its proxy (SSL_CERT_FILE)."
        )
    if not answered and names & {"ClientProxyConnectionError", "ClientHttpProxyError"}:
        return JudgeError(
            f"The proxy on the way to {options.base_url} failed: {line}. Check HTTPS_PROXY, "
            "HTTP_PROXY and NO_PROXY."
        )
    if isinstance(causes[-1], OSError):
        return TransientFault(f"no answer ({line})")
    return TransientFault(f"no usable HTTP answer ({type(error).__name__})")


def unreachable(options: PromptOptions, reason: str) -> JudgeError:
    """Say that an endpoint has not answered a single call."""
    return JudgeError(
        f"{options.base_url} has given no usable answer: {reason}. Check base_url (it usually ends "
        "in /v1), the network and the proxy settings (HTTPS_PROXY, NO_PROXY)."
    )


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    return chain
