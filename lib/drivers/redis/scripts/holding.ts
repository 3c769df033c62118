import type { Result } from 'ioredis';
import { BURY, COUNT, DELAY, NOW, PUT_BACK, SETTLE, STANDING, TELL, UNPACK } from './shared.ts';

/** What a consumer takes, and settles. Memory does not grow by it, so a full server lets it pass. Each gives what {@link STANDING} says. */
export const holding = {
  /**
   * Moves items to what a consumer holds, as a parcel. If it has one of that number, its answer was lost: it is given again. What
   * has landed there unheard of comes first, then what comes again, then the queue. An entry with two deaths behind it is
   * given alone, to who holds nothing else.
   * KEYS  queue · again · consumers · holdings · landing
   * ARGV  clock offset · consumer · incarnation · number of the parcel · how many at most · how many of them a handler may see at once
   * gives the parcel; nil if there is nothing; 0 if what comes first waits until the consumer holds nothing; -1, -2
   */
  millraceTake: {
    numberOfKeys: 5,
    lua: `#!lua flags=allow-oom
${NOW}${STANDING}${UNPACK}
local stands = standing(KEYS[3], ARGV[2], ARGV[3])
if stands < 0 then return stands end
local lost = redis.call('HGET', KEYS[4], ARGV[4])
if lost then return lost end
local kind, items, max = 'q', {}, tonumber(ARGV[5])
local landed = redis.call('LRANGE', KEYS[5], 0, -1)
if #landed > 0 then
  redis.call('DEL', KEYS[5])
  for i = #landed, 1, -1 do items[#items + 1] = landed[i] end
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
redis.call('HSET', KEYS[4], ARGV[4], parcel)
if ARGV[6] ~= '0' then redis.call('HSET', KEYS[4], 'handed', ARGV[4] .. ' ' .. ARGV[6]) end
return parcel`,
  },
  /**
   * Makes a parcel of the one item that has landed and that the consumer knows. If more have, it must say which it is.
   * KEYS  consumers · holdings · landing
   * ARGV  clock offset · consumer · incarnation · number of the parcel · '1' if a handler may have seen it · the item, where that was
   *       asked for
   * gives 1; the parcel, the known item first, where it has others, too; 0 where the item must be said; -1, -2
   */
  millraceAdopt: {
    numberOfKeys: 3,
    lua: `#!lua flags=allow-oom
${NOW}${STANDING}${UNPACK}
local stands = standing(KEYS[1], ARGV[2], ARGV[3])
if stands < 0 then return stands end
local landed = redis.call('LRANGE', KEYS[3], 0, -1)
if tonumber(redis.call('HGET', KEYS[2], 'adopted') or 0) >= tonumber(ARGV[4]) then
  return redis.call('HGET', KEYS[2], ARGV[4]) or 1
end
if #landed == 0 then return 1 end
if #landed > 1 then
  if not ARGV[6] then return 0 end
  for i = 1, #landed do
    if landed[i] == ARGV[6] then
      landed[1], landed[i] = landed[i], landed[1]
      break
    end
  end
end
local isOne = #landed == 1
local parcel = pack('q', now(ARGV[1]), landed)
redis.call('HSET', KEYS[2], ARGV[4], parcel, 'adopted', ARGV[4])
redis.call('DEL', KEYS[3])
if ARGV[5] == '1' then redis.call('HSET', KEYS[2], 'handed', ARGV[4] .. ' 1') end
return isOne and 1 or parcel`,
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
   * Settles one item by sending it somewhere, once.
   * KEYS  consumers · holdings · again · delayed · dead · marks
   * ARGV  clock offset · consumer · incarnation · parcel · index from 1 · mask · channel · 'retry', 'release' or 'reject' · milliseconds
   *       of delay, or reason
   */
  millraceReturn: {
    numberOfKeys: 6,
    lua: `#!lua flags=allow-oom
${NOW}${TELL}${DELAY}${STANDING}${UNPACK}${SETTLE}${COUNT}${BURY}
local stands = standing(KEYS[1], ARGV[2], ARGV[3])
if stands < 0 then return stands end
local parcel = redis.call('HGET', KEYS[2], ARGV[4])
if not parcel or isSet(redis.call('HGET', KEYS[2], ARGV[4] .. '*'), tonumber(ARGV[5])) then return 1 end
local items, isEntry = unpacked(parcel)
local attempts, deaths, bytes = 0, 0, items[tonumber(ARGV[5])]
if isEntry then attempts, deaths, bytes = parts(bytes) end
local function entry(more) return attempts + more .. ' ' .. deaths .. ' ' .. bytes end
if ARGV[8] == 'release' then
  redis.call('RPUSH', KEYS[3], entry(0))
  tell(ARGV[7], 'again')
elseif ARGV[8] == 'reject' then
  bury(KEYS[5], bytes, ARGV[9], attempts + 1)
  count(KEYS[6], 'settled', 1)
elseif tonumber(ARGV[9]) > 0 then
  delay(KEYS[4], now(ARGV[1]), tonumber(ARGV[9]), entry(1), ARGV[7])
else
  redis.call('LPUSH', KEYS[3], entry(1))
  tell(ARGV[7], 'again')
end
settle(KEYS[2], ARGV[4], ARGV[6])
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
${NOW}${TELL}${UNPACK}${COUNT}${BURY}${PUT_BACK}
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
return 1`,
  },
  /**
   * A sign of life; and puts back what those hold whose lease has ended. What a pop of theirs lands later is looked for 5 s later.
   * Who was not heard for half its lease clears nobody away: maybe the server heard nobody.
   * KEYS  consumers
   * ARGV  clock offset · base · channel · consumer · incarnation · lease in milliseconds · attempts at most · '1' if others may be
   *       cleared away
   * gives what is said of the consumer, in how many milliseconds the next lease ends, or -1, and 1 if it was not heard for long
   */
  millraceBeat: {
    numberOfKeys: 1,
    lua: `#!lua flags=allow-oom
${NOW}${TELL}${UNPACK}${COUNT}${BURY}${STANDING}${PUT_BACK}
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
      putBack(base, holdings, base .. 'landing:' .. incarnation, not isGhost, tonumber(attempts), channel)
      redis.call('HDEL', consumers, name)
      if not isGhost then
        redis.call('HSET', consumers, '~' .. incarnation, time + 5000)
        left = 5000
      end
    end
    if left > 0 and (nextEnd < 0 or left < nextEnd) then nextEnd = left end
  end
end
return { stands, nextEnd, isLate }`,
  },
  /**
   * Ends as a consumer: what it still holds goes back, uncharged. Who is the last clears away what others have left.
   * KEYS  consumers
   * ARGV  base · channel · consumer · incarnation
   */
  millraceLeave: {
    numberOfKeys: 1,
    lua: `#!lua flags=allow-oom
${TELL}${UNPACK}${COUNT}${BURY}${STANDING}${PUT_BACK}
local consumers, base, channel, name = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local stands = standing(consumers, name, ARGV[4])
putBack(base, base .. (stands == 1 and 'in-process:' .. name or 'nothing'), base .. 'landing:' .. ARGV[4], false, 0, channel)
if stands == 1 then redis.call('HDEL', consumers, name) end
local others = redis.call('HKEYS', consumers)
for _, other in ipairs(others) do
  if string.sub(other, 1, 1) ~= '~' then return stands end
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
    millraceAdoptBuffer(...args: Arg[]): Result<Buffer | number, Context>;
    millraceHanded(...args: Arg[]): Result<number, Context>;
    millraceAck(...args: Arg[]): Result<number, Context>;
    millraceReturn(...args: Arg[]): Result<number, Context>;
    millraceJoin(...args: Arg[]): Result<number, Context>;
    millraceBeat(...args: Arg[]): Result<[number, number, 0 | 1], Context>;
    millraceLeave(...args: Arg[]): Result<number, Context>;
  }
}
