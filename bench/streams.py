"""Measures many streams at once: beats kept, how late they come, and memory. Started by `bin/bench --streams`; see README.md."""

import argparse
import asyncio
import json
import time
from contextlib import ExitStack

from common import Fairdraw, add_output_options, fresh_folder, percentile, run_main, verdict, write_rows
from counters import Counters

RESIDENT_TARGET = 200


async def follow(port, key, index, seconds):
  """The nonces of one stream and when each came, from its first on."""
  reader, writer = await asyncio.open_connection("127.0.0.1", port)
  writer.write(
    f"GET /api/stream?endpoint=ints&intervalMs=1000&clientSeed=stream-{index} HTTP/1.1\r\nHost: bench\r\nx-api-key: {key}\r\n\r\n".encode())
  await reader.readuntil(b"\r\n\r\n")
  seen = []
  while len(seen) < seconds:
    line = await reader.readline()
    if not line:
      break
    if line.startswith(b"data: "):
      seen.append((json.loads(line[6:])["nonce"], time.monotonic()))
  writer.close()
  return seen


async def follow_all(options, port, key):
  tasks = []
  for index in range(options.streams):
    tasks.append(asyncio.create_task(follow(port, key, index, options.seconds)))
    await asyncio.sleep(1 / options.streams)  # so that the beats are spread over the second
  return await asyncio.gather(*tasks)


def main():
  parser = argparse.ArgumentParser(prog="bin/bench --streams", description=__doc__)
  parser.add_argument("--streams", type=int, default=1000, help="how many at once (1000)")
  parser.add_argument("--seconds", type=int, default=60, help="beats of each, one a second (60)")
  add_output_options(parser)
  options = parser.parse_args()
  with ExitStack() as stack:
    log = stack.enter_context(open(options.log, "a"))
    server = Fairdraw(fresh_folder(stack, options.data), log, FAIRDRAW_MAX_CONNECTIONS_PER_ADDRESS=4000)
    stack.callback(server.stop)
    key = server.new_key()
    counters = Counters(server.processes())
    streams = asyncio.run(follow_all(options, server.port, key))
    used = sum(seconds for seconds, _ in counters.since()["threads"].values()) / (options.seconds + 1)
    resident, peak = server.memory(), server.memory("VmHWM")

  lost = sum([nonce for nonce, _ in seen] != list(range(options.seconds)) for seen in streams)
  late = sorted(moment - seen[0][1] - beat for seen in streams for beat, (_, moment) in enumerate(seen))
  print(f"{options.streams} streams of {options.seconds} beats: {lost} did not have every beat, in order")
  print(f"a beat was late by {percentile(late, 0.5) * 1e3:.1f} ms in the middle, {percentile(late, 0.99) * 1e3:.1f} at the 99th percentile, "
        f"{late[-1] * 1e3:.1f} at most, counted from each stream's first")
  print(f"memory   {resident:.0f} MB resident, {peak:.0f} at most: {verdict(peak < RESIDENT_TARGET, f'< {RESIDENT_TARGET} MB')}")
  print(f"time     {used:.0%} of a core")
  write_rows(options.json, [
    {"row": "streams", "streams": options.streams, "lost": lost, "late_p50": percentile(late, 0.5), "late_p99": percentile(late, 0.99),
     "late_most": late[-1], "resident": peak, "cores": used}])
  return 1 if lost else 0


if __name__ == "__main__":
  run_main(main)
