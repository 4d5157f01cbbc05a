"""The migrations of the tables in which `totals` and `blocks` count the history."""

from __future__ import annotations

_TOTAL = """
    CREATE TABLE NAME (
        session_id TEXT NOT NULL,
        tool_name  TEXT NOT NULL,
        period     TEXT NOT NULL,
        first_seq  INTEGER NOT NULL,
        last_seq   INTEGER NOT NULL,
        durations  TEXT NOT NULL,
        COLUMNS,
        PRIMARY KEY (session_id, tool_name, period)
    ) WITHOUT ROWID
"""
_RUN_TOTALS = _TOTAL.replace("NAME", "run_totals").replace(
    "COLUMNS", "runs INTEGER, hits INTEGER, errors INTEGER, saved_ms REAL"
)
_GENERATION_TOTALS = _TOTAL.replace("NAME", "generation_totals").replace(
    "COLUMNS",
    "generations INTEGER, input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, "
    "cache_creation_tokens INTEGER, cost_usd REAL",
)

TOTALS_BY_PERIOD = (
    # How long the answer of a cached run once took. In older rows it is NULL.
    "ALTER TABLE tool_executions ADD COLUMN saved_ms REAL",
    _RUN_TOTALS,
    "CREATE INDEX run_totals_by_runs ON run_totals (session_id, period, runs) WHERE tool_name <> ''",
    _GENERATION_TOTALS,
    # The last row of each table that the totals include, and the last time that old runs were removed.
    """
    CREATE TABLE history_state (
        one                 INTEGER PRIMARY KEY CHECK (one = 1),
        tool_executions_seq INTEGER NOT NULL,
        generations_seq     INTEGER NOT NULL,
        pruned_at           TEXT NOT NULL
    )
    """,
    "INSERT INTO history_state VALUES (1, 0, 0, '')",
)

_COLUMNS_OF_TOTALS = """
        of         TEXT NOT NULL,
        session_id TEXT NOT NULL,
        tool_name  TEXT NOT NULL,
        last_seq   INTEGER NOT NULL,
        reached_at TEXT NOT NULL,
        runs       INTEGER NOT NULL,
        hits       INTEGER NOT NULL,
        errors     INTEGER NOT NULL,
        saved_ms   REAL NOT NULL,
        numbers    TEXT NOT NULL,
""".strip()

