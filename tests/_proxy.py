"""A TCP link to a server on the loopback that can be slow, or say something else than the server does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any


class Proxy:
    """``delay``: seconds each piece of an answer is kept back. ``instead``: said in answer to anything, the server being left out.

    ``connects`` counts connections that clients opened. One thread, which ends with ``stop``.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.delay = 0.0
        self.instead: bytes | None = None
        self.connects = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._run(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """End every connection in the middle of whatever it is doing."""
        self._run(self._cut())

    def lead_to(self, port: int) -> None:
        """Another server has the name now; connections to the old one end."""
        self._upstream = port
        self.cut()

    def stop(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connects += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            self._writers |= {writer, upstream_writer}
            answers = asyncio.ensure_future(self._answers(upstream_reader, writer))
            await self._questions(reader, upstream_writer, writer)
            await answers
        writer.transport.abort()

    async def _questions(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self.instead is None:
                    upstream.write(data)
                else:
                    back.write(self.instead)
        upstream.transport.abort()

    async def _answers(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await upstream.read(65_536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
        writer.transport.abort()
