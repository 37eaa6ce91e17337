-- Rooms of 50 chests as in batch.lua, and every client seed is one that the server has never seen.
require "common"

function init()
  headers = with_key({ ["Content-Type"] = "application/json" })
  prefix = os.getenv("BENCH_RUN") .. ":" .. thread_number
  room = 0
end

function request()
  room = room + 1
  local draws = {}
  for chest = 1, 50 do
    draws[chest] = string.format(
      '{"endpoint":"ints","params":{"clientSeed":"%s:%d:%d","count":1,"min":1,"max":100}}', prefix, room, chest)
  end
  return wrk.format("POST", "/api/batch", headers, '{"draws":[' .. table.concat(draws, ",") .. "]}")
end
