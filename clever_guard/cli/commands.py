"""What can be typed. Each command checks its words and hands over; the work is elsewhere."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from clever_guard import __version__

F = TypeVar("F", bound=Callable[..., Any])


class Discreet(click.Group):
    """Repeats what was typed wrongly without the credentials of a URL in it: the output of a job is kept for long."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _discreetly():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _discreetly():
            return super().invoke(ctx)


@contextlib.contextmanager
def _discreetly() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        raise click.UsageError(_CREDENTIALS.sub("//***@", error.format_message()), error.ctx) from None


_CREDENTIALS = re.compile(r"//.*@", re.DOTALL)


@click.group(cls=Discreet, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="clever-guard")
def commands() -> None:
    """Rate limits and retries for fleets of HTTP clients."""


def _budget(function: F) -> F:
    """Options that say what the API allows."""
    for option in (
        click.option("--window", type=click.FloatRange(min=0, min_open=True), help="Seconds of a window."),
        click.option("--limit", type=click.IntRange(min=1), help="Requests allowed in a window."),
    ):
        function = option(function)
    return function


@commands.command()
@_budget
@click.option(
    "--store", default=None, help="redis://... or sqlite:///file; default: a sqlite file that is removed again."
)
@click.option("--workers", default=8, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@click.option(
    "--windows", default=3, show_default=True, type=click.IntRange(1, 50), help="Windows' worth of pages to fetch."
)
def demo(limit: int | None, window: float | None, store: str | None, workers: int, windows: int) -> None:
    """Sync a collection with a fleet of processes, bare and guarded, side by side.

    By default 300 requests per 5 seconds, so that it is over in under a minute; --limit 1200 --window 60 is the real thing.
    """
    from clever_guard.cli.demo import Plan, run

    try:
        run(Plan(limit or 300, window or 5.0, store, workers, windows))
    except ValueError as error:
        raise click.ClickException(str(error)) from None


@commands.command()
@_budget
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--phase", default=0.0, help="Where in the epoch windows begin, seconds.")
@click.option("--skew", default=0.0, help="How far the server's clock is ahead, seconds.")
@click.option("--rounding", default="ceil", show_default=True, type=click.Choice(["floor", "ceil", "nearest"]))
@click.option("--latency", default=0.0, type=click.FloatRange(min=0), help="Seconds before each answer.")
@click.option("--error-rate", default=0.0, type=click.FloatRange(0, 1), help="Share of answers 500, 502, 503.")
@click.option("--error-after", default=0.0, type=click.FloatRange(0, 1), help="The same, after the work was done.")
@click.option("--drop-before", default=0.0, type=click.FloatRange(0, 1), help="Share of connections cut before work.")
@click.option("--drop-upload", default=0.0, type=click.FloatRange(0, 1), help="Share cut while the body is on its way.")
@click.option("--drop-after", default=0.0, type=click.FloatRange(0, 1), help="Share of connections cut after work.")
@click.option("--drop-header", default=0.0, type=click.FloatRange(0, 1), help="Share of answers cut in the header.")
@click.option("--drop-body", default=0.0, type=click.FloatRange(0, 1), help="Share of answers cut in the body.")
@click.option(
    "--stall-after", default=0.0, type=click.FloatRange(0, 1), help="Share of answers that come --stall late."
)
@click.option("--stall", default=1.0, type=click.FloatRange(min=0), help="Seconds.")
@click.option("--stranger", default=0.0, type=click.FloatRange(0, 1), help="Share of windows somebody else takes.")
@click.option(
    "--stranger-at",
    default="spread",
    show_default=True,
    type=click.Choice(["spread", "reset"]),
    help="When the stranger takes its share: over the window, or at once.",
)
@click.option("--records", default=1000, show_default=True, type=click.IntRange(min=0), help="In each collection.")
@click.option("--absolute-links", is_flag=True, help="Write links with scheme and host.")
@click.option("--no-date", is_flag=True, help="Answer without Date.")
@click.option("--first-hit", is_flag=True, help="Windows open with the first request.")
@click.option("--seed", default=0, help="Of everything that happens by chance.")
def emulate(host: str, port: int, limit: int | None, window: float | None, no_date: bool, **turned: Any) -> None:
    """Serve an API that behaves as Clever documents its own, until Ctrl-C."""
    from clever_guard.cli.emulate import run
    from clever_guard.testing.emulator import Knobs

    try:
        knobs = Knobs(limit=limit or 1200, window=window or 60.0, dated=not no_date, **turned)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    run(knobs, host, port)
