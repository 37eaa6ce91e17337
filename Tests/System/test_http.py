"""HTTP as clients speak it, the strict, the old and the odd ones, over raw sockets and with real programs."""

import json
import shutil
import subprocess

import pytest

from wire import Wire, request

PATHS = ["/api/ints?clientSeed=http", "/api/health", "/", "/api/listOutcomes?clientSeed=http", "/nowhere"]


# Upgrades


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("upgrade", [
  ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
  ("Connection: Upgrade", "Upgrade: websocket"), ("Upgrade: TLS/1.0",), ("Connection: upgrade",),
], ids=["h2c", "websocket", "without connection", "without upgrade"])
@pytest.mark.parametrize("at_once", [True, False], ids=["pipelined", "in turn"])
def test_an_upgrade_is_not_honoured_and_the_next_request_is_answered(server, path, upgrade, at_once):
  with Wire(server) as wire:
    first, second = request("GET", path, *upgrade), request("GET", "/api/health")
    wire.send(first + second if at_once else first)
    status, headers, _ = wire.answer()
    assert status in (200, 404) and "upgrade" not in headers and "connection" not in headers
    if not at_once:
      wire.send(second)
    assert wire.answer()[0] == 200


def test_a_body_under_an_upgrade(server, client_seed):
  with Wire(server) as wire:
    body = json.dumps({"clientSeed": client_seed}).encode()
    wire.send(request("POST", "/api/ints", "Connection: Upgrade", "Upgrade: h2c", body=body) * 2)
    assert [json.loads(wire.answer()[2])["nonce"] for _ in range(2)] == [0, 1]


def test_curl_that_would_rather_speak_http_2(server):
  url = f"http://127.0.0.1:{server.port}/api/health"
  done = subprocess.run(
    ["curl", "-sS", "--http2", "--max-time", "20", "-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null", url, "-o", "/dev/null", url],
    capture_output=True, text=True)
  if "option --http2" in done.stderr:
    pytest.skip("curl was built without HTTP/2")
  assert done.returncode == 0 and done.stdout.split() == ["200", "1", "200", "0"], done


# Expectations


@pytest.mark.parametrize("path, body, status", [
  ("/api/ints", b'{"clientSeed":"expect"}', 200), ("/api/batch", b'{"draws":[{"endpoint":"ints"}]}', 200), ("/api/ints", b"{", 400),
  ("/nowhere", b"x" * 100_000, 404), ("/api/health", b"x", 405), ("/sign-in", b"email=a&password=b", None),
])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_strict_client_is_told_to_go_on(server, path, body, status, chunked):
  length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
  with Wire(server) as wire:
    for _ in range(2):
      wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{length}\r\n\r\n".encode())
      told, headers = wire.head()
      assert told == 100 and not headers
      wire.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
      answered, headers, _ = wire.answer()
      assert answered == status or status is None and 400 <= answered < 500
      assert "connection" not in headers


@pytest.mark.parametrize("headers, status", [
  (["Content-Length: 3000000"], 413), (["Content-Length: 99999999999999999999999"], 413), (["x-api-key: pk_live_wrong", "Content-Length: 10"], 401),
  (["Expect: 200-maybe", "Content-Length: 10"], 417),
])
def test_a_strict_client_gets_a_refusal_at_once(server, unchanged, headers, status):
  expect = [] if headers[0].startswith("Expect") else ["Expect: 100-continue"]
  with Wire(server) as wire:
    # The first request makes the key known to be wrong; then that is known with the head.
    if status == 401:
      wire.send(request("POST", "/api/ints", headers[0], body=b"{}"))
      assert wire.answer()[0] == 401
    wire.send("\r\n".join(["POST /api/ints HTTP/1.1", "Host: a", *expect, *headers]).encode() + b"\r\n\r\n")
    answered, answer_headers, body = wire.answer()
    assert answered == status and json.loads(body)["error"] and answer_headers["connection"] == "close"
    assert wire.is_closed()


def test_curl_with_a_long_body(server, tmp_path):
  """curl waits for a 100 before bodies of more than a megabyte."""
  items = tmp_path / "items"
  items.write_text(json.dumps({"items": ["x" * 2000] * 900}))
  done = subprocess.run(
    ["curl", "-sS", "--max-time", "20", "--expect100-timeout", "60", "-H", "Expect: 100-continue", "-H", "Content-Type: application/json", "-H", f"x-api-key: {server.key()}", "-d", f"@{items}",
     f"http://127.0.0.1:{server.port}/api/shuffle"], capture_output=True, text=True)
  assert done.returncode == 0 and json.loads(done.stdout)["count"] == 900


# HTTP/1.0


@pytest.mark.parametrize("path", PATHS)
def test_an_old_client_is_answered_and_the_connection_closed(server, path):
  with Wire(server) as wire:
    wire.send(request("GET", path, host=None, version="1.0") + request("GET", path, host=None, version="1.0"))
    status, headers, body = wire.answer()
    assert status in (200, 404) and body and headers["connection"] == "close" and "transfer-encoding" not in headers
    assert wire.is_closed()


