"""`GET /api/stream`: server-sent events over real HTTP, and in a real browser."""

import http.client
import json
import shutil
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness import DRAWS, REQUIRED, TIMEOUT, target, wait_until


class Stream:
  """An open stream, read event by event."""

  def __init__(self, server, parameters=None, key=None, headers=None):
    self.http = http.client.HTTPConnection(server.host, server.port, timeout=TIMEOUT)
    sent = {**({"x-api-key": key} if key else {}), **(headers or {})}
    self.http.request("GET", target("/api/stream", {"endpoint": "ints", "intervalMs": 100, **(parameters or {})}), headers=sent)
    self.answer = self.http.getresponse()
    self.status = self.answer.status

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()

  def close(self):
    self.answer.close()
    self.http.close()

  def next(self):
    """The next event as a dictionary, with its data decoded; None at the end. Comments are passed over."""
    event = {}
    while True:
      line = self.answer.readline()
      if not line:
        assert not event, f"the stream was cut in {event}"
        return None
      line = line.decode().removesuffix("\n")
      if line.startswith(":"):
        continue
      if line:
        name, _, value = line.partition(": ")
        event[name] = json.loads(value) if name == "data" else value
      elif event:
        return event

  def take(self, count):
    return [self.next() for _ in range(count)]


def test_each_event_is_a_draw(server, account, client_seed):
  key = server.key(account)
  before = server.used(account)
  with Stream(server, {"clientSeed": client_seed + ":é", "min": 1, "max": 6, "count": 2}, key) as stream:
    assert stream.status == 200
    assert stream.answer.getheader("Content-Type") == "text/event-stream"
    assert stream.answer.getheader("Cache-Control") == "no-store"
    events = stream.take(4)
  for nonce, event in enumerate(events):
    assert event["event"] == "outcome"
    assert event["id"] == f"{client_seed}:é:0:{nonce}" == event["data"].pop("outcomeId")
    recorded = server.get("/api/outcome", {"clientSeed": client_seed + ":é", "cursor": 0, "nonce": nonce}, key=key)
    assert recorded.json() == event["data"]
  assert server.used(account) - before >= 4


@pytest.mark.parametrize("endpoint", DRAWS)
@pytest.mark.parametrize("mode", [None, "live", "test"])
def test_every_endpoint_and_every_caller(server, account, client_seed, endpoint, mode):
  key = server.key(account, mode) if mode else None
  with Stream(server, {"clientSeed": client_seed, **REQUIRED.get(endpoint, {}), "endpoint": endpoint}, key) as stream:
    first, second = stream.take(2)
  assert first["data"]["endpoint"] == endpoint and first["data"]["mode"] == (mode or "live")
  if mode == "test":
    assert first == second and first["id"] == f"{client_seed}:0:0"
  else:
    assert [first["data"]["nonce"], second["data"]["nonce"]] == [0, 1]


def test_it_ends_at_the_quota(server):
  account = server.account("--daily-quota", 3)
  key = server.key(account)
  with Stream(server, key=key) as stream:
    events = stream.take(4)
    assert stream.next() is None
  assert [event["event"] for event in events] == ["outcome"] * 3 + ["done"]
  assert events[3]["data"].pop("durationMs") >= 200
  assert events[3]["data"] == {"reason": "quota_exceeded", "count": 3}
  with Stream(server, key=key) as stream:
    assert stream.next()["data"]["count"] == 0 and stream.next() is None
  assert server.used(account) == 3


@pytest.mark.parametrize("by", ["header", "parameter"])
def test_resuming_sends_what_was_missed_and_bills_nothing(server, account, client_seed, by):
  key = server.key(account)
  seed = f"{client_seed}:{by}"
  drawn = [server.draw("ints", {"clientSeed": seed}, key=key).json() for _ in range(6)]
  used = server.used(account)
  last = f"{seed}:0:2"
  given = ({}, {"Last-Event-ID": last}) if by == "header" else ({"lastEventId": last}, {})
  with Stream(server, {"clientSeed": seed, "intervalMs": 60_000, **given[0]}, key, given[1]) as stream:
    events = stream.take(4)
  assert [event["id"] for event in events] == [f"{seed}:0:{nonce}" for nonce in (3, 4, 5, 6)]
  for event, outcome in zip(events, drawn[3:]):
    event["data"].pop("outcomeId")
    assert event["data"] == outcome
  assert server.used(account) == used + 1
  # A browser reconnects with the address it began with, and the header is newer.
  headers = {"Last-Event-ID": f"{seed}:0:5"}
  with Stream(server, {"clientSeed": seed, "lastEventId": f"{seed}:0:0"}, key, headers) as stream:
    assert stream.next()["id"] == f"{seed}:0:6"
    assert stream.next()["id"] == f"{seed}:0:7"


def test_the_last_event_of_all_resumes_with_a_new_draw(server, live_key, client_seed):
  with Stream(server, {"clientSeed": client_seed, "lastEventId": f"{client_seed}:0:99"}, live_key) as stream:
    assert stream.next()["id"] == f"{client_seed}:0:0"


@pytest.mark.parametrize("parameters, named", [
  ({"endpoint": "coins"}, "endpoint"), ({"endpoint": ""}, "endpoint"), ({"endpoint": "shuffle"}, "items required"), ({"count": "x"}, "count"),
  ({"intervalMs": 99}, "intervalMs"), ({"intervalMs": 60_001}, "intervalMs"), ({"intervalMs": "1.5"}, "intervalMs"),
  ({"lastEventId": "3"}, "lastEventId"), ({"lastEventId": "other:0:3"}, "lastEventId"), ({"lastEventId": "test:0:x"}, "lastEventId"),
  ({"lastEventId": "test:0:-1"}, "lastEventId"), ({"clientSeed": "a\nb"}, "clientSeed"), ({"clientSeed": ""}, "clientSeed"),
])
def test_a_bad_request_is_refused_before_it_begins(server, unchanged, parameters, named):
  response = server.get("/api/stream", {"endpoint": "ints", **parameters})
  assert response.status == 400 and named in response.error


