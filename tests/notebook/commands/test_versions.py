"""``%fact versions`` and ``%fact diff``."""

from __future__ import annotations

import pytest

from fact_magics.errors import CellError, UnknownName
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate

pytestmark = pytest.mark.slow

ONE = "def twice(n: int) -> int:\n    return 2 * n\n"
VERSIONS = (
    {"source": ONE, "contract": "", "proven": False, "provider": "anthropic", "model": "claude-sonnet-5-5"},
    {"source": ONE.replace("2 *", "2  *"), "contract": ">>> twice(1)\n2", "proven": True, "provider": "hand", "model": "hand"},
    {"source": ONE.replace("n: int", "n: float"), "contract": ">>> twice(1)\n2\n\n>>> twice(2)\n4", "proven": True,
     "provider": "import", "model": "someone", "permissions": ("net:example.com:443",)},
)  # fmt: skip


@pytest.fixture
def twice(workshop):
    """Three versions: 1.0.0 and 2.0.0 of another notebook, and 1.1.0 of this session."""
    core = workshop.core

    async def fill() -> None:
        await core._store.sessions.start("0ther", notebook="/lab/other.ipynb")
        for session, fields in zip(("0ther", core.session_id, "0ther"), VERSIONS, strict=True):
            identity = signature_identity(read_signature(str(fields["source"]), "twice"))
            candidate = Candidate(name="twice", signature_id=identity, description="Twice.", **fields)  # type: ignore[arg-type]
            await core._store.tools.accept(candidate, session_id=session)

    workshop.submit(fill()).wait(lambda: None)
    return core


@pytest.mark.usefixtures("twice")
class TestVersions:
    def test_each_version_has_a_row_with_its_proof_author_and_notebook(self, fact):
        title, head, *rows = fact("versions twice").plain.splitlines()
        assert title == "3 versions of twice"
        assert head.split("  ")[0] == "Version"
        assert [row.split()[0] for row in rows] == ["2.0.0", "1.1.0", "1.0.0"]
        for row, parts in zip(rows, (
            ("current", "proven on 2 examples", "net:example.com:443", "imported: someone", "other.ipynb"),
            ("proven on 1 example", "hand"),
            ("unproven", "claude-sonnet-5-5", "other.ipynb"),
        ), strict=True):  # fmt: skip
            for part in parts:
                assert part in row
            assert ("current" in row) == (parts[0] == "current")
        assert 'title="/lab/other.ipynb"' in fact("versions twice").html

    def test_the_version_that_this_notebook_uses_is_marked(self, fact, workshop):
        workshop.submit(workshop.core.roll_back("twice", "1.0.0")).wait(lambda: None)
        marked = {row["version"]: (row["current"], row["pinned"]) for row in fact("versions twice --json")}
        assert marked == {"2.0.0": (False, False), "1.1.0": (False, False), "1.0.0": (True, True)}
        assert "current · this notebook" in fact("versions twice").plain

    def test_json_holds_the_same(self, fact):
        newest = fact("versions twice --json")[0]
        assert newest["notebook"] == "/lab/other.ipynb"
        assert (newest["proven"], newest["provider"], newest["model"]) == (True, "import", "someone")
        assert newest["created_at"].startswith("20")

    def test_what_is_not_there_is_one_line(self, fact):
        with pytest.raises(UnknownName, match="Did you mean 'twice'"):
            fact("versions twcie")
        with pytest.raises(CellError, match="lists all versions of twice"):
            fact("versions twice@1")


@pytest.mark.usefixtures("twice")
class TestDiff:
    def test_without_versions_the_previous_one_is_compared_with_the_current_one(self, fact):
        shown = fact("diff twice").plain
        assert shown.splitlines()[0] == "twice 1.1.0 → 2.0.0"
        for line in (
            "Source       2 lines added, 2 lines removed",
            "-    return 2  * n",
            "--- twice@1.1.0",
            "+++ twice@2.0.0",
            "-def twice(n: int) -> int:",
            "+def twice(n: float) -> int:",
            "+>>> twice(2)",
            "Permissions  added net:example.com:443",
        ):
            assert line in shown
        assert "#21863a" in fact("diff twice").html

    def test_a_named_version_is_compared_with_the_current_one_and_two_with_each_other(self, fact):
        told = fact("diff twice 1.0.0 --json")
        assert (told["from"], told["to"]) == ("1.0.0", "2.0.0")
        told = fact("diff twice 1.0 1 --json")
        assert (told["from"], told["to"]) == ("1.0.0", "1.1.0")
        assert told["source"].splitlines()[-2:] == ["-    return 2 * n", "+    return 2  * n"]
        assert "+>>> twice(1)" in told["contract"]
        assert told["permissions"] == {"added": [], "removed": []}
        assert fact("diff twice 2 1 --json")["permissions"]["removed"] == ["net:example.com:443"]
        assert fact("diff twice@1.0.0 1.1.0 --json") == told
        assert "Permissions  removed net:example.com:443" in fact("diff twice 2 1").plain

    def test_a_part_that_is_the_same_says_so(self, fact):
        assert "Permissions  unchanged" in fact("diff twice 1.0.0 1.1.0").plain
        assert "2.0.0 with itself; name another version: %fact versions twice" in fact("diff twice 2").plain

    def test_what_can_t_be_compared_is_one_line(self, fact, workshop):
        for line, kind, told in (
            ("diff twcie", UnknownName, "Did you mean 'twice'"),
            ("diff twice 7", UnknownName, r"It has 2\.0\.0, 1\.1\.0, 1\.0\.0"),
            ("diff twice last", CellError, "'last' is not a version"),
            ("diff twice@1 1.0.0 1.1.0", CellError, "compares two versions"),
        ):
            with pytest.raises(kind, match=told):
                fact(line)
        workshop.submit(workshop.core.roll_back("twice", "1.0.0")).wait(lambda: None)
        with pytest.raises(
            CellError, match=r"^twice@1\.0\.0 has no earlier version .* are: 2\.0\.0, 1\.1\.0, 1\.0\.0"
        ):
            fact("diff twice")
