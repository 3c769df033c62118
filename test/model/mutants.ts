import assert from 'node:assert/strict';
import { scripts } from '../../lib/drivers/redis/scripts/index.ts';
import { READ } from '../../lib/drivers/redis/scripts/shared.ts';

/** Something that is said wrongly in scripts: what is there, and what stands there instead. */
export interface Mutant {
  readonly name: string;
  readonly change: readonly (readonly [right: string, wrong: string])[];
  /** Where; in all scripts that say it if nothing is named. */
  readonly script?: keyof typeof scripts;
}

const PUT_BACK = "redis.call('RPUSH', base .. 'again', attempts .. ' ' .. deaths .. ' ' .. bytes)";
const IS_FENCED = 'string.sub(record, 1, #incarnation) == incarnation and 1 or -2';

/** Finds the first of a parcel's items that has the same bytes as the one meant, and the mask of that one alone. */
const FIRST_ALIKE = `
local function firstAlike(holdings, parcels, parcel, index, size)
  local isEntry = string.sub(redis.call('HGET', holdings, parcel), 1, 1) == 'a'
  local items = redis.call('LRANGE', parcels .. parcel, 0, -1)
  local function bytes(i) return isEntry and select(3, parts(items[i])) or items[i] end
  local settled, first = redis.call('HGET', holdings, parcel .. '*'), index
  for i = #items, 1, -1 do
    if bytes(i) == bytes(index) and not isSet(settled, i) then first = i end
  end
  local mask = {}
  for b = 1, size do
    local byte = 0
    for bit = 1, 8 do
      local i = (b - 1) * 8 + bit
      if i == first or i > #items then byte = byte + 2 ^ (bit - 1) end
    end
    mask[b] = string.char(byte)
  end
  return first, table.concat(mask)
end
`;

/** Settles, for each item that is named, the first with the same bytes. */
const SETTLE_ALIKE = `
local function settleAlike(holdings, parcels, parcel, mask)
  for i = 1, redis.call('LLEN', parcels .. parcel) do
    if isSet(mask, i) and redis.call('HEXISTS', holdings, parcel) == 1 then
      local _, one = firstAlike(holdings, parcels, parcel, i, #mask)
      settle(holdings, parcels, parcel, one)
    end
  end
  return true
end
`;

