"""The tests of urllib3 that end otherwise under the guard, each with the reason that it does so by design."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    """``test``: an id, with its parameters or for all of them. ``guarding``: the runs in which it differs."""

    guarding: tuple[str, ...]
    test: str
    reason: str

    def covers(self, guarding: str, test: str) -> bool:
        return guarding in self.guarding and self.test in (test, test.partition("[")[0])


AGAIN = "the preset sends a GET again after a failure or a refusal, and the test's server answers no further one"
STATUSES = "the caller's Retry has statuses of its own, and the preset's table takes their place"
STRANGE = "the test's pool is no HTTPConnectionPool and has not what the guard asks of one, so a call fails rather than pass unguarded"
UNREWINDABLE = "the preset never sends a body again that cannot be gone back to, so the first failure comes out"
UNSLEPT = "a guard that acts does not sleep for a redirect's Retry-After, which knows no deadline"
VIRTUAL = "waits are virtual in this run, and the test's server counts real seconds"


def _differ(reason: str, file: str, *tests: str, guarding: tuple[str, ...] = ("clever",)) -> tuple[Expected, ...]:
    return tuple(Expected(guarding, f"test/{file}.py::{test}", reason) for test in tests)


EXPECTED: tuple[Expected, ...] = (
    *_differ(
        AGAIN,
        "contrib/test_pyopenssl",
        "TestSocketClosing::test_connection_read_timeout",
        "TestSocketClosing::test_delayed_body_read_timeout_with_preload",
        "TestSocketClosing::test_https_connection_read_timeout",
        "TestSocketSSL::test_ssl_failure_midway_through_conn",
    ),
    *_differ(
        STRANGE,
        "test_proxymanager",
        "TestProxyManager::test_absolute_form_request_target_strips_fragment_for_custom_pool",
        guarding=("passive", "shadow", "clever"),
    ),
    *_differ(
        AGAIN,
        "contrib/test_socks",
        "TestSOCKS4Proxy::test_proxy_rejection",
        "TestSOCKS4Proxy::test_socks_with_invalid_username",
        "TestSocks5Proxy::test_proxy_rejection",
        "TestSocks5Proxy::test_socks_with_invalid_password",
    ),
    *_differ(
        AGAIN, "with_dummyserver/test_chunked_transfer", "TestChunkedTransfer::test_preserve_chunked_on_retry_after"
    ),
    *_differ(
        AGAIN,
        "with_dummyserver/test_connectionpool",
        "TestConnectionPoolTimeouts::test_conn_closed",
        "TestConnectionPoolTimeouts::test_timeout",
        "TestConnectionPoolTimeouts::test_timeout_float",
        "TestConnectionPoolTimeouts::test_total_timeout",
    ),
    *_differ(
        AGAIN,
        "with_dummyserver/test_socketlevel",
        "TestErrorWrapping::test_bad_statusline",
        "TestErrorWrapping::test_unknown_protocol",
        "TestProxyManager::test_header_longer_than_maxline",
        "TestProxyManager::test_proxy_status_not_ok",
        "TestSSL::test_ssl_failure_midway_through_conn",
        "TestSocketClosing::test_connection_read_timeout",
        "TestSocketClosing::test_delayed_body_read_timeout_with_preload",
        "TestSocketClosing::test_https_connection_read_timeout",
    ),
    *_differ(
        STATUSES,
        "with_dummyserver/test_connectionpool",
        "TestFileBodiesOnRetryOrRedirect::test_retries_put_filehandle",
        "TestRetry::test_read_retries",
        "TestRetry::test_read_total_retries",
        "TestRetry::test_retry_return_in_response",
        "TestRetry::test_retry_reuse_safe",
    ),
    *_differ(STATUSES, "with_dummyserver/test_poolmanager", "TestPoolManager::test_raise_on_status"),
    *_differ(
        STATUSES, "with_dummyserver/test_socketlevel", "TestRetryPoolSizeDrainFail::test_pool_size_retry_drain_fail"
    ),
    *_differ(UNREWINDABLE, "test_connectionpool", "TestConnectionPool::test_retry_with_body_that_has_tell_but_no_seek"),
    *_differ(UNSLEPT, "with_dummyserver/test_connectionpool", "TestRetryAfter::test_redirect_after"),
    *_differ(VIRTUAL, "with_dummyserver/test_connectionpool", "TestRetryAfter::test_retry_after"),
)
