"""Mutants that no test can tell from the original, each with the reason: function, the changed line, why it makes no difference."""

from __future__ import annotations

WHOLE = "what it is compared with is whole, so the half makes no difference"
PAIRED = "both are as long as the names they were made of"
NEVER = "a stamp of 1 ms is older than every record"
HEARD = "a reading of a window that runs was sent before its end, so the difference is above 0"

EQUIVALENT: tuple[tuple[str, str, str], ...] = (
    (
        "clever_guard.quota.ageing._age",
        "for _ in range(min(passed, 4)):",
        "after three rounds nothing is left that could drop out",
    ),
    (
        "clever_guard.quota.ageing._give_up",
        "kept = ledger.gone if end - ledger.gone_at <= max(terms.window, ledger.stride) / 2 else 0",
        WHOLE,
    ),
    (
        "clever_guard.quota.bracket.doubt_dates",
        "if 0 <= excess <= ROUNDING:",
        "the margin is never below LATE, so an excess of 0 adds nothing",
    ),
    (
        "clever_guard.quota.bracket.narrow",
        "ledger.margin = max(ledger.margin, min(LATE + gap, 11 * LATE))",
        "a gap of at most ROUNDING never reaches the bound",
    ),
    (
        "clever_guard.quota.granting._doubted",
        "return min(ledger.gone, 1 + ledger.limit / 100) if ledger.gone_at >= ledger.adopted else 0",
        WHOLE,
    ),
    (
        "clever_guard.quota.granting._expected",
        "unseen = usual * max(1, min(terms.window, ledger.hi - ledger.heard)) // terms.window",
        HEARD,
    ),
    (
        "clever_guard.quota.granting._scout_hold",
        "if now <= ledger.since:",
        "at since itself what is added is 0",
    ),
    (
        "clever_guard.quota.granting._worth_probing",
        "return ledger.hi - ledger.lo > max(NARROW, terms.window / (4 * ledger.limit))",
        WHOLE,
    ),
    (
        "clever_guard.quota.hearing._hear_anew",
        "over = now >= ledger.hi or (sight.sent >= ledger.lo and sight.remaining >= ledger.r_min)",
        "with as much left as before, the lower of the two is either",
    ),
    (
        "clever_guard.quota.hearing._learn_we_were_early",
        "if late >= 0:",
        "the margin is never below LATE, so a lateness of 0 adds nothing",
    ),
    ("clever_guard.quota.hearing.hear", "half = max(terms.window, ledger.stride) / 2", WHOLE),
    (
        "clever_guard.quota.hearing.hear",
        "elif ahead >= 0 and sight.received >= ledger.hi - half:",
        "a number that is not another was taken by the branch before",
    ),
    (
        "clever_guard.quota.hearing.hear",
        "elif ahead > 1 and sight.received >= ledger.hi - half:",
        "a number that is 1 ms later was taken by the branch before",
    ),
    ("clever_guard.quota.record._draw", "for name, offered in zip(names, offers, strict=None):", PAIRED),
    ("clever_guard.quota.record._draw", "for name, offered in zip(names, offers, ):", PAIRED),
    ("clever_guard.quota.record._draw", "for name, offered in zip(names, offers, strict=False):", PAIRED),
    (
        "clever_guard.quota.record._tick",
        "known = max((report.stamp for report in command.reports), default=1)",
        NEVER,
    ),
    (
        "clever_guard.quota.record._tick",
        "known = max(known, command.draw.previous if command.draw else 1)",
        NEVER,
    ),
    (
        "clever_guard.quota.settling.settle",
        "age = 0 if stamp >= now else now // ledger.slot - stamp // ledger.slot",
        "a permit drawn now is 0 slots old either way",
    ),
)
