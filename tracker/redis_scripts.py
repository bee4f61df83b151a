"""What runs inside Redis: one call an announce, one a scraped swarm (Lua; see `redis_swarms` for the keys)."""

_COUNTS = """
local function counted(name)
    local sum = 0
    for i = 0, windows - 1 do sum = sum + redis.call('SCARD', swarm .. name .. (window - i)) end
    return sum
end
local function all_counts()
    return {counted('c0:'), counted('c1:'), counted('c2:'), tonumber(redis.call('GET', swarm .. 'done')) or 0}
end
"""

SCRAPE = (
    """
local swarm, window, windows = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
"""
    + _COUNTS
    + """
return all_counts()
"""
)
"""KEYS: prefix of a swarm. ARGV: window, how many to look at. Returns downloaders, seeds, partial seeds, completed."""

ANNOUNCE = (
    """
local swarm, window, windows = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local expiry, peer, client, role, change, want =
    tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local family = #peer
local parts = {[0] = family .. 'd:', [1] = family .. 'u:', [2] = family .. 'u:'}
"""
    + _COUNTS
    + """
local function forget(name, member, first)
    for i = first, windows - 1 do redis.call('SREM', swarm .. name .. (window - i), member) end
end
local function keep(name, member, others)
    local key = swarm .. name .. window
    if redis.call('SADD', key, member) == 1 then
        redis.call('EXPIRE', key, expiry)
        redis.call('EXPIRE', swarm .. 'done', expiry)
        forget(name, member, 1)
        for _, other in ipairs(others) do forget(other, member, 0) end
    end
end
local function choose(name, wanted, chosen)
    for i = 0, windows - 1 do
        if wanted <= 0 then return end
        local found = redis.call('SRANDMEMBER', swarm .. name .. (window - i), wanted)
        for _, member in ipairs(found) do chosen[#chosen + 1] = member end
        wanted = wanted - #found
    end
end

if change == 2 then
    forget(parts[0], peer, 0)
    forget(parts[1], peer, 0)
    for kind = 0, 2 do forget('c' .. kind .. ':', client, 0) end
    local counts = all_counts()
    counts[5] = ''
    return counts
end
if change == 1 then
    local known = 0
    for i = 0, windows - 1 do known = known + redis.call('SISMEMBER', swarm .. 'c1:' .. (window - i), client) end
    if known == 0 then redis.call('INCR', swarm .. 'done') end
end
keep(parts[role], peer, {role == 0 and parts[1] or parts[0]})
local kinds = {'c0:', 'c1:', 'c2:'}
keep(table.remove(kinds, role + 1), client, kinds)
local chosen = {}
if want > 0 then
    local downloaders = counted(parts[0])
    local uploaders = 0
    if role == 0 then
        uploaders = math.min(counted(parts[1]), math.max(math.floor(want / 2), want - downloaders))
        choose(parts[1], uploaders, chosen)
    end
    choose(parts[0], want - uploaders, chosen)
end
local counts = all_counts()
counts[5] = table.concat(chosen)
return counts
"""
)
"""KEYS: prefix of a swarm. ARGV: window, how many to look at, seconds until a window's sets expire, compact entry,
digest of the client, role, change, peers wanted. Returns as `SCRAPE`, and the entries of those chosen."""
