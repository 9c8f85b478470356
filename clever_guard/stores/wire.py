"""Commands and answers as ``ledger.lua`` has them: flat lists of words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from clever_guard.quota.names import plain
from clever_guard.quota.record import MAX_NAMES
from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, View

HEAD, VIEW = 7, 8
"""Words of a reply before its views, and of each view."""
KINDS = ("lease", "scout", "probe")
_NUMBER = re.compile(r"-?[0-9]{1,16}")
"""A sum of the script's may have a digit more than what it reads."""


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


def answer_of(reply: Any, number: str) -> Answer:
    """The script's reply to the call of this number. Raises ValueError for anything else: a server may say what it likes."""
    words = [text_of(word) for word in reply] if isinstance(reply, list) else []
    if len(words) < HEAD or (len(words) - HEAD) % VIEW:
        raise ValueError("not the script's reply")
    said, now, granted, kind, names, hold, at_least, *rest = words
    if said != number:
        raise ValueError("the answer to another question")
    views = tuple(_view(rest[n : n + VIEW]) for n in range(0, len(rest), VIEW))
    buckets = tuple(_name(name) for name in names.split(","))
    answer = Answer(_number(now), _number(granted), kind, buckets, _number(hold), _number(at_least), views)
    if kind not in KINDS or len(buckets) > MAX_NAMES or min(answer.now, answer.granted, answer.hold) < 0:
        raise ValueError("not the script's reply")
    return answer


def _view(words: Sequence[str]) -> View:
    return View(_name(words[0]), *map(_number, words[1:]))


def _name(word: str) -> str:
    if plain(word) != word:
        raise ValueError("not a bucket's name")
    return word


def _number(word: str) -> int:
    """Of milliseconds, or of permits."""
    if not _NUMBER.fullmatch(word):
        raise ValueError("not a number of the script's")
    return int(word)


def text_of(word: Any) -> str:
    """Clients may decode what they receive, or not; what is no text at all is replaced."""
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
