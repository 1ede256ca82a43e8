"""Whether anything answers at the address of a Ray cluster."""

from __future__ import annotations

import socket

_SECONDS = 10.0
_MOST_PORT = 2**16 - 1


def require_answer(address: str | None) -> None:
    """Try to connect to a cluster: where nothing answers, Ray itself goes on trying for minutes.

    Args:
        address: HOST:PORT, perhaps after ray://. Any other ("auto", None) is left to Ray.

    Raises:
        OSError: If nothing answers.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal() and int(port) <= _MOST_PORT:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