export const mutants: readonly Mutant[] = [
  { name: 'puts back at the wrong end', change: [[PUT_BACK, PUT_BACK.replace('RPUSH', 'LPUSH')]] },
  { name: 'puts back in the wrong order', change: [['for i = #items, 1, -1 do', 'for i = 1, #items do']] },
  {
    name: 'puts back what is settled',
    change: [['if not isSet(masks[number], i) then', 'do']],
  },
  {
    name: 'acknowledges by payload',
    script: 'millraceAck',
    change: [
      ['local stands =', `${READ}${FIRST_ALIKE}${SETTLE_ALIKE}local stands =`],
      ['settle(KEYS[2], KEYS[4], ARGV[i], ARGV[i + 1])', 'settleAlike(KEYS[2], KEYS[4], ARGV[i], ARGV[i + 1])'],
    ],
  },
  {
    name: 'retries, rejects and releases by payload',
    script: 'millraceReturn',
    change: [
      ['local stands =', `${FIRST_ALIKE}local stands =`],
      [
        'local settled, isAgain',
        `if #ARGV == 9 then ARGV[7], ARGV[6] = firstAlike(KEYS[2], KEYS[7], ARGV[5], tonumber(ARGV[7]), #ARGV[6]) end
local settled, isAgain`,
      ],
    ],
  },
  {
    name: 'keeps the items of a parcel that is settled',
    change: [["redis.call('UNLINK', parcels .. parcel)", "redis.call('EXISTS', parcels .. parcel)"]],
  },
  { name: 'keeps the items of a parcel that it has put back', change: [["redis.call('UNLINK', list)", '']] },
  { name: 'takes the last first', change: [["'DESC', 'LIMIT'", "'ASC', 'LIMIT'"]] },
  {
    name: 'takes the last of what comes again first',
    change: [["'SORT', again, 'BY', 'nosort', 'DESC'", "'SORT', again, 'BY', 'nosort', 'ASC'"]],
  },
  { name: 'leaves in the queue what it takes', change: [["redis.call('LTRIM', queue, 0, -count - 1)", '']] },
  {
    name: 'has what has landed behind the queue',
    change: [["redis.call('LPUSH', parcel, unpack(landed))", "redis.call('RPUSH', parcel, unpack(landed))"]],
  },
  { name: 'does not fence', change: [[IS_FENCED, '1']] },
  {
    name: 'does not fence, nor know who has gone',
    change: [
      [IS_FENCED, '1'],
      ['if not record then return -1 end', ''],
    ],
  },
  {
    name: 'lets who was cleared away drive out who has begun meanwhile',
    change: [["if other and former ~= '' then return -2 end", '']],
  },
  { name: 'reaps the living', change: [["if left <= 0 and ARGV[8] == '1'", "if ARGV[8] == '1'"]] },
  { name: 'reaps nobody', change: [["if left <= 0 and ARGV[8] == '1'", 'if false']] },
  { name: 'does not reconcile', change: [['if lost then return lost end', '']] },
  {
    name: 'forgets what has landed',
    script: 'millraceTake',
    change: [["redis.call('LRANGE', landing, 0, -1)", '{}']],
  },
  {
    name: 'keeps what has landed when it is acknowledged',
    change: [["not redis.call('RPOP', parcels .. '0')", "redis.call('LLEN', parcels .. '0') == 0"]],
  },
  {
    name: 'acknowledges what has landed since where it is said again',
    change: [['last >= tonumber(parcel) or ', '']],
  },
  {
    name: 'charges what nobody has handed over as it is taken',
    change: [
      ["ARGV[6] ~= '0' and kind ~= 'a'", 'true'],
      ["ARGV[4] .. ' ' .. ARGV[6]", "ARGV[4] .. ' 1'"],
    ],
  },
  { name: 'charges all that is held', change: [['if died and seen then', 'if died then']] },
  { name: 'charges nothing', change: [['if died and seen then', 'if false then']] },
  { name: 'charges who leaves', script: 'millraceLeave', change: [['if died and seen then', 'if seen then']] },
  {
    name: 'charges one more than was handed over',
    change: [['number == seenParcel and i <= seenIndex', 'number == seenParcel and i <= seenIndex + 1']],
  },
  {
    name: 'gives an item one attempt too many',
    change: [['if attempts >= maxAttempts then', 'if attempts > maxAttempts then']],
  },
  { name: 'gives suspects in company', change: [['>= 2 end', '>= 99 end']] },
  {
    name: 'forgets attempts in a retry',
    change: [["entry(verb == 'release' and 0 or 1)", "(verb == 'release' and entry(0) or '0 0 ' .. bytes)"]],
  },
  {
    name: 'counts no attempt in a delayed retry',
    change: [['tonumber(detail), entry(1)', 'tonumber(detail), entry(0)']],
  },
  {
    name: 'counts a release as an attempt',
    change: [["entry(verb == 'release' and 0 or 1)", 'entry(1)']],
  },
  {
    name: 'retries before what comes again',
    change: [["verb == 'release' and 'RPUSH' or 'LPUSH'", "'RPUSH'"]],
  },
  {
    name: 'does again what is said again',
    script: 'millraceReturn',
    change: [['not isSet(settled, index) and ', '']],
  },
  { name: 'counts again what is said again', change: [['if isNews then count', 'do count']] },
  {
    name: 'collapses equal items that are delayed',
    change: [
      ["member = string.format('%d%06d.%05d ', clock[1], clock[2], delays) .. entry", "member = '0 ' .. entry"],
      [
        "until redis.call('ZADD', delayed, 'NX', due, member) == 1",
        "until redis.call('ZADD', delayed, due, member) >= 0",
      ],
    ],
  },
  {
    name: 'cuts what is delayed at a zero byte',
    change: [['delays) .. entry', "delays) .. string.match(entry, '^[^%z]*')"]],
  },
  { name: 'ignores the numbers of producers', change: [['local skipped = last - first + 1', 'local skipped = 0']] },
  {
    name: 'hops without settling',
    change: [['for i = 14, head, 2 do settle(KEYS[6], KEYS[8], ARGV[i], ARGV[i + 1]) end', '']],
  },
  {
    name: 'stores again what a transaction says again',
    script: 'millraceConfirm',
    change: [['if first ~= last + 1 then', 'if false then']],
  },
  {
    name: 'takes back from the other end what a transaction says again',
    script: 'millraceConfirm',
    change: [["if ARGV[1] == 'LPUSH' then", "if ARGV[1] == 'RPUSH' then"]],
  },
  { name: 'hops past a fence', script: 'millraceHop', change: [['if stands < 0 then return stands end', '']] },
  {
    name: 'hops again what is said again',
    script: 'millraceHop',
    change: [
      ['if stored >= lastGiven then return stored end', ''],
      ['local skipped = last - first + 1', 'local skipped = 0'],
    ],
  },
  {
    name: 'forgets what somebody held whose name is taken',
    script: 'millraceJoin',
    change: [['putBack(base, holdings, other, true, tonumber(attempts), ARGV[3])', '']],
  },
  {
    name: 'gives what is due before what comes again',
    change: [
      [
        "redis.call('LPUSH', KEYS[2], string.match(member, '^%S+ (.*)$'))",
        "redis.call('RPUSH', KEYS[2], string.match(member, '^%S+ (.*)$'))",
      ],
    ],
  },
];

/** Has the scripts say it wrongly until it is disposed of. */
export function mutate({ name, change, script }: Mutant): Disposable {
  const before = new Map(Object.entries(scripts).map(([key, { lua }]) => [key, lua]));
  const all = scripts as Record<string, { lua: string }>;
  for (const [right, wrong] of change) {
    let changed = 0;
    for (const [key, one] of Object.entries(all)) {
      if (script !== undefined && key !== script) continue;
      const lua = one.lua.replaceAll(right, () => wrong);
      if (lua !== one.lua) changed += 1;
      one.lua = lua;
    }
    assert.ok(changed > 0, `no script says what the mutant "${name}" says otherwise: ${right}`);
  }
  return {
    [Symbol.dispose]() {
      for (const [key, lua] of before) (all[key] as { lua: string }).lua = lua;
    },
  };
}
