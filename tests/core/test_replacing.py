"""What a new version replaces: it is said, and a proven version is not lost by accident."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from fact_magics import FactCore, ToolSpec
from fact_magics.core import portable
from fact_magics.errors import BindingRefused
from fact_magics.events import GenerationEnded, PhaseChanged
from fact_magics.signature import read_signature, signature_identity
from fact_magics.store import Candidate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fact_magics import Settings
    from fact_magics.events import Event

pytestmark = pytest.mark.slow

ONE = "def twice(n: int) -> int:\n    return 2 * n\n"
TWO = "def twice(n: int) -> int:\n    return n + n\n"
CONTRACT = ">>> twice(2)\n4\n\n>>> twice(0)\n0"
PROVEN = ToolSpec("twice", f"Double.\n\n{CONTRACT}")
UNPROVEN = ToolSpec("twice", "Double a number.")
REFUSED = r"^twice@1\.0\.0 is proven on 2 examples; a version without examples does not replace it\. "


class Session:
    """A core, and what its generations said."""

    def __init__(self, core: FactCore) -> None:
        self.core = core
        self.ended: list[GenerationEnded] = []
        core.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, GenerationEnded):
            self.ended.append(event)

    @property
    def changes(self) -> tuple[str, ...]:
        return self.ended[-1].changes


@pytest.fixture
async def here(settings: Settings) -> AsyncIterator[Session]:
    async with FactCore(settings, notebook="/lab/here.ipynb") as core:
        yield Session(core)


@pytest.fixture
async def there(settings: Settings) -> AsyncIterator[Session]:
    async with FactCore(settings, notebook="/lab/there.ipynb") as core:
        yield Session(core)


async def store(core: FactCore, source: str = ONE, contract: str = CONTRACT) -> None:
    """Store a version as a generation of this session does."""
    identity = signature_identity(read_signature(source, "twice"))
    candidate = Candidate(
        name="twice",
        source=source,
        signature_id=identity,
        description="d",
        contract=contract,
        proven=bool(contract),
    )
    core._toolbox.hold(await core._store.tools.accept(candidate, session_id=core.session_id))


def exported(core: FactCore, source: str, contract: str = "") -> str:
    stored = core.pinned("twice").stored
    known = stored.metadata
    changed = type(known)(id="0", name="twice", version="1.0.0", description="d", contract=contract)
    return portable.write(type(stored)(changed, source))


class TestNotice:
    async def test_a_first_version_replaces_nothing(self, here, server):
        server.writes(ONE)
        await here.core.generate(PROVEN)
        assert here.changes == ()

    async def test_each_way_to_a_version_says_what_it_replaces_and_how_to_undo_it(self, here, server):
        server.writes(ONE)
        await here.core.generate(PROVEN)
        await here.core.edit_tool("twice", TWO)
        line = "replaces 1.0.0, proven on 2 examples; undo: %fact rollback twice 1.0.0"
        assert here.changes == (line,)
        await here.core.generate(PROVEN)  # a known request
        assert here.changes == (line.replace("1.0.0", "1.0.1"),)
        await here.core.import_tool(exported(here.core, TWO, CONTRACT))
        assert here.changes == (line,)
        server.writes(ONE.replace("2 *", "1 * 2 *"))
        await here.core.refine(ToolSpec("twice", "Multiply once more."))
        assert here.changes == (line.replace("1.0.0", "1.0.1"),)
        version = here.changes[0].rpartition(" ")[2]
        assert (await here.core.roll_back("twice", version)).version == "1.0.1"

    async def test_the_version_that_is_current_already_replaces_nothing(self, here, server):
        server.writes(ONE)
        await here.core.generate(PROVEN)
        await here.core.generate(PROVEN)
        assert here.ended[-1].reused
        assert here.changes == ()

    async def test_another_notebook_s_version_is_named_with_its_notebook(self, here, there, server):
        await store(there.core)
        await here.core.edit_tool("twice", TWO)
        assert here.changes == (
            "replaces 1.0.0 of there.ipynb, proven on 2 examples; undo: %fact rollback twice 1.0.0",
        )
        # There, 1.0.0 is still in use.
        server.writes(ONE.replace("2 * n", "n * 2"))
        await there.core.generate(PROVEN)
        assert there.changes == (
            "replaces 1.0.1 of here.ipynb, proven on 2 examples; this session used 1.0.0; undo: %fact rollback twice 1.0.1",
        )

    async def test_a_notebook_of_the_same_name_is_named_with_its_folder(self, here, settings):
        async with FactCore(settings, notebook="/else/here.ipynb") as other:
            await store(other)
        await here.core.edit_tool("twice", TWO)
        assert here.changes[0].startswith("replaces 1.0.0 of /else/here.ipynb, proven")

    async def test_an_earlier_session_of_the_same_notebook_is_not_another(self, here, settings):
        async with FactCore(settings, notebook="/lab/here.ipynb") as earlier:
            await store(earlier)
        await here.core.edit_tool("twice", TWO)
        assert here.changes[0].startswith("replaces 1.0.0, proven")

    async def test_a_version_that_only_this_session_used_is_named_too(self, here, there, server):
        await store(there.core)
        await there.core.edit_tool("twice", TWO)
        await here.core.tool("twice")
        await there.core.roll_back("twice", "1.0.0")
        server.writes(ONE)
        await here.core.edit_tool("twice", ONE)
        assert here.changes == (
            "replaces 1.0.1 in this session, proven on 2 examples; undo: %fact rollback twice 1.0.1",
        )


class TestRefusal:
    async def test_without_examples_a_proven_version_stays_and_no_model_is_called(self, here, server):
        await store(here.core)
        with pytest.raises(BindingRefused, match=REFUSED + "Write >>> examples for it, or add --replace"):
            await here.core.generate(UNPROVEN)
        assert server.requests == ()
        assert (await here.core.current("twice")).metadata.proven
        assert (await here.core.tool("twice")).version == "1.0.0"

        server.writes(TWO)
        replaced = await here.core.generate(ToolSpec("twice", "Double a number.", replace=True))
        assert (replaced.version, replaced.metadata.proven) == ("1.1.0", False)
        assert here.changes[0].startswith("replaces 1.0.0, proven on 2 examples; undo:")

    async def test_a_known_request_without_examples_does_not_take_the_place_of_a_proven_version(
        self, here, server
    ):
        server.writes(ONE)
        await here.core.generate(UNPROVEN)
        server.writes(TWO)
        assert (await here.core.generate(PROVEN)).version == "1.1.0"
        with pytest.raises(BindingRefused, match=r"^twice@1\.1\.0 is proven on 2 examples"):
            await here.core.generate(UNPROVEN)
        assert (await here.core.current("twice")).metadata.version == "1.1.0"
        again = await here.core.generate(ToolSpec("twice", "Double a number.", replace=True))
        assert again.version == "1.0.0"

    async def test_an_unproven_version_may_be_replaced_by_an_unproven_one(self, here, server):
        server.writes(ONE)
        await here.core.generate(UNPROVEN)
        server.writes(TWO)
        assert (await here.core.generate(ToolSpec("twice", "Add it to itself."))).version == "1.0.1"

    async def test_an_edited_version_without_examples_does_not_replace_another_notebook_s_proven_one(
        self, here, there
    ):
        await store(here.core, contract="")
        await store(there.core, contract=CONTRACT)
        with pytest.raises(
            BindingRefused, match=r"^twice@1\.1\.0 of there\.ipynb is proven .* it\. Add --rep"
        ):
            await here.core.edit_tool("twice", TWO)
        assert (await here.core.edit_tool("twice", TWO, replace=True)).version == "1.2.0"

    async def test_a_file_without_examples_does_not_replace_a_proven_version(self, here):
        await store(here.core)
        text = exported(here.core, TWO)
        with pytest.raises(BindingRefused, match=REFUSED):
            await here.core.import_tool(text)
        assert (await here.core.current("twice")).source == ONE
        assert (await here.core.import_tool(text, replace=True)).source == TWO

    async def test_a_wish_for_a_version_without_examples_does_not_replace_a_proven_one(
        self, here, there, server
    ):
        await store(here.core, contract="")
        await store(there.core, contract=CONTRACT)
        with pytest.raises(BindingRefused, match=r"there\.ipynb is proven"):
            await here.core.refine(ToolSpec("twice", "Add it to itself."))
        assert server.requests == ()

    async def test_a_proven_version_that_only_this_session_uses_is_not_lost_either(self, here, there, server):
        await store(here.core)
        await store(there.core, TWO, contract="")
        with pytest.raises(BindingRefused, match=REFUSED):
            await here.core.generate(UNPROVEN)
        assert server.requests == ()

    async def test_a_version_that_was_proven_while_the_model_wrote_is_not_replaced(
        self, here, settings, server
    ):
        """Another notebook stores it in the middle of the generation, in its own process as it were."""

        async def elsewhere() -> None:
            async with FactCore(settings, notebook="/lab/there.ipynb") as other:
                await store(other)

        def hear(event: Event) -> None:
            if isinstance(event, PhaseChanged) and event.name == "writing":
                thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
                thread.start()
                thread.join()

        server.writes(TWO)
        with pytest.raises(BindingRefused, match=r"^twice@1\.0\.0 of there\.ipynb is proven on 2 examples"):
            await here.core.generate(UNPROVEN, hear)
        assert (await here.core.current("twice")).source == ONE
        [row] = await here.core.list_generations()
        assert (row.status, row.tool_id) == ("error", None)
        assert "does not replace it" in row.reason
        assert here.changes == ()


async def test_a_current_version_that_can_t_be_read_is_not_lost_either(here, there, server):
    await store(there.core)
    with closing(sqlite3.connect(here.core.database_path)) as connection, connection:
        connection.execute("UPDATE tools SET created_at = '?'")
    with pytest.raises(BindingRefused, match=r"^The current version of twice can't be read, and may be"):
        await here.core.generate(UNPROVEN)
    assert server.requests == ()
    server.writes(TWO)
    assert (await here.core.generate(UNPROVEN.model_copy(update={"replace": True}))).source == TWO


async def test_nor_one_that_became_unreadable_meanwhile(here, there, server):
    def hear(event: Event) -> None:
        if isinstance(event, PhaseChanged):
            with closing(sqlite3.connect(here.core.database_path)) as connection, connection:
                connection.execute("UPDATE tools SET created_at = '?'")

    await store(there.core, contract="")
    with closing(sqlite3.connect(here.core.database_path)) as connection, connection:
        connection.execute("UPDATE tools SET proven = 0")
    server.writes(TWO)
    with pytest.raises(BindingRefused, match=r"^The current version of twice can't be read, and may be"):
        await here.core.generate(UNPROVEN, hear)
