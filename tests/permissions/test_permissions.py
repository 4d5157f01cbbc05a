"""How permissions are written, which of them are dangerous, and the line that says so."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

from fact_magics.errors import CellError
from fact_magics.permissions import (
    Permission,
    Protected,
    covers,
    danger,
    granted,
    normalised,
    read_permission,
    refuse_dangerous,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, with a place for notebooks in it, far from where this interpreter lives."""
    home = Path(os.path.realpath(tmp_path)) / "home" / "ada"
    (home / "notebooks").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def protected(home: Path) -> Protected:
    kept = home / ".local/share/fact_magics"
    kept.mkdir(parents=True)
    return Protected(home / "notebooks", kept, home / "databases" / "facts.db", kept)


class TestGrammar:
    @pytest.mark.parametrize(
        ("text", "canonical"),
        [
            ("net:api.github.com", "net:api.github.com"),
            ("net:API.GitHub.com:443", "net:api.github.com:443"),
            ("net:api.github.com.", "net:api.github.com"),
            ("net:localhost:0080", "net:localhost:80"),
            ("net:127.0.0.1:8080", "net:127.0.0.1:8080"),
            ("net:[::1]", "net:[::1]"),
            ("net:[2001:DB8:0:0::1]:443", "net:[2001:db8::1]:443"),
            ("net:my_host", "net:my_host"),
            ("env:MY_NAME", "env:MY_NAME"),
            ("read:/", "read:/"),
            ("read:/data/../data/./x", "read:/data/x"),
            ("write:/data/", "write:/data"),
            ("read:/data/a:b c", "read:/data/a:b c"),
        ],
    )
    def test_a_permission_has_one_canonical_form(self, text: str, canonical: str) -> None:
        assert read_permission(text, Path("/nowhere")).text == canonical

    def test_paths_are_taken_from_the_directory_and_the_home_and_made_real(self, home: Path) -> None:
        (home / "data").mkdir()
        (home / "notebooks" / "link").symlink_to("../data")
        for text in ("read:link/x.csv", "read:../data/x.csv", "read:~/data/x.csv"):
            assert read_permission(text, home / "notebooks") == Permission("read", f"{home}/data/x.csv")

    @pytest.mark.parametrize(
        ("target", "endpoint"),
        [
            ("a.example", ("a.example", "*")),
            ("a.example:443", ("a.example", "443")),
            ("[::1]", ("[::1]", "*")),
            ("[::1]:80", ("[::1]", "80")),
        ],
    )
    def test_an_endpoint_is_a_host_and_a_port(self, target: str, endpoint: tuple[str, str]) -> None:
        assert Permission("net", target).endpoint == endpoint

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("", "Write net:HOST"),
            ("net", "Write net:HOST"),
            ("net:", "Write net:HOST[:PORT]."),
            ("read: ", "Write read:PATH."),
            ("reed:/x", "Did you mean 'read'? Write net:HOST[:PORT], read:PATH"),
            ("exec:/bin/sh", "Write net:HOST"),
            ("READ:/x", "Write read:/x."),
            ("network", "Write net:HOST[:PORT]."),
            ("internet:api.github.com", "Write net:api.github.com."),
            ("NET:a.example", "Write net:a.example."),
            ("environ:HOME", "Write env:HOME."),
            ("file:/x", "Write read:/x, or write:/x."),
            ("/x/y", "Write read:/x/y, or write:/x/y."),
            ("./data", "Write read:./data, or write:./data."),
            ("words.csv", "Write read:words.csv, or write:words.csv."),
            ("a.example:443", "Write net:a.example:443."),
            ("127.0.0.1", "Write net:127.0.0.1."),
            ("PATH", "Write env:PATH."),
            ("all", "Write net:HOST[:PORT], read:PATH, write:PATH or env:NAME."),
            ("https://me:secret@a.example:8443/x", "Write the host alone: net:a.example:8443."),
            ("https://api.github.com", "the host alone"),
            ("net:https://api.github.com/repos", "net:api.github.com."),
            ("net:10.0.0.0/8", "the host alone"),
            ("net:*", "one --allow per host"),
            ("net:*.github.com", "one --allow per host"),
            ("net:host:*", "one --allow per host"),
            ("net:host:0", "port from 1 to 65535"),
            ("net:host:65536", "port from 1 to 65535"),
            ("net:host:http", "port from 1 to 65535"),
            ("net:host:", "port from 1 to 65535"),
            ("net:host:80,443", "one --allow per host"),
            ("net:a.example,b.example", "one --allow per host"),
            ("net:a.example:443,b.example:443", "one --allow per host"),
            ("net:host:٨٠", "port from 1 to 65535"),
            ("net:a b", "net:api.example.com"),
            ("net: host", "net:api.example.com"),
            ("net:user@host", "net:api.example.com"),
            ("net:host\n", "net:api.example.com"),
            ("net:-host", "net:api.example.com"),
            ("net:a..b", "net:api.example.com"),
            (f"net:{'a' * 64}", "net:api.example.com"),
            (f"net:{'a.' * 130}a", "net:api.example.com"),
            ("net:bücher.example", "xn--"),
            ("net:::1", "in brackets"),
            ("net:::1:80", "in brackets"),
            ("net:[::1", "net:api.example.com"),
            ("net:[::1]80", "net:api.example.com"),
            ("net:[fe80::1%eth0]", "net:api.example.com"),
            ("net:[127.0.0.1]", "net:api.example.com"),
            ("net:127.1", "net:api.example.com"),
            ("net:2130706433", "net:api.example.com"),
            ("net:0x7f000001", "net:api.example.com"),
            ("net:0177.0.0.1", "net:api.example.com"),
            ("net:1.2.3.4.5", "net:api.example.com"),
            ("env:", "Write env:NAME."),
            ("env:A B", "Write one env:NAME for each variable"),
            ("env:A,B", "Write one env:NAME for each variable"),
            ("env:*", "Write one env:NAME for each variable"),
            ("env:1A", "Write one env:NAME for each variable"),
            ("read:/a\0b", "path of a file"),
            ("read:/a\ud800b", "path of a file"),
            ("read:~nobody-of-that-name/x", "absolute path"),
        ],
    )
    def test_a_malformed_one_is_refused_with_what_to_write(self, text: str, hint: str) -> None:
        with pytest.raises(CellError) as refused:
            read_permission(text, Path("/nowhere"))
        assert hint in refused.value.hint
        assert "\n" not in refused.value.line
        assert "\0" not in str(refused.value)

    def test_many_become_sorted_and_each_once(self, home: Path) -> None:
        texts = ("write:b", "net:B.example", "net:b.example", "env:A", "write:./b")
        assert normalised(texts, home) == ("env:A", "net:b.example", f"write:{home}/b")


