"""Commands and answers as ``ledger.lua`` has them: flat lists of words."""

from __future__ import annotations

from collections.abc import Sequence

from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, View


def arguments(command: Command) -> list[str]:
    """A command, flat."""
    terms = command.terms
    words = [command.route, str(terms.limit), str(terms.window), str(terms.ttl), "1" if terms.solo else "0"]
    words += _draw(command.draw)
    words.append(str(len(command.reports)))
    for report in command.reports:
        words += _report(report)
    return words


def _draw(draw: Draw | None) -> list[str]:
    return ["0"] if draw is None else ["1", str(draw.want), str(draw.previous), str(draw.reserve), str(draw.end)]


def _report(report: Report) -> list[str]:
    counts = (report.answered, report.refused, report.unsent, report.pause, report.blank, len(report.sights))
    words = [str(report.stamp), ",".join(report.buckets), *map(str, counts)]
    for sight in report.sights:
        words += _sight(sight)
    return words


def _sight(sight: Sight) -> list[str]:
    numbers = (
        sight.limit,
        sight.remaining,
        sight.reset,
        sight.low,
        sight.high,
        sight.sent,
        sight.received,
        sight.answers,
    )
    return [sight.bucket, *map(str, numbers)]


def answer_of(reply: Sequence[bytes | str], number: str) -> Answer:
    """The script's reply to the call of this number as an Answer. Raises ValueError or TypeError for what is none."""
    said, now, granted, kind, names, hold, at_least, *rest = map(text_of, reply)
    if said != number:
        raise ValueError("the answer to another question")
    views = tuple(View(rest[n], *map(int, rest[n + 1 : n + 8])) for n in range(0, len(rest), 8))
    return Answer(int(now), int(granted), kind, tuple(names.split(",")), int(hold), int(at_least), views)


def text_of(word: bytes | str) -> str:
    """Clients may decode what they receive, or not."""
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else word
