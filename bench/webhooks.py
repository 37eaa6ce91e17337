"""Measures what webhooks cost the draws, and how fast they are delivered. Started by `bin/bench --webhooks`; see README.md."""

import argparse
import asyncio
import re
import sqlite3
import statistics
import sys
import time
from contextlib import ExitStack, closing

from common import (
  Failure, Fairdraw, Process, Target, add_output_options, environment, fresh_folder, load, progress, run_main, verdict, write_rows)
from counters import describe, means

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
  def __init__(self, server, data, seconds):
    self.server, self.data, self.seconds = server, data, seconds

  def draw(self, key, seconds):
    """A run of keyed draws."""
    run = load(Target(self.server.port, self.server.processes, key), "keyed", seconds)
    if run["errors"]:
      raise Failure(f"draws failed: {run}")
    return run

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
      raise Failure("everything was delivered before the time was up: draw for longer")
    return (after - before) / took

  def webhook(self, account, url):
    self.server.command("webhook", "create", "--account", account, "--url", url)
    return int(self.server.command("webhook", "list").splitlines()[-1].split()[0])


def main():
  parser = argparse.ArgumentParser(prog="bin/bench --webhooks", description=__doc__)
  parser.add_argument("--rounds", type=int, default=3, help="how often draws are measured with a webhook and without (3)")
  parser.add_argument("--seconds", type=int, default=8, help="how long each time (8)")
  add_output_options(parser)
  options = parser.parse_args()
  with ExitStack() as stack:
    data = fresh_folder(stack, options.data)
    log = stack.enter_context(open(options.log, "a"))
    receiver = Process([sys.executable, "-B", __file__, "receive"], environment(), log)
    stack.callback(receiver.process.kill)
    server = Fairdraw(data, log, FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true")
    stack.callback(server.stop)

    hooks = Hooks(server, data, options.seconds)
    keys = {account: server.new_key(account) for account in ("plain", "told")}
    fast = hooks.webhook("told", f"http://127.0.0.1:{receiver.port}/fast")
    for key in keys.values():
      hooks.draw(key, 2)
    runs = {"plain": [], "told": []}
    for number in range(options.rounds):
      # What is pending waits while draws without a webhook are measured.
      for account, state in (("plain", "disable"), ("told", "enable")):
        server.command("webhook", state, str(fast))
        time.sleep(1)
        runs[account].append(hooks.draw(keys[account], options.seconds))
        progress(f"  round {number + 1}, {account:<6}{runs[account][-1]['requests']:>8,.0f} draws/s")
    alone = hooks.delivery_rate(fast)
    progress(f"  one receiver {alone:,.0f} deliveries/s")
    hang = hooks.webhook("told", f"http://127.0.0.1:{receiver.port}/hang")
    hooks.draw(keys["told"], options.seconds)
    beside = hooks.delivery_rate(fast)
    hung = hooks.pending(hang)
    memory = server.memory("VmHWM")
    code = server.stop()
    if code:
      raise Failure(f"the server exited with {code} when asked to stop")

  ratio = statistics.median(told["requests"] / plain["requests"] for told, plain in zip(runs["told"], runs["plain"]))
  rates = {account: statistics.median(run["requests"] for run in runs[account]) for account in runs}
  print(f"keyed draws, fresh keys   {rates['plain']:,.0f}/s without a webhook, "
        f"{rates['told']:,.0f}/s with one that is being delivered: "
        f"{ratio:.2f}, {verdict(ratio >= RATIO_TARGET, f'≥ {RATIO_TARGET}')}")
  print(f"deliveries                {alone:,.0f}/s to one receiver, {verdict(alone >= RATE_TARGET, f'≥ {RATE_TARGET}')}")
  print(f"beside one that hangs     {beside:,.0f}/s, with {hung:,} pending for that one")
  print(f"memory                    {memory:.0f} MB resident at most")
  for account, name in (("plain", "without a webhook"), ("told", "with a webhook")):
    print(f"{name:<26}{describe(runs[account])}")
  write_rows(options.json, [
    {"row": f"keyed draws, {name}", "requests": rates[account], "p50": statistics.median(run["p50"] for run in runs[account]),
     "p99": max(run["p99"] for run in runs[account]), "threads": means(runs[account]), "to_plain": ratio if account == "told" else 1}
    for account, name in (("plain", "without a webhook"), ("told", "with a webhook"))])


if __name__ == "__main__":
  if sys.argv[1:] == ["receive"]:
    asyncio.run(receive())
  else:
    run_main(main)
