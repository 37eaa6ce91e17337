"""The configurations of docs/proxies, each run for real in front of two servers of one database."""

import contextlib
import http.client
import json
import threading

import pytest

from harness import BODY_LIMIT, TARGET_LIMIT, TIMEOUT, Server, together, unique, wait_until
from ports import free_port
from proxies import ALL, HOST, DyingServer
from test_metrics import samples
from test_webhooks import Receiver, webhook

by_name = pytest.mark.parametrize("name", [kind.name for kind in ALL])

# As docs/proxies.md has it; long enough for a busy machine to notice.
SHUTDOWN_DELAY = 10


class Installation:
  """Two servers of one database, and all proxies in front of them."""

  def __init__(self, folder):
    self.servers = []
    self.metrics_ports = [free_port(), free_port()]
    for number, port in enumerate(self.metrics_ports):
      server = Server(
        folder / "data", FAIRDRAW_METRICS_PORT=port, FAIRDRAW_TRUSTED_PROXIES="127.0.0.1", FAIRDRAW_PUBLIC_URL=f"https://{HOST}",
        FAIRDRAW_SHUTDOWN_DELAY=SHUTDOWN_DELAY, FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true", FAIRDRAW_DAILY_QUOTA=10_000_000)
      server.log = folder / f"server-{number}.log"
      server.metrics_port = port
      self.servers.append(server)
    self.proxies = {kind.name: kind for kind in ALL}
    self.folder = folder

  def __enter__(self):
    with contextlib.ExitStack() as stack:
      for server in self.servers:
        stack.enter_context(server)
        server.arguments = ["--port", server.port]  # also when it is started again
      ports = [server.port for server in self.servers]
      for name, kind in self.proxies.items():
        self.proxies[name] = stack.enter_context(kind(self.folder, ports))
      self.stack = stack.pop_all()
    return self

  def __exit__(self, *_):
    self.stack.close()

  def log_lines(self):
    return [line for server in self.servers for line in server.log_lines()]


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
  with Installation(tmp_path_factory.mktemp("proxies")) as running:
    yield running


@by_name
def test_tls_http_2_and_what_is_not_public(installation, name):
  proxy = installation.proxies[name]
  version, status, body = proxy.curl("/api/ints?max=6")
  outcome = json.loads(body)
  assert (version, status) == ("2", 200) and outcome["permalink"] == f"https://{HOST}/o/{outcome['shortId']}"
  answer = proxy.get(f"/o/{outcome['shortId']}")
  assert answer.status == 200 and answer.header("Strict-Transport-Security")
  health = proxy.get("/api/health")
  assert health.status == 200 and health.json()["status"] == "ok"
  assert proxy.get("/metrics").status == 404 and proxy.get("/operator/address").status == 404
  # Without TLS there is only the way to the other port.
  plain = http.client.HTTPConnection("127.0.0.1", proxy.plain_port, timeout=TIMEOUT)
  plain.request("GET", "/api/ints", headers={"Host": HOST})
  answer = plain.getresponse()
  assert answer.status in (301, 308) and answer.getheader("Location").startswith(f"https://{HOST}"), answer.status
  plain.close()


@by_name
def test_a_client_has_its_own_address_and_cannot_claim_another(installation, name):
  proxy = installation.proxies[name]
  server = installation.servers[0]
  key = server.key(server.account(), "live", "--allow-ip", "127.0.0.9")
  for claim in ({}, {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.7, 127.0.0.1"}):
    answer = proxy.get("/api/listOutcomes", key=key, source="127.0.0.9", headers=claim)
    assert answer.status == 200, answer
    answer = proxy.get("/api/listOutcomes", key=key, source="127.0.0.10", headers={"X-Forwarded-For": "127.0.0.9"})
    assert (answer.status, answer.code) == (403, "ip_not_allowed"), answer
    answer = proxy.get("/api/ints", source="127.0.0.11", headers=claim)
    [line] = [line for line in installation.log_lines() if line.get("requestId") == answer.header("X-Request-Id")]
    assert line["address"] == "127.0.0.11" and line["caller"] == "anonymous"


def padded(client_seed, size):
  """A draw's body of exactly so many bytes."""
  body = json.dumps({"clientSeed": client_seed, "items": ["x" * 1000] * 1000})
  return (body[:-1] + " " * (size - len(body)) + "}").encode()


@by_name
def test_the_largest_body_passes_and_a_larger_one_gets_the_servers_error(installation, name, client_seed):
  proxy = installation.proxies[name]
  key = installation.servers[0].key()
  answer = proxy.post("/api/shuffle", padded(client_seed, BODY_LIMIT), key=key)
  assert answer.status == 200 and answer.json()["nonce"] == 0 and len(answer.body) > 1_000_000
  version, status, body = proxy.curl("/api/shuffle", "-H", f"x-api-key: {key}", data=padded(client_seed, BODY_LIMIT))
  assert (version, status) == ("2", 200) and json.loads(body)["nonce"] == 1
  for size in (BODY_LIMIT + 1, BODY_LIMIT + 500_000):
    answer = proxy.post("/api/shuffle", padded(client_seed, size), key=key)
    assert (answer.status, answer.code) == (413, "body_too_long"), answer
    assert proxy.curl("/api/shuffle", "-H", f"x-api-key: {key}", data=padded(client_seed, size))[:2] == ("2", 413)
  assert installation.servers[0].nonce(client_seed, key) == 2


@by_name
def test_the_largest_head_passes_and_a_larger_one_gets_the_servers_error(installation, name):
  proxy = installation.proxies[name]

  def target(size):
    path = "/api/ints?_="
    return path + "x" * (size - len(path))

  assert proxy.get(target(TARGET_LIMIT)).status == 200
  answer = proxy.get(target(TARGET_LIMIT + 1))
  assert (answer.status, answer.code) == (414, "target_too_long"), answer
  assert proxy.curl(target(60_000))[:2] == ("2", 200)  # curl sends no more than 64 KiB of headers over HTTP/2
  # A long token, and many headers.
  assert proxy.get("/api/ints", headers={"Cookie": "x" * 40_000}).status == 200
  assert proxy.curl("/api/ints", "-H", "Cookie: " + "x" * 40_000)[:2] == ("2", 200)
  assert proxy.get("/api/ints", headers={f"X-Header-{number}": "x" for number in range(90)}).status == 200


def streamed(proxy, client_seed, interval, is_last):
  """The lines of a stream through a proxy, up to the one that `is_last`; then the client goes away."""
  with contextlib.closing(proxy.open_socket()) as sock:
    sock.sendall(
      f"GET /api/stream?endpoint=ints&intervalMs={interval}&clientSeed={client_seed} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    with sock.makefile("rb") as file:
      assert b" 200 " in file.readline()
      lines = []
      while not lines or not is_last(lines[-1]):
        line = file.readline()
        assert line, lines
        lines.append(line.strip())
    return lines


def test_a_client_that_leaves_a_stream_ends_it(installation, client_seed):
  for name, proxy in installation.proxies.items():
    last = f"id: {client_seed}-{name}:0:3".encode()
    lines = streamed(proxy, f"{client_seed}-{name}", 100, lambda line: line == last)
    assert lines.count(b"event: outcome") == 3
  wait_until(lambda: not any(samples(server)["fairdraw_streams_open"] for server in installation.servers), "the streams are closed")


def test_streams_are_not_buffered_and_stay_open(installation, client_seed):
  """Each event arrives when it happens: the first at once, then the heartbeat of a stream that is silent for a minute."""

  def read(index):
    proxy = installation.proxies[ALL[index].name]
    return streamed(proxy, f"{client_seed}-{index}", 60_000, lambda line: line.startswith(b": heartbeat"))

  for index, lines in enumerate(together(len(ALL), read)):
    assert f"id: {client_seed}-{index}:0:0".encode() in lines and lines.count(b"event: outcome") == 1, lines


def test_webhooks_go_their_own_way(installation, tmp_path):
  server = installation.servers[0]
  account = server.account()
  key = server.key(account)
  receiver = Receiver(tmp_path)
  try:
    webhook(server, account, receiver.url("/ok"))
    drawn = {proxy.get("/api/ints", key=key).json()["shortId"] for proxy in installation.proxies.values()}
    wait_until(lambda: len(receiver.taken("/ok")) == len(drawn), "all events have arrived")
    events = [entry for taken in receiver.taken("/ok").values() for entry in taken]
    assert {json.loads(entry["body"])["data"]["shortId"] for entry in events} == drawn
    assert not [header for entry in events for header in entry["headers"] if header.startswith(("x-forwarded", "via"))]
  finally:
    receiver.stop()


# Retries


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_a_draw_that_was_sent_is_not_sent_again(server, tmp_path, kind, client_seed):
  """One server of two dies of every draw. What it got, the other never gets."""
  with DyingServer() as dying, kind(tmp_path, [dying.port, server.port]) as proxy:
    drawn, failed = [], {"GET": [], "POST": []}

    def attempt(method, number):
      # Connections that were used before are where a client of HTTP repeats requests by itself.
      together(4, lambda _: proxy.get("/api/health"))
      seed = f"{client_seed}-{method}-{number}"
      query, body = ({"clientSeed": seed}, None) if method == "GET" else (None, {"clientSeed": seed})
      answer = proxy.request(method, "/api/ints", query, body=body)
      assert answer.status in (200, 502, 503), answer
      (drawn if answer.status == 200 else failed[method]).append(seed)

    numbers = iter(range(1000))
    for method in failed:
      wait_until(lambda: attempt(method, next(numbers)) or len(failed[method]) >= 3, f"three {method}s have met the server that dies")
    for seed in drawn:
      assert server.nonce(seed) == 1 and not [text for text in dying.requests if f'{seed}"' in text or f"{seed} " in text]
    for seed in failed["GET"] + failed["POST"]:
      assert server.nonce(seed) == 0
      assert len([text for text in dying.requests if f'{seed}"' in text or f"{seed} " in text]) == 1, dying.requests


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_a_draw_that_was_not_sent_goes_to_the_other_server(server, tmp_path, kind, client_seed):
  with kind(tmp_path, [free_port(), server.port]) as proxy:
    for number in range(12):
      query, body = ({"clientSeed": client_seed}, None) if number % 2 else (None, {"clientSeed": client_seed})
      answer = proxy.request("POST" if body else "GET", "/api/ints", query, body=body)
      assert answer.status == 200 and answer.json()["nonce"] == number, answer


class Load:
  """A client at each proxy that draws without a pause; each has an endpoint and a client seed of its own."""

  ENDPOINTS = dict(zip([kind.name for kind in ALL], ("ints", "floats", "bytes")))

  def __init__(self, installation, request):
    self.installation = installation
    self.done = threading.Event()
    self.answers = {name: [] for name in self.ENDPOINTS}
    self.failures = []
    self.request = request
    self.threads = [threading.Thread(target=self.run, args=(name,)) for name in self.ENDPOINTS]

  def run(self, name):
    try:
      number = 0
      while not self.done.is_set():
        self.answers[name].append(self.request(self.installation.proxies[name], self.ENDPOINTS[name], number))
        number += 1
    except BaseException as failure:
      self.failures.append((name, repr(failure)))

  def __enter__(self):
    for thread in self.threads:
      thread.start()
    return self

  def __exit__(self, *_):
    self.done.set()
    for thread in self.threads:
      thread.join(TIMEOUT)

  def check(self):
    assert not self.failures, self.failures

  def reaches(self, server):
    """Whether every proxy sends draws to a server, since that was started."""
    self.check()
    found = samples(server)
    return all(found.get(f'fairdraw_http_requests_total{{endpoint="/api/{endpoint}",status="200"}}') for endpoint in self.ENDPOINTS.values())


def test_servers_are_restarted_one_by_one_and_no_draw_fails(installation, client_seed):
  def draw(proxy, endpoint, number):
    parameters = {"clientSeed": f"{client_seed}-{endpoint}"}
    answer = proxy.get(f"/api/{endpoint}", parameters) if number % 2 else proxy.post(f"/api/{endpoint}", parameters)
    assert answer.status == 200, answer
    return answer.json()["nonce"]

  nginx = installation.proxies["nginx"]
  with Load(installation, draw) as load:
    for server in installation.servers:
      wait_until(lambda: load.reaches(server), "every proxy uses the server")
      nginx.leave_out(server.port)
      server.restart()
      nginx.leave_out(None)
      wait_until(lambda: load.reaches(server), "every proxy uses the new server")
  load.check()
  for nonces in load.answers.values():
    assert nonces == list(range(len(nonces)))


def test_a_server_is_killed_and_every_key_draws_once(installation, client_seed):
  """Clients that retry under their keys: a failure in the middle of a draw is no loss, and no second draw."""
  key = installation.servers[0].key()
  failed = []

  def draw(proxy, endpoint, number):
    def attempt():
      answer = proxy.get(
        f"/api/{endpoint}", {"clientSeed": f"{client_seed}-{endpoint}"}, key=key, idempotency=f"{client_seed}-{endpoint}-{number}")
      if answer.status != 200:
        failed.append(answer.status)
        return None
      return answer

    return wait_until(attempt, "the draw is answered").json()["nonce"]

  with Load(installation, draw) as load:
    for _ in range(2):
      for server in installation.servers:
        wait_until(lambda: load.reaches(server), "every proxy uses the server")
        server.kill()
        server.start()
        wait_until(lambda: load.reaches(server), "every proxy uses the new server")
  load.check()
  assert set(failed) <= {502, 503, 504}
  for endpoint, nonces in zip(Load.ENDPOINTS.values(), load.answers.values()):
    assert nonces == list(range(len(nonces))) and len(nonces) == installation.servers[0].nonce(f"{client_seed}-{endpoint}", key)
