"""What a user may write for a store, and what is said about the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clever_guard.stores.memory import MemoryStore
from clever_guard.stores.open import open_store
from clever_guard.stores.redis import RedisStore
from clever_guard.stores.redis_urls import parsed
from clever_guard.stores.sqlite import SqliteStore


def test_nothing_and_memory_are_this_process_alone() -> None:
    assert isinstance(open_store(None), MemoryStore)
    assert isinstance(open_store("memory://"), MemoryStore)


def test_a_store_object_is_taken_as_it_is() -> None:
    store = MemoryStore()
    assert open_store(store) is store


def test_three_slashes_are_relative_and_four_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///quota.db", f"sqlite:///{tmp_path}/quota.db"):
        store = open_store(url)
        assert isinstance(store, SqliteStore)
        assert store.path == tmp_path / "quota.db"
        store.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://u:p@localhost:6379/3",
        "rediss://h:6380/0",
        "unix:///run/redis.sock",
        "redis+cluster://h1:1,h2",
        "rediss+cluster://u:p@h1?ssl_ca_certs=/ca.pem",
        "redis+sentinel://h1,[::1]:2/fleet/3?sentinel_password=x",
    ],
)
def test_a_redis_is_not_asked_when_it_is_named(url: str) -> None:
    store = open_store(url)
    assert isinstance(store, RedisStore)
    store.close()


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("mysql://x", "no store is called mysql://: write memory://, sqlite:///path/to/file, redis://"),
        ("localhost:6379", "no store is called that: write memory://"),
        ("", "no store is called that"),
        ("sqlite://quota.db", "after three slashes"),
        ("sqlite:///", "after three slashes"),
        ("sqlite:////nowhere/at/all/quota.db", "make the directory /nowhere/at/all first"),
        ("redis://", "names no host or port: write redis://host:6379/0"),
        ("redis://:hunter2@", "names no host or port"),
        ("redis://h:port/0", "is no number from 0 to 65535"),
        ("redis://h:0/0", "names no host or port"),
        ("redis://h:1/hunter2", "the database of the redis:// URL is no number"),
        ("unix://", "names no socket: write unix:///path/to/redis.sock"),
        ("redis+cluster://", "names no host or port: write redis+cluster://host:6379"),
        ("redis+cluster://:hunter2@h:1,:2", "names no host or port"),
        ("redis+cluster://h:port", "names no host or port"),
        ("redis+cluster://h:1/0", "a cluster has no databases and no services"),
        ("redis+cluster://h:1?db=3", "has an option 'db': it may have ssl_ca_certs"),
        ("redis+sentinel://h:1", "names no service: write redis+sentinel://host:26379/service/0"),
        ("redis+sentinel://h:1/fleet/hunter2", "the database of the redis+sentinel:// URL is no number"),
        (42, "int is no store: give a URL"),
    ],
)
def test_anything_else_is_one_sentence_with_what_to_write(what: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        open_store(what)
    said = str(caught.value)
    assert sentence in said
    assert "hunter2" not in said
    assert "\n" not in said


def test_what_the_url_of_a_cluster_or_of_sentinels_says() -> None:
    told = parsed("rediss+sentinel://me:p%40ss@h1,[::1]:2/fleet/3?sentinel_password=x&ssl_check_hostname=no")
    assert told.nodes == (("h1", 26379), ("::1", 2))
    assert (told.username, told.password, told.service, told.database) == ("me", "p@ss", "fleet", 3)
    assert told.options == {"sentinel_password": "x", "ssl_check_hostname": False}
    assert "p@ss" not in repr(told) + told.place
    assert told.place == "redis 'fleet' of h1:26379, ::1:2"
    assert parsed("redis+cluster://:pw@h1").username is None
