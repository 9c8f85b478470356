-- The record of one identity and its ledgers, atomically in Redis: quota/record.py and what it calls, function by
-- function, where every rule is explained. The tests send the same commands to both and compare every answer.
--
-- KEYS[1]  one hash: "r:<route>" -> bucket names, "b:<bucket>" -> the integers of FIELDS
-- ARGV     the call's number, clock ("" = TIME of this server), then one command, flat (stores/wire.py, `arguments`)
--
-- Numbers are doubles here: whole below 2^53, printed with %.0f (".." prints 1e14 as 1e+14), read only where they are
-- up to 15 digits (tonumber takes 0x10, inf and nan), divided with math.floor.

local SCOUT_PATIENCE, SAME_RESET, EARLY, LATE = 2000, 1500, 2000, 1000
local NARROW, STEADY, SOONER, ROUNDING, TICK, DRIFT, EIGHTHS = 8, 10, 8, 2000, 1000, 60000, 8
local MAX_ROUTES, MAX_NAMES, KEEP = 16, 4, 10
local FIELDS = {
  'limit', 'last', 'slot', 'since', 'r_min', 'reset', 'lo', 'hi', 'out1', 'out2', 'out3', 'gone', 'gone_at', 'drawers1',
  'drawers2', 'adopted', 'heard', 'seen', 'scout', 'flight', 'drawn', 'appointed', 'awaited', 'stride', 'opened', 'fixed',
  'changed', 'margin', 'pause', 'struck', 'strikes', 'pace', 'spent', 'stranger', 'early', 'answered',
  'refused',
}
local AHEAD, BEHIND = 400 * 86400000, 60000
local CEILINGS = {
  slot = AHEAD, drawers1 = 1000000, drawers2 = 1000000, flight = 60000, margin = 10000, strikes = 20, appointed = 1,
  fixed = 1, pace = 1,
}
local HAPPENED = { 'adopted', 'seen', 'scout', 'struck', 'changed' }
local COMING = { 'since', 'lo', 'hi', 'awaited', 'pause' }
local floor, max, min = math.floor, math.max, math.min

local function text(number) return string.format('%.0f', number) end
local function div(a, b) return floor(a / b) end

-- records --------------------------------------------------------------------------------------------------------------

local function is_possible(ledger)
  if ledger.limit < 1 or ledger.slot < 1 or min(ledger.out1, ledger.out2, ledger.out3) < 0 then return false end
  for field, most in pairs(CEILINGS) do
    if ledger[field] < 0 or ledger[field] > most then return false end
  end
  for _, field in ipairs(HAPPENED) do
    if ledger[field] > ledger.last + BEHIND then return false end
  end
  for _, field in ipairs(COMING) do
    if ledger[field] > ledger.last + AHEAD then return false end
  end
  return true
end

local function ledger_of(line)
  local ledger, n = {}, 0
  for word in string.gmatch(line, '[^ ]+') do
    n = n + 1
    if not FIELDS[n] or #word > 16 or not string.find(word, '^%-?%d+$') then return nil end
    if #word == 16 and string.sub(word, 1, 1) ~= '-' then return nil end
    ledger[FIELDS[n]] = tonumber(word)
  end
  if n ~= #FIELDS or not is_possible(ledger) then return nil end
  return ledger
end

local function line_of(ledger)
  local words = {}
  for n, field in ipairs(FIELDS) do words[n] = text(ledger[field]) end
  return table.concat(words, ' ')
end

