-- Draws without a key, over many client seeds.
require "common"

function init()
  local texts = {}
  for seed = 1, tonumber(os.getenv("BENCH_SEEDS")) do
    texts[seed] = wrk.format("GET", ints("bench-" .. seed))
  end
  request = cycle(texts)
end
