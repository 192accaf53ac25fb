"""A SQLite file that any number of threads and processes use at once."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from chalicelib.errors import Problem

# How long a writer waits for others, in seconds. Each holds the lock for milliseconds.
PATIENCE = 30.0


class DatabaseFull(Problem, sqlite3.OperationalError):
    """There is no room on the disk: told to callers of the API, while the steps take it for trouble of SQLite."""

    sqlite_errorcode = sqlite3.SQLITE_FULL

    def __init__(self) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, "The server's disk is full. Try again when there is room.")


class Database:
    """Write-ahead log, so that reading never waits for writing. `synchronous` is SQLite's setting of that name."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self.path = path
        self._synchronous = synchronous
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start, so that what it reads stays true until it ends.

        Raises DatabaseFull.
        """
        database = self.connection()
        try:
            database.execute("BEGIN IMMEDIATE")
            with database:
                yield database
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise DatabaseFull from None
            raise

    def connection(self) -> sqlite3.Connection:
        """This thread's own. A connection must not be used, nor even closed, in a process forked after its opening."""
        connections: dict[int, sqlite3.Connection] = self._local.__dict__.setdefault("connections", {})
        if os.getpid() not in connections:
            connections[os.getpid()] = self._connect()
        return connections[os.getpid()]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        _write_ahead(connection)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Changes a new file's journal. SQLite itself does not wait here for another who writes, whatever its timeout."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