local function split(names)
  local found = {}
  for name in string.gmatch(names .. ',', '([^,]*),') do found[#found + 1] = name end
  return found
end

local function stored_at(key)
  local stored = redis.pcall('HGETALL', key)
  if not stored.err then return stored end
  if string.sub(stored.err, 1, 9) ~= 'WRONGTYPE' then error(stored.err) end
  redis.call('PEXPIRE', key, 0) -- deletes it, with a right that is needed anyway
  return {}
end

local function load(key)
  local routes, ledgers, stored, count = {}, {}, stored_at(key), 0
  for n = 1, #stored, 2 do
    local name = string.sub(stored[n], 3)
    if string.sub(stored[n], 1, 2) == 'b:' and #name <= 32 and not string.find(name, '[^%w_.-]') then
      ledgers[name] = ledger_of(stored[n + 1])
    end
  end
  for n = 1, #stored, 2 do
    if string.sub(stored[n], 1, 2) == 'r:' and count < MAX_ROUTES then
      local names, known = split(stored[n + 1]), true
      for _, name in ipairs(names) do known = known and ledgers[name] ~= nil end
      if known and #names <= MAX_NAMES then
        routes[string.sub(stored[n], 3)] = names
        count = count + 1
      end
    end
  end
  return routes, ledgers, stored, count
end

local function save(key, routes, ledgers, stored, life)
  for n = 1, #stored, 2 do
    local kind, name = string.sub(stored[n], 1, 2), string.sub(stored[n], 3)
    if not ((kind == 'b:' and ledgers[name]) or (kind == 'r:' and routes[name])) then redis.call('HDEL', key, stored[n]) end
  end
  for name, ledger in pairs(ledgers) do redis.call('HSET', key, 'b:' .. name, line_of(ledger)) end
  for route, names in pairs(routes) do redis.call('HSET', key, 'r:' .. route, table.concat(names, ',')) end
  redis.call('PEXPIRE', key, text(life))
end

-- the ledger -----------------------------------------------------------------------------------------------------------

local function birth(now, terms)
  local ledger = {}
  for _, field in ipairs(FIELDS) do ledger[field] = 0 end
  ledger.limit, ledger.last, ledger.slot = terms.limit, now, max(terms.ttl, div(terms.window, 12))
  ledger.since, ledger.r_min, ledger.margin = now + terms.ttl, terms.limit, LATE
  return ledger
end

local function clone(ledger)
  local twin = {}
  for field, value in pairs(ledger) do twin[field] = value end
  return twin
end

local function drawers(ledger) return max(1, ledger.drawers1, ledger.drawers2) end
local function out(ledger) return ledger.out1 + ledger.out2 + ledger.out3 end

local function rejuvenate(ledger) ledger.out1, ledger.out2, ledger.out3 = out(ledger), 0, 0 end

local function follow_clock_back(ledger, now, terms)
  local step = ledger.last - now
  ledger.lo, ledger.hi, ledger.pause = max(0, ledger.lo - step), max(0, ledger.hi - step), max(0, ledger.pause - step)
  ledger.awaited, ledger.opened = max(0, ledger.awaited - step), max(0, ledger.opened - step)
  ledger.changed = max(0, ledger.changed - step)
  ledger.struck, ledger.seen, ledger.scout = 0, 0, 0
  ledger.adopted, ledger.last, ledger.since = now, now, now + terms.ttl
  rejuvenate(ledger)
end

local function give_up(ledger, dropped, ended, terms)
  ledger.since = max(ledger.since, ended + terms.ttl)
  local kept = ended - ledger.gone_at <= div(max(terms.window, ledger.stride), 2) and ledger.gone or 0
  ledger.gone, ledger.gone_at, ledger.spent = kept + dropped, ended, ledger.spent + dropped
end

local function age(ledger, now, terms)
  local current = div(ledger.last, ledger.slot)
  for _ = 1, min(div(now, ledger.slot) - current, 3) do
    local dropped = ledger.out3
    ledger.out1, ledger.out2, ledger.out3 = 0, ledger.out1, ledger.out2
    if dropped > 0 then give_up(ledger, dropped, (current - 1) * ledger.slot, terms) end
    current = current + 1
  end
end

local function tick(ledger, now, terms)
  if now < ledger.last - terms.ttl then follow_clock_back(ledger, now, terms) end
  now = max(now, ledger.last)
  age(ledger, now, terms)
  ledger.last = now
  return now
end

local function lengthen_slots(ledger, now, old, terms)
  local half = div(max(terms.window, ledger.stride), 2)
  local slot = min(div(old, 2), half)
  if slot > ledger.slot then
    ledger.slot = slot
    rejuvenate(ledger)
    if now - ledger.gone_at <= half then ledger.out1 = ledger.out1 + ledger.gone end
    ledger.gone = 0
  end
end

local function settle(ledger, now, terms, stamp, answered, refused, back)
  if stamp > 0 and stamp == ledger.scout then
    ledger.scout = 0
    ledger.flight = div(ledger.flight + min(terms.ttl, max(0, now - stamp)), 2)
  end
  if answered > 0 and stamp <= now then ledger.seen = max(ledger.seen, stamp) end
  local slots = stamp > now and 0 or div(now, ledger.slot) - div(stamp, ledger.slot)
  if slots < 3 then
    local field = 'out' .. (slots + 1)
    ledger[field] = ledger[field] - min(ledger[field], answered + back)
  end
  if answered > 0 and stamp > 0 and slots >= 2 then lengthen_slots(ledger, now, now - stamp, terms) end
  if terms.solo then ledger.r_min = max(0, ledger.r_min - answered) end
  ledger.answered, ledger.spent = ledger.answered + answered, ledger.spent + max(0, answered - refused)
end

local function refuse(ledger, now, terms, report)
  ledger.refused = ledger.refused + report.refused
  if report.refused > 0 and #report.sights == 0 then
    if report.stamp >= ledger.struck then
      ledger.strikes, ledger.struck = min(ledger.strikes + 1, 20), now
    end
    local wait = report.pause > 0 and report.pause or min(terms.window, 500 * 2 ^ ledger.strikes)
    ledger.pause = max(ledger.pause, now + wait)
    ledger.since = max(ledger.since, ledger.pause)
  elseif (report.answered > report.refused or report.blank > 0) and report.stamp >= ledger.struck then
    ledger.strikes = 0
  end
end

local function own_window(terms)
  local permits = div(terms.limit * terms.ttl, terms.window + 3 * terms.ttl)
  if permits > 0 then return terms.ttl, permits end
  return max(terms.ttl, div(terms.window + terms.ttl, terms.limit) + 1), 1
end

local function hear_nothing(ledger, now, terms, report)
  ledger.answered = ledger.answered + report.blank
  local mute = #report.sights == 0 and now >= ledger.hi + max(terms.window, ledger.stride)
  if ledger.reset > 0 and not mute then
    if #report.sights == 0 then ledger.r_min = max(0, ledger.r_min - report.blank) end
  elseif report.blank > 0 and ledger.pace == 0 then
    ledger.pace, ledger.reset, ledger.r_min, ledger.hi = 1, 0, 0, now + (own_window(terms))
  end
end

local function unexplained(ledger) return max(0, ledger.limit - ledger.r_min - ledger.spent - out(ledger)) end

local function blame_nobody(ledger) ledger.spent = max(ledger.spent, ledger.limit) end

local function strangers(ledger) return -div(-ledger.stranger, EIGHTHS) end

local function hear_limit(ledger, now, terms, sight)
  if terms.solo then
    ledger.limit = terms.limit
    return
  end
  if ledger.reset > 0 and sight.limit ~= ledger.limit then ledger.changed = now end
  ledger.limit = sight.limit
end

local function adopt(ledger, now, terms, sight)
  hear_limit(ledger, now, terms, sight)
  ledger.pace, ledger.spent, ledger.reset = 0, sight.answers, sight.reset
  ledger.r_min = min(sight.remaining, terms.solo and max(0, ledger.limit - sight.answers) or ledger.limit)
  ledger.heard, ledger.opened = sight.sent, sight.received
  ledger.adopted, ledger.last, ledger.appointed, ledger.early = now + 1, now + 1, 0, 0
  ledger.drawers1, ledger.drawers2 = 0, ledger.drawers1
end

local function bounds(ledger, sight)
  local low = max(sight.sent, sight.low - EARLY)
  return low, max(low, sight.high + ledger.margin)
end

local function trust_only(ledger, sight) ledger.lo, ledger.hi = bounds(ledger, sight) end

local function carry(ledger, lo, hi, sight)
  local low, high = bounds(ledger, sight)
  if low > hi or high + LATE < lo then
    trust_only(ledger, sight)
  else
    ledger.hi = min(hi, high + LATE)
    ledger.lo = min(ledger.hi, max(lo, sight.sent))
  end
end

local function narrow(ledger, lo, hi, sight)
  local low, high = bounds(ledger, sight)
  local gap = max(lo, low) - min(hi, high)
  if gap <= 0 then
    ledger.lo, ledger.hi = max(lo, low), min(hi, high)
    return
  end
  if gap <= ROUNDING then ledger.margin = max(ledger.margin, min(LATE + gap, 10 * LATE)) end
  trust_only(ledger, sight)
end

local function doubt_dates(ledger, sight)
  local excess = sight.low - min(ledger.hi - ledger.margin, sight.high) - TICK
  if excess > 0 and excess <= ROUNDING then
    local grown = max(ledger.margin, LATE + excess)
    ledger.hi, ledger.margin = ledger.hi + grown - ledger.margin, grown
  end
end

local function learn_we_were_early(ledger, sight)
  ledger.fixed = 0
  local late = sight.sent - sight.high
  if late > 0 then ledger.margin = max(ledger.margin, min(2 * late + LATE, 10 * LATE)) end
  trust_only(ledger, sight)
end

local function hear_same(ledger, now, terms, sight)
  hear_limit(ledger, now, terms, sight)
  ledger.opened = min(ledger.opened, sight.received)
  if sight.remaining <= ledger.r_min then
    ledger.r_min, ledger.heard = sight.remaining, max(ledger.heard, sight.sent)
  end
  if sight.sent >= ledger.hi then
    learn_we_were_early(ledger, sight)
  elseif ledger.stride > 0 then
    carry(ledger, ledger.lo, ledger.hi, sight)
  else
    doubt_dates(ledger, sight)
    narrow(ledger, ledger.lo, ledger.hi, sight)
  end
end

local function learn_whether_fixed(ledger, ahead, terms, sight)
  local soon = ledger.opened + ahead - 2 * ledger.flight - SOONER
  if ledger.opened > 0 and ahead == terms.window and sight.received < soon then ledger.fixed = 1 end
end

local function remember_stranger(ledger, terms)
  if terms.solo then return end
  local taken = unexplained(ledger)
  local heard = max(div(terms.window * 2, 3), min(terms.window, ledger.heard - ledger.opened))
  local unheard = max(0, taken - ledger.early) * div(EIGHTHS * (terms.window - heard), heard)
  local fades = taken > 0 and div(ledger.stranger * 3, 4) or div(ledger.stranger, 2)
  ledger.stranger = max(min(EIGHTHS * taken + unheard, EIGHTHS * ledger.limit), fades)
end

local function hear_next(ledger, now, terms, sight)
  local ahead = sight.reset - ledger.reset
  remember_stranger(ledger, terms)
  local exact = ahead % terms.window == 0 or ahead == ledger.stride
  local doubt = div(ahead, DRIFT) + 1 + (exact and 0 or LATE)
  learn_whether_fixed(ledger, ahead, terms, sight)
  local lo = min(ledger.lo, sight.received) + ahead - doubt
  local hi = (ledger.fixed == 1 and min(ledger.hi, sight.received) or sight.received) + ahead + doubt
  local known, uncounted = ledger.lo > 0, now < ledger.since or sight.sent >= ledger.hi + terms.ttl
  ledger.awaited = max(now, min(ledger.hi, now + div(terms.window, 2))) + terms.ttl
  ledger.stride = ahead
  adopt(ledger, now, terms, sight)
  if uncounted then blame_nobody(ledger) end
  ledger.early = unexplained(ledger)
  if not known then
    trust_only(ledger, sight)
  elseif exact then
    carry(ledger, lo, hi, sight)
  else
    narrow(ledger, lo, hi, sight)
  end
end

local function begin_within(ledger, now, terms, sight)
  adopt(ledger, now, terms, sight)
  ledger.spent = max(0, ledger.limit - ledger.r_min)
  trust_only(ledger, sight)
end

local function hear_first(ledger, now, terms, sight)
  local mine = terms.solo and sight.sent < ledger.hi and ledger.r_min or sight.remaining
  begin_within(ledger, now, terms, sight)
  ledger.r_min = min(ledger.r_min, mine)
end

local function hear_anew(ledger, now, terms, sight)
  local r_min = ledger.r_min
  local over = now >= ledger.hi or (sight.sent >= ledger.lo and sight.remaining > r_min)
  ledger.stride = 0
  begin_within(ledger, now, terms, sight)
  if not over then ledger.r_min = min(r_min, ledger.r_min) end
end

local function hear(ledger, now, terms, report, sight)
  if ledger.pace == 1 and report.answered == report.refused then
    ledger.pause = max(ledger.pause, sight.high + ledger.margin)
    return
  end
  local half = div(max(terms.window, ledger.stride), 2)
  local ahead = sight.reset - ledger.reset
  if ledger.reset == 0 or ledger.pace == 1 then
    hear_first(ledger, now, terms, sight)
  elseif math.abs(ahead) <= min(SAME_RESET, half - 1) then
    if sight.sent >= ledger.hi and sight.remaining > ledger.r_min then
      hear_anew(ledger, now, terms, sight)
    else
      hear_same(ledger, now, terms, sight)
    end
  elseif ahead > 0 and sight.received >= ledger.hi - half then
    hear_next(ledger, now, terms, sight)
  elseif report.stamp > ledger.adopted or (ledger.adopted < sight.sent and sight.sent <= now) then
    hear_anew(ledger, now, terms, sight)
  end
end

-- draws ----------------------------------------------------------------------------------------------------------------

local function held(hold, at_least)
  return { count = 0, kind = 'lease', hold = max(1, hold), at_least = at_least or max(0, hold) }
end

local function scout_is_out(ledger, now) return ledger.scout > 0 and now - ledger.scout < SCOUT_PATIENCE end

local function scout_hold(ledger, now, terms)
  local away = now - ledger.scout
  local hold = max(5, div(drawers(ledger), 8), away < ledger.flight and ledger.flight - away or away)
  if now < ledger.since then
    hold = max(hold, min(ledger.since - now, drawers(ledger) * max(5, ledger.flight)))
  end
  return min(terms.ttl, hold)
end

local function until_over(ledger, now, first)
  if ledger.appointed == 0 then
    return { count = 0, kind = 'lease', hold = max(1, first - now), at_least = first - now, appoints = true }
  end
  local left = ledger.hi - now
  return held(left + ledger.flight + 1, left)
end

local function offer_spent(ledger, now, terms)
  local left = ledger.hi - now
  if scout_is_out(ledger, now) then return held(min(left, scout_hold(ledger, now, terms)), 0) end
  if ledger.r_min > 0 and out(ledger) > 0 then
    return held(min(left, terms.ttl, max(div(terms.ttl, 8), now - ledger.drawn)), 0)
  end
  return until_over(ledger, now, ledger.hi)
end

local function expected(ledger, terms)
  local usual = strangers(ledger)
  if usual == 0 then return 0 end
  local unseen = div(usual * max(0, min(terms.window, ledger.hi - ledger.heard)), terms.window)
  return max(1, min(unseen, usual - unexplained(ledger)))
end

local function share_of(ledger) return -div(-ledger.limit, drawers(ledger)) end

local function is_first(ledger, draw) return draw.previous < ledger.adopted end

local function still_to_come(ledger, now)
  return now < ledger.awaited and max(0, ledger.drawers2 - ledger.drawers1) or 0
end

local function kept_for_absent(ledger, now, draw)
  return is_first(ledger, draw) and 0 or still_to_come(ledger, now) * share_of(ledger)
end

local function portion(ledger, now, spare, draw)
  if is_first(ledger, draw) then
    return max(1, min(share_of(ledger), div(spare, 1 + still_to_come(ledger, now))))
  end
  return min(spare, max(1, div(spare, drawers(ledger)), div(share_of(ledger), 4)))
end

local function worth_probing(ledger, now, terms)
  if terms.solo then return false end
  if ledger.changed > 0 and now - ledger.changed < STEADY * terms.window then return false end
  return ledger.hi - ledger.lo > max(NARROW, div(terms.window, 4 * ledger.limit))
end

local function recall(ledger, now, terms, draw)
  if now < draw['end'] and draw['end'] <= now + 2 * terms.window then ledger.hi, ledger.r_min = draw['end'], 0 end
end

local function until_given_up(ledger, now)
  local oldest = ledger.out3 > 0 and 2 or ledger.out2 > 0 and 1 or 0
  return (div(now, ledger.slot) + 3 - oldest) * ledger.slot - now
end

local function offer_sure(ledger, now, terms, draw)
  local available = ledger.r_min - out(ledger)
  if available <= 0 then return offer_spent(ledger, now, terms) end
  local kept = div(draw.reserve * (ledger.hi - now), terms.window) + expected(ledger, terms)
  if available <= kept then
    local falls = div(terms.window, max(1, draw.reserve + strangers(ledger)))
    return held(min(ledger.hi - now, terms.ttl, max(div(terms.ttl, 8), falls * drawers(ledger))), 0)
  end
  local probing = kept == 0 and worth_probing(ledger, now, terms)
  if probing and available == 1 then
    local due = div(ledger.lo + ledger.hi, 2)
    if now >= due then return { count = 1, kind = 'probe', hold = 0, at_least = 0 } end
    if EIGHTHS * out(ledger) > ledger.limit then
      return held(min(due - now, until_given_up(ledger, now), max(terms.ttl, now - ledger.drawn)), 0)
    end
    return until_over(ledger, now, due)
  end
  local spare = available - kept - (probing and 1 or 0) - kept_for_absent(ledger, now, draw)
  if spare <= 0 then return held(min(ledger.hi - now, div(terms.ttl, 8)), 0) end
  return { count = min(draw.want, portion(ledger, now, spare, draw)), kind = 'lease', hold = 0, at_least = 0 }
end

local function doubted(ledger)
  return ledger.gone_at >= ledger.adopted and min(ledger.gone, 1 + div(ledger.limit, 100)) or 0
end

local function is_calm(ledger, now, terms)
  local known = ledger.hi > 0 and ledger.seen >= ledger.since
  if now < ledger.hi then known = ledger.gone_at == 0 and ledger.pause == 0 and now >= ledger.since end
  return known and 2 * ledger.r_min > ledger.limit and now - ledger.drawn >= terms.ttl and out(ledger) == 0
end

local function offer_unsure(ledger, now, terms, draw)
  if scout_is_out(ledger, now) then return held(scout_hold(ledger, now, terms), 0) end
  if now < ledger.hi and ledger.r_min - out(ledger) <= doubted(ledger) then return offer_spent(ledger, now, terms) end
  if now >= ledger.hi and out(ledger) >= ledger.limit then return held(terms.ttl, 0) end
  if now < min(ledger.hi, ledger.since) and 2 * ledger.r_min <= ledger.limit then
    return held(min(ledger.hi, ledger.since) - now, 0)
  end
  if now < ledger.since and draw.previous == ledger.drawn and drawers(ledger) > 1 then
    return held(max(5, ledger.flight), 0)
  end
  return { count = 1, kind = is_calm(ledger, now, terms) and 'lease' or 'scout', hold = 0, at_least = 0 }
end

local function offer_paced(ledger, now, terms, draw)
  local left = ledger.r_min
  if now >= ledger.hi then left = select(2, own_window(terms)) end
  if left <= 0 then return held(ledger.hi - now) end
  return { count = min(draw.want, max(1, div(left, drawers(ledger)))), kind = 'lease', hold = 0, at_least = 0 }
end

local function offer(ledger, now, terms, draw)
  if now < ledger.pause then return held(ledger.pause - now) end
  if ledger.pace == 1 then return offer_paced(ledger, now, terms, draw) end
  if now < ledger.hi and ledger.seen >= ledger.since then return offer_sure(ledger, now, terms, draw) end
  return offer_unsure(ledger, now, terms, draw)
end

local function take_paced(ledger, now, terms, count)
  if now >= ledger.hi then
    local length
    length, ledger.r_min = own_window(terms)
    ledger.hi, ledger.adopted = now + length, now
    ledger.drawers1, ledger.drawers2 = 1, ledger.drawers1
  end
  ledger.r_min = ledger.r_min - count
  ledger.out1 = ledger.out1 + count
end

local function take(ledger, now, terms, count, kind)
  if ledger.pace == 1 then return take_paced(ledger, now, terms, count) end
  ledger.out1, ledger.drawn = ledger.out1 + count, now
  if kind ~= 'lease' then ledger.scout, ledger.appointed = now, 0 end
end

-- the record -----------------------------------------------------------------------------------------------------------

local function tick_all(ledgers, now, command)
  local known = command.draw and command.draw.previous or 0
  for _, report in ipairs(command.reports) do known = max(known, report.stamp) end
  local newest = now
  for _, ledger in pairs(ledgers) do
    local lost = ledger.last < known and known <= now
    newest = max(newest, tick(ledger, now, command.terms))
    if lost then
      ledger.since = max(ledger.since, now + command.terms.ttl)
      blame_nobody(ledger)
    end
  end
  return newest
end

local function open(ledgers, now, terms, name, drawn)
  if ledgers[name] then return end
  for _, old in ipairs(drawn) do
    if ledgers[old] then
      ledgers[name] = clone(ledgers[old])
      return
    end
  end
  ledgers[name] = birth(now, terms)
end

local function settle_bucket(ledger, now, terms, report, name)
  local answered = 0
  for _, sight in ipairs(report.sights) do
    if sight.bucket == name then answered = answered + sight.answers end
  end
  local back = report.unsent + max(0, report.answered - answered) + (ledger.pace == 1 and report.blank or 0)
  settle(ledger, now, terms, report.stamp, answered, report.refused, back)
  if answered > 0 or #report.sights == 0 then refuse(ledger, now, terms, report) end
  hear_nothing(ledger, now, terms, report)
end

local function named_in(sights)
  local names, seen = {}, {}
  for _, sight in ipairs(sights) do
    if not seen[sight.bucket] then
      seen[sight.bucket] = true
      names[#names + 1] = sight.bucket
    end
  end
  table.sort(names)
  return names, seen
end

local function reroute(routes, ledgers, now, route, sights, count)
  local names, named = named_in(sights)
  for _, name in ipairs(routes[route] or {}) do
    if name ~= '' and not named[name] and now < ledgers[name].hi then names[#names + 1] = name end
  end
  while #names > MAX_NAMES do table.remove(names) end
  if routes[route] or count < MAX_ROUTES then routes[route] = names end
  local routed = {}
  for _, kept in pairs(routes) do
    for _, name in ipairs(kept) do routed[name] = true end
  end
  for name in pairs(ledgers) do
    if not routed[name] then ledgers[name] = nil end
  end
end

local function hear_report(routes, ledgers, now, command, report, count)
  for _, sight in ipairs(report.sights) do open(ledgers, now, command.terms, sight.bucket, report.buckets) end
  local _, concerned = named_in(report.sights)
  for _, name in ipairs(report.buckets) do concerned[name] = true end
  for name in pairs(concerned) do
    if ledgers[name] then settle_bucket(ledgers[name], now, command.terms, report, name) end
  end
  for _, sight in ipairs(report.sights) do hear(ledgers[sight.bucket], now, command.terms, report, sight) end
  if #report.sights > 0 then reroute(routes, ledgers, now, command.route, report.sights, count) end
end

local function merge(offers)
  local granted, hold, at_least, kind, all = math.huge, 0, 0, 'lease', true
  for _, one in ipairs(offers) do
    all = all and one.count > 0
    granted, hold, at_least = min(granted, one.count), max(hold, one.hold), max(at_least, one.at_least)
    if one.kind ~= 'lease' and (kind == 'lease' or one.kind < kind) then kind = one.kind end
  end
  if all then return { count = granted, kind = kind, hold = 0, at_least = 0 } end
  return { count = 0, kind = 'lease', hold = hold, at_least = at_least }
end

local function draw(ledgers, now, terms, names, wish)
  local offers = {}
  for n, name in ipairs(names) do
    if not ledgers[name] then
      ledgers[name] = birth(now, terms)
      recall(ledgers[name], now, terms, wish)
    end
    local ledger = ledgers[name]
    if wish.previous < ledger.adopted or wish.previous == 0 then ledger.drawers1 = ledger.drawers1 + 1 end
  end
  for n, name in ipairs(names) do offers[n] = offer(ledgers[name], now, terms, wish) end
  local merged = merge(offers)
  for n, name in ipairs(names) do
    if merged.count > 0 then
      take(ledgers[name], now, terms, merged.count, offers[n].kind)
    elseif offers[n].appoints then
      ledgers[name].appointed = 1
    end
  end
  return merged
end

-- arguments and reply --------------------------------------------------------------------------------------------------

local cursor = 2
local function word()
  cursor = cursor + 1
  return ARGV[cursor]
end
local function number() return tonumber(word()) end

local function read_sight()
  return {
    bucket = word(), limit = number(), remaining = number(), reset = number(), low = number(), high = number(),
    sent = number(), received = number(), answers = number(),
  }
end

local function read_report()
  local report = { stamp = number(), buckets = split(word()) }
  report.answered, report.refused, report.unsent = number(), number(), number()
  report.pause, report.blank, report.sights = number(), number(), {}
  for n = 1, number() do report.sights[n] = read_sight() end
  return report
end

local function read_command()
  local command = { route = word(), reports = {} }
  command.terms = { limit = number(), window = number(), ttl = number(), solo = word() == '1' }
  if word() == '1' then command.draw = { want = number(), previous = number(), reserve = number(), ['end'] = number() } end
  for n = 1, number() do command.reports[n] = read_report() end
  return command
end

local function clock()
  if ARGV[2] ~= '' then return tonumber(ARGV[2]) end
  local time = redis.call('TIME')
  return time[1] * 1000 + div(time[2], 1000)
end

local function reply(now, names, ledgers, granted)
  local words = {
    ARGV[1], text(now), text(granted.count), granted.kind, table.concat(names, ','), text(granted.hold),
    text(granted.at_least),
  }
  for _, name in ipairs(names) do
    local ledger = ledgers[name]
    if ledger then
      words[#words + 1] = name
      for _, value in ipairs({
        ledger.limit, max(0, ledger.r_min), out(ledger), ledger.hi, ledger.answered, ledger.refused, drawers(ledger),
      }) do words[#words + 1] = text(value) end
    end
  end
  return words
end

local now = clock()
local command = read_command()
local routes, ledgers, stored = load(KEYS[1])
now = tick_all(ledgers, now, command)
for _, report in ipairs(command.reports) do
  local count = 0
  for _ in pairs(routes) do count = count + 1 end
  hear_report(routes, ledgers, now, command, report, count)
end
for _, ledger in pairs(ledgers) do now = max(now, ledger.last) end
local names = routes[command.route] or { '' }
local granted = { count = 0, kind = 'lease', hold = 0, at_least = 0 }
if command.draw then granted = draw(ledgers, now, command.terms, names, command.draw) end
local life = max(command.terms.window, command.terms.ttl)
for _, ledger in pairs(ledgers) do life = max(life, ledger.hi - now) end
save(KEYS[1], routes, ledgers, stored, KEEP * life)
return reply(now, names, ledgers, granted)
