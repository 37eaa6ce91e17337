-- Full tiles of a log, chosen at random: BENCH_TILES of them are under BENCH_TILE_PATH.
require "common"

-- A tile's number as tiled logs write it in a path: 1234067 is x001/x234/067.
local function digits(number)
  local text = string.format("%03d", number % 1000)
  while number >= 1000 do
    number = math.floor(number / 1000)
    text = string.format("x%03d/", number % 1000) .. text
  end
  return text
end

function init()
  math.randomseed(os.time() + thread_number)
  local text = wrk.format("GET", os.getenv("BENCH_TILE_PATH") .. "@")
  local before, after = text:match("^(.-)@(.*)$")
  local tiles = tonumber(os.getenv("BENCH_TILES"))
  request = function() return before .. digits(math.random(0, tiles - 1)) .. after end
end
