"""What runs inside Redis: one call an announce, one a scraped swarm (Lua; see `redis_swarms` for the keys).

Calling a command from Lua costs more than most of these commands do, so what counts here is their number.
"""

_KEYS = """
local windows = {}
for age = 0, tonumber(ARGV[2]) - 1 do windows[age + 1] = KEYS[1] .. (tonumber(ARGV[1]) - age) .. ':' end
local function counted(set)
    local sum = 0
    for _, window in ipairs(windows) do sum = sum + redis.call('SCARD', window .. set) end
    return sum
end
local function completed() return tonumber(redis.call('GET', KEYS[1] .. 'done')) or 0 end
"""

SCRAPE = _KEYS + "return {counted('c'), counted('s'), completed(), counted('p')}"
"""KEYS: prefix of a swarm. ARGV: window, how many to look at. Returns clients, seeds, completed, partial seeds."""

ANNOUNCE = (
    _KEYS
    + """
local expiry, peer, client, role, change, want =
    ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local own, other = #peer .. (role == 0 and 'd' or 'u'), #peer .. (role == 0 and 'u' or 'd')

local function forget(set, member, first)
    for age = first, #windows do redis.call('SREM', windows[age] .. set, member) end
end
-- Put a member into the newest window and take it out of the others; say whether it was not there.
local function keep(set, member)
    if redis.call('SADD', windows[1] .. set, member) == 0 then return false end
    redis.call('EXPIRE', windows[1] .. set, expiry)
    forget(set, member, 2)
    return true
end
local function choose(set, wanted, chosen)
    for _, window in ipairs(windows) do
        if wanted <= 0 then break end
        local found = redis.call('SRANDMEMBER', window .. set, wanted)
        wanted = wanted - #found
        for _, member in ipairs(found) do chosen[#chosen + 1] = member end
    end
end
local function is_known_seed()
    for _, window in ipairs(windows) do
        if redis.call('SISMEMBER', window .. 's', client) == 1 then return true end
    end
    return false
end

if change == 2 then
    forget(own, peer, 1)
    forget(other, peer, 1)
    for _, set in ipairs({'c', 's', 'p'}) do forget(set, client, 1) end
    return {counted('c'), counted('s'), completed(), ''}
end
if change == 1 and not is_known_seed() then redis.call('INCR', KEYS[1] .. 'done') end
if keep(own, peer) then forget(other, peer, 1) end
if keep('c', client) then redis.call('EXPIRE', KEYS[1] .. 'done', expiry) end
if role == 1 then keep('s', client) else forget('s', client, 1) end
if role == 2 then keep('p', client) else forget('p', client, 1) end
if change == 1 then redis.call('EXPIRE', KEYS[1] .. 'done', expiry) end

local downloaders, uploaders = {}, {}
if role == 0 then
    local all_uploaders = want > 0 and counted(#peer .. 'u') or 0
    choose(own, want - math.min(all_uploaders, math.floor(want / 2)), downloaders)
    if all_uploaders > 0 then choose(other, want - #downloaders, uploaders) end
    return {counted('c'), counted('s'), completed(), table.concat(uploaders) .. table.concat(downloaders)}
end
choose(other, want, downloaders)
if #downloaders < tonumber(ARGV[9]) then
    choose(own, math.min(want, ARGV[9] + 1) - #downloaders, uploaders)
end
return {counted('c'), counted('s'), completed(), table.concat(downloaders) .. table.concat(uploaders)}
"""
)
"""KEYS: prefix of a swarm. ARGV: window, how many to look at, seconds until a window's sets expire, compact entry,
digest of the client, role, change, peers wanted, company for an uploader. Returns clients, seeds, completed, entries
of those chosen."""
