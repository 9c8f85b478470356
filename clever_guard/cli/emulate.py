"""``clever-guard emulate``: the emulator as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib

import click
import uvicorn

from clever_guard.testing.emulator import Emulator, Knobs
from clever_guard.testing.emulator.serving import App, config, listen


def run(knobs: Knobs, host: str, port: int) -> None:
    """Serve until interrupted."""
    try:
        listener = listen(host, port)
    except (OSError, ValueError) as error:  # a name that is none is a ValueError
        why = error.strerror if isinstance(error, OSError) else "no address"
        raise click.ClickException(f"cannot listen on {host}:{port} ({why}): choose another --port or --host") from None
    click.echo(
        f"http://{host}:{listener.getsockname()[1]}  {knobs.limit} requests per {knobs.window:g} s and token  (Ctrl-C ends)"
    )
    server = uvicorn.Server(config(App(Emulator(knobs))))
    with contextlib.suppress(KeyboardInterrupt), listener:
        asyncio.run(server.serve(sockets=[listener]))
