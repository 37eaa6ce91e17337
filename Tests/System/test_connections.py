"""What happens on one connection: order, endings, and requests that the fast way leaves to the rest of the server."""

import json
import re
import socket
import urllib.parse

import pytest

import harness


def get(path, *headers):
  return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode() + b"".join(h.encode() + b"\r\n" for h in headers) + b"\r\n"


def post(path, body, *headers):
  body = body.encode()
  return (
    f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode()
    + b"".join(h.encode() + b"\r\n" for h in headers) + b"\r\n" + body)


class Stream:
  """A connection's answers, taken apart one after another."""

  def __init__(self, server):
    self.socket = server.open_socket()
    self.file = self.socket.makefile("rb")

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.file.close()
    self.socket.close()

  def send(self, data):
    self.socket.sendall(data)

  def answer(self):
    """Status, headers and body of the next answer; None at the end."""
    line = self.file.readline()
    if not line:
      return None
    headers = {}
    while (text := self.file.readline()) != b"\r\n":
      name, value = text.decode("latin-1").split(":", 1)
      headers[name.lower()] = value.strip()
    return int(line.split()[1]), headers, self.file.read(int(headers.get("content-length", 0)))


def nonces(answers):
  return [json.loads(body)["nonce"] for _, _, body in answers]


def test_a_mix_of_routes_is_answered_in_order(server, client_seed):
  """Draws are answered on one way and health checks on another; who asks does not see which."""
  draw = get(f"/api/ints?clientSeed={client_seed}")
  pattern = "dhddhhdhdd" * 5
  with Stream(server) as stream:
    stream.send(b"".join(draw if kind == "d" else get("/api/health") for kind in pattern))
    answers = [stream.answer() for _ in pattern]
  assert all(status == 200 for status, _, _ in answers)
  assert ["d" if b'"nonce"' in body else "h" for _, _, body in answers] == list(pattern)
  drawn = [answer for answer in answers if b'"nonce"' in answer[2]]
  assert nonces(drawn) == list(range(len(drawn)))


def test_many_replays_in_one_packet(server, live_key, client_seed, idempotency):
  """Answers that need no waiting must not pile up calls within calls."""
  request = get(f"/api/ints?clientSeed={client_seed}", f"x-api-key: {live_key}", f"Idempotency-Key: {idempotency}")
  with Stream(server) as stream:
    stream.send(request)
    first = stream.answer()
    for _ in range(3):
      stream.send(request * 400)
      answers = [stream.answer() for _ in range(400)]
      assert {body for _, _, body in answers} == {first[2]}
      assert all(headers["idempotent-replayed"] == "true" for _, headers, _ in answers)
  assert server.nonce(client_seed, live_key) == 1


@pytest.mark.parametrize("head", [
  "POST /api/ints HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
  "POST /api/ints HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n",
  "POST /api/ints HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
  "POST //api/ints/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n",
  "POST http://localhost/api/ints HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n",
], ids=["chunked", "expect", "close", "slashes", "absolute"])
def test_rare_forms_of_a_request_mean_the_same(server, client_seed, head):
  body = json.dumps({"clientSeed": client_seed, "count": 2})
  sent = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n" if "chunked" in head else body
  with Stream(server) as stream:
    stream.send(post("/api/ints", body))
    plain = json.loads(stream.answer()[2])
    stream.send(head.format(length=len(body)).encode() + sent.encode())
    status, headers, answered = stream.answer()
    if status == 100:
      status, headers, answered = stream.answer()
  rare = json.loads(answered)
  assert status == 200 and rare["nonce"] == plain["nonce"] + 1
  assert rare.keys() == plain.keys() and rare["serverHash"] == plain["serverHash"]


def test_both_ways_answer_with_the_same_headers(server, live_key, client_seed):
  """A request of HTTP/1.0's kind takes the long way round; nobody should be able to tell by the answer."""
  ask = get(f"/api/ints?clientSeed={client_seed}", f"x-api-key: {live_key}", "Origin: https://game.example")
  with Stream(server) as stream:
    stream.send(ask)
    status, quick, _ = stream.answer()
    stream.send(ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    also, slow, _ = stream.answer()
  assert status == also == 200
  assert quick.keys() == slow.keys() - {"connection"}
  left = [re.fullmatch(r'"daily";r=(\d+)', headers["ratelimit"])[1] for headers in (quick, slow)]
  assert int(left[0]) > int(left[1])
  for name in quick.keys() - {"date", "shortid", "x-request-id", "server-timing", "content-length", "ratelimit"}:
    assert quick[name] == slow[name], name
  assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] 20\d\d \d\d:\d\d:\d\d GMT", quick["date"])


