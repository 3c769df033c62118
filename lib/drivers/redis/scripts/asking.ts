import type { Result } from 'ioredis';
import { COUNT, NOW, POST, TELL } from './shared.ts';

/** What becomes of requests, beside their answers. */
export const asking = {
  /**
   * Takes a request out of the queue; or else notes that nobody wants it answered, and tells who works.
   * KEYS  queue · cancelled · marks
   * ARGV  clock offset · the request, byte for byte · its name · until when it may have to be known · channel
   * gives whether it was in the queue
   */
  millraceCancel: {
    numberOfKeys: 3,
    lua: `#!lua flags=allow-oom
${NOW}${TELL}${COUNT}
if redis.call('LREM', KEYS[1], 1, ARGV[2]) > 0 then
  count(KEYS[3], 'settled', 1)
  return 1
end
local time = now(ARGV[1])
if tonumber(ARGV[4]) <= time then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', time)
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
local left = redis.call('PTTL', KEYS[2])
redis.call('PEXPIRE', KEYS[2], math.max(left, ARGV[4] - time))
tell(ARGV[5], 'cancel ' .. ARGV[4] .. ' ' .. ARGV[3])
return 0`,
  },
  /**
   * Publishes messages of replies, each of which is put into its mailbox first.
   * KEYS  marks, for the slot of the queue
   * ARGV  base · (channel · message)…
   */
  millracePost: {
    numberOfKeys: 1,
    lua: `#!lua flags=allow-oom
${POST}
for i = 2, #ARGV, 2 do post(ARGV[1], ARGV[i], ARGV[i + 1]) end`,
  },
};

declare module 'ioredis' {
  interface RedisCommander<Context> {
    millraceCancel(
      queue: string,
      cancelled: string,
      marks: string,
      offset: number,
      body: string | Buffer,
      name: string,
      until: number,
      channel: string,
    ): Result<0 | 1, Context>;
    millracePost(marks: string, base: string, ...messages: string[]): Result<null, Context>;
  }
}
