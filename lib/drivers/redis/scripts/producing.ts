import type { Result } from 'ioredis';
import { COUNT, DELAY, NOW, RECORD, SETTLE, STANDING, TELL } from './shared.ts';

/**
 * Once a second a mark of when the total of what was put into the list was what: of no more than 60, and none that the list's front has
 * passed.
 */
const MARK = `
local function mark(queue, marks, time, total, n)
  redis.call('EXPIRE', marks, 604800)
  local marked = redis.call('HGET', marks, 'marked')
  if marked and time - marked < 1000 then return end
  local front = total - redis.call('LLEN', queue)
  local kept = {}
  for at, total in string.gmatch(redis.call('HGET', marks, 'times') or '', '(%d+):(%d+)') do
    if tonumber(total) <= front then kept = {} end
    kept[#kept + 1] = at .. ':' .. total
  end
  if #kept >= 60 then
    for i = 2, math.floor(#kept / 2) + 1 do table.remove(kept, i) end
  end
  kept[#kept + 1] = string.format('%d:%d', time, total - n)
  redis.call('HSET', marks, 'marked', time, 'times', table.concat(kept, ' '), 'layout', 1)
end
`;

/**
 * Stores the items of a producer that follow on the last it has stored; skips those that it has, refuses a gap. `last` is known
 * to be stored though the record may be gone. Answers with the number of the last that is stored. Each call of Redis costs a small push
 * dear, so it is made only where it is needed.
 */
const STORE = `
local function store(whole)
  local queue, record, marks, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
  local first, last = tonumber(ARGV[3]), math.max(tonumber(redis.call('GET', record) or 0), tonumber(ARGV[4]))
  local given = #ARGV - HEAD
  local skipped = last - first + 1
  if skipped >= given then redis.call('EXPIRE', record, ARGV[5]) end
  if skipped < 0 or skipped >= given then return last end
  local n, max, milliseconds = given - skipped, tonumber(ARGV[6]), tonumber(ARGV[7])
  if max > 0 and milliseconds == 0 then
    local length = redis.call('LLEN', queue)
    if whole and n > max - length and length > 0 then return last end
    if not whole then n = math.min(n, max - length) end
    if n <= 0 then return last end
  end
  local from, to, total = HEAD + skipped + 1, HEAD + skipped + n, nil
  if milliseconds > 0 then
    local time = now(ARGV[1])
    for i = from, to do delay(delayed, time, milliseconds, '0 0 ' .. ARGV[i], ARGV[8]) end
    total = redis.call('HINCRBY', marks, 'postponed', n)
  else
    for i = from, to, 4000 do redis.call(ARGV[2], queue, unpack(ARGV, i, math.min(i + 3999, to))) end
    total = redis.call('HINCRBY', marks, 'listed', n)
  end
  redis.call('SET', record, last + n, 'EX', ARGV[5])
  if total == n or ARGV[9] == '1' then
    if milliseconds == 0 then mark(queue, marks, now(ARGV[1]), total, n) else redis.call('EXPIRE', marks, 604800) end
  end
  return last + n
end
`;

export const producing = {
  /**
   * Stores items once, however often they are sent, as far as there is room.
   * KEYS  queue · the producer's last number · marks · delayed
   * ARGV  clock offset · 'LPUSH' or 'RPUSH' · number of the first item · highest number known to be stored · for how many seconds
   *       the last number is kept · the length at which the queue is full, or 0 · milliseconds of delay · channel · '1' if the
   *       queue may not have been marked for a second · item…
   * gives the number of the last item stored
   */
  millracePush: {
    numberOfKeys: 4,
    lua: `#!lua
${NOW}${TELL}${DELAY}${MARK}${STORE.replaceAll('HEAD', '9')}
return store(false)`,
  },
  /**
   * The same for items made of what a consumer holds, which is settled in this step; all of them or none.
   * KEYS  as above · the consumers, the consumer's holdings, the marks of the queue that they come from, and what the
   *       lists of the parcels begin with
   * ARGV  as above, then: consumer · incarnation · how many are settled · how many parcels are named · (parcel · mask)… ·
   *       item…
   * gives as above; or -1 and -2 where the consumer's lease has ended, or another has its name
   */
  millraceHop: {
    numberOfKeys: 8,
    lua: `#!lua
${NOW}${TELL}${DELAY}${MARK}${COUNT}${STANDING}${RECORD}${SETTLE}
local head = 13 + 2 * tonumber(ARGV[13])
${STORE.replaceAll('HEAD', 'head')}
local lastGiven = tonumber(ARGV[3]) + #ARGV - head - 1
local stored = tonumber(redis.call('GET', KEYS[2]) or 0)
if stored >= lastGiven then return stored end
local stands = standing(KEYS[5], ARGV[10], ARGV[11])
if stands < 0 then return stands end
local last = store(true)
if last ~= lastGiven then return last end
for i = 14, head, 2 do settle(KEYS[6], KEYS[8], ARGV[i], ARGV[i + 1]) end
count(KEYS[7], 'settled', ARGV[12])
return last`,
  },
  /**
   * Follows a push of a producer's items in one transaction: notes their numbers; or takes them back, where they do not follow on the last
   * that is stored. So no item goes through Lua. Where the push was refused, because the queue is no list, this is, too.
   * KEYS  queue · the producer's last number · marks
   * ARGV  'LPUSH' or 'RPUSH' · number of the first item · highest number known to be stored · how many items · for how many seconds
   *       the last number is kept
   * gives the number of the last item stored
   */
  millraceConfirm: {
    numberOfKeys: 3,
    lua: `#!lua flags=allow-oom
local queue, record, marks = KEYS[1], KEYS[2], KEYS[3]
local first, n = tonumber(ARGV[2]), tonumber(ARGV[4])
local last = math.max(tonumber(redis.call('GET', record) or 0), tonumber(ARGV[3]))
redis.call('LLEN', queue)
if first ~= last + 1 then
  if ARGV[1] == 'LPUSH' then redis.call('LTRIM', queue, n, -1) else redis.call('LTRIM', queue, 0, -n - 1) end
  return last
end
if redis.call('HINCRBY', marks, 'listed', n) == n then redis.call('EXPIRE', marks, 604800) end
redis.call('SET', record, last + n, 'EX', ARGV[5])
return last + n`,
  },
  /**
   * Puts back what was popped, once, however often it is sent. Memory does not grow by it, so a full server lets it pass.
   * KEYS  queue · a record of this giving back, of a random name
   * ARGV  'LPUSH' or 'RPUSH' · for how many seconds the record is kept · item…
   */
  millraceGiveBack: {
    numberOfKeys: 2,
    lua: `#!lua flags=allow-oom
if redis.call('SET', KEYS[2], #ARGV - 2, 'NX', 'EX', ARGV[2]) then
  redis.call(ARGV[1], KEYS[1], unpack(ARGV, 3))
end`,
  },
};

type Item = string | Buffer;
type PushArguments = [
  queue: string,
  record: string,
  marks: string,
  delayed: string,
  ...rest: (string | number | Buffer)[],
];

declare module 'ioredis' {
  interface RedisCommander<Context> {
    millracePush(...args: PushArguments): Result<number, Context>;
    millraceHop(...args: PushArguments): Result<number, Context>;
    millraceGiveBack(
      queue: string,
      record: string,
      command: string,
      seconds: number,
      ...items: Item[]
    ): Result<null, Context>;
  }
}
