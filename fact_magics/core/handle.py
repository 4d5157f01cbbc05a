"""`Tool`: the function that a notebook calls, shows and passes to an agent."""

from __future__ import annotations

import re
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Self

from fact_magics.errors import SignatureError
from fact_magics.text import inert, quoted

if TYPE_CHECKING:
    import inspect

    from fact_magics.core.calls import Caller
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.tool import ToolMetadata, ToolVersion


# Anthropic's and OpenAI's APIs accept these names of tools and of properties.
_OFFERED_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Tool:
    """A stored tool as a function: its calls are validated, isolated, cached and recorded.

    A `Tool` always runs the same version, even if another version becomes current.

    Examples
    --------
    >>> slugify("Some Title")  # doctest: +SKIP
    'some-title'
    >>> await slugify.acall("Some Title")  # doctest: +SKIP
    'some-title'
    """

    def __init__(self, loaded: LoadedTool, caller: Caller) -> None:
        self._loaded = loaded
        self._caller = caller
        self.__name__ = self.__qualname__ = loaded.metadata.name
        self.__module__ = "fact_magics.tools"
        self.__annotations__ = loaded.signature.annotations()  # for typing.get_type_hints
        doc = loaded.signature.doc or loaded.metadata.description
        if loaded.metadata.permissions:
            doc += f"\n\nAllowed: {', '.join(loaded.metadata.permissions)}"
        self.__doc__ = inert(doc)  # `help` prints this

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the tool and return its value; raises a `FactError` if it fails."""
        return self._caller.call(self._loaded, args, kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Run the tool without blocking the event loop that awaits it."""
        return await self._caller.acall(self._loaded, args, kwargs)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """Run the tool on many rows, each validated, isolated, cached and recorded as a run.

        The values of a long map are returned while its last rows are still being committed. The end of a
        notebook's cell, and that of a script's core, wait for this commit.

        Parameters
        ----------
        *args
            The values that vary: a list, Series, array or iterator for each parameter, all of one length.
            Or a single table, whose columns are parameters: a DataFrame, a dict of columns, a list of dicts.
        **kwargs
            Values that are the same for each row; a list for a parameter that takes a single value varies.
            Other names are options: ``isolate="row"`` (a process for each row), ``stop_on_error``,
            ``timeout_seconds`` and ``memory_mb`` of each row, ``permissions``, ``yes_really``, ``fresh`` and
            ``ttl_seconds`` as in `ToolInput`.

        Returns
        -------
        MapResult
            The values in the order of the rows, and the errors of the rows that failed.

        Raises
        ------
        InvalidInput
            The arguments do not form rows that fit the tool.
        Interrupted
            The map was stopped. Its attribute `result` holds the values so far; the same map continues there.

        Examples
        --------
        >>> slugify.map(["Some Title", "Another"], sep="_")  # doctest: +SKIP
        """
        map_rows: Any = resolve_name("fact_magics.mapping.calls:map_rows")  # that layer is above this one
        return map_rows(self, self._caller.rows, args, kwargs)

    async def amap(self, *args: Any, **kwargs: Any) -> Any:
        """Run the tool on many rows as `map` does, without blocking the event loop that awaits it."""
        amap_rows: Any = resolve_name("fact_magics.mapping.calls:amap_rows")
        return await amap_rows(self, self._caller.rows, args, kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        return self._loaded.signature.inspect_signature()

    @property
    def loaded(self) -> LoadedTool:
        """The tool's version, ready to run."""
        return self._loaded

    @property
    def stored(self) -> ToolVersion:
        """The tool's version, as it is stored."""
        return self._loaded.stored

    @property
    def metadata(self) -> ToolMetadata:
        """The metadata: description, contract, permissions, author."""
        return self._loaded.metadata

    @property
    def id(self) -> str:
        """The version's id in the database."""
        return self._loaded.metadata.id

    @property
    def name(self) -> str:
        """The tool's name."""
        return self._loaded.metadata.name

    @property
    def version(self) -> str:
        """The semantic version."""
        return self._loaded.metadata.version

    @property
    def source(self) -> str:
        """The tool's source."""
        return self._loaded.stored.source

    @property
    def text(self) -> str:
        """The tool's signature in Python syntax."""
        return self._loaded.signature.text

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Tool) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickling must build a `Tool` that belongs to the core of its own process. The function is looked
        # up by name, because this module must not import from a layer above the core.
        return resolve_name("fact_magics.tools:_unpickled"), (self.stored.reference, self.id)

    def __repr__(self) -> str:
        proof = "proven" if self.metadata.proven else "unproven"
        if self.metadata.strength:
            proof += f" · {self.metadata.strength}"
        permissions = self.metadata.permissions
        allowed = f" · allowed: {', '.join(permissions)}" if permissions else ""
        return f"<Tool {self.text} · {self.version} · {proof}{allowed}>"

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) of the parameters."""
        return self._loaded.signature.json_schema()

    def to_anthropic(self) -> dict[str, Any]:
        """Return the tool's definition for Anthropic's Messages API.

        Raises
        ------
        SignatureError
            The API refuses the name of the tool or of a parameter.
        """
        return {"name": self.name, "description": self._description, "input_schema": self._offered_schema()}

    def to_openai(self) -> dict[str, Any]:
        """Return the tool's definition for OpenAI's chat API; the errors are those of `to_anthropic`."""
        function = {"name": self.name, "description": self._description, "parameters": self._offered_schema()}
        return {"type": "function", "function": function}

    def _offered_schema(self) -> dict[str, Any]:
        schema = self.json_schema()
        for name in (self.name, *schema["properties"]):
            if not _OFFERED_NAME.fullmatch(name):
                raise SignatureError(
                    f"{self.name} can't be offered to a model, because APIs refuse the name {quoted(name)}.",
                    hint="Names must have at most 64 ASCII letters, digits and underscores.",
                )
        return schema

    @property
    def _description(self) -> str:
        return (self._loaded.signature.doc or self.metadata.description or self.name).strip()
