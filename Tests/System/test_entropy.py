"""A random source that breaks: the server draws nothing, says so everywhere, and makes no key or seed of it."""

import urllib.request

import pytest

import preload
from harness import TIMEOUT, Server, cli, unique, wait_until

REASONS = {"stuck": "times in a row", "biased": "times in 512", "broken": "cannot be read"}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
  return preload.library("entropy", tmp_path_factory.mktemp("entropy"))


@pytest.fixture
def settings(library, tmp_path):
  return {"LD_PRELOAD": library, "TEST_ENTROPY": tmp_path / "mood"}


def metric(name, port):
  text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT).read().decode()
  (value,) = [line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")]
  return float(value)


def is_refused(response):
  assert (response.status, response.code) == (503, "entropy_failed"), response
  assert response.json()["requestId"] and "random source" in response.error
  return True


@pytest.mark.parametrize("mood", REASONS)
def test_a_source_that_breaks_stops_all_draws(tmp_path, settings, free_port, mood):
  with Server(tmp_path / "data", FAIRDRAW_METRICS_PORT=free_port, **settings) as server:
    key, client_seed = server.key(), unique()
    first = server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency="first")
    assert first.status == 200
    assert server.post("/api/commit", key=key).status == 200
    health = server.get("/api/health")
    assert (health.status, health.json()["randomSource"]) == (200, "ok")
    assert metric("fairdraw_random_source_failing", free_port) == 0

    settings["TEST_ENTROPY"].write_text(mood)
    # Nobody needs to draw for the server to notice.
    wait_until(lambda: server.get("/api/health").json()["randomSource"] == "failed", "the server notices")
    health = server.get("/api/health")
    assert (health.status, health.json()["status"], health.json()["db"]) == (503, "degraded", "ok")
    wait_until(lambda: metric("fairdraw_random_source_failing", free_port) == 1, "the metrics say so")
    for caller in (key, None):
      assert is_refused(server.draw("ints", {"clientSeed": client_seed}, key=caller))
      assert is_refused(server.post("/api/commit", key=caller))
    assert is_refused(server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {}}]}, key=key))
    assert is_refused(server.post("/api/rotate", {"clientSeed": client_seed}, key=key))
    [line] = [line for line in server.log_lines() if "nothing can be stored" in line["message"]]
    assert REASONS[mood] in line["message"]

    # What was drawn is there, and a retry gets it.
    replay = server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency="first")
    assert replay.status == 200 and replay.body == first.body
    assert server.get("/api/listOutcomes", {"clientSeed": client_seed}, key=key).json()[0] == first.json()

    # One good block makes no source good; a restart tests it anew.
    settings["TEST_ENTROPY"].unlink()
    assert is_refused(server.draw("ints", {"clientSeed": client_seed}, key=key))
    server.restart()
    after = server.draw("ints", {"clientSeed": client_seed}, key=key)
    assert after.status == 200 and after.json()["nonce"] == first.json()["nonce"] + 1
    assert server.get("/api/health").status == 200


def test_a_server_that_starts_without_randomness_draws_nothing(tmp_path, settings):
  data = tmp_path / "data"
  with Server(data, **settings):
    pass
  settings["TEST_ENTROPY"].write_text("stuck")
  with Server(data, **settings) as server:
    assert is_refused(server.draw("ints"))
    assert server.get("/api/health").json()["randomSource"] == "failed"


def test_no_key_is_made_without_randomness(tmp_path, settings):
  data = tmp_path / "data"
  settings["TEST_ENTROPY"].write_text("stuck")
  done = cli("account", "create", "a", data=data, env=settings)
  assert done.returncode == 1 and "random source" in done.stderr
  assert not (data / "master.key").exists()

  settings["TEST_ENTROPY"].unlink()
  cli("account", "create", "a", data=data, env=settings, check=True)
  settings["TEST_ENTROPY"].write_text("broken")
  for arguments in (["key", "create", "--account", "a"], ["webhook", "create", "--account", "a", "--url", "https://a.example/"]):
    done = cli(*arguments, data=data, env=settings)
    assert done.returncode == 1 and "random source" in done.stderr, done
    assert done.stdout == ""
  done = cli("bytes", "--count", "1", env=settings)
  assert done.returncode == 1 and "random source" in done.stderr and done.stdout == ""


def test_doctor_tests_the_random_source(tmp_path, settings):
  def line():
    done = cli("doctor", data=tmp_path / "data", env=settings)
    return next(line for line in done.stdout.splitlines() if " randomness " in line)

  assert line().startswith("ok ")
  settings["TEST_ENTROPY"].write_text("stuck")
  assert line().startswith("wrong ")
