"""A stored version of a tool, made ready to run: its signature, imports and cache identity."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fact_magics import packages
from fact_magics.errors import SignatureError
from fact_magics.sandbox.boot import CONNECTOR, connector_source
from fact_magics.shelf.entry import is_shipped
from fact_magics.signature.source import ToolSource
from fact_magics.tool import IMPORTED, SHELF, ToolVersion
from fact_magics.values.attachments import head_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fact_magics.core.files import InputFile
    from fact_magics.signature import Signature
    from fact_magics.values import Wire

# Two equal values of the same type from this set are the same input, except for 0.0 and -0.0.
_COMPARABLE = frozenset({str, int, bool, float, type(None)})
_SHORT_BYTES = 1024
_REMEMBERED = 256
# Properties of a file that can change while its content stays the same.
_MORE_THAN_CONTENT = re.compile(r"\b(?:st_(?!size\b)\w+|get[acm]time|samefile|owner)\b")


class LoadedTool:
    """A stored version that is ready to run, with its signature read; made by `load`."""

    def __init__(self, stored: ToolVersion) -> None:
        self.stored = stored
        self.metadata = stored.metadata
        source = ToolSource(stored.source, stored.metadata.name)
        # The source object is not kept, because a syntax tree takes far more memory than its text.
        self.signature: Signature = source.signature
        self.imports = source.imports
        self._identities: dict[object, tuple[Wire, str]] = {}
        self._packages = packages.from_elsewhere(self.imports)
        self._installed: tuple[int, ...] = ()

    def note_strength(self, strength: str) -> None:
        """Take over the result of a probe; see `ToolMetadata.strength`."""
        self.metadata = self.metadata.model_copy(update={"strength": strength})
        self.stored = replace(self.stored, metadata=self.metadata)

    def identify(self, validated: Mapping[str, object], files: Sequence[InputFile] = ()) -> tuple[Wire, str]:
        """Encode a validated input canonically, and hash it.

        The identities of short inputs are remembered, because encoding and hashing would otherwise take most
        of the time that it takes to answer from memory.

        Returns
        -------
        (bytes, bytearray or memoryview, str)
            The canonical input, and the run's key. The key is empty if answers are not kept.
        """
        if self._packages:
            self._notice_installations()
        values = validated.values()
        kinds = (*map(type, values),)
        if not _COMPARABLE.issuperset(kinds) or (float in kinds and 0.0 in values):
            return self._identity(validated, files)
        seen = (kinds, *validated.items())
        identity = self._identities.get(seen)
        if identity is None:
            identity = self._identity(validated)
            if len(identity[0]) <= _SHORT_BYTES:
                if len(self._identities) >= _REMEMBERED:
                    self._identities.clear()
                self._identities[seen] = identity
        return identity

    def _identity(self, validated: Mapping[str, object], files: Sequence[InputFile] = ()) -> tuple[Wire, str]:
        arguments = self.signature.wire(validated)
        return arguments, self.key(arguments, files) if self.cacheable else ""

    def keys(self, many: Sequence[Wire]) -> list[str]:
        """Hash canonical inputs without files to keys, which are empty as in `identify`."""
        if self._packages:
            self._notice_installations()
        if not self.cacheable:
            return [""] * len(many)
        keys, begin = [], self._key_prefix.copy
        for arguments in many:
            digest = begin()
            digest.update(arguments)
            keys.append(digest.hexdigest())
        return keys

    def key(self, arguments: Wire, files: Sequence[InputFile] = ()) -> str:
        """Hash a canonical input, and the files that it names, to the key of a run."""
        digest = self._key_prefix.copy()
        digest.update(head_of(arguments))  # it contains the hashes of the tables that follow it
        for file in files:  # the arguments contain the paths, but not the link targets or contents
            digest.update(b"\0%b\0%b" % (file.real.encode("utf-8", "surrogateescape"), file.digest))
        return str(digest.hexdigest())

    def _notice_installations(self) -> None:
        """Forget what depends on the packages' versions if any package was installed or removed."""
        installed = packages.installed()
        if installed != self._installed:
            self.__dict__.pop("_key_prefix", None)
            self._identities.clear()
            self._installed = installed

    @cached_property
    def _key_prefix(self) -> Any:
        """The digest of the parts that all keys of this tool share: name, content, Python, packages."""
        digest = hashlib.blake2b(digest_size=20)
        parts = [self.metadata.name, self.stored.content_hash, sys.version, sys.platform, platform.machine()]
        if CONNECTOR in self._packages:
            parts.append(hashlib.blake2b(connector_source().encode(), digest_size=20).hexdigest())
        for part in (*parts, *packages.versions(self._packages)):
            digest.update(part.encode() + b"\0")
        return digest

    @cached_property
    def cacheable(self) -> bool:
        """Whether equal inputs give equal answers, as far as the source shows."""
        if self.metadata.varies or self.metadata.permissions:
            return False
        return not (self.takes_paths and _MORE_THAN_CONTENT.search(self.stored.source))

    @cached_property
    def takes_paths(self) -> bool:
        """Whether the input may name files, which the run may then read."""
        return self.signature.takes_paths

    @cached_property
    def reaches_out(self) -> bool:
        """Whether a run may use anything outside the sandbox: permissions, or files that the input names."""
        return bool(self.metadata.permissions) or self.takes_paths

    @cached_property
    def self_contained(self) -> bool:
        """Whether the tool can use nothing but its input, judging by its source."""
        return ToolSource(self.stored.source, self.metadata.name).is_self_contained

    @cached_property
    def alone_because(self) -> str:
        """Why each run needs a process of its own; empty if runs may share one, judging by the source."""
        if self.reaches_out:
            return "it has permissions" if self.metadata.permissions else "it reads files"
        if self.metadata.varies:
            return "equal inputs may give different answers"
        return ToolSource(self.stored.source, self.metadata.name).kept_between_calls

    @cached_property
    def verified(self) -> bool:
        """Whether the tool is from the shelf, with the same source as the one that ships with fact_magics."""
        metadata = self.metadata
        return metadata.provider == SHELF and is_shipped(self.stored.source, metadata.model, metadata.name)

    @cached_property
    def about(self) -> dict[str, Any]:
        """The part of an output's metadata that describes the tool."""
        metadata = self.metadata
        return {
            "tool": metadata.name,
            "version": metadata.version,
            "tool_id": metadata.id,
            "unproven": not metadata.proven,
            "permissions": metadata.permissions,
        }


def attested(stored: ToolVersion) -> ToolVersion:
    """Check a stored version that claims to be from the shelf; mark it as imported if the claim is false.

    The database may come from another person, and everything in it may have been changed.
    """
    about = stored.metadata
    claims = about.provider == SHELF or about.model.partition("/")[0] == SHELF
    if not claims or (not about.permissions and is_shipped(stored.source, about.model, about.name)):
        return stored
    return replace(stored, metadata=about.model_copy(update={"provider": IMPORTED}))


def load(stored: ToolVersion) -> LoadedTool:
    """Make a stored version ready to run.

    Raises
    ------
    SignatureError
        This version of the package can't read the stored source.
    """
    try:
        return LoadedTool(attested(stored))
    except SignatureError as error:
        raise SignatureError(
            f"The stored {stored.reference} can't be used: {error.message}",
            hint=f"Generate {stored.metadata.name} again with --fresh.",
        ) from None
