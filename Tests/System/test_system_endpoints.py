"""What a server says of itself: /api/health, /api/public-metrics, /openapi.json, its log and its banner."""

import datetime
import json
import re
import shutil
import subprocess
import time

import pytest

from harness import REPOSITORY, cli, unique, wait_until


# health


def test_health(server):
  response = server.get("/api/health")
  assert response.status == 200
  health = response.json()
  assert set(health) == {"status", "db", "randomSource", "version", "uptime", "timestamp", "responseTimes", "usagePersistence"}
  assert (health["status"], health["db"]) == ("ok", "ok")
  assert health["version"] in cli("--version").stdout
  assert 0 <= health["uptime"] < 86400
  told = datetime.datetime.strptime(health["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
  assert abs(told.timestamp() - time.time()) < 600
  assert health["usagePersistence"] == {"failures": 0, "lastFailureAt": None, "pendingReservations": 0}


def test_response_times(serve):
  server = serve()
  for _ in range(5):
    server.get("/api/ints")
  server.get("/nothing")
  times = server.get("/api/health").json()["responseTimes"]
  assert times["windowSize"] == 1024 and times["overall"]["count"] >= 6
  assert set(times["endpoints"]) <= set(path for path in times["endpoints"] if path.startswith("/api/"))
  ints = times["endpoints"]["/api/ints"]
  assert ints["count"] == 5 and 0 < ints["p50Ms"] <= ints["p95Ms"] <= ints["maxMs"] <= times["overall"]["maxMs"]
  assert ints["avgMs"] <= ints["maxMs"]
  for _ in range(1100):
    server.get("/api/floats")
  times = server.get("/api/health").json()["responseTimes"]
  assert times["overall"]["count"] == 1024 and "/api/ints" not in times["endpoints"]


def test_uptime_starts_with_the_server(serve):
  server = serve()
  server.get("/api/health")
  server.restart()
  before = time.monotonic()
  assert server.get("/api/health").json()["uptime"] <= time.monotonic() - before + 60


# public-metrics


def metrics(server):
  response = server.get("/api/public-metrics")
  assert response.status == 200, response
  return response.json()


def test_public_metrics(server):
  server.get("/api/ints")
  found = metrics(server)
  assert set(found) == {"registeredUsers", "callsServed", "responseTime", "apiStatus"}
  assert set(found["registeredUsers"]) == set(found["callsServed"]) == {"value", "scope"}
  assert found["registeredUsers"]["scope"] == "current"
  assert found["callsServed"]["scope"] == "lifetime_live_non_test"
  assert set(found["responseTime"]) == {"avgMs", "sampleSize", "scope"}
  assert found["responseTime"]["scope"] == "recent_instance_window"
  assert found["responseTime"]["avgMs"] >= 0 and found["responseTime"]["sampleSize"] >= 1
  assert found["apiStatus"] == "operational"


def test_public_metrics_count_accounts_and_live_calls(serve):
  server = serve()
  assert metrics(server)["registeredUsers"]["value"] == 0
  account = server.account()
  live, test = server.key(account), server.key(account, "test")
  calls = metrics(server)["callsServed"]["value"]
  for _ in range(3):
    server.draw("ints", key=live)
    server.draw("ints", key=test)
  wait_until(lambda: metrics(server)["registeredUsers"]["value"] == 1, "the new account is counted")
  wait_until(lambda: metrics(server)["callsServed"]["value"] == calls + 3, "live calls are counted, and test calls are not")
  server.restart()
  assert metrics(server)["callsServed"]["value"] == calls + 3, "for a lifetime, not a run"


# openapi.json (what it says is held against the server in test_openapi.py)


def test_openapi_is_served_verbatim(server):
  response = server.get("/openapi.json")
  assert response.status == 200
  assert response.header("Content-Type").split(";")[0] == "application/json"
  assert response.body == (REPOSITORY / "Sources" / "API" / "openapi.json").read_bytes()


# The banner


def test_the_first_lines_say_where_and_how(serve):
  server = serve()
  version = cli("--version").stdout.strip()
  assert re.fullmatch(rf"Fairdraw {re.escape(version.split()[-1])} is listening on http://127\.0\.0\.1:{server.port}", server.banner[0])
  curl = wait_until(lambda: next((line.strip() for line in server.banner[1:] if "curl" in line), None), "a curl line is printed")
  command = curl[curl.index("curl"):]
  if not shutil.which("curl"):
    pytest.skip("no curl here to try it with")
  done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
  assert done.returncode == 0, done
  assert len(json.loads(done.stdout)["shortId"]) == 10


# The log


def logged(server, response):
  """The one line in the log for an answer."""
  request_id = response.header("X-Request-Id")
  lines = wait_until(lambda: [line for line in server.log_lines() if line.get("requestId") == request_id], "the request is logged")
  assert len(lines) == 1
  return lines[0]


def test_one_log_line_a_request(server):
  line = logged(server, server.get("/api/ints", {"clientSeed": "a log line"}))
  assert (line["method"], line["path"], line["status"], line["caller"]) == ("GET", "/api/ints", 200, "anonymous")
  assert line["durationMs"] >= 0 and line["level"] == "info" and line["time"]


@pytest.mark.parametrize("noise, status", [
  (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400), (b"GET / HTTP/9\r\n\r\n", 400),
  (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 120_000 + b"\r\n\r\n", 431),
], ids=["TLS", "version", "long header"])
def test_what_is_refused_before_it_is_routed_is_answered_and_logged_like_the_rest(server, noise, status):
  response = server.raw(noise)
  assert response.status == status and response.error
  assert response.header("Content-Type") == "application/json" and response.header("Cache-Control") == "no-store"
  assert response.header("Connection") == "close" and response.header("Date")
  assert response.header("X-Content-Type-Options") == "nosniff" and response.header("Content-Security-Policy")
  assert response.header("Access-Control-Allow-Origin") == "*" and "X-Request-Id" in response.header("Access-Control-Expose-Headers")
  line = logged(server, response)
  assert (line["path"], line["status"], line["address"]) == ("none", status, "127.0.0.1") and "method" not in line


@pytest.mark.parametrize("path", [
  "/api/merkle/2024-01-01/proof/{seed}:0:0", "/api/merkle/{seed}", "/api/nowhere/{seed}", "/{seed}", "/{seed}/api/ints",
  "/o/{seed}", "/assets/{seed}/site.css", "/api/ints?clientSeed={seed}", "/api/ints?{seed}=%zz", "/nowhere?next=/{seed}",
  "/dashboard/outcomes/chain?clientSeed={seed}", "http://localhost/{seed}", "*{seed}",
])
def test_no_client_seed_reaches_the_log(server, path):
  seed = unique("secret-seed")
  response = server.raw_get(path.format(seed=seed).encode(), b"Referer: http://localhost/%s\r\nX-Seed: %s\r\n" % ((seed.encode(),) * 2))
  line = logged(server, response)
  assert line["status"] == response.status and seed not in server.settled_log()


def test_the_log_is_json_line_by_line(server):
  server.get("/api/ints")
  for line in server.settled_log().splitlines():
    json.loads(line)


def test_a_hostile_path_stays_on_its_line(server):
  response = server.raw_get(b"/%0a%22%7d%0d%00" + unique("hostile").encode())
  assert response.status in (400, 404)
  wait_until(lambda: [l for l in server.log_lines() if l.get("requestId") == response.header("X-Request-Id")], "the request is logged")
