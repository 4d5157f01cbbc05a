"""``%fact export`` and ``%fact import``: files, signatures, permissions, and hostile text that stays inert."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from pydantic import SecretStr

from fact_magics.core import portable
from fact_magics.tool import ToolMetadata, ToolVersion

pytestmark = [pytest.mark.kernel, pytest.mark.thorough]

KEY = "RECOGNISABLE-secret-9f27c1"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31mred\u202etxet"


def source(name: str, body: str = "2 * n") -> str:
    return f'def {name}(n: int) -> int:\n    """Double a number."""\n    return {body}\n'


def exported(name: str, code: str, key: str = "", **fields: object) -> str:
    """A file as another notebook would have written it."""
    known: dict[str, object] = {
        "id": "0", "name": name, "version": "3.0.0", "description": "d", "contract": "", "permissions": (), "tags": (),
        "provider": "anthropic", "model": "m", "proven": True, "varies": False, "request_hash": "",
    }  # fmt: skip
    version = ToolVersion(ToolMetadata(**{**known, **fields}), code)  # type: ignore[arg-type]
    return portable.write(version, SecretStr(key) if key else None)


@pytest.fixture
def folder(desk) -> Path:
    return Path(desk.value("__import__('os').getcwd()"))


@pytest.fixture
def key(desk):
    """The notebook's environment holds a SECRET_KEY."""
    desk.run(f"import os\nos.environ['SECRET_KEY'] = {KEY!r}")
    yield KEY
    desk.run("del os.environ['SECRET_KEY']")


def write(desk, name: str) -> None:
    cell = desk.write(name, source(name), examples=f">>> {name}(2)\n4\n")
    assert cell.status == "ok", cell.traceback


class TestExport:
    def test_a_file_beside_the_notebook_that_reads_well_and_comes_back(self, desk, folder):
        write(desk, "travels")
        cell = desk.run("%fact export travels")
        assert cell.status == "ok", cell.traceback
        path = folder / "travels.fact.py"
        assert str(path) in cell.plain
        text = path.read_text(encoding="utf-8")
        assert text.endswith(f"# ///\n\n{source('travels')}")
        assert "# >>> travels(2)\n# 4\n" in text
        assert "no SECRET_KEY is set" in cell.plain

        desk.run("%fact remove travels --yes\ndel travels")
        cell = desk.run("%fact import travels.fact.py")

        assert cell.status == "ok", cell.traceback
        for text in (cell.plain, cell.html):
            for part in (
                "travels 1.0.0 from travels.fact.py",
                "as travels 2.0.0, proven here on 1 example",
                "as the file says",
            ):
                assert part in text
        assert "travels is 2.0.0 in this notebook" in cell.plain
        assert desk.value("[type(travels).__name__, travels.version, travels(21)]") == ["Tool", "2.0.0", 42]
        assert "imported" in desk.run("%fact show travels").plain
        assert "imported" in desk.run("%fact tools").plain
        assert "imported: " in desk.run("%fact history --tool travels").plain
        assert "travels@2.0.0 already" in desk.run("%fact import travels.fact.py").plain

    def test_a_version_a_place_and_json(self, desk, folder):
        write(desk, "placed")
        (folder / "shared").mkdir()
        desk.run(f"%%fact_edit placed\n{source('placed', 'n + n')}")
        told = json.loads(desk.run("%fact export placed@1.0.0 --to shared --json").stdout)
        path = folder / "shared" / "placed.fact.py"
        assert told == {"name": "placed", "version": "1.0.0", "file": str(path), "signed": False}
        assert portable.read(path.read_text()).source == source("placed")

    def test_what_is_there_and_is_no_export_of_this_tool_is_not_lost(self, desk, folder):
        write(desk, "careful")
        path = folder / "careful.fact.py"
        edited = exported("careful", source("careful")).replace("2 * n", "n + n")
        for content in ("mine", exported("another", source("another")), edited):
            path.write_text(content)
            cell = desk.run("%fact export careful")
            assert cell.error_name == "CellError"
            assert "--replace" in cell.error
            assert path.read_text() == content
        assert desk.run("%fact export careful --replace").status == "ok"
        assert desk.run("%fact export careful").status == "ok"  # an export of the same tool
        assert portable.read(path.read_text()).name == "careful"
        assert sorted(folder.glob(".*partial")) == []

    def test_a_link_in_its_place_is_not_followed(self, desk, folder):
        write(desk, "linked")
        target = folder / "target.txt"
        (folder / "linked.fact.py").symlink_to(target)
        assert desk.run("%fact export linked").status == "ok"
        assert not target.exists()

    def test_what_can_t_be_exported_is_one_line(self, desk):
        write(desk, "solid")
        for line, told in (
            ("solidd", "Did you mean 'solid'"),
            ("solid@4", "It has 1.0.0"),
            ("solid --to /nowhere/at/all.py", "can't be written"),
            ("solid --to /dev/null", "is not a file"),
        ):
            cell = desk.run(f"%fact export {line}")
            assert told in cell.error, line
            assert len(cell.error.splitlines()) == 1


