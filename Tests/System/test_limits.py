"""Clients that open many connections, send half of things, or do not read: each holds what it may, and no more."""

import json
import pathlib
import re
import subprocess

import pytest

from harness import BINARY, environment, wait_until
from ports import free_port
from test_stopping import HALVES, trickle
from wire import Wire, request

HALF_BODY = b"POST /api/shuffle HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n"


def resident(server):
  """The server's memory in megabytes."""
  with open(f"/proc/{server.process.pid}/status") as status:
    return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


def health(server, source):
  with Wire(server, source) as wire:
    wire.send(request("GET", "/api/health", "Connection: close"))
    answer = wire.answer()
    return answer and answer[0]


# Connections


@pytest.mark.parametrize("limit", ["1024:1024", "256:2048", "200:200"])
def test_more_connections_than_there_are_descriptors(serve, limit):
  server = serve(open_files=limit)
  hard = int(limit.split(":")[1])
  wires = []
  try:
    for _ in range(hard + 200):
      wires.append(Wire(server))
    # From another address, and from the same one: connections that ask for nothing make room.
    assert health(server, "127.0.0.2") == 200
    assert health(server, "127.0.0.1") == 200
    assert server.get("/api/ints").status == 200
    assert server.process.poll() is None
    assert len(list(pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir())) < hard - 40
  finally:
    for wire in wires:
      wire.close()
  assert server.stop() == 0


def test_a_soft_limit_is_raised_to_the_hard_one(serve):
  server = serve(open_files="200:3000")
  with open(f"/proc/{server.process.pid}/limits") as limits:
    assert re.search(r"Max open files\s+3000\s+3000", limits.read())


def test_more_connections_than_there_can_be_are_refused_at_the_start(tmp_path):
  done = subprocess.run(
    ["prlimit", "--nofile=500:500", "--", BINARY, "serve", "--data", str(tmp_path / "data"), "--port", "0", "--max-connections", "400"],
    env=environment(), capture_output=True, text=True, timeout=60)
  assert done.returncode == 64 and "--max-connections" in done.stderr and "372" in done.stderr


def test_one_address_cannot_take_all_connections(serve):
  server = serve(FAIRDRAW_MAX_CONNECTIONS_PER_ADDRESS=5, FAIRDRAW_MAX_CONNECTIONS=20)
  busy = [Wire(server, "127.0.0.3") for _ in range(5)]
  for wire in busy:
    wire.send(request("GET", "/api/stream?endpoint=ints&intervalMs=60000"))
    assert wire.head()[0] == 200
  with Wire(server, "127.0.0.3") as sixth:
    assert sixth.is_closed()
  assert health(server, "127.0.0.1") == 200
  busy.pop().close()
  wait_until(lambda: health(server, "127.0.0.3") == 200, "its place is free again")
  for wire in busy:
    wire.close()


def test_idle_connections_make_room_for_new_ones(serve):
  server = serve(FAIRDRAW_MAX_CONNECTIONS_PER_ADDRESS=3)
  idle = [Wire(server) for _ in range(3)]
  for wire in idle:
    wire.send(request("GET", "/api/health"))
    assert wire.answer()[0] == 200
  with Wire(server) as new:
    new.send(request("GET", "/api/health"))
    assert new.answer()[0] == 200
    # The order in which two event loops took them in is theirs; one of them was closed.
    answers = []
    for wire in idle:
      try:
        wire.send(request("GET", "/api/health"))
      except OSError:
        pass
      answers.append(wire.answer())
    assert sorted(answer[0] if answer else 0 for answer in answers) == [0, 200, 200]
  for wire in idle:
    wire.close()


def test_a_trusted_proxy_is_not_held_to_the_limit_of_one_address(serve):
  server = serve(FAIRDRAW_MAX_CONNECTIONS_PER_ADDRESS=2, FAIRDRAW_TRUSTED_PROXIES="127.0.0.3")
  wires = [Wire(server, "127.0.0.3") for _ in range(6)]
  for wire in wires:
    wire.send(request("GET", "/api/stream?endpoint=ints&intervalMs=60000"))
  assert [wire.head()[0] for wire in wires] == [200] * 6
  for wire in wires:
    wire.close()


def test_the_metrics_port_has_few_connections(serve):
  port = free_port()
  server = serve(FAIRDRAW_METRICS_PORT=port)
  api, server.port = server.port, port
  wires = [Wire(server) for _ in range(16)]
  for wire in wires:
    wire.send(b"GET /metrics HTTP/1.1\r\n")

  def is_turned_away():
    with Wire(server) as wire:
      try:
        wire.send(request("GET", "/metrics", "Connection: close"))
      except OSError:
        return True
      return wire.answer() is None

  def are_all_taken():
    if is_turned_away():
      return True
    # One of them was closed for this one, before its first bytes were read.
    wires.append(Wire(server))
    wires[-1].send(b"GET /metrics HTTP/1.1\r\n")
    return False

  wait_until(are_all_taken, "all places are taken")
  wires.pop().close()
  wait_until(lambda: not is_turned_away(), "one is free")
  server.port = api
  assert server.get("/api/health").status == 200
  for wire in wires:
    wire.close()


