import { REPLIES } from '../../../packet.ts';

/**
 * Lua functions that several scripts begin with.
 *
 * What waits in `again` is an entry: '<attempts> <deaths> <bytes>'; `delayed` has the same behind a unique '<time>.<n> ' that keeps
 * the order of equal times. A parcel is what one take moved: a list, in which what was to be had first is first. The holdings of its
 * consumer have a field '<n>' for it, a letter ('a': entries, 'q': plain items, 'l': the same, while there are entries to be had first)
 * and the time; and a field '<n>*' with a bit for each of its items that is settled. Their field 'handed' says up to which of them all
 * (parcel and index) a handler may have seen them; 'last' is the highest number that a parcel had. The list with the number 0 is where
 * a wait has put an item: it is the first of the parcel that is taken next, or is settled as the next though it was never taken; the field
 * 'landing' is there if a handler may have seen it. Items are moved from list to list by
 * the server itself: each that passes through Lua costs as much as all else that is done with it.
 */

/** The server's time in milliseconds, moved by an offset that is 0 outside tests. */
export const NOW = `
local function now(offset)
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(offset)
end
`;

/** Tells those who wait. Who may not publish has others look for themselves. */
export const TELL = `
local function tell(channel, what) redis.pcall('PUBLISH', channel, what) end
`;

/** Puts an entry where it is due later; tells of it where it is the first. What one script puts there keeps its order, and any bytes. */
export const DELAY = `
local delays, told = 0, nil
local function delay(delayed, time, milliseconds, entry, channel)
  local due = time + milliseconds
  local clock = redis.call('TIME')
  local member
  repeat
    delays = delays + 1
    member = string.format('%d%06d.%05d ', clock[1], clock[2], delays) .. entry
  until redis.call('ZADD', delayed, 'NX', due, member) == 1
  if delays > 1 and milliseconds == told then return end
  if tonumber(redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]) == due then tell(channel, 'due ' .. milliseconds) end
  told = milliseconds
end
`;

/** Adds to a total. A queue that is out of use for a week forgets its totals. */
export const COUNT = `
local function count(marks, total, n)
  redis.call('HINCRBY', marks, total, n)
  redis.call('EXPIRE', marks, 604800)
end
`;

/** Whether a consumer still is who it was: 1; -1: its lease has ended and it was cleared away, -2: another has its name. */
export const STANDING = `
local function standing(consumers, name, incarnation)
  local record = redis.call('HGET', consumers, name)
  if not record then return -1 end
  return string.sub(record, 1, #incarnation) == incarnation and 1 or -2
end
`;

/** What an entry is made of; and whether a mask has the bit of an item, which are numbered from 1. */
export const READ = `
local function parts(entry)
  local attempts, deaths, bytes = string.match(entry, '^(%d+) (%d+) (.*)$')
  return tonumber(attempts), tonumber(deaths), bytes
end
local function isSet(mask, index)
  if not mask then return false end
  local byte = string.byte(mask, math.floor((index - 1) / 8) + 1)
  return bit.band(byte, bit.lshift(1, (index - 1) % 8)) ~= 0
end
`;

/**
 * Makes parcels of what has landed, up to the one with a number, unless they are. The word of that may be overtaken by what is said of
 * them, for it is said again where the server did not know its script: so that says it, too.
 */
export const RECORD = `
local function record(holdings, parcels, parcel, time)
  local last = redis.call('HGET', holdings, 'last')
  for number = tonumber(last or parcel) + 1, tonumber(parcel) do
    local list = parcels .. string.format('%d', number)
    if not redis.call('LMOVE', parcels .. '0', list, 'RIGHT', 'LEFT') then return end
    redis.call('HSET', holdings, number, 'q' .. string.format('%d', time), 'last', number, 'handed', number .. ' 1')
  end
end
`;

/**
 * Marks what is settled of a parcel by a mask, of which the bits beyond the last item are set; the parcel goes with the last. One that was
 * never taken, but has a number beyond all that were, is the item that has landed first, behind those before it. Gives whether that was
 * news: what is said again, because its answer was lost, is not.
 */
export const SETTLE = String.raw`
local function settle(holdings, parcels, parcel, mask)
  local field, all = parcel .. '*', string.rep('\255', #mask)
  local before = mask ~= all and redis.call('HGET', holdings, field)
  if before then
    local bytes = {}
    for i = 1, #mask do bytes[i] = string.char(bit.bor(string.byte(mask, i), string.byte(before, i))) end
    mask = table.concat(bytes)
  end
  if mask == all then
    if redis.call('UNLINK', parcels .. parcel) == 1 then
      redis.call('HDEL', holdings, parcel, field)
      return true
    end
    local last = tonumber(redis.call('HGET', holdings, 'last') or 0)
    if last < parcel - 1 then record(holdings, parcels, parcel - 1, now(0)) end
    if last >= tonumber(parcel) or not redis.call('RPOP', parcels .. '0') then return false end
    redis.call('HSET', holdings, 'last', parcel)
    return true
  end
  if mask == before or redis.call('HEXISTS', holdings, parcel) == 0 then return false end
  redis.call('HSET', holdings, field, mask)
  return true
end
`;

