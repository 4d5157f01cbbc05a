"""The tables of the database's first version; `schema` holds the migrations that changed them since.

`seq` orders and joins the rows of one database. It is also their rowid in the full-text indexes `tool_search`
and `execution_search`. `id` is unique across all databases.
"""

from __future__ import annotations

_SESSIONS = (
    """
    CREATE TABLE sessions (
        id         TEXT PRIMARY KEY NOT NULL,
        notebook   TEXT NOT NULL,
        kernel     TEXT NOT NULL,
        python     TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at   TEXT
    ) WITHOUT ROWID
    """,
    "CREATE INDEX sessions_by_time ON sessions (started_at)",
)

_TOOLS = (
    """
    CREATE TABLE tools (
        seq          INTEGER PRIMARY KEY,
        id           TEXT NOT NULL UNIQUE,
        name         TEXT NOT NULL,
        version      TEXT NOT NULL,
        major        INTEGER NOT NULL,
        minor        INTEGER NOT NULL,
        patch        INTEGER NOT NULL,
        source       TEXT NOT NULL,
        signature_id TEXT NOT NULL,
        description  TEXT NOT NULL,
        contract     TEXT NOT NULL,
        permissions  TEXT NOT NULL,
        tags         TEXT NOT NULL,
        provider     TEXT NOT NULL,
        model        TEXT NOT NULL,
        proven       INTEGER NOT NULL,
        varies       INTEGER NOT NULL,
        request_hash TEXT NOT NULL,
        session_id   TEXT REFERENCES sessions (id),
        created_at   TEXT NOT NULL,
        removed_at   TEXT,
        UNIQUE (name, major, minor, patch)
    )
    """,
    "CREATE INDEX tools_by_request ON tools (request_hash) WHERE removed_at IS NULL",
    """
    CREATE TABLE toolbox (
        seq        INTEGER PRIMARY KEY,
        name       TEXT NOT NULL UNIQUE,
        tool_id    TEXT NOT NULL REFERENCES tools (id),
        updated_at TEXT NOT NULL
    )
    """,
    "CREATE INDEX toolbox_by_time ON toolbox (updated_at)",
    """
    CREATE TABLE session_pins (
        session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        name       TEXT NOT NULL,
        tool_id    TEXT NOT NULL REFERENCES tools (id),
        PRIMARY KEY (session_id, name)
    ) WITHOUT ROWID
    """,
    "CREATE VIRTUAL TABLE tool_search USING fts5(name, description, tags, tokenize = 'porter unicode61')",
)

_GENERATIONS = (
    """
    CREATE TABLE generations (
        seq                   INTEGER PRIMARY KEY,
        generation_id         TEXT NOT NULL,
        attempt               INTEGER NOT NULL,
        session_id            TEXT REFERENCES sessions (id),
        tool_name             TEXT NOT NULL,
        request_hash          TEXT NOT NULL,
        description           TEXT NOT NULL,
        contract              TEXT NOT NULL,
        permissions           TEXT NOT NULL,
        provider              TEXT NOT NULL,
        model                 TEXT NOT NULL,
        status                TEXT NOT NULL,
        reason                TEXT NOT NULL,
        text                  TEXT NOT NULL,
        source                TEXT NOT NULL,
        input_tokens          INTEGER,
        output_tokens         INTEGER,
        cache_read_tokens     INTEGER,
        cache_creation_tokens INTEGER,
        cost_usd              REAL,
        started_at            TEXT NOT NULL,
        duration_ms           REAL NOT NULL,
        tool_id               TEXT REFERENCES tools (id),
        UNIQUE (generation_id, attempt)
    )
    """,
    "CREATE INDEX generations_by_time ON generations (started_at)",
    "CREATE INDEX generations_by_session ON generations (session_id, started_at)",
    "CREATE INDEX generations_by_name ON generations (tool_name, started_at)",
    "CREATE INDEX generations_by_session_and_name ON generations (session_id, tool_name, started_at)",
    "CREATE INDEX generations_by_tool ON generations (tool_id) WHERE tool_id IS NOT NULL",
    "CREATE INDEX generations_that_failed ON generations (status, started_at) WHERE status <> 'ok'",
)