def test_wrong_methods(server, unchanged):
  assert server.get("/api/stream").error == "endpoint required"
  for method in ("POST", "HEAD"):
    assert server.request(method, "/api/stream", {"endpoint": "ints"}).status == 405


@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_client_that_goes_away_stops_the_draws(server, live_key, client_seed, how):
  stream = Stream(server, {"clientSeed": client_seed, "intervalMs": 1500}, live_key)
  assert stream.next()["data"]["nonce"] == 0
  sock = stream.answer.fp.raw._sock
  if how == "half":
    sock.shutdown(socket.SHUT_WR)
  elif how == "reset":
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()
  else:
    stream.close()
  # Long enough for two more beats. Nothing tells us that there are none but that they do not come.
  deadline = time.monotonic() + 3.5
  while time.monotonic() < deadline:
    assert server.nonce(client_seed, live_key) == 1
    time.sleep(0.25)
  stream.close()


def test_a_stream_takes_one_slot_of_the_rate_limit(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=3)
  with Stream(server) as stream:
    assert len(stream.take(6)) == 6
  assert [server.get("/api/ints").status for _ in range(3)] == [200, 200, 429]
  assert server.get("/api/stream", {"endpoint": "ints"}).status == 429


def test_streams_without_a_live_key_are_bounded(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=1000)
  streams = [Stream(server, {"intervalMs": 60_000}) for _ in range(11)]
  assert [stream.status for stream in streams] == [200] * 10 + [429]
  refused = json.loads(streams[10].answer.read())
  assert refused["code"] == "too_many_streams" and refused["retryAfter"] > 0
  assert streams[10].answer.getheader("RateLimit-Policy") == '"streams";q=10;qu="concurrent-requests"'
  assert streams[10].answer.getheader("RateLimit") == '"streams";r=0'
  live = server.key()
  with Stream(server, key=live) as stream:
    assert stream.status == 200
  for stream in streams:
    stream.close()

  def opened():
    with Stream(server) as stream:
      return stream.status == 200

  wait_until(opened, "a place is free again")


def test_stopping_the_server_ends_streams_and_loses_nothing(serve):
  server = serve()
  key = server.key()
  with Stream(server, key=key) as stream:
    events = stream.take(3)
    assert server.stop() == 0
    while event := stream.next():
      events.append(event)
  assert {event["event"] for event in events} == {"outcome"}
  server.start()
  last = events[-1]["id"]
  with Stream(server, {"lastEventId": last}, key) as stream:
    assert stream.next()["data"]["nonce"] == events[-1]["data"]["nonce"] + 1
  assert server.stop() == 0


def test_a_revoked_key_ends_its_streams(serve):
  server = serve()
  key = server.key()
  with Stream(server, key=key) as stream:
    stream.take(2)
    server.cli("key", "revoke", key[:16], check=True)
    while stream.next():
      pass
  wait_until(lambda: server.get("/api/stream", {"endpoint": "ints"}, key=key).status == 401, "the key is known to be revoked")


def test_many_streams_keep_their_beat(serve):
  """200 streams of 20 beats: every one has all of its beats, in order, and the last when it is due."""
  server = serve(FAIRDRAW_DAILY_QUOTA=1_000_000)
  key = server.key()

  def follow(index):
    with Stream(server, {"clientSeed": f"s-{index}", "intervalMs": 500}, key) as stream:
      return [event["data"]["nonce"] for event in stream.take(20)]

  with ThreadPoolExecutor(200) as pool:
    assert list(pool.map(follow, range(200))) == [list(range(20))] * 200


PAGE = """<!doctype html><title>waiting</title><script>
const seen = [];
const source = new EventSource("SERVER/api/stream?endpoint=ints&intervalMs=100&clientSeed=browser%3A%C3%A9");
source.addEventListener("outcome", event => {
  const data = JSON.parse(event.data);
  seen.push([event.lastEventId, data.outcomeId, data.nonce]);
  if (seen.length == 5) { source.close(); fetch("/done", {method: "POST", body: JSON.stringify(seen)}); }
});
</script>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_an_event_source_in_a_browser(server, tmp_path):
  """A page of another origin follows a stream."""
  done = []

  class Page(BaseHTTPRequestHandler):
    def log_message(self, *_):
      pass

    def answer(self, body):
      self.send_response(200)
      self.send_header("Content-Type", "text/html; charset=utf-8")
      self.end_headers()
      self.wfile.write(body)

    def do_GET(self):
      self.answer(PAGE.replace("SERVER", f"http://{server.host}:{server.port}").encode())

    def do_POST(self):
      done.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
      self.answer(b"")

  pages = ThreadingHTTPServer(("127.0.0.1", 0), Page)
  threading.Thread(target=pages.serve_forever, daemon=True).start()
  browser = subprocess.Popen(
    ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0",
     f"--user-data-dir={tmp_path}/profile", f"http://127.0.0.1:{pages.server_port}/"],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  try:
    wait_until(lambda: done, "the page has seen five events")
  finally:
    browser.kill()
    browser.wait()
    pages.shutdown()
    pages.server_close()
  ids = [entry[0] for entry in done[0]]
  assert [entry[1] for entry in done[0]] == ids
  first = done[0][0][2]
  assert ids == [f"browser:é:0:{first + beat}" for beat in range(5)]
