import type { Result } from 'ioredis';
import { BURY, COUNT, DELAY, NOW, POST, PUT_BACK, READ, RECORD, SETTLE, STANDING, TELL } from './shared.ts';

/** What a consumer takes, and settles. Memory does not grow by it, so a full server lets it pass. Each gives what {@link STANDING} says. */
export const holding = {
  /**
   * Moves items to what a consumer holds, as a parcel, which is read from its list then. If it has one of that number, its answer was
   * lost: it is given again; if it had one, this was said long ago, and comes too late. What a pop has landed comes first, then what comes
   * again, then the queue. An entry with two deaths behind it is given alone, to who holds nothing else.
   * KEYS  queue · again · consumers · holdings · landing · the list of the parcel
   * ARGV  clock offset · consumer · incarnation · number of the parcel · how many at most, where 0 is none but what was moved before, and
   *       -1 says that it is what has landed first, which a handler has seen · how many of them a handler may see at once, if they are
   *       plain items
   * gives the letter and the time of the parcel; nil if there is nothing; 0 if what comes first waits until the consumer holds nothing;
   * -1, -2
   */
  millraceTake: {
    numberOfKeys: 6,
    lua: `#!lua flags=allow-oom
${NOW}${STANDING}${RECORD}
local stands = standing(KEYS[3], ARGV[2], ARGV[3])
if stands < 0 then return stands end
local queue, again, holdings, landing, parcel = KEYS[1], KEYS[2], KEYS[4], KEYS[5], KEYS[6]
local parcels, kind, max = string.sub(landing, 1, -2), 'q', tonumber(ARGV[5])
if max < 0 then
  record(holdings, parcels, ARGV[4], now(ARGV[1]))
  return redis.call('HGET', holdings, ARGV[4])
end
local lost, last = unpack(redis.call('HMGET', holdings, ARGV[4], 'last'))
if lost then return lost end
if last and tonumber(last) >= tonumber(ARGV[4]) then return false end
if last and last + 1 < tonumber(ARGV[4]) then record(holdings, parcels, ARGV[4] - 1, now(ARGV[1])) end
local landed = redis.call('LRANGE', landing, 0, -1)
if max == 0 and #landed == 0 then return false end
local function takeFromQueue(most)
  local count = math.min(most, redis.call('LLEN', queue))
  if count <= 0 then return 0 end
  redis.call('SORT', queue, 'BY', 'nosort', 'DESC', 'LIMIT', 0, count, 'STORE', parcel)
  redis.call('LTRIM', queue, 0, -count - 1)
  return count
end
local function suspect(entry) return tonumber(string.match(entry, '^%d+ (%d+) ')) >= 2 end
local comesAgain = redis.call('EXISTS', again) == 1
if #landed > 0 then
  if comesAgain then kind = 'l' else takeFromQueue(max - #landed) end
  redis.call('LPUSH', parcel, unpack(landed))
  redis.call('DEL', landing)
elseif comesAgain then
  kind = 'a'
  local entries, count = redis.call('LRANGE', again, -max, -1), 0
  if suspect(entries[#entries]) then
    for _, field in ipairs(redis.call('HKEYS', holdings)) do
      if string.match(field, '^%d+$') then return 0 end
    end
    count = 1
  else
    while count < #entries and not suspect(entries[#entries - count]) do count = count + 1 end
  end
  redis.call('SORT', again, 'BY', 'nosort', 'DESC', 'LIMIT', 0, count, 'STORE', parcel)
  redis.call('LTRIM', again, 0, -count - 1)
elseif takeFromQueue(max) == 0 then
  return false
end
local mark = kind .. string.format('%d', now(ARGV[1]))
local handed = ARGV[6] ~= '0' and kind ~= 'a' and { 'handed', ARGV[4] .. ' ' .. ARGV[6], 'landing', 1 } or {}
redis.call('HSET', holdings, ARGV[4], mark, 'last', ARGV[4], unpack(handed))
return mark`,
  },
  /**
   * Says up to which item a handler may have seen what the consumer holds. What was said later counts, whichever comes first.
   * KEYS  consumers · holdings
   * ARGV  consumer · incarnation · parcel · index
   */
  millraceHanded: {
    numberOfKeys: 2,
    lua: `#!lua flags=allow-oom
${STANDING}
local stands = standing(KEYS[1], ARGV[1], ARGV[2])
if stands < 0 then return stands end
local parcel, index = string.match(redis.call('HGET', KEYS[2], 'handed') or '0 0', '^(%d+) (%d+)$')
local further = tonumber(ARGV[3]) - tonumber(parcel)
if further > 0 or (further == 0 and tonumber(ARGV[4]) > tonumber(index)) then
  redis.call('HSET', KEYS[2], 'handed', ARGV[3] .. ' ' .. ARGV[4])
end
return 1`,
  },
  /**
   * Acknowledges: deletes what masks say of parcels.
   * KEYS  consumers · holdings · marks · what the lists of the parcels begin with
   * ARGV  consumer · incarnation · how many are settled · (parcel · mask)…
   */
  millraceAck: {
    numberOfKeys: 4,
    lua: `#!lua flags=allow-oom
${NOW}${STANDING}${RECORD}${SETTLE}${COUNT}
local stands = standing(KEYS[1], ARGV[1], ARGV[2])
if stands < 0 then return stands end
local isNews = false
for i = 4, #ARGV, 2 do isNews = settle(KEYS[2], KEYS[4], ARGV[i], ARGV[i + 1]) or isNews end
if isNews then count(KEYS[3], 'settled', ARGV[3]) end
return 1`,
  },
  /**
   * Acknowledges as {@link millraceAck} does, and publishes replies to what is acknowledged, once however often it is said.
   * KEYS  as above
   * ARGV  consumer · incarnation · how many are settled · base · how many parcels are named · (parcel · mask)… · (channel ·
   *       message)…
   */
  millraceAnswer: {
    numberOfKeys: 4,
    lua: `#!lua flags=allow-oom
${NOW}${STANDING}${RECORD}${SETTLE}${COUNT}${POST}
local stands = standing(KEYS[1], ARGV[1], ARGV[2])
if stands < 0 then return stands end
local isNews, head = false, 5 + 2 * ARGV[5]
for i = 6, head, 2 do isNews = settle(KEYS[2], KEYS[4], ARGV[i], ARGV[i + 1]) or isNews end
if not isNews then return 1 end
count(KEYS[3], 'settled', ARGV[3])
for i = head + 1, #ARGV, 2 do post(ARGV[4], ARGV[i], ARGV[i + 1]) end
return 1`,
  },
  /**
   * Settles items of one parcel by sending each somewhere, once.
   * KEYS  consumers · holdings · again · delayed · dead · marks · what the lists of the parcels begin with
   * ARGV  clock offset · consumer · incarnation · channel · parcel · mask · (index from 1 · 'retry', 'release' or 'reject' · milliseconds
   *       of delay, or reason)…
   */
  millraceReturn: {
    numberOfKeys: 7,
    lua: `#!lua flags=allow-oom
${NOW}${TELL}${DELAY}${STANDING}${READ}${RECORD}${SETTLE}${COUNT}${POST}${BURY}
local stands = standing(KEYS[1], ARGV[2], ARGV[3])
if stands < 0 then return stands end
record(KEYS[2], KEYS[7], ARGV[5], now(ARGV[1]))
local mark = redis.call('HGET', KEYS[2], ARGV[5])
if not mark then return 1 end
local settled, isAgain = redis.call('HGET', KEYS[2], ARGV[5] .. '*'), false
for i = 7, #ARGV, 3 do
  local index, verb, detail = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2]
  local bytes = not isSet(settled, index) and redis.call('LINDEX', KEYS[7] .. ARGV[5], index - 1)
  if bytes then
    local attempts, deaths = 0, 0
    if string.sub(mark, 1, 1) == 'a' then attempts, deaths, bytes = parts(bytes) end
    local function entry(more) return attempts + more .. ' ' .. deaths .. ' ' .. bytes end
    if verb == 'reject' then
      bury(string.sub(KEYS[5], 1, -5), bytes, detail, attempts + 1)
      count(KEYS[6], 'settled', 1)
    elseif verb == 'retry' and tonumber(detail) > 0 then
      delay(KEYS[4], now(ARGV[1]), tonumber(detail), entry(1), ARGV[4])
    else
      redis.call(verb == 'release' and 'RPUSH' or 'LPUSH', KEYS[3], entry(verb == 'release' and 0 or 1))
      isAgain = true
    end
  end
end
settle(KEYS[2], KEYS[7], ARGV[5], ARGV[6])
if isAgain then tell(ARGV[4], 'again') end
return 1`,
  },
  /**
   * Begins, or begins anew, as a consumer. Who has the name loses it, and what it holds goes back; but who begins anew, because it was
   * cleared away, gives way to who has begun meanwhile. If it was not cleared away but forgotten, what it held goes back now.
   * KEYS  consumers
   * ARGV  clock offset · base · channel · consumer · incarnation · lease in milliseconds · attempts at most · the incarnation that
   *       was cleared away before, or ''
   */
  millraceJoin: {
    numberOfKeys: 1,
    lua: `#!lua flags=allow-oom
${NOW}${TELL}${READ}${COUNT}${POST}${BURY}${PUT_BACK}
local consumers, time, base, name, incarnation, former = KEYS[1], now(ARGV[1]), ARGV[2], ARGV[4], ARGV[5], ARGV[8]
local holdings = base .. 'in-process:' .. name
local record = redis.call('HGET', consumers, name)
local other, _, attempts = string.match(record or '', '^(%S+) (%S+) (%S+)')
if other == incarnation then return 1 end
if other and former ~= '' then return -2 end
if other then
  putBack(base, holdings, other, true, tonumber(attempts), ARGV[3])
  redis.call('HSET', consumers, '~' .. other, time + 5000)
  tell(ARGV[3], 'again')
end
if former ~= '' then putBack(base, holdings, former, true, tonumber(ARGV[7]), ARGV[3]) end
redis.call('HSET', consumers, name, string.format('%s %d %s', incarnation, time + ARGV[6], ARGV[7]))
return 1`,
  },
  /**
   * A sign of life; and puts back what those hold whose lease has ended. What a pop of theirs lands later is looked for 5 s later.
   * Who was not heard for half its lease clears nobody away: maybe the server heard nobody.
   * KEYS  consumers
   * ARGV  clock offset · base · channel · consumer · incarnation · lease in milliseconds · attempts at most · '1' if others may be
   *       cleared away
   * gives what is said of the consumer, in how many milliseconds the next lease ends, or -1, 1 if it was not heard for long, whether
   * something comes again, and in how many milliseconds the next is due, or -1
   */
  millraceBeat: {
    numberOfKeys: 1,
    lua: `#!lua flags=allow-oom
${NOW}${TELL}${READ}${COUNT}${POST}${BURY}${STANDING}${PUT_BACK}
local consumers, time, base, channel = KEYS[1], now(ARGV[1]), ARGV[2], ARGV[3]
local stands, isLate = standing(consumers, ARGV[4], ARGV[5]), 0
if stands == 1 then
  local ends = string.match(redis.call('HGET', consumers, ARGV[4]), '^%S+ (%S+)')
  if ends - time < ARGV[6] / 2 then isLate = 1 end
  redis.call('HSET', consumers, ARGV[4], string.format('%s %d %s', ARGV[5], time + ARGV[6], ARGV[7]))
end
local nextEnd = -1
local all = redis.call('HGETALL', consumers)
for i = 1, #all, 2 do
  local name = all[i]
  local incarnation, ends, attempts = string.match(all[i + 1], '^(%S+) (%S+) (%S+)')
  local isGhost = string.sub(name, 1, 1) == '~'
  if isGhost then incarnation, ends, attempts = string.sub(name, 2), all[i + 1], 1 end
  local left = tonumber(ends) - time
  if name ~= ARGV[4] then
    if left <= 0 and ARGV[8] == '1' and isLate == 0 then
      local holdings = base .. (isGhost and 'nothing' or 'in-process:' .. name)
      putBack(base, holdings, incarnation, not isGhost, tonumber(attempts), channel)
      redis.call('HDEL', consumers, name)
      if not isGhost then
        redis.call('HSET', consumers, '~' .. incarnation, time + 5000)
        left = 5000
      end
    elseif left <= 0 then
      left = 500
    end
    if left > 0 and (nextEnd < 0 or left < nextEnd) then nextEnd = left end
  end
end
local first = redis.call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')
local due = first[2] and math.max(0, first[2] - time) or -1
return { stands, nextEnd, isLate, redis.call('EXISTS', base .. 'again'), due }`,
  },
  /**
   * Ends as a consumer: what it still holds goes back, uncharged. Who is the last clears away what others have left.
   * KEYS  consumers
   * ARGV  base · channel · consumer · incarnation
   */
  millraceLeave: {
    numberOfKeys: 1,
    lua: `#!lua flags=allow-oom
${TELL}${READ}${COUNT}${POST}${BURY}${STANDING}${PUT_BACK}
local consumers, base, channel, name = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local stands = standing(consumers, name, ARGV[4])
putBack(base, base .. (stands == -2 and 'nothing' or 'in-process:' .. name), ARGV[4], false, 0, channel)
if stands == 1 then redis.call('HDEL', consumers, name) end
local others = redis.call('HKEYS', consumers)
for _, other in ipairs(others) do
  -- What the dead hold must be found by who comes next, whenever that is.
  if string.sub(other, 1, 1) ~= '~' then return stands end
end
for _, ghost in ipairs(others) do
  putBack(base, base .. 'nothing', string.sub(ghost, 2), false, 0, channel)
end
redis.call('DEL', consumers)
return stands`,
  },
};

type Arg = string | number | Buffer;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    millraceTake(...args: Arg[]): Result<string | number | null, Context>;
    millraceHanded(...args: Arg[]): Result<number, Context>;
    millraceAck(...args: Arg[]): Result<number, Context>;
    millraceAnswer(...args: Arg[]): Result<number, Context>;
    millraceReturn(...args: Arg[]): Result<number, Context>;
    millraceJoin(...args: Arg[]): Result<number, Context>;
    millraceBeat(...args: Arg[]): Result<[number, number, 0 | 1, 0 | 1, number], Context>;
    millraceLeave(...args: Arg[]): Result<number, Context>;
  }
}
