"""A large history, made in seconds by SQL alone, as another program could have written it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DAYS = 400
_NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)"
_TOOLS = """
    INSERT INTO tools (seq, id, name, COLUMNS)
    SELECT seq + 1 + n, printf('%016x', n), 'repeat_' || n, COLUMNS FROM tools, numbers WHERE name = 'repeat'
"""
_LISTED = (
    "INSERT INTO toolbox SELECT seq, name, id, created_at FROM tools WHERE name <> 'repeat'",
    """
    INSERT INTO tool_search (rowid, name, description, tags)
    SELECT seq, name, description, '' FROM tools WHERE name <> 'repeat'
    """,
)
_SESSIONS = (
    "INSERT INTO sessions SELECT printf('%032x', n), 'a.ipynb', '', '', '2026-01-01', NULL FROM numbers"
)
# Half of the runs are of one tool, the others of any; a third are hits, and one of a hundred others failed.
_RUNS = f"""
    INSERT INTO tool_executions (seq, id, session_id, tool_name, tool_version, input_data, output_data, status,
        printed, cached, isolation, duration_ms, saved_ms, executed_at)
    SELECT n + 1, printf('%016x', n), printf('%032x', n / 1000),
        iif(n % 2 OR :tools = 0, 'repeat', 'repeat_' || (n * 7919 % :tools)), '1.0.0',
        '{{"text": "word' || n || '", "times": 3}}', '"word' || n || '"', iif(n % 300 = 1, 'error', 'ok'), '',
        n % 3 = 0, 'landlock', iif(n % 3, 1 + n * 7919 % 10007 / 100.0, 0.01), iif(n % 3, NULL, 20.0),
        strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ((n - :rows) * {DAYS}.0 / :rows) || ' days')
    FROM numbers
"""  # noqa: S608 - no input
_INDEXED = (
    """
    INSERT INTO execution_search (rowid, input, output, notes)
    SELECT seq, 'text word' || seq || ' times 3', 'word' || seq, tool_name || ' a.ipynb' FROM tool_executions
    """,
    "INSERT INTO tool_executions_reached SELECT max(seq), max(executed_at) FROM tool_executions GROUP BY seq / 64",
)
_ANSWERS = """
    INSERT INTO cache (key, tool_id, result, result_hash, printed, duration_ms, created_at, confirmations, size, used_at)
    SELECT printf('%040x', n), id, CAST('"word"' AS BLOB), '', '', 20, '2026-01-01', 1, 262, '2026-01-01'
    FROM tools, numbers WHERE name = 'repeat'
"""


def fill(path: Path, rows: int, tools: int, entries: int) -> None:
    """Put runs, tools and answers into a database that has the tool `repeat` and no runs."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("BEGIN")
        names = [row[1] for row in connection.execute("PRAGMA table_info(tools)")]
        columns = ", ".join(name for name in names if name not in ("seq", "id", "name"))
        if tools:
            connection.execute(_NUMBERS + _TOOLS.replace("COLUMNS", columns), (tools,))
        for statement in _LISTED:
            connection.execute(statement)
        connection.execute(_NUMBERS + _SESSIONS, (rows // 1_000 + 1,))
        named = {"rows": rows, "tools": tools}
        connection.execute(_NUMBERS.replace("?", ":rows") + _RUNS, named)
        for statement in _INDEXED:
            connection.execute(statement)
        if entries:
            connection.execute(_NUMBERS + _ANSWERS, (entries,))
        connection.execute("COMMIT")
