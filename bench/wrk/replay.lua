-- One request that was answered before, again and again: the same key, the same Idempotency-Key.
require "common"

function init()
  local text = wrk.format("GET", ints("bench-replay"), with_key({ ["Idempotency-Key"] = os.getenv("BENCH_REPLAY") }))
  request = function() return text end
end