@pytest.mark.parametrize("closes", [[], ["Connection: close"]], ids=["quick", "slow"])
@pytest.mark.parametrize("path", [
  "/api/ints", "/api/ints/", "//api/ints", "/api//ints", "/api/%69nts", "/%61pi/ints//", "http://localhost/api/ints", "http://localhost//api/ints/"])
def test_spellings_of_a_path_are_one_resource(server, live_key, client_seed, idempotency, path, closes):
  """For a first request and for its retry, on both ways through the server."""
  headers = [f"x-api-key: {live_key}", f"Idempotency-Key: {idempotency}", *closes]
  ask = lambda path: server.raw(get(f"{path}?clientSeed={client_seed}", *headers))
  first, again = ask(path), ask("/api/ints")
  assert first.status == again.status == 200 and not first.replayed and again.replayed and again.body == first.body
  assert ask("/api//%69nts/").body == first.body
  assert server.nonce(client_seed, live_key) == 1


@pytest.mark.parametrize("closes", [[], ["Connection: close"]], ids=["quick", "slow"])
@pytest.mark.parametrize("seed", ["Zoë", "漢字", "\U0001f3b2"])
def test_raw_utf8_in_a_target_is_the_bytes_it_is(server, live_key, idempotency, seed, closes):
  """As curl sends what is typed. It is the same request as with the bytes percent-encoded."""
  headers = [f"x-api-key: {live_key}", f"Idempotency-Key: {idempotency}", *closes]
  seed = harness.unique(seed)
  raw = server.raw(get(f"/api/ints?clientSeed={seed}", *headers))
  assert raw.status == 200 and raw.json()["clientSeed"] == seed
  encoded = server.raw(get(f"/api/ints?clientSeed={urllib.parse.quote(seed)}", *headers))
  assert encoded.body == raw.body and encoded.replayed


def test_raw_utf8_behind_other_requests(server, client_seed):
  """Between bodies, in pieces of any size; what is not a target stays as it is."""
  name = client_seed + "-ë"
  whole = (
    get(f"/api/ints?clientSeed={name}") + post("/api/ints", json.dumps({"clientSeed": name}, ensure_ascii=False))
    + b"POST /api/ints HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
  body = json.dumps({"clientSeed": name}, ensure_ascii=False).encode()
  whole += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
  for size in (len(whole), 7, 1):
    with Stream(server) as stream:
      before = server.nonce(name)
      for start in range(0, len(whole), size):
        stream.send(whole[start:start + size])
      answers = [stream.answer() for _ in range(3)]
      stream.send(get(f"/api/ints?clientSeed={name}"))
      assert nonces([*answers, stream.answer()]) == list(range(before, before + 4))


def test_an_encoded_body_is_refused_and_not_kept(server, live_key, client_seed, idempotency):
  headers = {"Content-Encoding": "gzip"}
  body = {"clientSeed": client_seed}
  assert server.post("/api/ints", body, key=live_key, idempotency=idempotency, headers=headers).status == 415
  kept = server.post("/api/ints", body, key=live_key, idempotency=idempotency)
  assert kept.status == 200 and not kept.replayed
  assert server.post("/api/ints", body, key=live_key, idempotency=idempotency, headers={"Content-Encoding": "identity"}).body == kept.body
  assert server.nonce(client_seed, live_key) == 1


@pytest.mark.parametrize("path, allowed", [
  ("/api/ints", "GET, POST, OPTIONS"), ("/api/batch", "POST, OPTIONS"), ("/api/seed", "GET, OPTIONS"), ("/api/stream", "GET, OPTIONS"),
  ("/api/listOutcomes", "GET, HEAD, OPTIONS"), ("/api/merkle/2024-01-01", "GET, HEAD, OPTIONS"), ("/", "GET, HEAD, OPTIONS"),
  ("/sign-in", "GET, HEAD, POST, OPTIONS"), ("*", "GET, HEAD, POST, PATCH, DELETE, OPTIONS")])
def test_options_says_what_is_allowed(server, path, allowed):
  response = server.request("OPTIONS", path)
  assert response.status == 204 and response.body == b"" and response.header("Allow") == allowed
  if path != "*":
    wrong = server.request("DELETE", path)
    assert wrong.status == 405 and wrong.header("Allow") == allowed


def test_head_is_a_get_without_its_body(server, client_seed):
  drawn = server.draw("ints", {"clientSeed": client_seed}).json()
  for path in (
      f"/api/listOutcomes?clientSeed={client_seed}", f"/api/outcome?clientSeed={client_seed}&cursor=0&nonce=0",
      f"/api/verifyShortId?shortId={drawn['shortId']}", f"/api/verifyServerHash?clientSeed={client_seed}&serverHash={drawn['serverHash']}",
      "/api/merkle", "/api/merkle/key", "/api/merkle/2024-01-01", "/api/nowhere", "/openapi.json"):
    with server.connect() as connection:
      asked, head = connection.get(path), connection.request("HEAD", path)
      assert head.status == asked.status and head.body == b"", path
      for name in ("Content-Type", "Content-Length", "Cache-Control"):
        assert head.header(name) == asked.header(name), (path, name)
      assert connection.get("/api/health").status == 200


def test_a_body_in_small_pieces(server, client_seed):
  whole = post("/api/shuffle", json.dumps({"clientSeed": client_seed, "items": list(range(300))}))
  with Stream(server) as stream:
    stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(whole), 97):
      stream.send(whole[start:start + 97])
    status, _, body = stream.answer()
  assert status == 200 and sorted(json.loads(body)["outcome"]) == list(range(300))


