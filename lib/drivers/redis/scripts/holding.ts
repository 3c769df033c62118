import type { Result } from 'ioredis';
import { BURY, COUNT, DELAY, NOW, POST, PUT_BACK, SETTLE, STANDING, TELL, UNPACK } from './shared.ts';

/** What a consumer takes, and settles. Memory does not grow by it, so a full server lets it pass. Each gives what {@link STANDING} says. */
export const holding = {
  /**
   * Moves items to what a consumer holds, as a parcel. If it has one of that number, its answer was lost: it is given again; if it had
   * one, this was said long ago, and comes too late. What a pop has landed comes first, then what comes again, then the queue. An entry with two deaths behind it is
   * given alone, to who holds nothing else.
   * KEYS  queue · again · consumers · holdings · landing
   * ARGV  clock offset · consumer · incarnation · number of the parcel · how many at most, where 0 is none but what was moved before ·
   *       how many of them a handler may see at once, if they are plain items
   * gives the parcel; nil if there is nothing; 0 if what comes first waits until the consumer holds nothing; -1, -2
   */
  millraceTake: {
    numberOfKeys: 5,
    lua: `#!lua flags=allow-oom
${NOW}${STANDING}${UNPACK}
local stands = standing(KEYS[3], ARGV[2], ARGV[3])
if stands < 0 then return stands end
local lost, last = unpack(redis.call('HMGET', KEYS[4], ARGV[4], 'last'))
if lost then return lost end
if last and tonumber(last) >= tonumber(ARGV[4]) then return false end
local kind, items, max = 'q', {}, tonumber(ARGV[5])
local landed = redis.call('LRANGE', KEYS[5], 0, -1)
if #landed > 0 then
  redis.call('DEL', KEYS[5])
  for i = #landed, 1, -1 do items[#items + 1] = landed[i] end
  if redis.call('EXISTS', KEYS[2]) == 1 then
    kind = 'l'
  elseif #items < max then
    local popped = redis.call('LMPOP', 1, KEYS[1], 'RIGHT', 'COUNT', max - #items)
    for _, item in ipairs(popped and popped[2] or {}) do items[#items + 1] = item end
  end
elseif max == 0 then
  return false
else
  local again = redis.call('LRANGE', KEYS[2], -max, -1)
  if #again > 0 then
    kind = 'a'
    local function suspect(entry) return tonumber(string.match(entry, '^%d+ (%d+) ')) >= 2 end
    if suspect(again[#again]) then
      for _, field in ipairs(redis.call('HKEYS', KEYS[4])) do
        if string.match(field, '^%d+$') then return 0 end
      end
      items = { again[#again] }
    else
      for i = #again, 1, -1 do
        if suspect(again[i]) then break end
        items[#items + 1] = again[i]
      end
    end
    redis.call('RPOP', KEYS[2], #items)
  else
    local popped = redis.call('LMPOP', 1, KEYS[1], 'RIGHT', 'COUNT', max)
    if not popped then return false end
    items = popped[2]
  end
end
local parcel = pack(kind, now(ARGV[1]), items)
redis.call('HSET', KEYS[4], ARGV[4], parcel, 'last', ARGV[4])
if ARGV[6] ~= '0' and kind ~= 'a' then redis.call('HSET', KEYS[4], 'handed', ARGV[4] .. ' ' .. ARGV[6]) end
return parcel`,
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
   * KEYS  consumers · holdings · marks
   * ARGV  consumer · incarnation · how many are settled · (parcel · mask)…
   */
  millraceAck: {
    numberOfKeys: 3,
    lua: `#!lua flags=allow-oom
${STANDING}${SETTLE}${COUNT}
local stands = standing(KEYS[1], ARGV[1], ARGV[2])
if stands < 0 then return stands end
local isNews = false
for i = 4, #ARGV, 2 do isNews = settle(KEYS[2], ARGV[i], ARGV[i + 1]) or isNews end
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
    numberOfKeys: 3,
    lua: `#!lua flags=allow-oom
${STANDING}${SETTLE}${COUNT}${POST}
local stands = standing(KEYS[1], ARGV[1], ARGV[2])
if stands < 0 then return stands end
local isNews, head = false, 5 + 2 * ARGV[5]
for i = 6, head, 2 do isNews = settle(KEYS[2], ARGV[i], ARGV[i + 1]) or isNews end
if not isNews then return 1 end
count(KEYS[3], 'settled', ARGV[3])
for i = head + 1, #ARGV, 2 do post(ARGV[4], ARGV[i], ARGV[i + 1]) end
return 1`,
  },
  /**
   * Settles items of one parcel by sending each somewhere, once.
   * KEYS  consumers · holdings · again · delayed · dead · marks
   * ARGV  clock offset · consumer · incarnation · channel · parcel · mask · (index from 1 · 'retry', 'release' or 'reject' · milliseconds
   *       of delay, or reason)…
   */
  millraceReturn: {
    numberOfKeys: 6,
    lua: `#!lua flags=allow-oom
${NOW}${TELL}${DELAY}${STANDING}${UNPACK}${SETTLE}${COUNT}${POST}${BURY}
local stands = standing(KEYS[1], ARGV[2], ARGV[3])
if stands < 0 then return stands end
local parcel = redis.call('HGET', KEYS[2], ARGV[5])
if not parcel then return 1 end
local settled, wanted, isAgain = redis.call('HGET', KEYS[2], ARGV[5] .. '*'), {}, false
for i = 7, #ARGV, 3 do
  if not isSet(settled, tonumber(ARGV[i])) then wanted[tonumber(ARGV[i])] = true end
end
local items, areEntries = pick(parcel, wanted)
for i = 7, #ARGV, 3 do
  local bytes, verb, detail = items[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2]
  if bytes then
    local attempts, deaths = 0, 0
    if areEntries then attempts, deaths, bytes = parts(bytes) end
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
settle(KEYS[2], ARGV[5], ARGV[6])
if isAgain then tell(ARGV[4], 'again') end
return 1`,
  },
  /**
   * Begins, or begins anew, as a consumer. Who has the name loses it, and what it holds goes back; but who begins anew, because it was
   * cleared away, gives way to who has begun meanwhile.
   * KEYS  consumers
   * ARGV  clock offset · base · channel · consumer · incarnation · lease in milliseconds · attempts at most · the incarnation that
   *       was cleared away before, or ''
   */
  millraceJoin: {
    numberOfKeys: 1,
    lua: `#!lua flags=allow-oom
${NOW}${TELL}${UNPACK}${COUNT}${POST}${BURY}${PUT_BACK}
local consumers, time, base, name, incarnation, former = KEYS[1], now(ARGV[1]), ARGV[2], ARGV[4], ARGV[5], ARGV[8]
local holdings = base .. 'in-process:' .. name
local record = redis.call('HGET', consumers, name)
local other, _, attempts = string.match(record or '', '^(%S+) (%S+) (%S+)')
if other == incarnation then return 1 end
if other and former ~= '' then return -2 end
if other then
  putBack(base, holdings, base .. 'landing:' .. other, true, tonumber(attempts), ARGV[3])
  redis.call('HSET', consumers, '~' .. other, time + 5000)
  tell(ARGV[3], 'again')
end
if former ~= '' then
  putBack(base, base .. 'nothing', base .. 'landing:' .. former, true, tonumber(ARGV[7]), ARGV[3])
end
redis.call('HSET', consumers, name, string.format('%s %d %s', incarnation, time + ARGV[6], ARGV[7]))
redis.call('PERSIST', consumers)
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
${NOW}${TELL}${UNPACK}${COUNT}${POST}${BURY}${STANDING}${PUT_BACK}
local consumers, time, base, channel = KEYS[1], now(ARGV[1]), ARGV[2], ARGV[3]
local stands, isLate = standing(consumers, ARGV[4], ARGV[5]), 0
if stands == 1 then
  local ends = string.match(redis.call('HGET', consumers, ARGV[4]), '^%S+ (%S+)')
  if ends - time < ARGV[6] / 2 then isLate = 1 end
  redis.call('HSET', consumers, ARGV[4], string.format('%s %d %s', ARGV[5], time + ARGV[6], ARGV[7]))
  redis.call('PERSIST', consumers)
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
      putBack(base, holdings, base .. 'landing:' .. incarnation, not isGhost, tonumber(attempts), channel)
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
${TELL}${UNPACK}${COUNT}${POST}${BURY}${STANDING}${PUT_BACK}
local consumers, base, channel, name = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local stands = standing(consumers, name, ARGV[4])
putBack(base, base .. (stands == 1 and 'in-process:' .. name or 'nothing'), base .. 'landing:' .. ARGV[4], false, 0, channel)
if stands == 1 then redis.call('HDEL', consumers, name) end
local others = redis.call('HKEYS', consumers)
for _, other in ipairs(others) do
  if string.sub(other, 1, 1) ~= '~' then
    -- Who lives says so soon; what the dead have left is cleared away by who comes next, or goes by itself.
    redis.call('EXPIRE', consumers, 604800)
    return stands
  end
end
for _, ghost in ipairs(others) do
  putBack(base, base .. 'nothing', base .. 'landing:' .. string.sub(ghost, 2), false, 0, channel)
end
redis.call('DEL', consumers)
return stands`,
  },
};

type Arg = string | number | Buffer;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    millraceTakeBuffer(...args: Arg[]): Result<Buffer | number | null, Context>;
    millraceHanded(...args: Arg[]): Result<number, Context>;
    millraceAck(...args: Arg[]): Result<number, Context>;
    millraceAnswer(...args: Arg[]): Result<number, Context>;
    millraceReturn(...args: Arg[]): Result<number, Context>;
    millraceJoin(...args: Arg[]): Result<number, Context>;
    millraceBeat(...args: Arg[]): Result<[number, number, 0 | 1, 0 | 1, number], Context>;
    millraceLeave(...args: Arg[]): Result<number, Context>;
  }
}
