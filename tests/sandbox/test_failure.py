"""The one line of a run that failed names what to do next, and calls nothing dangerous harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fact_magics.permissions import Protected, danger, read_permission
from fact_magics.sandbox.failure import denial_of, failure
from fact_magics.sandbox.outcome import Outcome, ToolError
from fact_magics.tool import Status

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Protected:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    (tmp_path / "user").mkdir()
    home = tmp_path / "fact-home"
    return Protected(tmp_path / "user" / "notebooks", home, home / "fact_magics.db", home)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "my file.csv").write_text("a")
    return folder


def told(denied: tuple[str, str] | None, permissions: tuple[str, ...], protected: Protected) -> str:
    return " ".join(filter(None, denial_of(denied, permissions, protected) or ()))


class TestDenial:
    @pytest.mark.parametrize(
        ("target", "shown", "permission"),
        [
            ("api.example.com:443", "api.example.com", "net:api.example.com"),
            ("api.example.com:80", "api.example.com", "net:api.example.com"),
            ("API.example.com", "api.example.com", "net:api.example.com"),
            ("api.example.com:8443", "api.example.com:8443", "net:api.example.com:8443"),
            ("192.0.2.7:443", "192.0.2.7", "net:192.0.2.7"),
            ("[2001:db8::1]:8080", "[2001:db8::1]:8080", "'net:[2001:db8::1]:8080'"),
            ("localhost:8888", "localhost:8888", "net:localhost:8888"),
            ("127.0.0.1:80", "127.0.0.1:80", "net:127.0.0.1:80"),
        ],
    )
    def test_a_host_is_named_with_its_port_unless_it_is_a_usual_one(
        self, protected: Protected, target: str, shown: str, permission: str
    ) -> None:
        """On this machine the port stays: without one every service would be allowed."""
        expected = f"The tool may not reach {shown}. To allow it: --allow {permission}"
        assert told(("net", target), (), protected) == expected

    def test_paths_are_quoted_as_a_cell_reads_them(self, protected: Protected, data: Path) -> None:
        read = told(("read", str(data / "my file.csv")), (), protected)
        assert read.endswith(f"To allow it: --allow 'read:{data}/my file.csv'")
        write = told(("write", str(data)), (), protected)
        assert write == f"The tool may not write to {data}. To allow it: --allow write:{data}"

    def test_a_variable_is_named_if_there_is_one(
        self, protected: Protected, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MY_REGION", raising=False)
        absent = told(("env", "MY_REGION"), (), protected)
        assert absent == (
            "The notebook has no variable MY_REGION either. "
            "Set it in os.environ, and allow it: --allow env:MY_REGION"
        )
        monkeypatch.delenv("MY_TOKEN", raising=False)
        assert told(("env", "MY_TOKEN"), (), protected).endswith("Set it in os.environ, and allow it")
        monkeypatch.setenv("MY_REGION", "north")
        present = told(("env", "MY_REGION"), (), protected)
        assert present == "The tool may not see the variable MY_REGION. To allow it: --allow env:MY_REGION"

    @pytest.mark.parametrize(
        ("kind", "granted"),
        [
            ("net", ("net:api.example.com",)),
            ("net", ("net:api.example.com:443",)),
            ("read", ("read:{data}/my file.csv",)),
            ("read", ("read:{data}",)),
            ("read", ("write:{data}",)),
            ("env", ("env:MY_REGION",)),
        ],
    )
    def test_what_is_granted_already_was_not_the_reason(
        self,
        protected: Protected,
        data: Path,
        kind: str,
        granted: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("MY_REGION", "north")
        target = {
            "net": "api.example.com:443",
            "read": str(data / "my file.csv"),
            "env": "MY_REGION",
        }[kind]
        assert told((kind, target), (), protected)
        permissions = tuple(permission.format(data=data) for permission in granted)
        assert not told((kind, target), permissions, protected)

    @pytest.mark.parametrize(
        ("denied", "granted"),
        [
            (("net", "api.example.com:8443"), "net:api.example.com:443"),
            (("net", "www.example.com:443"), "net:example.com"),
            (("write", "{data}/my file.csv"), "read:{data}"),
            (("read", "{data}/my file.csv"), "read:{data}/my"),
        ],
    )
    def test_what_is_granted_beside_it_is_not_enough(
        self, protected: Protected, data: Path, denied: tuple[str, str], granted: str
    ) -> None:
        claim = (denied[0], denied[1].format(data=data))
        assert "To allow it: " in told(claim, (granted.format(data=data),), protected)

    @pytest.mark.parametrize(
        ("kind", "target"),
        [
            ("read", "{home}/.ssh/id_ed25519"),
            ("read", "/etc/shadow"),
            ("read", "/"),
            ("write", "{home}"),
            ("write", "{fact}"),
            ("read", "/proc/1/environ"),
            ("env", "MY_API_KEY"),
            ("env", "SECRET_KEY"),
            ("net", "169.254.169.254:80"),
        ],
    )
    def test_what_is_dangerous_is_not_proposed_but_explained(
        self, protected: Protected, kind: str, target: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_API_KEY", "x")
        monkeypatch.setenv("SECRET_KEY", "x")
        place = target.format(home=protected.directory.parent, fact=protected.home)
        found = danger(read_permission(f"{kind}:{place}", protected.directory), protected)
        assert found is not None
        hint = told((kind, place), (), protected)
        assert "--allow" not in hint
        judged = "That can't be allowed" if found.never else "Allowing that is dangerous"
        assert hint.endswith(f". {judged}: {found.reason}.")

    @pytest.mark.parametrize(
        "denied",
        [
            None,
            ("net", "not a host"),
            ("net", "http://x/"),
            ("net", "*.example.com"),
            ("read", "relative/path"),
            ("read", "~/file"),
            ("write", ""),
            ("env", "A=B"),
            ("env", "A --yes-really"),
            ("exec", "/bin/sh"),
        ],
    )
    def test_a_claim_that_is_no_permission_gets_no_hint(
        self, protected: Protected, denied: tuple[str, str] | None
    ) -> None:
        assert told(denied, (), protected) == ""

    @pytest.mark.parametrize(
        ("kind", "target", "part"),
        [
            ("program", "git", "such as git"),
            ("listen", "a port", "can't accept connections"),
            ("udp", "UDP", "TCP"),
            ("semaphore", "multiprocessing", "threads"),
            ("host", "HOST", "--allow net:HOST"),
        ],
    )
    def test_what_no_permission_allows_says_what_to_do_instead(
        self, protected: Protected, kind: str, target: str, part: str
    ) -> None:
        hint = told((kind, target), (), protected)
        assert part in hint
        assert "\n" not in hint

    def test_a_path_can_t_add_an_option(self, protected: Protected, data: Path) -> None:
        """What a tool names is one word of the line, whatever it is called."""
        hint = told(("read", f"{data}/x' --yes-really '"), (), protected)
        import shlex

        words = shlex.split(hint.partition("To allow it: ")[2])
        assert words == ["--allow", f"read:{data}/x' --yes-really '"]


class TestFailure:
    def outcome(self, **changes: object) -> Outcome:
        known: dict[str, object] = {
            "status": Status.ERROR,
            "result": None,
            "error": None,
            "printed": "",
            "duration_ms": 1.0,
            "limit": None,
            "isolation": (),
        }
        return Outcome(**{**known, **changes})  # type: ignore[arg-type]

    def test_how_to_allow_what_was_denied_is_a_line_of_its_own(self, protected: Protected) -> None:
        """It comes before the traceback, so that it is read, and it can be copied."""
        frames = 'Traceback (most recent call last):\n  File "<fetch>", line 2, in fetch\nOSError: other'
        error = ToolError("socket.gaierror", "[Errno -2] no", frames, (), ("net", "api.example.com:443"))
        line, details = failure("fetch", self.outcome(error=error), (), protected)
        assert line == "fetch raised gaierror: [Errno -2] no. The tool may not reach api.example.com."
        assert details == ("To allow it: --allow net:api.example.com", *frames.splitlines())
        line, details = failure("fetch", self.outcome(error=error), ("net:api.example.com",), protected)
        assert line == "fetch raised gaierror: [Errno -2] no"
        assert details == tuple(frames.splitlines())

    @pytest.mark.parametrize(
        ("message", "kept"),
        [("no b", False), ("no\nb", True), ("no  b", True), ("b" * 301, True), ("", True)],
    )
    def test_the_traceback_does_not_repeat_the_line_above_it(
        self, protected: Protected, message: str, kept: bool
    ) -> None:
        """If the line above folds or cuts the message, the traceback has all of it."""
        end = f"ValueError: {message}" if message else "ValueError"
        frames = f'Traceback (most recent call last):\n  File "<work>", line 2, in work\n    f()\n{end}'
        line, details = failure(
            "work", self.outcome(error=ToolError("ValueError", message, frames, ())), (), protected
        )
        assert line.startswith("work raised ValueError")
        assert details == tuple(frames.splitlines()[: None if kept else -1])

    @pytest.mark.parametrize(
        ("type_name", "shown"),
        [
            ("re.error", "re.error"),
            ("binascii.Error", "binascii.Error"),
            ("json.decoder.JSONDecodeError", "JSONDecodeError"),
            ("ValueError", "ValueError"),
            ("Error", "Error"),
        ],
    )
    def test_a_name_that_says_nothing_alone_comes_with_its_module(
        self, protected: Protected, type_name: str, shown: str
    ) -> None:
        line, _ = failure("work", self.outcome(error=ToolError(type_name, "no", "", ())), (), protected)
        assert line == f"work raised {shown}: no"

    @pytest.mark.parametrize(
        ("path", "is_told"), [("data.csv", True), ("a/it's.csv", True), ("/data/data.csv", False)]
    )
    def test_a_relative_path_that_leads_nowhere_says_where_it_starts(
        self, protected: Protected, path: str, is_told: bool
    ) -> None:
        message = f"[Errno 2] No such file or directory: {path!r}"
        error = ToolError("FileNotFoundError", message, "", ())
        line, below = failure("count", self.outcome(error=error), (), protected)
        told = ". A relative path in a tool starts in an empty directory of its own."
        assert line == f"count raised FileNotFoundError: {message}{told if is_told else ''}"
        assert below == (("To pass a file: annotate the parameter as Path, from pathlib",) if is_told else ())

    def test_a_limit_says_what_was_used_and_how_to_raise_it(self, protected: Protected) -> None:
        reached = self.outcome(
            status=Status.LIMIT, limit="result 64 MB", used="70 MB", hint="Raise it with --memory."
        )
        line, details = failure("work", reached, (), protected)
        assert line == "work was stopped by a limit: result 64 MB (70 MB used). Raise it with --memory."
        assert details == ()

    @pytest.mark.parametrize("type_name", ["Bad\nName", "x" * 5_000, "\x1b[31mRed", "a.b.", "\u202eback", ""])
    def test_a_hostile_name_stays_on_one_bounded_line(self, protected: Protected, type_name: str) -> None:
        error = ToolError(type_name, "message\nof two lines", "", ())
        line, _ = failure("work", self.outcome(error=error), (), protected)
        assert line.endswith("message of two lines")
        assert line.isprintable()
        assert len(line) < 300
