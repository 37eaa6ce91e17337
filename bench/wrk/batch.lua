-- Rooms of 50 chests, one `ints` draw and one client seed a chest, with a live key.
require "common"

function init()
  local headers = with_key({ ["Content-Type"] = "application/json" })
  local texts = {}
  for room = 1, tonumber(os.getenv("BENCH_SEEDS")) / 50 do
    local draws = {}
    for chest = 1, 50 do
      draws[chest] = string.format(
        '{"endpoint":"ints","params":{"clientSeed":"room-%d:chest-%d","count":1,"min":1,"max":100}}', room, chest)
    end
    texts[room] = wrk.format("POST", "/api/batch", headers, '{"draws":[' .. table.concat(draws, ",") .. "]}")
  end
  request = cycle(texts)
end
