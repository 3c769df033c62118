import { asking } from './asking.ts';
import { holding } from './holding.ts';
import { producing } from './producing.ts';
import { watching } from './watching.ts';

/**
 * The Lua scripts, one a transition, each headed by its keys, arguments and result. Flags: Redis 7.0,
 * https://redis.io/docs/latest/develop/programmability/lua-api/#script_flags.
 */
export const scripts = { ...producing, ...holding, ...watching, ...asking };

/** Milliseconds that are added to the server's time: for tests, which can't wait. */
export const clock = { offset: 0 };
