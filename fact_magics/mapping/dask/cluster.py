"""The notebook's side of a Dask cluster: connect, compare versions, send requests, and disconnect."""

from __future__ import annotations

import asyncio
import logging
import pkgutil
import warnings
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from distributed import Client, KilledWorker, Security
from distributed.client import FutureCancelledError

from fact_magics.errors import FactError
from fact_magics.mapping.dask import wire, worker
from fact_magics.quiet import begin_work, quieten
from fact_magics.store import new_id
from fact_magics.text import one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from fact_magics.mapping.dask.local import LocalCluster
    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call

quieten("distributed", below=logging.CRITICAL)  # a lost cluster is the error of the map

_CONNECT_SECONDS = 10.0
_PREPARE_SECONDS = 60.0
_GONE_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_RELEASE_SECONDS = 1.0
_AGAIN = "Run the map again to continue it."
_SAME = "Install the notebook's version of fact_magics on all workers."


class Cluster:
    """A Dask cluster for one map; used on the core's loop.

    Parameters
    ----------
    address : str
        The scheduler's address as the user gave it; empty for a cluster on this machine.
    imports : sequence of str
        The packages that the tool imports.
    mode, limits : str, Limits
        The settings of the notebook's sandbox.

    Attributes
    ----------
    dashboard : str
        The address of the cluster's dashboard, or an empty text if it has no dashboard.
    """

    def __init__(self, address: str, imports: Sequence[str], mode: str, limits: Limits) -> None:
        self._address = address
        self._name = f"The Dask cluster at {address}" if address else "The local Dask cluster"
        self._request = wire.Request(new_id(), mode, asdict(limits), [*imports], worker.versions(imports))
        self._client: Any = None
        self._lost = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self.dashboard = ""

    async def start(self, local: LocalCluster | None) -> Mapping[str, int]:
        """Connect, and let the workers start their sandboxes; return the threads of each worker.

        Raises
        ------
        FactError
            Nothing answers, there are no workers, or one of them can't run the rows.
        """
        if local is None:
            await self._connect(self._address, None)
        else:
            await self._connect(local.address, Security(require_encryption=True, **local.tls))
        self.dashboard = str(self._client.dashboard_link or "")
        await self._check_workers()
        self._watching = asyncio.create_task(self._watch())
        threads: Mapping[str, int] = await self._client.nthreads()
        return threads

    async def _connect(self, address: str, security: Security | None) -> None:
        at = urlsplit(address)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                # Where nothing listens, Dask would try again until the time is over.
                _, writer = await asyncio.open_connection(at.hostname, at.port)
                writer.close()
                await asyncio.create_task(self._open(address, security))
        except TimeoutError:
            reason = f"no scheduler answered within {_CONNECT_SECONDS:g} s"
        except ConnectionRefusedError:
            reason = "nothing listens there"
        except (OSError, TypeError, ValueError) as error:
            reason = one_line(getattr(error, "strerror", None) or str(error), 200)
        else:
            return
        raise FactError(
            f"{self._name} can't be reached: {reason}.",
            hint="Check the address that its scheduler printed, or write --on dask.",
        )

    async def _open(self, address: str, security: Security | None) -> None:
        begin_work()  # in this task, and in those that the client starts
        self._client = Client(
            address, asynchronous=True, security=security, set_as_default=False, timeout="1h"
        )
        await self._client

    async def _check_workers(self) -> None:
        with suppress(TimeoutError):
            await self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        # Dask gives up a worker that can't import the function of a task. This function is in every Python.
        asking = self._client.run(pkgutil.resolve_name, "fact_magics:__version__", on_error="return")
        found = await self._prepared(asking)
        if not found:
            raise FactError(
                f"{self._name} has no workers.",
                hint="Start workers, such as with cluster.scale(2), and run the map again.",
            )
        for address, version in found.items():
            if isinstance(version, BaseException):
                raise FactError(
                    f"The Dask worker {address} can't import fact_magics: {one_line(str(version), 200)}.",
                    hint=_SAME,
                )
        asking = self._client.run(worker.serve, wire.pack_request(self._request), on_error="return")
        for address, reply in (await self._prepared(asking)).items():
            if isinstance(reply, BaseException):
                raise FactError(f"The Dask worker {address} failed: {one_line(str(reply), 200)}.", hint=_SAME)
            wire.read_reply(reply, f"The Dask worker {address}", self._request)

    async def _prepared(self, asking: Awaitable[Mapping[str, object]]) -> Mapping[str, object]:
        try:
            async with asyncio.timeout(_PREPARE_SECONDS):
                return await asking
        except TimeoutError:
            raise FactError(
                f"{self._name} has a worker that was not ready within {_PREPARE_SECONDS:g} s.",
                hint="Restart its workers.",
            ) from None
        except OSError:
            raise FactError(f"{self._name} was lost.", hint=_AGAIN) from None

    async def _watch(self) -> None:
        """Notice that the cluster has had no workers, or has not answered, for a long time."""
        clock = asyncio.get_running_loop().time
        seen = clock()
        while clock() - seen < _GONE_SECONDS:
            await asyncio.sleep(_LOOK_SECONDS)
            with suppress(Exception):  # the scheduler may be away for a moment
                async with asyncio.timeout(_GONE_SECONDS):
                    if await self._client.nthreads():
                        seen = clock()
        self._lost.set()

    async def ask(self, calls: Sequence[Call], **more: Any) -> wire.Reply | None:
        """Let a worker run calls, or the rows of one call in one process; if it dies, another worker does.

        Parameters
        ----------
        more
            Other fields of the request: `rows`, `eager` and `files`.

        Returns
        -------
        Reply or None
            None if too many workers have died on this request.

        Raises
        ------
        FactError
            The worker refused to run the rows, or the cluster is lost.
        """
        asked = replace(self._request, key=f"{calls[0].function}-{new_id()}", calls=tuple(calls), **more)
        request = wire.pack_request(asked)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Dask warns about rows of megabytes
            future = self._client.submit(worker.serve, request, key=asked.key, pure=False)
        answering, losing = asyncio.ensure_future(future.result()), asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait((answering, losing), return_when=asyncio.FIRST_COMPLETED)
            reply = answering.result()
        except KilledWorker:
            return None
        except (FutureCancelledError, asyncio.InvalidStateError):
            raise FactError(f"{self._name} was lost.", hint=_AGAIN) from None
        except Exception as error:
            why = one_line(f"{type(error).__name__}: {error}", 200)
            raise FactError(f"{self._name} could not run the rows: {why}.", hint=_SAME) from error
        finally:
            answering.cancel()
            losing.cancel()
            future.release()  # the worker notices, and ends the rows
        return wire.read_reply(reply, "A Dask worker", asked)

    async def aclose(self) -> None:
        """End the sandboxes of the workers, and the connection."""
        if self._watching is not None:
            self._watching.cancel()
        if self._client is not None:
            with suppress(Exception):  # the cluster may be gone
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self._client.run(worker.release, self._request.map_id, on_error="ignore")
            with suppress(Exception):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self._client.close()
