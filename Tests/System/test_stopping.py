"""A server that is told to stop finishes what it has accepted and ends, whatever its clients do."""

import json
import socket
import threading

import pytest

from harness import cli, wait_until
from ports import free_port
from wire import Wire, request

# What a server that waits for nobody needs at the most: ten seconds, and what this machine takes on a bad day.
END = 14

ITEMS = json.dumps({"items": ["x" * 2000] * 1000}).encode()  # answered with as much


def big_draw(key):
  return request("POST", "/api/shuffle", f"x-api-key: {key}", body=ITEMS)


def trickle(wire, data):
  """Sends `data` byte by byte, for as long as anybody listens."""

  def send():
    try:
      for index in range(len(data)):
        wire.send(data[index:index + 1])
        if stop.wait(0.2):
          return
    except OSError:
      pass

  stop = threading.Event()
  thread = threading.Thread(target=send, daemon=True)
  thread.start()
  return lambda: (stop.set(), thread.join())


HALVES = {
  "nothing": b"",
  "half a request line": b"GET /api/in",
  "half a head": b"POST /api/ints HTTP/1.1\r\nHost: a\r\nContent-Le",
  "half a body": b"POST /api/ints HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
  "half a long body": b"POST /api/shuffle HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n" + b" " * 500_000,
  "half a chunk": b"POST /api/ints HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{",
  "a chunk and no end": b"POST /api/ints HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
  "half a form": b"POST /sign-in HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 40\r\n\r\nemail=",
  "half a body of a key": b"POST /api/ints HTTP/1.1\r\nHost: a\r\nx-api-key: pk_live_unknown\r\nContent-Length: 100\r\n\r\n{",
  "a body that waits for word": b"POST /api/ints HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n",
  "a request and half of another": request("GET", "/api/health") + b"GET /api/hea",
  "half a body on the metrics port": b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
}


@pytest.mark.parametrize("half", HALVES)
def test_half_a_request(serve, half):
  server = serve(FAIRDRAW_METRICS_PORT=free_port()) if "metrics" in half else serve()
  if "metrics" in half:
    server.port = int(server.env["FAIRDRAW_METRICS_PORT"])
  with Wire(server) as wire:
    wire.send(HALVES[half])
    if "waits for word" in half:
      assert wire.head()[0] == 100
    server.signal(15)
    assert server.wait(END) == 0
    answers = []
    while answer := wire.answer():
      answers.append(answer[0])
  # It may have been told to stop before it had read anything.
  assert answers in ([], [503]) or answers == [200] and half.startswith("a request and")


@pytest.mark.parametrize("what", ["head", "body", "chunks", "form"])
def test_a_trickled_request(serve, what):
  server = serve()
  data = {
    "head": b"GET /api/health HTTP/1.1\r\nX-Long: " + b"x" * 1000,
    "body": b"POST /api/ints HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000,
    "chunks": b"POST /api/ints HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 200,
    "form": b"POST /sign-in HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + b"email=" + b"x" * 994,
  }[what]
  with Wire(server) as wire:
    start = data.find(b"\r\n\r\n") + 4 if what != "head" else 20
    wire.send(data[:start])
    end = trickle(wire, data[start:])
    server.signal(15)
    assert server.wait(END) == 0
    end()