def test_a_client_that_only_listens_after_asking(server, client_seed):
  """It closes its half of the connection at once; every request before that is answered, and then the other half closes."""
  with Stream(server) as stream:
    stream.send(get(f"/api/ints?clientSeed={client_seed}") * 5 + get("/api/health"))
    stream.socket.shutdown(socket.SHUT_WR)
    answers = [stream.answer() for _ in range(6)]
    assert nonces(answers[:5]) == [0, 1, 2, 3, 4] and answers[5][0] == 200
    assert stream.answer() is None


def test_half_a_request_draws_nothing(server, client_seed):
  whole = post("/api/ints", json.dumps({"clientSeed": client_seed}))
  with Stream(server) as stream:
    stream.send(whole[:-1])
    stream.socket.shutdown(socket.SHUT_WR)
    status, _, body = stream.answer()
    assert status == 400 and "end" in json.loads(body)["error"]
    assert stream.answer() is None
  with Stream(server) as stream:
    stream.send(whole[:-1])
  assert server.nonce(client_seed) == 0


@pytest.mark.parametrize("noise, status", [
  (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
  (b"GET / HTTP/9\r\n\r\n", 400),
  (b"GET /api/ints HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400),
  (b"POST /api/ints HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
  (b"GET /api/ints HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 120_000 + b"\r\n\r\n", 431),
], ids=["TLS", "version", "header", "two lengths", "long header"])
def test_what_is_no_request_is_refused_and_the_connection_closed(server, client_seed, noise, status):
  with Stream(server) as stream:
    stream.send(get(f"/api/ints?clientSeed={client_seed}"))
    assert stream.answer()[0] == 200
    try:
      stream.send(noise)
    except (BrokenPipeError, ConnectionResetError):
      pass  # it need not read to the end
    answered, headers, body = stream.answer()
    assert answered == status and json.loads(body)["error"] and headers["connection"] == "close"
    assert stream.answer() is None
  assert server.nonce(client_seed) == 1


def test_what_follows_an_answer_that_came_early_gets_none_of_its_own(serve):
  """A request is refused before its body has come, and that turns out to be no body."""
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=1)
  assert server.draw("ints").status == 200
  with Stream(server) as stream:
    stream.send(b"POST /api/ints HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert stream.answer()[0] == 429
    stream.send(b"no chunk\r\n")
    assert stream.answer() is None


def test_noise_behind_requests_waits_for_their_answers(server, client_seed):
  with Stream(server) as stream:
    stream.send(get(f"/api/ints?clientSeed={client_seed}") * 3 + b"\x00\x01\x02\r\n\r\n")
    assert nonces([stream.answer() for _ in range(3)]) == [0, 1, 2]
    assert stream.answer()[0] == 400
    assert stream.answer() is None


def test_a_stopping_server_closes_idle_connections(serve, client_seed):
  server = serve()
  with Stream(server) as new, Stream(server) as drawn, Stream(server) as asked:
    drawn.send(get(f"/api/ints?clientSeed={client_seed}"))
    asked.send(get("/api/health"))
    assert drawn.answer()[0] == asked.answer()[0] == 200
    server.stop()
    assert new.answer() is drawn.answer() is asked.answer() is None


def test_a_client_that_reads_nothing_is_not_read_from(server, live_key, client_seed, idempotency):
  """Answers that nobody fetches must not pile up in the server: at some point it stops reading."""
  request = get(f"/api/ints?clientSeed={client_seed}", f"x-api-key: {live_key}", f"Idempotency-Key: {idempotency}")
  with Stream(server) as stream:
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.socket.settimeout(2)
    sent = 0
    with pytest.raises(TimeoutError):
      while sent < 256 << 20:
        stream.send(request * 100)
        sent += 100 * len(request)
  assert server.get("/api/health").status == 200


def test_the_key_is_learnt_and_then_believed(server, live_key, client_seed):
  """The first request of a key asks the store, those after it do not; all are answered alike."""
  with Stream(server) as stream:
    stream.send(get(f"/api/ints?clientSeed={client_seed}", f"x-api-key: {live_key}") * 20)
    assert nonces([stream.answer() for _ in range(20)]) == list(range(20))
