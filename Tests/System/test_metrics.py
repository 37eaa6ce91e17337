"""`/metrics` for Prometheus: on a port of its own, off unless asked for."""

import http.client
import os
import re
from contextlib import closing

import pytest

from harness import wait_until


@pytest.fixture
def measured(serve, free_port):
  server = serve(FAIRDRAW_METRICS_PORT=free_port)
  server.metrics_port = free_port
  return server


def scrape(server, path="/metrics", method="GET"):
  with closing(http.client.HTTPConnection("127.0.0.1", server.metrics_port, timeout=10)) as connection:
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Type"), answer.read().decode()


def samples(server):
  """Every sample by its name and labels; the text's form is checked on the way."""
  status, kind, text = scrape(server)
  assert status == 200 and kind == "text/plain; version=0.0.4; charset=utf-8" and text.endswith("\n")
  found, types = {}, {}
  for line in text.splitlines():
    if line.startswith("#"):
      words = line.split(" ")
      assert words[1] in ("HELP", "TYPE")
      if words[1] == "TYPE":
        assert words[2] not in types
        types[words[2]] = words[3]
      continue
    name, labels, value = re.fullmatch(r'([a-z_]+)(?:\{((?:[a-z]+="[^"]*",?)*)\})? (\S+)', line).groups()
    family = name if name in types else re.sub(r"_(bucket|sum|count)$", "", name)
    assert types[family] == ("histogram" if family != name else types[name])
    found[name + (f"{{{labels}}}" if labels else "")] = float(value)
  return found


def test_it_is_off_unless_asked_for_and_never_on_the_apis_port(server, measured):
  assert server.get("/metrics").status == 404
  assert measured.get("/metrics").status == 404
  assert scrape(measured)[0] == 200
  assert scrape(measured, "/api/ints")[0] == 404 and scrape(measured, "/")[0] == 404
  assert scrape(measured, method="POST")[0] == 405
  assert scrape(measured, method="HEAD")[::2] == (200, "")


def test_requests_are_counted_by_endpoint_and_status(measured):
  key = measured.key()
  for _ in range(3):
    measured.draw("ints", key=key, idempotency="one")
  measured.draw("ints", {"min": 2}, key=key, idempotency="one")
  measured.get("/api/ints", {"count": "no"})
  measured.get("/no/such/place")
  measured.get("/api//ints/", {"count": 2})
  assert measured.raw(b"nonsense\r\n\r\n").status == 400
  found = samples(measured)
  assert found['fairdraw_http_requests_total{endpoint="/api/ints",status="200"}'] == 4
  assert found['fairdraw_http_requests_total{endpoint="/api/ints",status="400"}'] == 1
  assert found['fairdraw_http_requests_total{endpoint="/api/ints",status="409"}'] == 1
  assert found['fairdraw_http_requests_total{endpoint="none",status="404"}'] == 1
  assert found['fairdraw_http_requests_total{endpoint="none",status="400"}'] == 1
  assert found["fairdraw_idempotent_replays_total"] == 2 and found["fairdraw_idempotency_conflicts_total"] == 1
  buckets = [value for name, value in found.items() if name.startswith('fairdraw_http_request_duration_seconds_bucket{endpoint="/api/ints"')]
  assert buckets == sorted(buckets) and buckets[-1] == 6
  assert found['fairdraw_http_request_duration_seconds_count{endpoint="/api/ints"}'] == 6
  assert 0 < found['fairdraw_http_request_duration_seconds_sum{endpoint="/api/ints"}'] < 60


def test_the_ledger_and_webhooks_are_told(measured):
  account = measured.account()
  key = measured.key(account)
  measured.cli("webhook", "create", "--account", account, "--url", "http://127.0.0.1/", check=True)
  for _ in range(5):
    measured.draw("ints", key=key)
  wait_until(lambda: samples(measured)['fairdraw_webhook_attempts_total{result="failed"}'] >= 5, "all have failed once")
  found = samples(measured)
  assert found["fairdraw_webhook_deliveries_pending"] == 5
  assert found['fairdraw_webhook_attempts_total{result="delivered"}'] == 0 and found["fairdraw_webhook_deliveries_dead_total"] == 0
  assert found["fairdraw_ledger_group_size_sum"] == 5 and 1 <= found["fairdraw_ledger_group_size_count"] <= 5
  assert found["fairdraw_ledger_commit_duration_seconds_count"] == found["fairdraw_ledger_group_size_count"]
  assert found["fairdraw_ledger_queue_draws"] == 0 and found["fairdraw_ledger_failed_groups_total"] == 0
  assert found["fairdraw_streams_open"] == 0


def test_syncs_the_log_and_the_disk_are_told(measured):
  for _ in range(3):
    drawn = measured.draw("ints").json()["shortId"]
  wait_until(lambda: measured.get(f"/api/proof/{drawn}").status == 200, "the draws are in the log")
  wait_until(lambda: samples(measured)["fairdraw_log_lag_seconds"] == 0, "nothing waits for the log")
  found = samples(measured)
  assert found["fairdraw_log_size"] >= 4 and found["fairdraw_log_rolled_back"] == 0
  assert found["fairdraw_ledger_sync_duration_seconds_count"] == found["fairdraw_ledger_commit_duration_seconds_count"] >= 1
  assert found["fairdraw_ledger_sync_duration_seconds_sum"] <= found["fairdraw_ledger_commit_duration_seconds_sum"]
  disk = os.statvfs(measured.data)
  assert 0 < found["fairdraw_disk_free_bytes"] <= disk.f_blocks * disk.f_frsize
  assert found["fairdraw_connections_turned_away_total"] == 0 and found["fairdraw_account_failed_sweeps_total"] == 0


@pytest.mark.parametrize("path", ["/api/ints", "/api/health", "/no/such/place", "/api/ints?count=no"])
def test_a_trace_is_in_the_log_line(server, path):
  trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
  for header, expected in [
    (f"00-{trace}-{parent}-01", (trace, parent)), (f"00-{trace}-{parent}-01x", (None, None)), ("x" * 20_000, (None, None)),
    (f"00-{trace}-{parent}-01\r\ntraceparent: 00-{trace}-{parent}-01", (None, None)), ("", (None, None)),
  ]:
    answer = server.raw_get(path.encode(), b"traceparent: " + header.encode() + b"\r\n")
    [line] = [line for line in server.log_lines() if line.get("requestId") == answer.header("X-Request-Id")]
    assert (line.get("traceId"), line.get("parentId")) == expected, line


def test_the_databases_size(measured):
  before = samples(measured)["fairdraw_database_bytes"]
  assert before > 0
  measured.draw("shuffle", {"items": ["x" * 1000] * 1000}, "POST", key=measured.key())
  assert samples(measured)["fairdraw_database_bytes"] > before + 1_000_000
