"""A cluster, sentinels, TLS with client certificates, and clients of another library: real servers, all on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import trustme
import urllib3
import valkey
from redis.cluster import RedisCluster as ClusterClient

from clever_guard import Guard, Quota, Retry
from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Command, Draw, Store, Terms
from clever_guard.stores import open_store
from clever_guard.stores.redis import RedisStore, key_of
from clever_guard.testing import Emulator
from clever_guard.testing.contracts import StoreContract
from tests._redis import RedisServer
from tests._redis_fleet import RedisCluster, RedisSentinels, until

TERMS = Terms(100, 10_000, 1_000)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    cluster = RedisCluster()
    yield cluster
    cluster.stop()


@pytest.fixture
def empty(cluster: RedisCluster) -> RedisCluster:
    for client in cluster.clients:
        client.flushall()
        client.script_flush()
    return cluster


@pytest.fixture
def sentinels() -> Iterator[RedisSentinels]:
    sentinels = RedisSentinels()
    yield sentinels
    sentinels.stop()


def draws(*identities: str, want: int = 5) -> list[Command]:
    return [Command(identity, "", TERMS, (), Draw(want)) for identity in identities]


def identities_on(cluster: RedisCluster, number: int, count: int = 1) -> list[str]:
    """Whose ledgers live on this node."""
    found: list[str] = []
    for n in range(10_000):
        slot = cluster.clients[0].execute_command("CLUSTER KEYSLOT", key_of(f"{n:x}"))
        if cluster.owner(slot) == number:
            found.append(f"{n:x}")
        if len(found) == count:
            return found
    raise AssertionError("no such identity")


# --- a cluster ----------------------------------------------------------------------------------------------------------


class TestCluster(StoreContract):
    @pytest.fixture(autouse=True)
    def _client(self, empty: RedisCluster) -> Iterator[None]:
        self.client = ClusterClient(host="127.0.0.1", port=empty.nodes[0].port)
        yield
        self.client.close()

    def make_store(self, clock: Callable[[], int]) -> Store:
        return RedisStore(self.client, clock=clock)


def test_ledgers_on_three_nodes_in_one_go(empty: RedisCluster) -> None:
    store = open_store(empty.url)
    everywhere = [identities_on(empty, number)[0] for number in range(3)]
    assert [answer.kind for answer in store.execute(draws(*everywhere, everywhere[0]))] == ["scout"] * 3 + ["lease"]
    assert [answer.granted for answer in store.execute(draws(*everywhere))] == [0, 0, 0]
    store.fingerprint("mine")
    for number, identity in enumerate(everywhere):
        assert empty.clients[number].exists(key_of(identity))
    store.close()


def test_a_slot_that_moved_is_followed_and_nothing_is_counted_twice(empty: RedisCluster) -> None:
    """Also between the two: the old owner says ASK for what it has given away."""
    store = open_store(empty.url)
    (identity,) = identities_on(empty, 0)
    slot = empty.clients[0].execute_command("CLUSTER KEYSLOT", key_of(identity))
    assert store.execute(draws(identity))[0].kind == "scout"
    empty.move(slot, 1, keys=(key_of(identity),), finish=False)
    assert store.execute(draws(identity))[0].granted == 0, "the scout is remembered"
    empty.move(slot, 1)
    assert store.execute(draws(identity))[0].granted == 0
    line = empty.clients[1].hget(key_of(identity), "b:")
    assert isinstance(line, bytes)
    assert line.split()[8:11] == [b"1", b"0", b"0"], "one permit is out"
    empty.move(slot, 0, keys=(key_of(identity),))
    store.close()


@pytest.mark.parametrize("seconds", [0.35, 1.0])
def test_a_frozen_node_is_asked_once(empty: RedisCluster, seconds: float) -> None:
    """A report that is sent twice frees permits that are in use, so no patience of the cluster's client may repeat one.

    The node is frozen for longer than the store waits; the shorter time is over while a patient client would still try.
    """
    store = open_store(empty.url)
    (identity,) = identities_on(empty, 0)
    store.execute(draws(identity))
    store.execute(draws(identity))

    def scripts_run() -> int:
        return int(empty.clients[0].info("commandstats")["cmdstat_evalsha"]["calls"])

    before = scripts_run()
    empty.nodes[0].pause()
    timer = threading.Timer(seconds, empty.nodes[0].resume)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="no answer in time"):
        store.execute(draws(identity))
    timer.join()
    assert time.monotonic() - begun < 5, "a few quarters of a second, and a slow machine"
    until(lambda: scripts_run() > before, "the node reads what it was sent")
    store.close()
    assert scripts_run() == before + 1


def test_no_node_is_spoken_to_before_the_first_command() -> None:
    store = open_store("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(StoreUnavailable, match=r"redis cluster at 127\.0\.0\.1:1, 127\.0\.0\.1:2 does not serve"):
        store.execute(draws("id"))
    assert repr(store) == "RedisStore(redis cluster at 127.0.0.1:1, 127.0.0.1:2)"


def test_a_fleet_spends_a_budget_through_a_cluster(empty: RedisCluster) -> None:
    with Emulator(limit=60, window=3600).serve() as served:
        for _ in range(2):
            with Guard(Retry(), Quota(limit=60, window=3600), store=empty.url) as guard, urllib3.PoolManager() as http:
                guard.wrap(http)
                for _ in range(10):
                    url = served.url + "/v2.0/schools?limit=1"
                    assert http.request("GET", url, headers={"Authorization": "Bearer TEST_TOKEN"}).status == 200
        assert (served.emulator.admitted, served.emulator.refused) == (20, 0)


# --- sentinels ----------------------------------------------------------------------------------------------------------


def test_the_store_follows_a_failover(sentinels: RedisSentinels) -> None:
    store = open_store(sentinels.url)
    assert store.execute(draws("id"))[0].kind == "scout"
    until(lambda: sentinels.replica_client.exists(key_of("id")), "the replica has it")
    sentinels.primary.kill()
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="redis 'fleet' of 127"):
        store.execute(draws("id"))
    assert time.monotonic() - begun < 5, "a few quarters of a second, and a slow machine"

    def answered() -> bool:
        try:
            return store.execute(draws("id"))[0].now > 0
        except StoreUnavailable:
            return False

    until(answered, "the store answers again, with the script sent along")
    assert sentinels.replica_client.hget(key_of("id"), "b:") is not None
    store.close()


def test_a_service_that_no_sentinel_knows(sentinels: RedisSentinels) -> None:
    store = open_store(sentinels.url.replace("/fleet/0", "/another"))
    with pytest.raises(StoreUnavailable, match=r"redis 'another' of .* does not serve"):
        store.execute(draws("id"))


# --- TLS ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[RedisServer, str]]:
    """A server that wants a certificate of its clients, and the options of a URL that has one."""
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, who in (("server", authority.issue_cert("127.0.0.1")), ("client", authority.issue_cert("worker"))):
        who.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        who.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    files = {name: str(tmp_path / name) for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")}
    server = RedisServer(
        "--tls-ca-cert-file", files["ca.pem"], "--tls-cert-file", files["server.pem"],
        "--tls-key-file", files["server.key"], tls=True,
    )  # fmt: skip
    options = f"ssl_ca_certs={files['ca.pem']}&ssl_certfile={files['client.pem']}&ssl_keyfile={files['client.key']}"
    yield server, options
    server.stop()


def test_tls_with_a_client_certificate(encrypted: tuple[RedisServer, str]) -> None:
    server, options = encrypted
    store = open_store(f"rediss://127.0.0.1:{server.port}/0?{options}")
    assert store.execute(draws("id"))[0].kind == "scout"
    store.close()


def test_without_the_certificate_or_with_another_authority_nothing_is_served(
    encrypted: tuple[RedisServer, str], tmp_path: Path
) -> None:
    server, options = encrypted
    authority = options.split("&")[0]
    for told in (authority, options.replace("ca.pem", "stranger.pem")):
        store = open_store(f"rediss://127.0.0.1:{server.port}/0?{told}")
        with pytest.raises(StoreUnavailable, match="does not serve"):
            store.execute(draws("id"))
        store.close()


# --- another library ----------------------------------------------------------------------------------------------------


def test_a_client_of_valkey_py_is_a_client(own_redis: RedisServer) -> None:
    client = valkey.Valkey(port=own_redis.port)
    store = RedisStore(client)
    assert [answer.kind for answer in store.execute(draws("one", "two"))] == ["scout", "scout"]
    client.script_flush()
    assert store.execute(draws("one"))[0].granted == 0
    assert store.fingerprint("mine") == "mine"
    own_redis.kill()
    with pytest.raises(StoreUnavailable, match="no connection"):
        store.execute(draws("one"))
    client.close()


def test_a_client_of_a_sentinel_may_be_handed_in(sentinels: RedisSentinels) -> None:
    nodes = [("127.0.0.1", sentinel.port) for sentinel in sentinels.sentinels]
    client = redis.Sentinel(nodes).master_for("fleet")  # type: ignore[no-untyped-call]
    store = RedisStore(client)
    assert store.execute(draws("id"))[0].kind == "scout"
    assert store.place == "redis 'fleet' of its sentinels"
    client.close()