class TestImport:
    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (None, "There is no file"),
            (b"", "does not begin with"),
            (b"print('hello')\n", "does not begin with"),
            (b"\x7fELF\0\0\0", "is binary"),
            (b"# /// fact-tool\n\xff\n", "is not UTF-8"),
            (b"x" * 1_000_001, "larger than 1,000,000 bytes"),
            (exported("t", source("t")).replace("2 * n", "3 * n").encode(), "was changed after it was exported"),
            (exported("t", source("t")).replace("format = 1", "format = 2").encode(), "written by a newer fact_magics"),
            (exported("t", source("t"))[:300].encode(), "is cut off"),
        ],
        ids=["missing", "empty", "foreign", "binary", "latin", "large", "tampered", "newer", "cut"],
    )  # fmt: skip
    def test_what_is_no_tool_s_file_is_one_line_and_changes_nothing(self, desk, folder, content, told):
        if content is not None:
            (folder / "given.fact.py").write_bytes(content)
        before = desk.counts()
        cell = desk.run(f"%fact import {'given' if content is not None else 'absent'}.fact.py")
        assert told in cell.error
        assert len(cell.error.splitlines()) == 1
        assert cell.plain == ""
        assert desk.counts() == before

    @pytest.mark.parametrize("path", ["/", "/dev/zero", "/proc/self/mem", "''", "'a\\x00b'"])
    def test_what_is_no_file_is_one_line(self, desk, path):
        cell = desk.run(f"%fact import {path}")
        assert cell.error_name == "CellError"
        assert len(cell.error.splitlines()) == 1

    def test_what_the_name_holds_is_not_lost(self, desk, folder):
        (folder / "held.fact.py").write_text(exported("held", source("held")))
        desk.run("held = 'mine'")
        cell = desk.run("%fact import held.fact.py")
        assert cell.error_name == "BindingRefused"
        assert "--replace" in cell.error
        assert desk.value("held") == "mine"
        assert desk.query("SELECT count(*) FROM tools WHERE name = 'held'") == [(0,)]
        assert desk.run("%fact import held.fact.py --replace").status == "ok"
        assert desk.value("held(4)") == 8

    def test_a_proven_tool_is_replaced_with_a_notice_and_by_an_unproven_one_only_if_asked(self, desk, folder):
        write(desk, "safe")
        (folder / "safe.fact.py").write_text(exported("safe", source("safe", "n + n")))
        cell = desk.run("%fact import safe.fact.py")
        assert cell.error_name == "BindingRefused"
        assert cell.error.startswith("safe@1.0.0 is proven on 1 example; a version without examples does not")
        assert desk.value("safe.version") == "1.0.0"
        cell = desk.run("%fact import safe.fact.py --replace")
        assert "replaces 1.0.0, proven on 1 example; undo: %fact rollback safe 1.0.0" in cell.plain
        assert desk.value("[safe.version, safe.metadata.proven]") == ["1.1.0", False]

    def test_one_that_fails_its_own_contract_is_shown_and_changes_nothing(self, desk, folder):
        text = exported("liar", source("liar", "3 * n"), contract=">>> liar(2)\n4\n\n>>> liar(0)\n0")
        (folder / "liar.fact.py").write_text(text)
        before = desk.counts()
        cell = desk.run("%fact import liar.fact.py")
        assert cell.error_name == "TransferRefused"
        first, *details = cell.error.splitlines()
        assert "1 of 2 examples failed" in first
        assert details == ["liar(2) should give 4, but gave 6"]
        assert "return 3 * n" in cell.plain
        assert desk.counts() == before
        assert desk.run("%%fact_run liar\nn = 1").error_name == "UnknownName"

    def test_permissions_are_asked_for_with_the_line_to_write(self, desk, folder):
        desk.run("import os\nos.environ['GREETING'] = 'hello'")
        code = "import os\n\ndef greets(n: int) -> str:\n    return os.environ['GREETING'] * n\n"
        (folder / "my data").mkdir()
        asked = ("env:GREETING", f"read:{folder / 'my data'}")
        (folder / "greets.fact.py").write_text(exported("greets", code, permissions=asked))
        cell = desk.run("%fact import greets.fact.py")
        assert cell.error_name == "CellError"
        assert "env:GREETING" in cell.html  # shown before it is granted
        line = cell.error.partition("write: ")[2]
        assert shlex.split(line)[2:] == ["greets.fact.py", "--allow", asked[0], "--allow", asked[1]]
        cell = desk.run("%fact import greets.fact.py --allow env:GREETING")
        assert cell.error.partition("write: ")[2] == line
        timed = desk.run("%fact import greets.fact.py --timeout 7.5").error.partition("write: ")[2]
        assert shlex.split(timed)[2:5] == ["greets.fact.py", "--timeout", "7.5"]

        cell = desk.run(line)

        assert cell.status == "ok", cell.traceback
        assert "unproven" in cell.plain
        assert "'hellohello'" in desk.run("%%fact_run greets\nn = 2").plain

    def test_hostile_text_is_inert_in_every_view(self, desk, folder, monkeypatch):
        monkeypatch.setattr(portable, "utc_text", lambda _: HOSTILE)  # no version has such a time, a file may
        code = f'def hostile(n: int = 1) -> int:\n    """{HOSTILE}"""\n    return n  # {HOSTILE}\n'
        text = exported(
            "hostile",
            code,
            description=HOSTILE,
            model=HOSTILE,
            tags=(HOSTILE,),
            provider=HOSTILE,
        )
        assert "\x1b" not in text.partition("# ///\n\n")[0]
        (folder / "hostile <b>.fact.py").write_text(text)
        asking = exported("hostile", code, permissions=(f"read:{HOSTILE}",), model=HOSTILE)
        (folder / "asking.fact.py").write_text(asking)
        cells = [
            desk.run("%fact import asking.fact.py"),
            desk.run('%fact import "hostile <b>.fact.py"'),
            desk.run("%fact show hostile"),
            desk.run("%fact tools"),
        ]
        assert [cell.status for cell in cells] == ["error", "ok", "ok", "ok"], cells[1].traceback
        for cell in cells:
            assert "script" in cell.plain
            for text in (cell.html, cell.plain, cell.error):
                assert "\x1b" not in text
                assert "\u202e" not in text
            assert "<script" not in cell.html
            assert "<img" not in cell.html
            assert "<b>" not in cell.html


