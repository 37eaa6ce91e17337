"""Measures what webhooks cost the draws, and how fast they are delivered. Started by `bin/bench --webhooks`; see README.md."""

import argparse
import asyncio
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, closing
from pathlib import Path

import bench
import closed_pipe

RATIO_TARGET = 0.6
RATE_TARGET = 500


class FastReceiver(asyncio.Protocol):
  """Answers 200 to each request on a kept connection and looks at nothing but where it ends; /hang is not answered."""

  def connection_made(self, transport):
    self.transport = transport
    self.buffer = b""

  def data_received(self, data):
    self.buffer += data
    while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
      head = self.buffer[:end].lower()
      length = int(re.search(rb"content-length: *(\d+)", head)[1])
      if len(self.buffer) < end + 4 + length:
        return
      self.buffer = self.buffer[end + 4 + length:]
      if not head.startswith(b"post /hang"):
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def receive():
  server = await asyncio.get_running_loop().create_server(FastReceiver, "127.0.0.1", 0)
  print(server.sockets[0].getsockname()[1], flush=True)
  await server.serve_forever()


class Hooks:
  def __init__(self, server, data, fairdraw, seconds):
    self.server, self.data, self.fairdraw, self.seconds = server, data, fairdraw, seconds

  def draw_rate(self, key, seconds):
    environment = dict(os.environ, BENCH_API_KEY=key, BENCH_RUN=str(uuid.uuid4()), BENCH_SEEDS="1000")
    output = subprocess.run(
      ["wrk", "-t", "2", "-c", "64", "-d", f"{seconds}s", "--timeout", "10s", "-s", "keyed.lua", f"http://127.0.0.1:{self.server.port}"],
      cwd=bench.ROOT / "bench" / "wrk", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = re.search(r"^RESULT (.*)$", output.stdout, re.MULTILINE)
    if not found:
      raise bench.Failure(f"wrk failed: {output.stderr.strip() or output.stdout.strip()}")
    result = json.loads(found.group(1))
    if result["status"] + result["socket"]:
      raise bench.Failure(f"draws failed: {result}")
    return result["requests"] * 1e6 / result["microseconds"]

  def delivered(self, webhook):
    with closing(sqlite3.connect(f"file:{self.data}/fairdraw.db?mode=ro", uri=True, timeout=30)) as database:
      return database.execute("SELECT count(*) FROM deliveries WHERE endpoint_id = ? AND state = 2", (webhook,)).fetchone()[0]

  def pending(self, webhook):
    with closing(sqlite3.connect(f"file:{self.data}/fairdraw.db?mode=ro", uri=True, timeout=30)) as database:
      return database.execute("SELECT count(*) FROM deliveries WHERE endpoint_id = ? AND due IS NOT NULL", (webhook,)).fetchone()[0]

  def delivery_rate(self, webhook):
    """Deliveries a second while nobody draws."""
    time.sleep(2)
    before, began = self.delivered(webhook), time.monotonic()
    time.sleep(self.seconds)
    after, took = self.delivered(webhook), time.monotonic() - began
    if not self.pending(webhook):
      raise bench.Failure("everything was delivered before the time was up: draw for longer")
    return (after - before) / took

  def webhook(self, account, url):
    self.fairdraw("webhook", "create", "--account", account, "--url", url)
    return int(self.fairdraw("webhook", "list").splitlines()[-1].split()[0])


def main():
  parser = argparse.ArgumentParser(prog="bin/bench --webhooks", description=__doc__)
  parser.add_argument("--rounds", type=int, default=3, help="how often draws are measured with a webhook and without (3)")
  parser.add_argument("--seconds", type=int, default=8, help="how long each time (8)")
  options = parser.parse_args()
  bench.SCRATCH.mkdir(parents=True, exist_ok=True)
  with ExitStack() as stack:
    data = Path(tempfile.mkdtemp(prefix="data-", dir=bench.SCRATCH))
    stack.callback(shutil.rmtree, data, ignore_errors=True)
    log = stack.enter_context(open(os.devnull, "a"))
    settings = {name: value for name, value in os.environ.items() if not name.startswith("FAIRDRAW_")}
    settings.update(
      FAIRDRAW_DATA=str(data), FAIRDRAW_RATE_LIMIT_PER_MINUTE="0", FAIRDRAW_DAILY_QUOTA="1000000000",
      FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true")
    receiver = bench.Server([sys.executable, "-B", __file__, "receive"], settings, log)
    stack.callback(receiver.process.kill)
    server = bench.Server([bench.RELEASE / "fairdraw", "serve", "--host", "127.0.0.1", "--port", "0"], settings, log)
    stack.callback(server.stop)

    def fairdraw(*words):
      done = subprocess.run([bench.RELEASE / "fairdraw", *words], env=settings, capture_output=True, text=True)
      if done.returncode:
        raise bench.Failure(f"fairdraw {' '.join(words)}: {done.stderr.strip()}")
      return done.stdout.strip()

    hooks = Hooks(server, data, fairdraw, options.seconds)
    keys = {}
    for account in ("plain", "told"):
      fairdraw("account", "create", account)
      keys[account] = fairdraw("key", "create", "--account", account)
    fast = hooks.webhook("told", f"http://127.0.0.1:{receiver.port}/fast")
    for key in keys.values():
      hooks.draw_rate(key, 2)
    rates = {"plain": [], "told": []}
    for number in range(options.rounds):
      # What is pending waits while draws without a webhook are measured.
      for account, state in (("plain", "disable"), ("told", "enable")):
        fairdraw("webhook", state, str(fast))
        time.sleep(1)
        rates[account].append(hooks.draw_rate(keys[account], options.seconds))
        bench.progress(f"  round {number + 1}, {account:<6}{rates[account][-1]:>8,.0f} draws/s")
    alone = hooks.delivery_rate(fast)
    bench.progress(f"  one receiver {alone:,.0f} deliveries/s")
    hang = hooks.webhook("told", f"http://127.0.0.1:{receiver.port}/hang")
    hooks.draw_rate(keys["told"], options.seconds)
    beside = hooks.delivery_rate(fast)
    hung = hooks.pending(hang)
    memory = server.memory("VmHWM")
    code = server.stop()
    if code:
      raise bench.Failure(f"the server exited with {code} when asked to stop")

  ratios = [told / plain for told, plain in zip(rates["told"], rates["plain"])]
  ratio = statistics.median(ratios)
  print(f"keyed draws, fresh keys   {statistics.median(rates['plain']):,.0f}/s without a webhook, "
        f"{statistics.median(rates['told']):,.0f}/s with one that is being delivered: "
        f"{ratio:.2f}, {bench.verdict(ratio >= RATIO_TARGET, f'≥ {RATIO_TARGET}')}")
  print(f"deliveries                {alone:,.0f}/s to one receiver, {bench.verdict(alone >= RATE_TARGET, f'≥ {RATE_TARGET}')}")
  print(f"beside one that hangs     {beside:,.0f}/s, with {hung:,} pending for that one")
  print(f"memory                    {memory:.0f} MB resident at most")


if __name__ == "__main__":
  if sys.argv[1:] == ["receive"]:
    asyncio.run(receive())
  else:
    try:
      with closed_pipe.ends_quietly():
        main()
    except bench.Failure as failure:
      sys.exit(f"bench: {failure}")
