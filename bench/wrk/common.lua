-- What every load shares. wrk runs each thread in a Lua state of its own; requests are made ready in `init`, so that
-- sending one costs next to nothing: wrk shares the machine with what it measures.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("thread_number", threads)
end

-- A function of no arguments that gives each of `list` in turn, for ever; threads start at different places.
function cycle(list)
  local index = math.floor(#list / 2) * (thread_number - 1)
  return function()
    index = index % #list + 1
    return list[index]
  end
end

function ints(seed)
  return "/api/ints?clientSeed=" .. seed .. "&count=1&min=1&max=100"
end

function with_key(more)
  local headers = { ["x-api-key"] = os.getenv("BENCH_API_KEY") }
  for name, value in pairs(more or {}) do headers[name] = value end
  return headers
end

-- One line of JSON for bench.py. Times are microseconds, as wrk keeps them.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "max": %d, "status": %d, "socket": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
