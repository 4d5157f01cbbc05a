"""Which files are opened, how they are made, and what is said of those that are refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fact_magics.errors import StoreError
from fact_magics.store import ExecutionRow, Store
from fact_magics.store.database import Database
from fact_magics.store.schema import APPLICATION_ID, MIGRATIONS
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


async def refusal(path: Path) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await Store.open(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return caught.value


class TestANewFile:
    async def test_the_directory_is_the_users_alone_and_so_are_the_files(self, path: Path) -> None:
        async with await Store.open(path) as store:
            await store.sessions.start("5e")
            modes = {
                file.name: stat.S_IMODE(file.stat().st_mode) for file in (path.parent, *path.parent.iterdir())
            }
        assert modes == {"home": 0o700, "facts.db": 0o600, "facts.db-wal": 0o600, "facts.db-shm": 0o600}

    async def test_a_directory_that_is_there_keeps_its_mode(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        async with await Store.open(tmp_path / "facts.db"):
            assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755

    async def test_an_empty_file_is_taken_as_a_new_database(self, tmp_path: Path) -> None:
        (tmp_path / "facts.db").touch()
        async with await Store.open(tmp_path / "facts.db") as store:
            assert await store.tools.names() == []

    async def test_a_name_that_urls_would_read_otherwise_is_taken_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "50% é?mode=memory#x.db"
        async with await Store.open(path) as store:
            await store.sessions.start("5e")
        assert [file.name for file in tmp_path.iterdir()] == [path.name]

    async def test_it_runs_in_wal_mode_with_foreign_keys_and_no_full_sync(self, store: Store) -> None:
        def asked(connection: sqlite3.Connection) -> dict[str, object]:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "application_id")
            return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

        assert await store._database.read(asked) == {
            "journal_mode": "wal",
            "synchronous": 1,
            "foreign_keys": 1,
            "busy_timeout": 100,
            "application_id": APPLICATION_ID,
        }

    async def test_closing_leaves_one_file_and_closing_twice_is_no_error(self, path: Path) -> None:
        store = await Store.open(path)
        await store.sessions.start("5e")
        await store.aclose()
        await store.aclose()
        assert [file.name for file in path.parent.iterdir()] == ["facts.db"]

    async def test_a_closed_store_says_so(self, store: Store) -> None:
        await store.aclose()
        with pytest.raises(StoreError, match="is closed"):
            await store.tools.names()

    async def test_what_was_kept_is_there_after_reopening(self, path: Path) -> None:
        async with await Store.open(path) as store:
            await store.sessions.start("5e", notebook="a.ipynb")
        async with await Store.open(path) as store:
            session = await store.sessions.find("5e")
        assert session is not None
        assert session.notebook == "a.ipynb"


class TestRefused:
    def newer(self, path: Path) -> None:
        path.parent.mkdir()
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE unheard_of (a)")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        connection.close()

    async def test_a_newer_version_is_refused_and_not_a_byte_changes(self, path: Path) -> None:
        self.newer(path)
        before = contents(path.parent)
        error = await refusal(path)
        assert "newer fact_magics" in error.message
        assert "pip install -U fact_magics" in error.hint
        assert contents(path.parent) == before
        assert list(before) == ["facts.db"]

    async def test_a_newer_version_that_no_checkpoint_reached_is_refused_and_kept(
        self, path: Path, start: Callable[..., subprocess.Popen[str]]
    ) -> None:
        """The version is in the -wal alone, left by a kernel that was killed; the -wal is not folded in."""
        async with await Store.open(path):
            pass
        killed = start(f"""
            import sqlite3, sys, os
            connection = sqlite3.connect(sys.argv[1])
            connection.execute("PRAGMA user_version = {len(MIGRATIONS) + 1}")
            connection.commit()
            os.kill(os.getpid(), 9)
        """)
        killed.wait(30)
        killed.communicate()
        before = contents(path.parent)
        assert before["facts.db-wal"]
        assert "newer fact_magics" in (await refusal(path)).message
        after = contents(path.parent)
        assert (after["facts.db"], after["facts.db-wal"]) == (before["facts.db"], before["facts.db-wal"])

    async def test_a_newer_version_without_our_mark_is_still_called_newer(self, tmp_path: Path) -> None:
        path = tmp_path / "facts.db"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 9999")
        connection.close()
        assert "newer fact_magics" in (await refusal(path)).message

    @pytest.mark.parametrize("mark", [0, 252006674])
    async def test_another_programs_database_is_refused_untouched(self, tmp_path: Path, mark: int) -> None:
        path = tmp_path / "photos.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE photos (a)")
            connection.execute(f"PRAGMA application_id = {mark}")
        connection.close()
        before = contents(tmp_path)
        assert "another program" in (await refusal(path)).message
        assert contents(tmp_path) == before

    @pytest.mark.parametrize("content", [b"x", b"name,price\n" * 1000, b"\x00" * 4096, b"SQLite format 3"])
    async def test_a_file_that_is_no_database_is_refused_untouched(
        self, tmp_path: Path, content: bytes
    ) -> None:
        path = tmp_path / "prices.csv"
        path.write_bytes(content)
        assert "is not a SQLite database" in (await refusal(path)).message
        assert contents(tmp_path) == {"prices.csv": content}

    async def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        assert "is a directory" in (await refusal(tmp_path)).message

    async def test_a_pipe_is_refused_and_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert "not a regular file" in (await refusal(tmp_path / "pipe")).message

    async def test_a_path_through_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("x")
        assert "a part of its path is a file" in (await refusal(tmp_path / "home" / "facts.db")).message

    async def test_a_link_to_nowhere_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "facts.db").symlink_to(tmp_path / "gone" / "facts.db")
        await refusal(tmp_path / "facts.db")

    async def test_a_truncated_database_is_called_damaged(self, path: Path) -> None:
        async with await Store.open(path) as store:
            await store.sessions.start("5e")
        path.write_bytes(path.read_bytes()[:8192])
        assert ".recover" in (await refusal(path)).hint

    async def test_damage_that_is_met_later_is_called_damage(self, path: Path) -> None:
        """The header and schema are whole, so that it opens; the pages of rows are not."""
        async with await Store.open(path):
            pass
        empty = path.stat().st_size
        async with await Store.open(path) as store:
            await store.commit(
                [ExecutionRow(tool_name="t", status=Status.OK, input_data="x" * 50_000) for _ in range(20)]
            )
        whole = path.read_bytes()
        path.write_bytes(whole[:empty] + b"\xff" * (len(whole) - empty))
        async with await Store.open(path) as store:
            with pytest.raises(StoreError, match=r"is damaged.*\.recover"):
                await store.history.runs(limit=None)

    @pytest.mark.parametrize("exposed", [".", "facts.db", "facts.db-wal", "facts.db-shm", "facts.db-journal"])
    async def test_what_others_can_change_is_refused_untouched_with_the_command_that_closes_it(
        self, path: Path, exposed: str
    ) -> None:
        """Whoever can change a side file can change the database."""
        async with await Store.open(path):
            pass
        path.parent.chmod(0o755)
        (path.parent / exposed).touch()
        (path.parent / exposed).chmod(0o777)
        before = contents(path.parent)
        error = await refusal(path)
        assert "can be changed by other users" in error.message
        assert contents(path.parent) == before
        subprocess.run(["sh", "-c", error.hint.removeprefix("Run: ")], check=True)
        async with await Store.open(path):
            pass

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    @pytest.mark.parametrize("theirs", [".", "facts.db", "facts.db-wal"])
    async def test_what_belongs_to_another_user_is_refused(self, path: Path, theirs: str) -> None:
        async with await Store.open(path):
            pass
        (path.parent / theirs).touch()
        os.chown(path.parent / theirs, 47110, -1)
        assert "belongs to another user (user id 47110)" in (await refusal(path)).message

    async def test_in_a_shared_temporary_directory_a_file_of_the_user_is_fine(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o1777)
        async with await Store.open(tmp_path / "facts.db") as store:
            assert await store.tools.names() == []

    async def test_a_home_behind_a_link_of_the_user_is_fine(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "home").symlink_to(tmp_path / "elsewhere")
        async with await Store.open(tmp_path / "home" / "facts.db"):
            assert (tmp_path / "elsewhere" / "facts.db").exists()

    async def test_a_path_that_is_too_long_for_sqlite_is_refused_and_the_longest_is_not(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / ("x" * 200) / ("y" * 200)
        longest = folder / ("z" * (503 - len(os.fsencode(folder))))
        async with await Store.open(longest):
            pass
        (path, count) = (longest.with_name(f"{longest.name}z"), len(list(folder.iterdir())))
        with pytest.raises(StoreError, match=r"its path is too long\. Choose a shorter path") as caught:
            await Store.open(path)
        assert len(str(caught.value)) < 500
        assert len(list(folder.iterdir())) == count

    @pytest.mark.parametrize("part", ["x" * 300, "/".join(["x" * 200] * 30)])
    async def test_a_path_beyond_the_systems_limits_is_called_too_long(
        self, tmp_path: Path, part: str
    ) -> None:
        with pytest.raises(StoreError, match="its path is too long"):
            await Store.open(tmp_path / part / "facts.db")

    async def test_the_home_of_an_unknown_user_is_called_so(self) -> None:
        with pytest.raises(StoreError, match="in the home of a user who does not exist"):
            await Store.open(Path("~nobody-here/facts.db"))

    @pytest.mark.parametrize("kilobytes", [4, 8, 32, 64])
    def test_a_full_disk_is_named(self, tmp_path: Path, kilobytes: int) -> None:
        """It is full at another step each time: the file, the -shm, the tables."""
        output = self.on_a_mount(tmp_path, f"mount -t tmpfs -o size={kilobytes}k none {{}}", "home/facts.db")
        assert "the disk is full. Free some space, then run the cell again." in output

    def test_a_disk_without_room_for_a_directory_is_called_full(self, tmp_path: Path) -> None:
        mount = "mount -t tmpfs -o nr_inodes=1 none {}"
        assert "the disk is full. Free some space" in self.on_a_mount(tmp_path, mount, "home/facts.db")

    def as_a_stranger(self, path: Path) -> str:
        """Open a database as a user without rights; root has every right, so it becomes another first."""
        # All that is imported later too: the stranger may not be able to read the interpreter's files.
        script = """
            import asyncio, os, selectors, sys, urllib.parse
            from pathlib import Path
            from fact_magics.errors import StoreError
            from fact_magics.store import Store
            if os.geteuid() == 0:
                os.setuid(65534)
            try:
                asyncio.run(Store.open(Path(sys.argv[1])))
            except StoreError as error:
                print(error)
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), str(path)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    @pytest.fixture
    def open_directory(self) -> Path:
        directory = Path(tempfile.mkdtemp())
        directory.chmod(0o755)
        yield directory
        directory.chmod(0o755)
        shutil.rmtree(directory)

    def test_a_file_that_may_not_be_read_is_refused(self, open_directory: Path) -> None:
        path = open_directory / "facts.db"
        sqlite3.connect(path).execute("CREATE TABLE a (b)").connection.close()
        path.chmod(0o000)
        assert "can't be read: permission denied" in self.as_a_stranger(path)

    def test_a_file_that_may_not_be_written_is_refused(self, open_directory: Path) -> None:
        path = open_directory / "facts.db"
        sqlite3.connect(path).execute("CREATE TABLE a (b)").connection.close()
        path.chmod(0o444)
        assert "can't be written: permission denied" in self.as_a_stranger(path)

    def test_a_directory_that_may_not_be_written_is_refused(self, open_directory: Path) -> None:
        open_directory.chmod(0o555)
        output = self.as_a_stranger(open_directory / "home" / "facts.db")
        assert "can't be opened: permission denied. Point FACT_HOME" in output

    def test_a_database_in_a_directory_that_may_not_be_written_is_refused(self, open_directory: Path) -> None:
        path = open_directory / "facts.db"
        sqlite3.connect(path).execute("PRAGMA user_version = 0").connection.close()
        path.chmod(0o666)
        open_directory.chmod(0o555)
        assert str(path) in self.as_a_stranger(path)

    @pytest.mark.parametrize("name", ["facts.db", "home/facts.db"])
    def test_a_read_only_file_system_is_named(self, tmp_path: Path, name: str) -> None:
        mount = "mount -t tmpfs none {0} && mount -o remount,ro {0}"
        output = self.on_a_mount(tmp_path, mount, name)
        assert "the file system is read-only. Point FACT_HOME" in output

    def on_a_mount(self, tmp_path: Path, mount: str, name: str) -> str:
        """Open a database on a file system of its own; `mount` is a command with ``{}`` for the place."""
        mounted = tmp_path / "mounted"
        mounted.mkdir()
        mount = mount.format(mounted)
        namespace = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
        if (
            shutil.which("unshare") is None
            or subprocess.run([*namespace, mount], capture_output=True).returncode
        ):
            pytest.skip("no mount namespaces here")
        script = (
            "import asyncio, sys\nfrom pathlib import Path\nfrom fact_magics.store import Store\n"
            "try:\n    asyncio.run(Store.open(Path(sys.argv[1])))\n"
            "except Exception as error:\n    print(error)"
        )
        done = subprocess.run(
            [*namespace, f'{mount} && exec "$0" -c "$1" "$2"', sys.executable, script, str(mounted / name)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout


class TestMigrations:
    ADDED = (
        "ALTER TABLE tool_executions ADD COLUMN cell INTEGER",
        "UPDATE tool_executions SET cell = 7",
        "CREATE INDEX executions_by_cell ON tool_executions (cell)",
    )

    async def version_1(self, path: Path) -> None:
        """A database as the first release made it, by hand."""
        path.parent.mkdir()
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "INSERT INTO sessions VALUES ('5e', 'a.ipynb', '', '', '2026-01-01T00:00:00.000Z', NULL)"
        )
        connection.execute(
            """
            INSERT INTO tool_executions
            (id, session_id, tool_name, status, printed, cached, isolation, duration_ms, executed_at)
            VALUES ('ab', '5e', 't', 'ok', '', 0, '', 1.5, '2026-01-01T00:00:01.000Z')
            """
        )
        connection.close()

    async def test_a_version_1_database_opens_as_the_current_one_with_its_rows(self, path: Path) -> None:
        await self.version_1(path)
        async with await Store.open(path) as store:
            assert [row.id for row in await store.history.runs(session_id="5e")] == ["ab"]
            await store.commit([ExecutionRow(tool_name="t", status=Status.OK, session_id="5e")])

            def version(connection: sqlite3.Connection) -> int:
                return connection.execute("PRAGMA user_version").fetchone()[0]

            assert await store._database.read(version) == len(MIGRATIONS)

    async def test_a_step_that_is_added_is_applied_once_in_place(self, path: Path) -> None:
        await self.version_1(path)
        for _ in range(2):
            database = await Database.open(path, migrations=(*MIGRATIONS, self.ADDED))
            rows = await database.read(
                lambda it: it.execute("SELECT id, cell FROM tool_executions").fetchall()
            )
            version = await database.read(lambda it: it.execute("PRAGMA user_version").fetchone())
            await database.aclose()
            assert (rows, version) == ([("ab", 7)], (len(MIGRATIONS) + 1,))

    async def test_a_kernel_whose_tables_a_newer_one_changed_says_so(self, path: Path) -> None:
        """Its database is whole, so it must not advise to move it away."""
        changed = ("ALTER TABLE tool_executions RENAME TO runs",)
        async with await Store.open(path) as store:
            newer = await Database.open(path, migrations=(*MIGRATIONS, changed))
            await newer.aclose()
            for ask in (store.history.runs(), store.commit([ExecutionRow(tool_name="t", status=Status.OK)])):
                with pytest.raises(StoreError, match="newer fact_magics in another kernel") as caught:
                    await ask
                assert caught.value.hint.startswith("Restart this kernel.")

    async def test_a_step_that_fails_leaves_the_version_that_was_there(self, path: Path) -> None:
        await self.version_1(path)
        broken = (*self.ADDED, "INSERT INTO nowhere VALUES (1)")
        with pytest.raises(StoreError, match="no such table"):
            await Database.open(path, migrations=(*MIGRATIONS, broken))
        async with await Store.open(path) as store:
            assert [row.id for row in await store.history.runs(session_id="5e")] == ["ab"]
            columns = await store._database.read(
                lambda it: [row[1] for row in it.execute("PRAGMA table_info(tool_executions)")]
            )
        assert "cell" not in columns

    async def test_a_database_that_moves_on_while_it_is_open_still_takes_rows_and_is_refused_later(
        self, path: Path
    ) -> None:
        async with await Store.open(path) as older:
            newer = await Database.open(path, migrations=(*MIGRATIONS, self.ADDED))
            await older.commit([ExecutionRow(tool_name="t", status=Status.OK)])
            await newer.aclose()
        assert "newer" in (await refusal(path)).message
