-- Announces for wrk: HASHES names a file of info hashes in hex, one a line; PAUSE_MS is how long a connection rests.
local hashes = {}
for line in io.lines(os.getenv("HASHES")) do
    hashes[#hashes + 1] = line:gsub("%x%x", "%%%0")
end
local pause = tonumber(os.getenv("PAUSE_MS") or 0)

local function peer_id()
    local octets = {}
    for i = 1, 20 do octets[i] = string.format("%%%02x", math.random(0, 255)) end
    return table.concat(octets)
end

function init() math.randomseed(os.time()) end

function delay() return pause * 2 * math.random() end

function request()
    return wrk.format("GET", "/announce?info_hash=" .. hashes[math.random(#hashes)] .. "&peer_id=" .. peer_id() ..
        "&port=" .. math.random(1025, 65000) .. "&uploaded=0&downloaded=0&left=1&compact=1&numwant=50")
end
