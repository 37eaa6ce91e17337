"""Measures many streams at once: beats kept, how late they come, and memory. Started by `bin/bench --streams`; see README.md."""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import bench
import closed_pipe

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
  options = parser.parse_args()
  bench.SCRATCH.mkdir(parents=True, exist_ok=True)
  with ExitStack() as stack:
    data = Path(tempfile.mkdtemp(prefix="data-", dir=bench.SCRATCH))
    stack.callback(shutil.rmtree, data, ignore_errors=True)
    log = stack.enter_context(open(os.devnull, "a"))
    settings = {name: value for name, value in os.environ.items() if not name.startswith("FAIRDRAW_")}
    settings.update(FAIRDRAW_DATA=str(data), FAIRDRAW_RATE_LIMIT_PER_MINUTE="0", FAIRDRAW_DAILY_QUOTA="1000000000",
      FAIRDRAW_MAX_CONNECTIONS_PER_ADDRESS="4000")
    server = bench.Server([bench.RELEASE / "fairdraw", "serve", "--host", "127.0.0.1", "--port", "0"], settings, log)
    stack.callback(server.stop)
    subprocess.run([bench.RELEASE / "fairdraw", "account", "create", "bench"], env=settings, check=True, capture_output=True)
    key = subprocess.run(
      [bench.RELEASE / "fairdraw", "key", "create", "--account", "bench"], env=settings, check=True, capture_output=True, text=True).stdout.strip()
    cpu = lambda: sum(map(int, Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(") ")[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    before = cpu()
    streams = asyncio.run(follow_all(options, server.port, key))
    used = (cpu() - before) / (options.seconds + 1)
    resident, peak = server.memory(), server.memory("VmHWM")

  lost = sum([nonce for nonce, _ in seen] != list(range(options.seconds)) for seen in streams)
  late = sorted(moment - seen[0][1] - beat for seen in streams for beat, (_, moment) in enumerate(seen))
  print(f"{options.streams} streams of {options.seconds} beats: {lost} did not have every beat, in order")
  print(f"a beat was late by {late[len(late) // 2] * 1e3:.1f} ms in the middle, {late[int(len(late) * 0.99)] * 1e3:.1f} at the 99th percentile, "
        f"{late[-1] * 1e3:.1f} at most, counted from each stream's first")
  print(f"memory   {resident:.0f} MB resident, {peak:.0f} at most: {bench.verdict(peak < RESIDENT_TARGET, f'< {RESIDENT_TARGET} MB')}")
  print(f"time     {used:.0%} of a core")
  return 1 if lost else 0


if __name__ == "__main__":
  try:
    with closed_pipe.ends_quietly():
      sys.exit(main())
  except bench.Failure as failure:
    sys.exit(f"bench: {failure}")
