"""Secrets that are handed in wherever there is room for one, and a search for them in whatever comes out.

    with heard_logs() as logs:
        error = what_goes_wrong()
    assert found_in(errors_as_printed(error) | logs.sinks() | {"metrics": generate_latest(registry)}) == []

A *sink* is a name and what came out there, as text or bytes. A secret is looked for as it is, in halves, in base64 (wherever it begins in
the encoded text), URL-encoded, and as the digests that everybody can compute.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import pickle
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias
from urllib.parse import quote

Sinks: TypeAlias = dict[str, str | bytes]
SECRETS = {
    "token": "7f3a9bCanaryBearer~Q2xk/ZT9",
    "store password": "c4nAryStor3Passw0rd#Kq81vTz",
    "proxy password": "Pr0xyCanaryW7m2Zz45LwQ0",
    "query token": "qUeryCanary93hX1vB6tY8nM",
    "userinfo": "UserinfoCanary5sD2fG7hJ0kL",
    "certificate password": "K3yF1leCanaryVb6nM9aS2dF",
    "secret": "FleetSecretCanary1qAz2wSx3e",
}
PACKAGE = "clever_guard."


def forms(secret: str) -> dict[str, bytes]:
    """How a secret may look when it has leaked."""
    raw = secret.encode()
    half = len(raw) // 2
    found = {
        "plain": raw,
        "first half": raw[:half],
        "second half": raw[half:],
        "quoted": quote(secret, safe="").encode(),
    }
    for lead in range(3):  # base64 depends on where in the encoded text it begins
        whole = base64.b64encode(b"\0" * lead + raw)
        found[f"base64+{lead}"] = whole[4 if lead else 0 : len(whole) // 4 * 4 - 4]
    for digest in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        found[digest] = hashlib.new(digest, raw).hexdigest()[:32].encode()
    found["blake2b-16"] = hashlib.blake2b(raw, digest_size=16).hexdigest().encode()
    return found


_FORMS = {(name, form): text for name, secret in SECRETS.items() for form, text in forms(secret).items()}


def found_in(sinks: Mapping[str, str | bytes], *, but: Collection[str] = ()) -> list[str]:
    """``"token (base64+1) in log of redis"`` for each secret that came out somewhere; ``but`` names secrets that may."""
    found = []
    for sink, given in sinks.items():
        text = given if isinstance(given, bytes) else given.encode("utf-8", "surrogatepass")
        found += [
            f"{name} ({form}) in {sink}" for (name, form), look in _FORMS.items() if name not in but and look in text
        ]
    return found


# -- errors ------------------------------------------------------------------------------------------------------------


def chain(error: BaseException) -> list[BaseException]:
    """The error with everything it was caused by or raised beside, printed or not."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one not in found:
            found.append(one)
            left += [one.__cause__, one.__context__]
    return found


def errors_as_printed(error: BaseException) -> Sinks:
    """Every error of the chain as text, pickled, and with the variables of the frames that are this package's."""
    sinks: Sinks = {"traceback": "".join(traceback.format_exception(error))}
    for number, one in enumerate(chain(error)):
        name = f"error {number} ({type(one).__name__})"
        sinks[f"{name} as text"] = f"{one} {one!r} {one.args}"
        sinks[f"{name}, variables of frames"] = variables(one)
    sinks["pickle"] = pickled(error)
    return sinks


def variables(error: BaseException) -> str:
    """What a report with locals shows of this package's frames. The caller's own frames hold the caller's own headers."""
    shown = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).startswith(PACKAGE):
            shown += [f"{frame.f_code.co_qualname}: {name} = {value!r}" for name, value in frame.f_locals.items()]
    return "\n".join(shown)


def pickled(thing: object) -> bytes:
    """What holds locks or sockets refuses, and so do some libraries' errors."""
    try:
        return pickle.dumps(thing)
    except Exception:
        return b""


# -- logs --------------------------------------------------------------------------------------------------------------


class Logs(logging.Handler):
    """Every line of every logger, with the tracebacks that belong to it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[str, str]] = []
        """Logger and line."""
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s %(args)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.name, self.format(record)))

    def sinks(self, *, but: str = "nobody") -> Sinks:
        """By logger; without those of the library ``but``, which says what it says without us."""
        sinks: Sinks = {}
        for name, line in self.lines:
            if name.partition(".")[0] != but:
                sinks[f"log of {name}"] = f"{sinks.get(f'log of {name}', '')}{line}\n"
        return sinks

    def of(self, name: str) -> list[str]:
        return [line for logger, line in self.lines if logger == name]


@contextmanager
def heard_logs() -> Iterator[Logs]:
    """All loggers at DEBUG for a while, the library's too where a command has quieted it."""
    root, logs = logging.getLogger(), Logs()
    before = {logger: logger.level for logger in (root, logging.getLogger("clever_guard"))}
    root.addHandler(logs)
    for logger in before:
        logger.setLevel(logging.DEBUG)
    try:
        yield logs
    finally:
        root.removeHandler(logs)
        for logger, level in before.items():
            logger.setLevel(level)
