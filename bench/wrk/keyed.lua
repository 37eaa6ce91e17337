-- Draws with a live key and an Idempotency-Key never used before, over many client seeds.
require "common"

function init()
  local texts = {}
  for seed = 1, tonumber(os.getenv("BENCH_SEEDS")) do
    local text = wrk.format("GET", ints("bench-" .. seed), with_key({ ["Idempotency-Key"] = "@" }))
    local before, after = text:match("^(.-: )@(.*)$")
    texts[seed] = { before, after }
  end
  local next_text = cycle(texts)
  local key = os.getenv("BENCH_RUN") .. "-" .. thread_number .. "-"
  local count = 0
  request = function()
    local text = next_text()
    count = count + 1
    return text[1] .. key .. count .. text[2]
  end
end
