import type { Result } from 'ioredis';
import { COUNT, NOW, READ, TELL } from './shared.ts';

/** What is due, what is there, and what has died. */
export const watching = {
  /**
   * Lets what is due come again, a thousand at most.
   * KEYS  delayed · again
   * ARGV  clock offset · channel
   * gives in how many milliseconds the next is due, or -1
   */
  millraceDue: {
    numberOfKeys: 2,
    lua: `#!lua flags=allow-oom
${NOW}${TELL}
local time = now(ARGV[1])
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', time, 'LIMIT', 0, 1000)
for _, member in ipairs(due) do
  redis.call('LPUSH', KEYS[2], string.match(member, '^%S+ (.*)$'))
end
if #due > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #due - 1)
  tell(ARGV[2], 'again')
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return first[2] and math.max(0, first[2] - time) or -1`,
  },
  /**
   * KEYS  queue · again · delayed · dead · consumers · marks
   * ARGV  clock offset · base
   * gives waiting · delayed · dead · pushed · settled · lag · (consumer · held · end of its lease · age of what it holds)…
   */
  millraceInspect: {
    numberOfKeys: 6,
    lua: `#!lua flags=no-writes
${NOW}${READ}
local time = now(ARGV[1])
local length, again = redis.call('LLEN', KEYS[1]), redis.call('LLEN', KEYS[2])
local function total(name) return tonumber(redis.call('HGET', KEYS[6], name) or 0) end
local pushed, front = total('listed') + total('postponed'), total('listed') - length
local lag = 0
if length > 0 then
  for at, before in string.gmatch(redis.call('HGET', KEYS[6], 'times') or '', '(%d+):(%d+)') do
    if tonumber(before) <= front or lag == 0 then lag = math.max(0, time - at) end
  end
end
local dead = redis.call('XLEN', KEYS[4])
local answer = { length + again, redis.call('ZCARD', KEYS[3]), dead, pushed, total('settled'), lag }
local all = redis.call('HGETALL', KEYS[5])
for i = 1, #all, 2 do
  local name = all[i]
  if string.sub(name, 1, 1) ~= '~' then
    local incarnation, ends = string.match(all[i + 1], '^(%S+) (%S+)')
    local held, oldest = redis.call('LLEN', ARGV[2] .. 'parcel:' .. incarnation .. ':0'), 0
    local holdings = redis.call('HGETALL', ARGV[2] .. 'in-process:' .. name)
    local masks = {}
    for j = 1, #holdings, 2 do
      if string.sub(holdings[j], -1) == '*' then masks[string.sub(holdings[j], 1, -2)] = holdings[j + 1] end
    end
    for j = 1, #holdings, 2 do
      local field = holdings[j]
      if string.match(field, '^%d+$') then
        oldest = math.max(oldest, time - string.sub(holdings[j + 1], 2))
        for k = 1, redis.call('LLEN', ARGV[2] .. 'parcel:' .. incarnation .. ':' .. field) do
          if not isSet(masks[field], k) then held = held + 1 end
        end
      end
    end
    for _, value in ipairs({ name, held, tonumber(ends), oldest }) do answer[#answer + 1] = value end
  end
end
return answer`,
  },
  /**
   * Takes a dead letter out, and if it is asked for back as a new item, behind all others.
   * KEYS  queue · dead · marks
   * ARGV  the id · '1' if it is to go back
   * gives whether it was there
   */
  millraceUnbury: {
    numberOfKeys: 3,
    lua: `#!lua
${COUNT}local found = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
if not found then return 0 end
if ARGV[2] == '1' then
  redis.call('LPUSH', KEYS[1], found[2][2])
  count(KEYS[3], 'listed', 1)
end
redis.call('XDEL', KEYS[2], ARGV[1])
if redis.call('XLEN', KEYS[2]) == 0 then redis.call('DEL', KEYS[2]) end
return 1`,
  },
};

declare module 'ioredis' {
  interface RedisCommander<Context> {
    millraceDue(delayed: string, again: string, offset: number, channel: string): Result<number, Context>;
    millraceInspect(...args: (string | number)[]): Result<(string | number)[], Context>;
    millraceUnbury(queue: string, dead: string, marks: string, id: string, back: 0 | 1): Result<number, Context>;
  }
}