class TestCovers:
    def test_a_permission_reaches_what_is_below_and_not_what_begins_alike(self) -> None:
        assert covers(("read:/data",), Path("/data/x/y"))
        assert covers(("write:/data/x",), Path("/data/x"))
        assert covers(("read:/",), Path("/etc"))
        assert not covers(("read:/data",), Path("/database"))
        assert not covers(("read:/data/x",), Path("/data"))
        assert not covers(("net:data", "env:DATA"), Path("/data"))


def judged(protected: Protected, text: str) -> str:
    """``never: …``, ``confirm: …``, or nothing."""
    found = danger(read_permission(text, protected.directory), protected)
    return "" if found is None else f"{'never' if found.never else 'confirm'}: {found.reason}"


class TestNever:
    @pytest.mark.parametrize(
        "text",
        [
            "read:/proc",
            "read:/proc/1/environ",
            "read:/proc/self/mem",
            "write:/proc/sys/kernel",
            "read:/sys",
            "write:/sys/kernel",
            "read:/dev",
            "write:/dev",
            "read:/dev/mem",
            "read:/dev/fd",
            "write:/",
            "env:SECRET_KEY",
            "env:secret_key",
        ],
    )
    def test_what_nobody_can_confirm(self, protected: Protected, text: str) -> None:
        assert judged(protected, text).startswith("never")
        with pytest.raises(CellError, match="can't be granted"):
            granted((text,), protected, confirmed=True)

    @pytest.mark.parametrize(
        "place",
        [
            "~",
            "~/.local",
            "~/.local/share",
            "~/.local/share/fact_magics",
            "~/.local/share/fact_magics/trusted.json",
            "~/.local/share/fact_magics/logs",
            "~/databases",
            "~/databases/facts.db",
            "~/databases/facts.db-wal",
            "~/databases/facts.db-shm",
            "~/databases/facts.db-journal",
            "~/databases/facts.db-leases",
        ],
    )
    def test_writing_what_fact_magics_keeps(self, protected: Protected, place: str) -> None:
        assert "fact_magics keeps" in judged(protected, f"write:{place}")
        assert judged(protected, f"write:{place}").startswith("never")

    def test_a_link_to_what_fact_magics_keeps_is_seen_through(self, protected: Protected) -> None:
        (protected.directory / "harmless").symlink_to(protected.home)
        assert judged(protected, "write:harmless").startswith("never")

    def test_the_list_of_trusted_files_where_it_lies_apart(self, protected: Protected) -> None:
        apart = protected.directory / "kept"
        apart.mkdir()
        moved = Protected(protected.directory, protected.home, protected.database, apart)
        assert judged(moved, "write:kept").startswith("never")
        assert judged(protected, "write:kept") == ""

    def test_the_scratch_directories_of_other_calls(self, protected: Protected) -> None:
        temporary = tempfile.gettempdir()
        assert judged(protected, f"write:{temporary}").startswith("never")
        assert judged(protected, f"read:{temporary}/fact_magics-1-x/2/3").startswith("never")
        assert judged(protected, f"read:{temporary}").startswith("confirm")

    def test_a_socket(self, protected: Protected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # its name is bounded
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("docker.sock")
            assert "socket" in judged(protected, f"write:{tmp_path}/docker.sock")
            assert judged(protected, f"read:{tmp_path}/docker.sock").startswith("never")


class TestConfirm:
    @pytest.mark.parametrize(
        "text",
        [
            "read:/",
            "read:/home",
            "read:/home/someone",
            "read:~",
            "read:..",
            "read:/root",
            "read:/etc",
            "read:/etc/shadow",
            "read:/etc/ssh/ssh_host_rsa_key",
            "read:/run/secrets/token",
            "read:/var/lib",
            "read:~/.ssh",
            "read:~/.ssh/config",
            "read:/backup/home/eve/.ssh/known_hosts",
            "read:~/.aws/config",
            "read:~/.config",
            "read:~/.config/gcloud",
            "read:~/.config/gcloud/logs/x",
            "read:~/.cache/huggingface",
            "read:~/.netrc",
            "read:~/.gnupg",
            "read:~/.kube",
            "read:~/.docker/config.json",
            "read:~/.pgpass",
            "read:~/.git-credentials",
            "read:~/.bash_history",
            "read:~/.ipython/profile_default/history.sqlite",
            "read:~/.local/share/jupyter/runtime/kernel-1.json",
            "read:.env",
            "read:.env.local",
            "read:prod.env",
            "read:id_rsa",
            "read:server.pem",
            "read:Server.KEY",
            "read:keys/vault.kdbx",
            "read:credentials.json",
            "read:/dev/ttyUSB0",
            "read:/dev/shm",
            "read:~/.local/share/fact_magics/logs/fact.jsonl",
            "read:~/.local/share/fact_magics",
            "read:~/databases/facts.db",
            "read:~/databases",
            # To write grants to read, so all of the above holds for it too.
            "write:~/.ssh/authorized_keys",
            "write:/etc/cron.d",
            "write:/usr/local/bin",
            "write:/opt/tools",
            "write:/var/spool/cron",
            "write:~/.bashrc",
            "write:~/.profile",
            "write:~/.zshenv",
            "write:~/.ipython/profile_default/startup",
            "write:~/.jupyter",
            "write:~/.local/bin",
            "write:~/.local/share/jupyter/kernels",
            "write:~/.config/autostart",
            "write:~/.config/systemd/user",
            "write:~/.gitconfig",
            "write:~/project/.git/hooks",
            "write:.",
            "write:helper.py",
            "write:analysis.ipynb",
            "write:run.sh",
            "write:__pycache__",
            "write:/data/lib/site-packages",
            "net:169.254.169.254",
            "net:169.254.169.254:80",
            "net:[fe80::1]:80",
            "net:[::ffff:169.254.169.254]:80",
            "net:metadata.google.internal",
            "net:metadata.google.internal:80",
            "net:localhost",
            "net:LocalHost",
            "net:api.localhost",
            "net:127.0.0.1",
            "net:127.9.9.9",
            "net:0.0.0.0",
            "net:[::1]",
            "net:[::]",
            "net:[::ffff:127.0.0.1]",
            "net:host.docker.internal",
            "env:ANTHROPIC_API_KEY",
            "env:anthropic_api_key",
            "env:GITHUB_TOKEN",
            "env:HF_TOKEN",
            "env:DB_PASSWORD",
            "env:DB_PASS",
            "env:DB_PWD",
            "env:CLIENT_SECRET",
            "env:GOOGLE_APPLICATION_CREDENTIALS",
            "env:AWS_ACCESS_KEY_ID",
            "env:SENTRY_DSN",
            "env:SSH_AUTH_SOCK",
            "env:DATABASE_URL",
            "env:FACT_CACHE_URL",
            "env:AZURE_STORAGE_CONNECTION_STRING",
        ],
    )
    def test_what_needs_a_second_word(self, protected: Protected, text: str) -> None:
        assert judged(protected, text).startswith("confirm")
        text = normalised((text,), protected.directory)[0]
        with pytest.raises(CellError, match="--yes-really") as asked:
            refuse_dangerous((text,), protected, confirmed=False)
        assert asked.value.message.startswith(f"{text} is dangerous: ")
        assert "\n" not in str(asked.value)
        refuse_dangerous((text,), protected, confirmed=True)

    def test_the_names_and_addresses_of_this_machine(self, protected: Protected) -> None:
        assert judged(protected, f"net:{socket.gethostname()}").startswith("confirm")
        assert judged(protected, f"net:{socket.gethostname()}:8080") == ""

    @pytest.mark.parametrize("inside", [".env", "key.pem", ".ssh", ".env.production"])
    def test_reading_a_directory_with_keys_in_it(self, protected: Protected, inside: str) -> None:
        data = protected.directory / "data"
        data.mkdir()
        assert judged(protected, "read:data") == ""
        (data / inside).touch()
        assert inside in judged(protected, "read:data")

    @pytest.mark.parametrize(
        "inside",
        ["tool.py", "notebook.ipynb", "run.sh", ".git", "x.pth", ".venv", "Makefile", "pyproject.toml"],
    )
    def test_writing_a_directory_with_programs_in_it(self, protected: Protected, inside: str) -> None:
        out = protected.directory / "out"
        out.mkdir()
        assert judged(protected, "write:out") == ""
        (out / inside).touch()
        assert inside in judged(protected, "write:out")

    def test_writing_a_program(self, protected: Protected) -> None:
        program = protected.directory / "program"
        program.touch(mode=0o644)
        assert judged(protected, "write:program") == ""
        program.chmod(0o755)
        assert judged(protected, "write:program").startswith("confirm")

    def test_writing_where_this_interpreter_imports_and_runs_from(
        self, protected: Protected, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lib = protected.directory / "lib"
        (lib / "inner").mkdir(parents=True)
        assert judged(protected, "write:lib") == ""
        monkeypatch.syspath_prepend(lib / "inner")
        assert "imports" in judged(protected, "write:lib")
        assert "imports" in judged(protected, "write:lib/inner")
        for place in (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), f"{sys.prefix}/bin"):
            assert judged(protected, f"write:{place}").startswith("confirm")
        monkeypatch.setenv("PATH", str(protected.directory / "tools"))
        assert judged(protected, "write:tools/mine").startswith("confirm")

    def test_a_value_with_a_password_in_it(
        self, protected: Protected, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BROKER", "amqp://host/queue")
        assert judged(protected, "env:BROKER") == ""
        monkeypatch.setenv("BROKER", "amqp://ada:hunter2@host/queue")
        assert "password" in judged(protected, "env:BROKER")
        assert "hunter2" not in judged(protected, "env:BROKER")


class TestHarmless:
    @pytest.mark.parametrize(
        "text",
        [
            "read:data.csv",
            "read:data",
            "read:/data/2024",
            "read:/etc/hosts",
            "read:/dev/shm/mine",
            "read:/usr/share/dict/words",
            "read:keyboard.txt",
            "read:.env.example",
            "read:monkey.csv",
            "read:~/Documents/report.txt",
            "write:out",
            "write:/data/out",
            "write:out/table.csv",
            "write:~/results",
            "net:api.github.com",
            "net:api.github.com:443",
            "net:127.0.0.1:8080",
            "net:localhost:8080",
            "net:[::1]:8080",
            "net:8.8.8.8",
            "net:10.0.0.1",
            "env:LANG",
            "env:PWD",
            "env:KEYBOARD",
            "env:MONKEY",
            "env:AUTHOR",
            "env:REGION",
        ],
    )
    def test_what_may_simply_be_granted(self, protected: Protected, text: str) -> None:
        assert judged(protected, text) == ""


class TestGranted:
    def test_what_is_there_is_granted_in_canonical_form(
        self, protected: Protected, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (protected.directory / "data.csv").touch()
        (protected.directory / "out").mkdir()
        monkeypatch.setenv("REGION", "north")
        texts = ("write:out", "read:data.csv", "env:REGION", "net:A.example")
        assert granted(texts, protected, confirmed=False) == (
            "env:REGION",
            "net:a.example",
            f"read:{protected.directory}/data.csv",
            f"write:{protected.directory}/out",
        )

    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("read:dta.csv", "that exists"),
            ("read:*.csv", "Patterns are not supported"),
            ("write:new", "Create it first"),
            ("write:new/deep/file.txt", "Create it first"),
            ("env:NO_SUCH_VARIABLE", "os.environ"),
            (f"read:{'x' * 300}", "that exists"),
            ("read:/dev/null/x", "that exists"),
        ],
    )
    def test_what_is_not_there_is_refused_and_not_made(
        self, protected: Protected, text: str, hint: str
    ) -> None:
        with pytest.raises(CellError, match="grants nothing") as refused:
            granted((text,), protected, confirmed=True)
        assert hint in refused.value.hint
        assert list(protected.directory.iterdir()) == []

    def test_what_is_never_granted_is_told_before_what_could_be_confirmed(self, protected: Protected) -> None:
        with pytest.raises(CellError, match="can't be granted"):
            granted(("read:/etc", "read:/proc"), protected, confirmed=False)

    @pytest.mark.parametrize(
        ("text", "hint"), [("env:SECRET_KEY", "a different key"), ("read:/proc", "a narrower one")]
    )
    def test_what_is_never_granted_is_told_with_what_to_do_instead(
        self, protected: Protected, text: str, hint: str
    ) -> None:
        with pytest.raises(CellError, match="can't be granted") as refused:
            granted((text,), protected, confirmed=True)
        assert hint in refused.value.hint