def test_a_request_that_comes_whole_in_time_is_answered(serve, client_seed):
  server = serve()
  body = json.dumps({"clientSeed": client_seed}).encode()
  with Wire(server) as wire:
    wire.send(f"POST /api/ints HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    assert wire.head()[0] == 100
    server.signal(15)
    wait_until(lambda: refuses(server), "it takes no new connections")
    wire.send(body)
    status, headers, body = wire.answer()
    assert status == 200 and json.loads(body)["nonce"] == 0 and headers["connection"] == "close"
    assert server.wait(END) == 0


def refuses(server):
  try:
    server.open_socket().close()
    return False
  except OSError:
    return True


def test_a_slow_reader_gets_its_answer_to_the_end(serve):
  """Two megabytes in some seconds, begun before the server is told to stop."""
  server = serve()
  key = server.key()
  with Wire(server, receive_buffer=32768) as wire:
    wire.send(big_draw(key))
    status, headers = wire.head()
    length = int(headers["content-length"])
    assert status == 200 and length > 1_900_000
    server.signal(15)
    body = b""
    pause = threading.Event()
    while len(body) < length:
      piece = wire.file.read(min(65536, length - len(body)))
      assert piece, f"cut after {len(body)} of {length} bytes"
      body += piece
      pause.wait(0.15)
    assert json.loads(body)["count"] == 1000
    assert wire.is_closed()
    assert server.wait(END) == 0


@pytest.mark.parametrize("what", ["answer", "answers", "half-closed"])
def test_an_answer_that_nobody_reads(serve, what):
  server = serve()
  key = server.key()
  with Wire(server, receive_buffer=4096) as wire:
    wire.send(big_draw(key))
    if what == "half-closed":
      wire.socket.shutdown(1)
    assert wire.head()[0] == 200
    if what == "answers":  # of which the server reads no more than it has room for
      wire.socket.setblocking(False)
      wire.socket.send(big_draw(key) * 3)
    server.signal(15)
    assert server.wait(END) == 0


@pytest.mark.parametrize("kind", ["live", "anonymous"])
def test_a_stream_that_nobody_reads(serve, kind):
  server = serve()
  key = [f"x-api-key: {server.key()}"] if kind == "live" else []
  items = ",".join(["x" * 100] * 300)
  with Wire(server, receive_buffer=4096) as wire:
    wire.send(request("GET", f"/api/stream?endpoint=shuffle&intervalMs=100&clientSeed=unread&items={items}", *key))
    assert wire.head()[0] == 200

    def drawn():
      return server.sql("SELECT coalesce(max(nonce), 0) FROM chains WHERE client_seed = ?", b"unread")[0][0]

    # It stops drawing when its events are not taken.
    counts = []
    wait_until(lambda: counts.append(drawn()) or len(counts) > 10 and counts[-10] == counts[-1] > 3, "the stream is stuck", pause=0.3)
    server.signal(15)
    assert server.wait(END) == 0


def test_all_of_them_at_once(serve):
  server = serve()
  key = server.key()
  wires = [Wire(server) for _ in HALVES for _ in range(5)]
  for wire, half in zip(wires, [half for name, half in HALVES.items() if "metrics" not in name] * 6):
    wire.send(half)
  for _ in range(5):
    wires.append(Wire(server, receive_buffer=4096))
    wires[-1].send(big_draw(key))
    assert wires[-1].head()[0] == 200
  server.signal(15)
  assert server.wait(END) == 0
  for wire in wires:
    wire.close()


def test_connections_that_arrive_while_it_stops(serve):
  """Accepted at the last moment, and handled by nobody any more: closed, and nothing worse."""
  for _ in range(8):
    server = serve()
    wires = [Wire(server)]
    server.signal(15)
    try:
      for _ in range(20):
        wires.append(Wire(server))
    except OSError:
      pass
    assert server.wait(END) == 0
    for wire in wires:
      wire.close()


def test_with_a_delay_it_serves_on_and_says_that_it_will_stop(serve, client_seed):
  server = serve(FAIRDRAW_SHUTDOWN_DELAY=60)
  server.signal(15)
  wait_until(lambda: server.get("/api/health").json()["status"] == "shutting_down", "it has been told to stop")
  assert server.get("/api/health").status == 503
  with Wire(server) as wire:
    for _ in range(2):
      wire.send(request("GET", f"/api/ints?clientSeed={client_seed}"))
      status, headers, _ = wire.answer()
      assert status == 200 and headers.get("connection") != "close"
  assert server.nonce(client_seed) == 2


def test_a_delay_is_a_minute_at_the_most(tmp_path):
  done = cli("serve", "--shutdown-delay", 61, data=tmp_path / "data")
  assert done.returncode == 64 and "shutdown-delay must be from 0 to 60" in done.stderr
