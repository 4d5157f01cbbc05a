"""The log file: what is in it, what is not, and that it never gets in the way."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

import fact_magics
from fact_magics.errors import SettingsError
from fact_magics.logs import LogFile, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def failure(message: str) -> Exception:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - only made for its traceback
        raise ValueError(message)
    return caught.value


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "home" / "logs"


@pytest.fixture
def file(directory: Path) -> Path:
    return directory / "fact_magics.log"


class TestLines:
    def test_a_line_is_a_json_object_with_event_level_and_time(self, directory: Path, file: Path) -> None:
        with closing(open_log(directory)) as log:
            log.bind(tool_id="71d").bind(size=3).info("run ended", duration_ms=1.5, text="é\n\u2028")
            log.warning("odd")
        first, second = lines(file)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(first.pop("timestamp")))
        assert first == {
            "event": "run ended",
            "level": "info",
            "tool_id": "71d",
            "size": 3,
            "duration_ms": 1.5,
            "text": "é\n\u2028",
        }
        assert (second["event"], second["level"]) == ("odd", "warning")
        assert file.read_text().count("\n") == 2

    @pytest.mark.parametrize(
        ("level", "written"),
        [
            ("DEBUG", "info warning"),
            ("info", "info warning"),
            (" Warning ", "warning"),
            ("ERROR", ""),
            ("loud", "info warning"),
            ("", "info warning"),
        ],
    )
    def test_the_level_decides_what_is_written(
        self, directory: Path, file: Path, level: str, written: str
    ) -> None:
        with closing(open_log(directory, level)) as log:
            for name in ("info", "warning"):
                getattr(log, name)(name)
        kept = lines(file) if file.exists() else []
        assert " ".join(str(line["event"]) for line in kept) == written

    def test_an_exception_comes_with_its_traceback(self, directory: Path, file: Path) -> None:
        with closing(open_log(directory)) as log:
            log.warning("failed", exc_info=failure("what was lost"))
        (line,) = lines(file)
        assert "Traceback" in str(line["exception"])
        assert "ValueError: what was lost" in str(line["exception"])

    def test_secrets_are_in_no_part_of_a_line(self, directory: Path, file: Path) -> None:
        secret = 'hünter"2\\x'
        log = open_log(directory, "INFO", [secret])
        log.add_secret("second-secret")
        log.bind(bound=secret).warning(
            f"event {secret}",
            api_key="short",
            text=f"a {secret} b",
            nested={"deep": [secret, {secret: json.dumps(secret)}]},
            exc_info=failure(f"refused {secret} and second-secret"),
            **{secret: 1},
        )
        written = file.read_text()
        assert "hünter" not in written
        assert "h\\u00fcnter" not in written
        assert "second-secret" not in written
        assert "short" not in written
        (line,) = lines(file)
        assert str(line["exception"]).endswith("ValueError: refused [redacted] and [redacted]")

    def test_hostile_fields_cost_no_line_and_no_error(self, directory: Path, file: Path) -> None:
        class Hostile:
            def __repr__(self) -> str:
                raise KeyError

        with closing(open_log(directory)) as log:
            log.info("one", value=Hostile(), nan=float("nan"), big=10**6000, lone="\ud800")
            log.info("two", text="x" * 1_000_000)
            log.info("three", level="spoofed", timestamp="spoofed")
        first, second, third = lines(file)
        assert (first["value"], first["nan"]) == ("<Hostile>", "nan")
        assert len(str(second["text"])) < 5_000
        assert third["level"] == "info"
        assert third["timestamp"] != "spoofed"

    def test_a_field_that_structlog_can_not_take_is_no_error(self, directory: Path) -> None:
        class Hostile(dict):  # type: ignore[type-arg]
            def items(self) -> None:  # type: ignore[override]
                raise RuntimeError

        log = open_log(directory)
        log.info("a", event="b")
        log.info("a", nested=Hostile(a=1))
        log.info("a %s", positional="%d")


class TestFile:
    def test_nothing_is_made_before_the_first_line_then_for_the_user_alone(
        self, directory: Path, file: Path
    ) -> None:
        log = open_log(directory)
        assert not directory.exists()
        log.info("a")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_it_is_set_aside_when_full_and_the_oldest_goes(self, file: Path) -> None:
        log = LogFile(file, max_bytes=100)
        for number in range(30):
            log.msg(f"{number:02} {'x' * 40}")
        names = sorted(path.name for path in file.parent.iterdir())
        assert names == [file.name, *(f"{file.name}.{number}" for number in (1, 2, 3))]
        kept = "".join(file.with_name(name).read_text() for name in (*reversed(names[1:]), names[0]))
        numbers = [int(line[:2]) for line in kept.splitlines()]
        assert numbers == list(range(numbers[0], 30))
        assert all(file.with_name(name).stat().st_size <= 100 + 44 for name in names)

    @pytest.mark.parametrize("seconds", [-3600, 3600], ids=["long ago", "clock set back"])
    def test_a_kernel_killed_while_it_set_the_file_aside_does_not_stop_that_for_ever(
        self, file: Path, seconds: int
    ) -> None:
        log = LogFile(file, max_bytes=100)
        turn = file.with_name(f"{file.name}.turn")
        file.parent.mkdir(parents=True)
        turn.touch()
        for _ in range(5):
            log.msg("x" * 60)
        assert file.stat().st_size == 5 * 61
        os.utime(turn, (time.time() + seconds,) * 2)
        for _ in range(3):
            log.msg("x" * 60)
        assert file.stat().st_size < 5 * 61
        assert not log.is_silent

    def test_a_file_that_someone_moved_away_is_made_anew(self, directory: Path, file: Path) -> None:
        log = open_log(directory)
        log.info("a")
        file.rename(file.with_name("moved"))
        log.info("b")
        assert [line["event"] for line in lines(file)] == ["b"]

    def test_threads_and_processes_write_whole_lines_into_one_file(self, directory: Path, file: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from fact_magics.logs import open_log\n"
            "log = open_log(Path(sys.argv[1]))\n"
            "for number in range(200): log.info('line', number=number, text='x' * 2000)\n"
        )
        root = str(Path(fact_magics.__file__).parents[1])
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(directory)], env={**os.environ, "PYTHONPATH": root}
            )
            for _ in range(2)
        ]
        log = open_log(directory)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: log.info("line", number=number, text="x" * 2000), range(200)))
        assert [process.wait(60) for process in processes] == [0, 0]
        written = lines(file)
        assert sorted(line["number"] for line in written) == sorted([*range(200)] * 3)  # type: ignore[type-var]


class TestTrouble:
    @pytest.fixture
    def full_disk(self) -> Path:
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full here")
        return Path("/dev/full")

    def test_a_full_disk_silences_it(self, full_disk: Path, file: Path) -> None:
        file.parent.mkdir(parents=True)
        file.symlink_to(full_disk)
        log = open_log(file.parent)
        log.info("a")
        file.unlink()
        log.bind(more=1).warning("b")
        assert not file.exists()

    def test_a_directory_that_can_not_be_made_silences_it(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("a file")
        log = open_log(tmp_path / "home" / "logs")
        log.info("a")
        (tmp_path / "home").unlink()
        log.info("b")
        assert not (tmp_path / "home").exists()

    def test_a_path_that_no_system_takes_is_no_error(self, tmp_path: Path) -> None:
        open_log(tmp_path / "a\0b").info("a")

    def test_closing_twice_and_writing_afterwards_are_no_errors(self, directory: Path, file: Path) -> None:
        log = open_log(directory)
        log.close()
        log.info("a")
        log.close()
        log.close()
        log.info("b")
        assert len(lines(file)) == 2


class TestNeighbours:
    @pytest.fixture
    def configuration(self) -> Iterator[dict[str, object]]:
        yield structlog.get_config()
        structlog.reset_defaults()

    def test_the_users_structlog_and_logging_are_left_as_they_were(
        self, directory: Path, configuration: dict[str, object], capfd: pytest.CaptureFixture[str]
    ) -> None:
        root = logging.getLogger()
        before = (list(root.handlers), root.level, structlog.is_configured(), dict(configuration))
        open_log(directory, "DEBUG").warning("a")
        after = (list(root.handlers), root.level, structlog.is_configured(), structlog.get_config())
        assert after == before
        assert capfd.readouterr() == ("", "")

    @pytest.mark.usefixtures("configuration")
    def test_the_users_structlog_configuration_does_not_reach_the_log(
        self, directory: Path, file: Path
    ) -> None:
        structlog.configure(processors=[lambda *_: "MINE"], wrapper_class=structlog.BoundLogger)
        structlog.contextvars.bind_contextvars(theirs="x")
        open_log(directory).info("a")
        structlog.contextvars.clear_contextvars()
        (line,) = lines(file)
        assert line["event"] == "a"
        assert "theirs" not in line

    @pytest.mark.parametrize("exposed", ["logs", "logs/fact_magics.log"])
    def test_a_log_that_others_can_change_is_refused(self, tmp_path: Path, exposed: str) -> None:
        open_log(tmp_path / "logs").info("a")
        (tmp_path / "logs").chmod(0o755)
        (tmp_path / exposed).chmod(0o777)
        with pytest.raises(SettingsError, match=f"Run: chmod go-w {tmp_path / exposed} "):
            open_log(tmp_path / "logs")

    def test_a_log_that_others_can_change_later_is_silent(self, directory: Path, file: Path) -> None:
        log = open_log(directory)
        directory.mkdir(parents=True)
        directory.chmod(0o777)
        log.info("a")
        assert not file.exists()