class TestSignature:
    def test_a_signed_file_is_accepted_with_its_key_and_says_so(self, desk, folder, key):
        write(desk, "signed")
        cell = desk.run("%fact export signed")
        assert "with the SECRET_KEY from the environment" in cell.plain
        path = folder / "signed.fact.py"
        assert portable.read(path.read_text()).is_signed_by(SecretStr(key))
        cell = desk.run("%fact remove signed --yes\n%fact import signed.fact.py")
        assert cell.status == "ok", cell.traceback
        assert "yes, with the SECRET_KEY from the environment" in cell.plain

    @pytest.mark.usefixtures("key")
    def test_unsigned_and_wrongly_signed_files_are_refused_in_one_line(self, desk, folder):
        (folder / "plain.fact.py").write_text(exported("plain", source("plain")))
        (folder / "other.fact.py").write_text(exported("other", source("other"), "another key"))
        cell = desk.run("%fact import plain.fact.py")
        assert "--unsigned" in cell.error
        assert len(cell.error.splitlines()) == 1
        for options in ("", "--unsigned"):
            cell = desk.run(f"%fact import other.fact.py {options}")
            assert "signed with a different SECRET_KEY" in cell.error
        assert desk.run("%fact import plain.fact.py --unsigned").status == "ok"
        assert desk.query("SELECT count(*) FROM tools WHERE name = 'other'") == [(0,)]

    def test_without_a_key_a_signature_is_not_checked_and_that_is_said(self, desk, folder):
        (folder / "elsewhere.fact.py").write_text(exported("elsewhere", source("elsewhere"), "a key"))
        cell = desk.run("%fact import elsewhere.fact.py")
        assert cell.status == "ok", cell.traceback
        assert "no SECRET_KEY is set here" in cell.plain

    def test_the_key_is_in_no_output_file_or_log(self, desk, folder, key):
        write(desk, "quiet")
        (folder / "wrong.fact.py").write_text(exported("wrong", source("wrong"), "another key"))
        lines = (
            "export quiet",
            "import quiet.fact.py",
            "import wrong.fact.py",
            "show quiet",
            "export quiet --json",
        )
        cells = [desk.run(f"%fact {line}") for line in lines]
        for cell in cells:
            assert key not in json.dumps(cell.messages, default=str)
        for path in (*folder.rglob("*.fact.py"), *desk.home.rglob("*")):
            if path.is_file():
                assert key.encode() not in path.read_bytes(), path

    def test_a_key_that_came_with_the_folder_vouches_for_nobody(self, start_kernel, tmp_path):
        """A cloned repository brings a tool and the key that it is signed with."""
        cloned = tmp_path / "cloned"
        cloned.mkdir()
        (cloned / ".env").write_text("SECRET_KEY=theirs-alone\n")
        (cloned / "theirs.fact.py").write_text(exported("theirs", source("theirs"), "theirs-alone"))
        kernel = start_kernel(cwd=cloned)
        cell = kernel.run("%fact import theirs.fact.py")
        assert cell.status == "ok", cell.traceback
        assert "no SECRET_KEY is set here" in cell.plain
        assert kernel.run("%fact trust .env").status == "ok"
        assert (
            f"yes, with the SECRET_KEY from {cloned / '.env'}"
            in kernel.run("%fact import theirs.fact.py").plain
        )
