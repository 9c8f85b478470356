"""The pages under docs/: their code runs and prints what they say, and what they promise of Redis holds."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry

from clever_guard.errors import StoreUnavailable
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.quota.store import Command, Draw, Terms
from clever_guard.stores.redis import RedisStore
from tests._redis import RedisServer

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = Command("id", "", Terms(100, 10_000, 1_000), (), Draw(1))


def run_page(page: Path) -> list[tuple[str, str]]:
    """(what a block printed, what the page says it prints) for each text block that follows code."""
    names: dict[str, Any] = {"__name__": page.stem}
    pairs, printed = [], None
    for kind, block in BLOCK.findall(page.read_text("utf-8")):
        if kind == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(block, str(page), "exec"), names)
            printed = out.getvalue()
        elif printed is not None:
            pairs.append((printed, block))
            printed = None
    return pairs


@pytest.mark.parametrize(("page", "texts"), [("ledger", 2), ("stores", 2), ("testing", 4)])
def test_the_page_prints_what_it_says(page: str, texts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = run_page(DOCS / f"{page}.md")
    assert [printed for printed, _ in pairs] == [said for _, said in pairs]
    assert len(pairs) == texts


def test_the_tests_that_pages_name_exist() -> None:
    tests = "\n".join(path.read_text("utf-8") for path in DOCS.parent.joinpath("tests").rglob("*.py"))
    named = {name for page in DOCS.glob("*.md") for name in re.findall(r"`(test_\w+)`", page.read_text("utf-8"))}
    assert len(named) > 100
    assert {name for name in named if f"def {name}(" not in tests} == set()


def acl_words() -> list[str]:
    line = re.search(r"^ACL SETUSER .*$", (DOCS / "stores.md").read_text("utf-8"), re.MULTILINE)
    assert line is not None
    return line.group().split()


def store_with(server: RedisServer, words: list[str]) -> RedisStore:
    with redis.Redis.from_url(server.url) as admin:
        admin.execute_command(*words)
    return RedisStore.from_url(server.url.replace("://", "://clever_guard:PASSWORD@"))


def test_the_acl_of_the_page_is_enough(own_redis: RedisServer) -> None:
    store = store_with(own_redis, acl_words())
    assert store.execute([COMMAND])[0].granted == 1
    assert len(store.execute([COMMAND, COMMAND])) == 2
    assert store.fingerprint("mine") == "mine"
    store.close()
    with redis.Redis.from_url(own_redis.url) as admin:
        refused = {entry["object"] for entry in admin.acl_log()}
    assert {name for name in refused if not name.startswith("client")} == set()


@pytest.mark.parametrize("word", ["+evalsha", "+eval", "+hgetall", "+hset", "+pexpire", "+time"])
def test_the_acl_of_the_page_holds_nothing_idle(own_redis: RedisServer, word: str) -> None:
    store = store_with(own_redis, [other for other in acl_words() if other != word])
    with pytest.raises(StoreUnavailable):
        store.execute([COMMAND])
    store.close()


def test_the_keys_are_those_of_the_page(own_redis: RedisServer) -> None:
    store = RedisStore.from_url(own_redis.url)
    store.execute([COMMAND])
    store.fingerprint("mine")
    store.close()
    with redis.Redis.from_url(own_redis.url, decode_responses=True) as admin:
        assert sorted(admin.keys()) == ["cg:1:{fleet}:fingerprint", "cg:1:{id}"]
        assert 0 < admin.pttl("cg:1:{id}") <= 10 * COMMAND.terms.window
        assert 29 * 86_400 < admin.ttl("cg:1:{fleet}:fingerprint") <= 30 * 86_400


def test_the_sqlite_urls_are_those_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clever_guard.stores import open_store

    monkeypatch.chdir(tmp_path)
    for url, path in (("sqlite:///near.db", "near.db"), (f"sqlite:///{tmp_path}/far.db", "far.db")):
        open_store(url).close()
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o600


def test_every_series_a_page_names_is_there() -> None:
    registry = CollectorRegistry()
    PrometheusObserver(registry=registry)
    families = [metric.name for metric in registry.collect()]
    known = {name + ending for name in families for ending in ("", "_total", "_sum", "_count", "_bucket")}
    pages = [*DOCS.rglob("*.md"), *(DOCS.parent / "grafana").glob("*.md"), DOCS.parent / "README.md"]
    named = {name for page in pages for name in re.findall(r"\bclever_guard_[a-z_]+", page.read_text("utf-8"))}
    assert len(named) >= 4
    assert named - known == set()


def test_every_decision_is_numbered_and_says_why() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text("utf-8")
        assert text.startswith(f"# {int(page.name[:4])}. ")
        assert all(f"**{word}" in text for word in ("Problem", "Decision", "Because", "Price")), page.name