@pytest.mark.parametrize("path", PATHS)
def test_an_old_client_that_asks_for_it_keeps_its_connection(server, path):
  with Wire(server) as wire:
    for _ in range(3):
      wire.send(request("GET", path, "Connection: Keep-Alive", version="1.0"))
      status, headers, _ = wire.answer()
      assert status in (200, 404) and headers["connection"] == "keep-alive" and "content-length" in headers


def test_an_old_client_gets_a_stream_without_chunks(server):
  with Wire(server) as wire:
    wire.send(request("GET", "/api/stream?endpoint=ints&intervalMs=100", "Connection: keep-alive", version="1.0"))
    status, headers = wire.head()
    assert status == 200 and headers["connection"] == "close" and "transfer-encoding" not in headers
    assert wire.file.readline().startswith(b"id: test:") and wire.file.readline() == b"event: outcome\n"


@pytest.mark.parametrize("options", [[], ["-k"]], ids=["closing", "keeping"])
@pytest.mark.parametrize("path", ["/api/ints?clientSeed=ab", "/api/health"])
def test_apachebench(server, options, path):
  assert shutil.which("ab"), "apache2-utils is needed"
  done = subprocess.run(
    ["ab", "-q", *options, "-n", "200", "-c", "4", "-s", "20", "-l", f"http://127.0.0.1:{server.port}{path}"], capture_output=True, text=True, timeout=60)
  assert done.returncode == 0, done.stderr
  said = {line.split(":")[0]: line.split(":")[1].split()[0] for line in done.stdout.splitlines() if line.count(":") == 1 and line.split(":")[1].strip()}
  assert said["Complete requests"] == "200" and said["Failed requests"] == "0" and "Non-2xx responses" not in said
  assert said.get("Keep-Alive requests") == ("200" if options else None)


# Heads


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("hosts", [[], ["Host: a", "Host: a"], ["Host: a", "Host: b"], ["Host: a, b"], ["Host: a/b"]])
def test_a_request_has_one_host(server, unchanged, path, hosts):
  with Wire(server) as wire:
    wire.send(request("GET", path, *hosts, host=None))
    status, headers, body = wire.answer()
    assert status == 400 and "ost header" in json.loads(body)["error"] and headers["connection"] == "close"
    assert wire.is_closed()


@pytest.mark.parametrize("method", ["BREW", "get", "X-RANDOM", "G" * 60])
@pytest.mark.parametrize("path", ["/api/ints", "/api/health", "/nowhere"])
def test_a_method_that_there_is_not(server, unchanged, method, path):
  with Wire(server) as wire:
    wire.send(request(method, path) + request("GET", "/api/health"))
    status, headers, body = wire.answer()
    assert status == 501 and method in json.loads(body)["error"] and headers["x-request-id"]
    assert wire.answer()[0] == 200


@pytest.mark.parametrize("length", ["2097153", "999999999999", "9223372036854775808", "9" * 60])
@pytest.mark.parametrize("method, path", [("POST", "/api/ints"), ("GET", "/api/ints"), ("POST", "/sign-in"), ("POST", "/nowhere")])
def test_a_length_beyond_reason_is_refused_at_once(server, unchanged, length, method, path):
  with Wire(server) as wire:
    wire.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode())
    status, headers, body = wire.answer()
    assert status == 413 and json.loads(body)["error"] and headers["connection"] == "close"
    assert wire.is_closed()


@pytest.mark.parametrize("last", PATHS)
@pytest.mark.parametrize("option", ["close", "Close", "keep-alive, close", "TE , close"])
def test_nothing_is_answered_after_the_last_request(server, client_seed, last, option):
  draw = request("GET", f"/api/ints?clientSeed={client_seed}")
  with Wire(server) as wire:
    wire.send(draw + request("GET", last, f"Connection: {option}") + draw * 3)
    assert wire.answer()[0] == 200
    status, headers, _ = wire.answer()
    assert status in (200, 404) and headers["connection"] == "close"
    assert wire.is_closed()
  assert server.nonce(client_seed) == 1


def test_an_answer_reaches_a_client_that_goes_on_sending(server, unchanged):
  """A connection that was closed while bytes were coming would be reset, and the answer lost on the way."""
  with Wire(server) as wire:
    wire.send(b"POST /api/ints HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
    try:
      for _ in range(30):
        wire.send(b"x" * 100_000)
    except (BrokenPipeError, ConnectionResetError):
      pass
    assert wire.answer()[0] == 413


def test_head_answers_carry_no_body(server):
  with Wire(server) as wire:
    for path in ("/api/health", "/", "/openapi.json"):
      wire.send(request("HEAD", path) + request("GET", "/api/health"))
      status, headers, _ = wire.answer("HEAD")
      assert status == 200 and int(headers["content-length"]) > 0
      assert wire.answer()[0] == 200
