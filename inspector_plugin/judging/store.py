"""What is kept by key in one SQLite file, for any number of processes at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from inspector_plugin.errors import DataError

_BUSY_SECONDS = 60.0
_KEYS_AT_ONCE = 500
# 32 MB: rows come in the order of their hashes, so that each checkpoint writes many pages.
_PAGES_BETWEEN_CHECKPOINTS = 8000


class Store:
    """A table with a key, on disk.

    Attributes:
        path: The file.
        name: What messages call it, such as "the judge cache".
        without: How to do without it, for messages, such as "judge with --no-cache".
        table: The table's name.
        columns: Its columns besides the key, as SQL declares them.
    """

    name: ClassVar[str]
    without: ClassVar[str]
    table: ClassVar[str]
    columns: ClassVar[str]

    def __init__(self, path: Path) -> None:
        """Open the file, making it if there is none; only its owner may read it.

        Raises:
            DataError: If it cannot be opened.
        """
        self.path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            # Judgements are put by whichever thread hears of them; one at a time.
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def _prepare(self) -> None:
        """Make the table if there is none."""
        self._database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(f"PRAGMA wal_autocheckpoint={_PAGES_BETWEEN_CHECKPOINTS}")
        self._database.execute(
            f"CREATE TABLE IF NOT EXISTS {self.table} (key TEXT PRIMARY KEY, {self.columns}) "
            "WITHOUT ROWID"
        )

    def _rows(self, columns: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Look rows up by their keys; those that are not there are left out."""
        with self._explained():
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT {columns} FROM {self.table} WHERE key IN ({marks})"
                yield from self._database.execute(query, some)

    def _put(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows; they are on disk when this returns, and outlive the end of the process."""
        if not rows:
            return
        marks = ",".join("?" * len(rows[0]))
        with self._explained(), self._database:
            query = f"INSERT OR REPLACE INTO {self.table} VALUES ({marks})"
            self._database.executemany(query, rows)

    def _delete(self, condition: str = "TRUE", values: Sequence[Any] = ()) -> int:
        """Delete rows, and give their space back; return how many there were."""
        with self._explained():
            with self._database:
                query = f"DELETE FROM {self.table} WHERE {condition}"
                count = self._database.execute(query, values).rowcount
            self._database.execute("VACUUM")
        return int(count)

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._database.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise DataError(
                f"Cannot use {self.name} {self.path}: {error}. Set INSPECTOR_CACHE_DIR to another "
                f"folder, delete the file, or {self.without}."
            ) from error