# One index for each filter of the history, each ordered by time. The last three indexes contain only
# failures, so they cost successful runs nothing. Nearly all runs succeed, so the other indexes find successes
# quickly.
_EXECUTIONS = (
    """
    CREATE TABLE tool_executions (
        seq          INTEGER PRIMARY KEY,
        id           TEXT NOT NULL UNIQUE,
        session_id   TEXT REFERENCES sessions (id),
        tool_id      TEXT REFERENCES tools (id),
        tool_name    TEXT NOT NULL,
        tool_version TEXT,
        input_data   TEXT,
        output_data  TEXT,
        status       TEXT NOT NULL,
        error        TEXT,
        details      TEXT,
        printed      TEXT NOT NULL,
        cached       INTEGER NOT NULL,
        cache_key    TEXT,
        isolation    TEXT NOT NULL,
        duration_ms  REAL NOT NULL,
        executed_at  TEXT NOT NULL
    )
    """,
    "CREATE INDEX executions_by_time ON tool_executions (executed_at)",
    "CREATE INDEX executions_by_session ON tool_executions (session_id, executed_at)",
    "CREATE INDEX executions_by_name ON tool_executions (tool_name, executed_at)",
    "CREATE INDEX executions_by_tool ON tool_executions (tool_id, executed_at)",
    "CREATE INDEX executions_by_session_and_name ON tool_executions (session_id, tool_name, executed_at)",
    "CREATE INDEX executions_that_failed ON tool_executions (status, executed_at) WHERE status <> 'ok'",
    """
    CREATE INDEX executions_that_failed_by_session ON tool_executions (session_id, status, executed_at)
    WHERE status <> 'ok'
    """,
    """
    CREATE INDEX executions_that_failed_by_name ON tool_executions (tool_name, status, executed_at)
    WHERE status <> 'ok'
    """,
    "CREATE VIRTUAL TABLE execution_search USING fts5(input, output, notes, tokenize = 'unicode61')",
)

# Triggers update the totals, so that the totals stay correct no matter which statement changes a row.
_CACHE = (
    """
    CREATE TABLE cache (
        key           TEXT PRIMARY KEY NOT NULL,
        tool_id       TEXT NOT NULL REFERENCES tools (id),
        result        BLOB NOT NULL,
        result_hash   TEXT NOT NULL,
        printed       TEXT NOT NULL,
        duration_ms   REAL NOT NULL,
        created_at    TEXT NOT NULL,
        expires_at    TEXT,
        confirmations INTEGER NOT NULL,
        size          INTEGER NOT NULL,
        used_at       TEXT NOT NULL
    )
    """,
    "CREATE INDEX cache_by_use ON cache (used_at)",
    "CREATE INDEX cache_by_expiry ON cache (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX cache_by_tool ON cache (tool_id)",
    """
    CREATE TABLE cache_total (
        one     INTEGER PRIMARY KEY CHECK (one = 1),
        entries INTEGER NOT NULL,
        bytes   INTEGER NOT NULL
    )
    """,
    "INSERT INTO cache_total VALUES (1, 0, 0)",
    """
    CREATE TRIGGER cache_grows AFTER INSERT ON cache BEGIN
        UPDATE cache_total SET entries = entries + 1, bytes = bytes + new.size;
    END
    """,
    """
    CREATE TRIGGER cache_shrinks AFTER DELETE ON cache BEGIN
        UPDATE cache_total SET entries = entries - 1, bytes = bytes - old.size;
    END
    """,
    """
    CREATE TRIGGER cache_changes AFTER UPDATE OF size ON cache BEGIN
        UPDATE cache_total SET bytes = bytes + new.size - old.size;
    END
    """,
)

INITIAL = (*_SESSIONS, *_TOOLS, *_GENERATIONS, *_EXECUTIONS, *_CACHE)