# Deadlines


def test_clients_that_take_their_time(serve):
  """Half of a minute for all of these together: what has come only in part is refused, what is not read is cut off."""
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=1000)
  halves = {name: half for name, half in HALVES.items() if "metrics" not in name}
  wires = {name: Wire(server) for name in halves}
  for name, half in halves.items():
    wires[name].send(half)
  trickled = Wire(server)
  trickled.send(b"GET /api/health HTTP/1.1\r\nHost: a\r\nX-Long: ")
  # Streams that are not read end, and give back their slots.
  items = ",".join(["x" * 100] * 300)
  streams = [Wire(server, receive_buffer=4096) for _ in range(10)]
  for index, stream in enumerate(streams):
    stream.send(request("GET", f"/api/stream?endpoint=shuffle&intervalMs=100&clientSeed=s{index}&items={items}"))
    assert stream.head()[0] == 200
  assert server.get("/api/stream", {"endpoint": "ints"}).status == 429

  end = trickle(trickled, b"x" * 10_000)
  assert trickled.answer()[0] == 408
  for name, wire in wires.items():
    answers = []
    while answer := wire.answer():
      answers.append(answer[0])
    expected = {"nothing": [], "a request and half of another": [200, 408], "a body that waits for word": [100, 408]}.get(name, [408])
    assert answers == expected, name
  end()

  def is_free():
    with Wire(server) as wire:
      wire.send(request("GET", "/api/stream?endpoint=ints"))
      return wire.head()[0] == 200

  wait_until(is_free, "a stream that nobody reads has ended", pause=0.5)
  for wire in [*wires.values(), trickled, *streams]:
    wire.close()


# Bodies


def test_a_body_that_never_comes_costs_its_slot(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=3)
  wires = [Wire(server) for _ in range(3)]
  for wire in wires:
    wire.send(HALF_BODY + b"[")
  wait_until(lambda: server.get("/api/ints").status == 429, "three slots are taken")
  with Wire(server) as wire:
    wire.send(HALF_BODY)
    status, headers, body = wire.answer()
    assert status == 429 and json.loads(body)["code"] == "rate_limited"
    # What was refused with its head may still be sent; it is passed over, and the connection stays of use.
    wire.send(b" " * 2_000_000 + request("GET", "/api/health"))
    assert wire.answer()[0] == 200
  for wire in wires:
    wire.close()


def test_half_sent_bodies_are_bounded_together(serve):
  server = serve()
  wires = []
  for _ in range(60):
    wires.append(Wire(server))
    try:
      wires[-1].send(HALF_BODY + b" " * 1_900_000)
    except (BrokenPipeError, ConnectionResetError):
      pass
  wires[-1].socket.settimeout(20)
  status, headers, body = wires[-1].answer()
  assert status == 503 and json.loads(body)["code"] == "overloaded" and int(headers["retry-after"]) > 0
  assert resident(server) < 300
  # Small requests find room all the time.
  assert server.post("/api/shuffle", {"items": ["x" * 100] * 100}).status == 200
  for wire in wires:
    wire.close()
  items = json.dumps({"items": ["x" * 1000] * 1000})
  key = server.key()
  wait_until(lambda: server.post("/api/shuffle", items, key=key).status == 200, "there is room again")


def test_500_half_sent_bodies(serve):
  server = serve()
  wires = []
  for _ in range(500):
    wires.append(Wire(server))
    wires[-1].send(HALF_BODY + b" " * 100_000)
  assert server.get("/api/health").status == 200
  assert resident(server) < 300
  for wire in wires:
    wire.close()


# Answers


def test_answers_that_wait_to_be_read_are_bounded(serve):
  """Those of one address count against it; others draw on, and so does it when it has read."""
  server = serve()
  body = json.dumps({"items": ["x" * 2000] * 1000})
  key = f"x-api-key: {server.key()}"
  wires, statuses = [], []
  for _ in range(30):
    wires.append(Wire(server, receive_buffer=4096))
    wires[-1].send(request("POST", "/api/shuffle", key, body=body.encode()))
    statuses.append(wires[-1].head()[0])
  assert statuses[:10] == [200] * 10 and statuses[-1] == 503
  with Wire(server) as wire:
    wire.send(request("GET", "/api/health"))
    assert wire.answer()[0] == 200
    wire.send(request("GET", "/api/ints"))
    status, headers, refusal = wire.answer()
    assert status == 503 and json.loads(refusal)["code"] == "overloaded" and headers["retry-after"]
  with Wire(server, "127.0.0.2") as wire:
    wire.send(request("GET", "/api/ints"))
    assert wire.answer()[0] == 200
  assert resident(server) < 300
  for wire in wires:
    wire.close()
  wait_until(lambda: server.get("/api/ints").status == 200, "the answers are gone")
