"""``%fact check``: what is missing for a first generation, a signed export and a shared cache."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from fact_magics.core.shared_cache import place_of
from fact_magics.display.table import Table
from fact_magics.errors import FactError, MissingExtra, SettingsError
from fact_magics.notebook.commands.desk import Answer, Desk
from fact_magics.notebook.commands.state import model_in_use
from fact_magics.text import one_line
from fact_magics.tool import SHELF

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fact_magics.config import Settings
    from fact_magics.core import FactCore
    from fact_magics.notebook.arguments import Arguments

_LONGEST = 300
_TITLES = {
    "generation": "A first generation",
    "export": "A signed export",
    "cache": "A shared cache",
    "settings": "Settings",
}
_MAKE_KEY = (
    "Put SECRET_KEY=… into the environment or into .env, with a long random value: "
    'python -c "import secrets; print(secrets.token_hex())"'
)


class _Item(NamedTuple):
    """A thing that is needed: ``ok``, ``missing``, ``malformed`` or ``waiting`` for trust."""

    purpose: str
    what: str
    state: str
    about: str
    next_step: str = ""


def check(_: Arguments, desk: Desk) -> Answer:
    """List all things that are ready, missing or malformed, without asking a model."""
    items = [*_items(desk)]
    ready = {
        purpose: all(item.state == "ok" for item in items if item.purpose in (purpose, "settings"))
        for purpose in ("generation", "export", "cache")
    }
    rows = [
        (_TITLES[item.purpose], item.what, item.state, one_line(item.about, _LONGEST), item.next_step)
        for item in items
    ]
    lacking = [_TITLES[purpose].lower() for purpose, is_ready in ready.items() if not is_ready]
    title = f"Not ready: {', '.join(lacking)}" if lacking else "Everything is ready"
    record = Table(
        title, ("For", "What", "State", "Found", "Next step"), rows, optional=("Next step",)
    ).record()
    checks = [{**item._asdict(), "about": one_line(item.about, _LONGEST)} for item in items]
    return Answer(record, {"ready": ready, "checks": checks})


def _items(desk: Desk) -> Iterator[_Item]:
    try:
        settings = desk.session.settings()
    except SettingsError as error:
        for line in (error.message, *error.details):
            yield _Item("settings", line.partition(" ")[0], "malformed", line, error.hint)
        return
    yield from _for_generation(desk)
    secret = settings.secret_key
    key = (
        ("ok", f"set by {settings.origin('secret_key')}", "") if secret else ("missing", "not set", _MAKE_KEY)
    )
    yield _Item("export", "SECRET_KEY", *key)
    yield from _for_cache(settings, key)
    for note in settings.notes:
        state = "waiting" if "%fact trust" in note else "malformed"
        yield _Item("settings", "a file or a variable", state, note)


def _for_generation(desk: Desk) -> Iterator[_Item]:
    try:
        core = desk.session.core
    except FactError as error:
        yield _Item("generation", "Database", "malformed", error.message, error.hint)
        return
    yield _Item("generation", "Database", "ok", str(core.database_path))
    yield desk.ask(_model)
    layers = desk.ask(lambda core: core.layers())
    unisolated = 'Use another system, or run %config FactMagics.isolation = "process"'
    found = ("ok", ", ".join(layers)) if layers else ("missing", "none", unisolated)
    yield _Item("generation", "Isolation", *found)


async def _model(core: FactCore) -> _Item:
    from fact_magics.providers.catalogue import catalogue

    model, why, error = await model_in_use(core)
    if error is not None:
        state = "missing" if isinstance(error, MissingExtra) else "malformed"
        return _Item("generation", "Model", state, error.message, error.hint)
    found = f"{model} ({why})"
    if core.replayed is None:
        name = core.settings.model or model
        listed = next((known for known in catalogue(core.settings) if known.name == name), None)
        if listed is not None and listed.lacks:
            return _Item("generation", "Model", "missing", found, f"Set {listed.lacks}.")
        if model == SHELF and not core.settings.model:
            connect = "Put ANTHROPIC_API_KEY=… into the environment or into .env, or start a local server."
            return _Item("generation", "Model", "missing", "only the shelf answers", connect)
    return _Item("generation", "Model", "ok", found)


def _for_cache(settings: Settings, key: tuple[str, str, str]) -> Iterator[_Item]:
    url = settings.cache_url
    origin = f"{place_of(url or '')}, set by {settings.origin('cache_url')}"
    address = ("ok", origin, "")
    if not url:
        address = ("missing", "not set", "Put FACT_CACHE_URL=redis://HOST:PORT into the environment.")
    elif not place_of(url):
        address = (
            "malformed",
            f"set by {settings.origin('cache_url')}",
            "Write it like redis://HOST:6379/0.",
        )
    yield _Item("cache", "FACT_CACHE_URL", *address)
    yield _Item("cache", "SECRET_KEY", *key)
    installed = find_spec("redis") is not None
    install = 'Run %pip install "fact_magics[redis]".'
    package = ("ok", "installed", "") if installed else ("missing", "not installed", install)
    yield _Item("cache", "The package redis", *package)