/** For how many seconds replies are kept that nobody has heard. */
const MAILBOX_TTL = 600;

/** How many dead letters a queue keeps: the newest. */
export const DEAD_LETTERS = 10_000;

/**
 * Publishes a message of replies. It is put into the mailbox first, if the channel has one, and says where it stands there.
 */
export const POST = `
local function post(base, channel, text)
  local client = string.match(channel, '^${REPLIES}(.+)$')
  if client then
    local mailbox = base .. 'replies:' .. client
    local id = redis.call('XADD', mailbox, '*', 'replies', text)
    redis.call('EXPIRE', mailbox, ${MAILBOX_TTL})
    text = id .. ' ' .. string.sub(base, 2, -3) .. ' ' .. text
  end
  redis.pcall('PUBLISH', channel, text)
end
`;

/** Makes an item a dead letter. If somebody waits for an answer to it, this is the answer. */
export const BURY = `
local function bury(base, bytes, reason, attempts)
  redis.call('XADD', base .. 'dead', 'MAXLEN', ${DEAD_LETTERS}, '*', 'item', bytes, 'reason', reason, 'attempts', attempts)
  if not string.find(bytes, '"channel"', 1, true) then return end
  local isRead, request = pcall(cjson.decode, bytes)
  if not isRead or type(request) ~= 'table' then return end
  if type(request.id) ~= 'string' or type(request.method) ~= 'string' or type(request.channel) ~= 'string' then return end
  local failure = { name = 'MillraceError', message = reason, code = 'ERR_MILLRACE_DEAD_LETTER' }
  local text = cjson.encode({ id = request.id, success = false, error = failure })
  if string.find(request.channel, '${REPLIES}', 1, true) == 1 then text = '[' .. text .. ']' end
  post(base, request.channel, text)
end
`;

/**
 * Puts what an incarnation holds back to the front, in order. If it has died, what a handler may have seen of it counts as an attempt,
 * and as a death; after the last attempt that makes a dead letter.
 */
export const PUT_BACK = `
local function putBack(base, holdings, incarnation, died, maxAttempts, channel)
  local lists = base .. 'parcel:' .. incarnation .. ':'
  local landing = lists .. '0'
  local parcels, masks, letters, seenParcel, seenIndex, moved = {}, {}, {}, 0, 0, 0
  local function give(entry, isEntry, seen)
    local attempts, deaths, bytes = 0, 0, entry
    if isEntry then attempts, deaths, bytes = parts(entry) end
    moved = moved + 1
    if died and seen then
      attempts, deaths = attempts + 1, deaths + 1
      if attempts >= maxAttempts then
        local reason = 'attempt ' .. attempts .. ' of ' .. maxAttempts .. ' failed: its consumer died'
        letters[#letters + 1] = { bytes, reason, attempts }
        return
      end
    end
    redis.call('RPUSH', base .. 'again', attempts .. ' ' .. deaths .. ' ' .. bytes)
  end
  local landed = redis.call('LRANGE', landing, 0, -1)
  local isSeen = redis.call('HGET', holdings, 'landing')
  for i = 1, #landed do give(landed[i], false, isSeen) end
  local all = redis.call('HGETALL', holdings)
  for i = 1, #all, 2 do
    local field, value = all[i], all[i + 1]
    if field == 'handed' then
      local parcel, index = string.match(value, '^(%d+) (%d+)$')
      seenParcel, seenIndex = tonumber(parcel), tonumber(index)
    elseif string.sub(field, -1) == '*' then
      masks[tonumber(string.sub(field, 1, -2))] = value
    elseif field ~= 'last' and field ~= 'landing' then
      parcels[#parcels + 1] = { tonumber(field), value }
    end
  end
  table.sort(parcels, function(a, b) return a[1] > b[1] end)
  for _, parcel in ipairs(parcels) do
    local number, isEntry = parcel[1], string.sub(parcel[2], 1, 1) == 'a'
    local list = lists .. string.format('%d', number)
    local items = redis.call('LRANGE', list, 0, -1)
    for i = #items, 1, -1 do
      if not isSet(masks[number], i) then
        give(items[i], isEntry, number < seenParcel or (number == seenParcel and i <= seenIndex))
      end
    end
    redis.call('UNLINK', list)
  end
  redis.call('DEL', holdings, landing)
  for i = #letters, 1, -1 do bury(base, unpack(letters[i])) end
  if #letters > 0 then count(base .. 'marks', 'settled', #letters) end
  if moved > 0 then tell(channel, 'again') end
end
`;