# Only totals that include removed runs are taken over; all other rows are counted again in the background.
TOTALS_BY_SCOPE = (
    f"""
    CREATE TABLE totals (
        {_COLUMNS_OF_TOTALS}
        removed_at TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (of, session_id, tool_name)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX totals_by_runs ON totals (of, session_id, runs) WHERE tool_name <> ''",
    f"""
    CREATE TABLE earlier_totals (
        {_COLUMNS_OF_TOTALS}
        PRIMARY KEY (of, session_id, tool_name, reached_at, last_seq)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO totals
    SELECT 'tool_executions', session_id, tool_name, tool_executions_seq, latest, runs, hits, errors,
        coalesce(saved_ms, 0), durations, latest
    FROM run_totals, history_state,
        (SELECT coalesce(max(reached_at), '') AS latest FROM tool_executions_reached),
        (SELECT count(*) AS left, coalesce(max(seq), 0) AS newest FROM tool_executions),
        (SELECT max(runs) AS counted FROM run_totals WHERE session_id = '' AND tool_name = '' AND period = '')
    WHERE period = '' AND left < counted + newest - tool_executions_seq AND json_valid(durations)
        AND runs IS NOT NULL AND hits IS NOT NULL AND errors IS NOT NULL
    """,
    """
    INSERT INTO earlier_totals
    SELECT of, session_id, tool_name, last_seq, reached_at, runs, hits, errors, saved_ms, numbers FROM totals
    """,
    "DROP TABLE run_totals",
    "DROP TABLE generation_totals",
)

_SCOPE = """
        of         TEXT NOT NULL,
        session_id TEXT NOT NULL,
        tool_name  TEXT NOT NULL,
        seq        INTEGER NOT NULL,
""".strip()
_TABLES = (
    """
    CREATE TABLE blocks (
        of         TEXT NOT NULL,
        seq        INTEGER NOT NULL,
        reached_at TEXT NOT NULL,
        PRIMARY KEY (of, seq)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX blocks_by_time ON blocks (of, reached_at, seq)",
    f"""
    CREATE TABLE block_totals (
        {_SCOPE}
        runs       INTEGER NOT NULL,
        hits       INTEGER NOT NULL,
        errors     INTEGER NOT NULL,
        saved_ms   REAL NOT NULL,
        PRIMARY KEY (of, session_id, tool_name, seq)
    ) WITHOUT ROWID
    """,
    f"""
    CREATE TABLE distributions (
        {_SCOPE}
        numbers    TEXT NOT NULL,
        PRIMARY KEY (of, session_id, tool_name, seq)
    ) WITHOUT ROWID
    """,
    # The tools with the most runs of each session, and of all sessions.
    """
    CREATE TABLE leaders (
        session_id TEXT NOT NULL,
        tool_name  TEXT NOT NULL,
        runs       INTEGER NOT NULL,
        PRIMARY KEY (session_id, tool_name)
    ) WITHOUT ROWID
    """,
)
# Totals that include removed runs are taken over as one block, together with the rows that they don't count.
# All other rows are counted again in the background.
TOTALS_BY_BLOCK = (
    *_TABLES,
    """
    INSERT INTO blocks SELECT of, last_seq, reached_at FROM totals
    WHERE of = 'tool_executions' AND session_id = '' AND tool_name = ''
        AND runs > (SELECT count(*) FROM tool_executions WHERE seq <= last_seq)
    """,
    "ALTER TABLE history_state ADD COLUMN removed_at TEXT NOT NULL DEFAULT ''",
    """
    UPDATE history_state SET removed_at =
        (SELECT max(removed_at, reached_at) FROM totals JOIN blocks USING (of, reached_at)
        WHERE session_id = '' AND tool_name = '')
    WHERE EXISTS (SELECT 1 FROM blocks)
    """,
    """
    INSERT INTO distributions
    SELECT totals.of, session_id, tool_name, min(last_seq, seq), numbers FROM totals JOIN blocks USING (of)
    """,
    """
    INSERT INTO block_totals
    WITH
        scoped(session, tool, seq, hit, error, saved) AS (
            SELECT sessions.value, tools.value, seq, cached <> 0, cached = 0 AND status <> 'ok',
                iif(cached, coalesce(saved_ms, 0), 0)
            FROM tool_executions
            JOIN json_each(json_array('', coalesce(session_id, ''))) AS sessions
            JOIN json_each(json_array('', tool_name)) AS tools
            WHERE sessions.key = 0 OR session_id IS NOT NULL
        ),
        counted AS (
            SELECT session, tool, 1 AS runs, hit AS hits, error AS errors, saved AS saved_ms
            FROM scoped LEFT JOIN totals AS known
            ON known.of = 'tool_executions' AND known.session_id = session AND known.tool_name = tool
            WHERE scoped.seq > coalesce(known.last_seq, 0) AND scoped.seq <= (SELECT seq FROM blocks)
            UNION ALL
            SELECT session_id, tool_name, runs, hits, errors, saved_ms FROM totals
            WHERE of = 'tool_executions'
        )
    SELECT of, session, tool, seq, sum(runs), sum(hits), sum(errors), sum(saved_ms)
    FROM blocks, counted GROUP BY session, tool
    """,
    "INSERT INTO leaders SELECT session_id, tool_name, runs FROM block_totals WHERE tool_name <> ''",
    "DROP TABLE totals",
    "DROP TABLE earlier_totals",
)

# The outcomes and durations of the rows of a block, as in `distributions`. NULL if they must be read from the
# rows.
NUMBERS_OF_BLOCKS = ("ALTER TABLE block_totals ADD COLUMN numbers TEXT",)
