"""Where calls go, and the key they carry."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from inspector_plugin.data.files import require_ordinary
from inspector_plugin.errors import OptionError
from inspector_plugin.folders import expanded

logger = logging.getLogger(__name__)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names that are surely no key: what is given as a name may be the key itself.
_USUAL_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,39}")
_MOST_KEY_BYTES = 2**16
_warned: set[str] = set()


@dataclass(frozen=True)
class Key:
    """A key, kept out of representations and messages.

    Attributes:
        value: The key.
        place: Where it was found, such as "environment variable X".
    """

    value: str = field(repr=False)
    place: str


def check_base_url(base_url: str) -> str:
    """Check a base URL, and return it without a slash at its end.

    Raises:
        OptionError: If it is not http(s), or holds a user, a query or a fragment.
    """
    try:
        parts = urlsplit(base_url)
        if not base_url.isprintable() or " " in base_url or parts.port == 0:
            raise ValueError(base_url)
        (parts.hostname or "").encode("idna")
    except ValueError:  # of the port, and of a name that no host can have, too
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OptionError(
            "base_url must be the http(s) address of a chat-completions API, such as "
            "https://api.deepseek.com or http://localhost:8000/v1."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise OptionError(
            "base_url must hold no user, password, query or fragment; give a key by key_env=NAME "
            "or key_file=PATH."
        )
    return base_url.rstrip("/")


def read_key(key_env: str | None, key_file: str | None) -> Key | None:
    """Fetch the key from where it is kept.

    Args:
        key_env: Name of an environment variable.
        key_file: Path of a file that holds the key alone; it comes before `key_env`.

    Returns:
        The key; None if neither is given.

    Raises:
        OptionError: If there is no usable key. The message never holds what was found.
    """
    if key_file is not None:
        key, place = _read_key_file(key_file), "the key file"
    elif key_env is not None:
        if not _VARIABLE.fullmatch(key_env):
            raise OptionError(
                "key_env takes the name of an environment variable, not the key itself: put the "
                "key into a variable and give key_env=NAME."
            )
        if key_env not in os.environ:
            name = f" {key_env}" if _USUAL_NAME.fullmatch(key_env) else " that key_env names"
            raise OptionError(
                f"No key: the environment variable{name} is not set; set it to the key, or give "
                "key_file=PATH."
            )
        key, place = os.environ[key_env], f"environment variable {key_env}"
    else:
        return None
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise OptionError(f"{place} holds no usable key: a key is one line without spaces.")
    return Key(key, place)


def _read_key_file(name: str) -> str:
    """Read the file of a key. What is given as its name may be the key itself."""
    try:
        path = expanded(name)
        require_ordinary(path, _MOST_KEY_BYTES)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error  # without the name
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    raise OptionError(f"Cannot read the key file ({reason}); it holds the key alone, as text.")


def warn_of_plain_http(base_url: str) -> None:
    """Warn, once for each address, that a key will cross the network unencrypted."""
    parts = urlsplit(base_url)
    if (
        parts.scheme == "http"
        and not _is_loopback(parts.hostname or "")
        and base_url not in _warned
    ):
        _warned.add(base_url)
        logger.warning(
            "The key is sent to %s unencrypted, readable for everyone on the way; use https.",
            base_url,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
