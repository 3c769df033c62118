import type { Result } from 'ioredis';

/**
 * The Lua scripts, one a transition, each headed by its keys, arguments and result. Flags: Redis 7.0,
 * https://redis.io/docs/latest/develop/programmability/lua-api/#script_flags.
 */
export const scripts = {
  /**
   * Puts items into a queue as far as there is room.
   * KEYS  queue
   * ARGV  the length at which it is full · 'LPUSH' or 'RPUSH' · item…
   * gives how many were stored
   */
  millracePush: {
    numberOfKeys: 1,
    lua: `
local room = tonumber(ARGV[1]) - redis.call('LLEN', KEYS[1])
local count = math.min(room, #ARGV - 2)
if count <= 0 then return 0 end
redis.call(ARGV[2], KEYS[1], unpack(ARGV, 3, count + 2))
return count`,
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

declare module 'ioredis' {
  interface RedisCommander<Context> {
    millracePush(queue: string, max: number, command: string, ...items: (string | Buffer)[]): Result<number, Context>;
    millraceGiveBack(
      queue: string,
      record: string,
      command: string,
      seconds: number,
      ...items: (string | Buffer)[]
    ): Result<null, Context>;
  }
}
