"""Fixtures. Tests of one run share a server unless they stop it or configure it; every test has names of its own."""

import importlib.util
import os
import random
import re

import pytest

import harness
import ports


def pytest_report_header(config):
  return f"fairdraw: {harness.BINARY}"


@pytest.fixture(scope="session")
def server(tmp_path_factory):
  """The shared server: default settings, no rate limit."""
  with harness.Server(tmp_path_factory.mktemp("shared") / "data") as running:
    yield running


@pytest.fixture
def serve(tmp_path):
  """Starts servers of one's own: serve(FAIRDRAW_DAILY_QUOTA=5). All in one test share a data folder unless `folder` differs."""
  started = []

  def start(folder="data", **settings):
    running = harness.Server(tmp_path / folder, **settings)
    started.append(running)
    return running.start()

  yield start
  for running in started:
    running.kill()


@pytest.fixture
def free_port():
  return ports.free_port()


@pytest.fixture
def client_seed(request):
  """A clientSeed no other test uses."""
  return harness.unique(re.sub(r"\W+", "-", request.node.originalname))


@pytest.fixture
def idempotency():
  """An idempotency key no other test uses."""
  return harness.unique("key")


@pytest.fixture
def account(server):
  return server.account()


@pytest.fixture
def live_key(server, account):
  return server.key(account)


@pytest.fixture
def test_key(server, account):
  return server.key(account, "test")


@pytest.fixture
def unchanged(server):
  """Fails a test that leaves a trace of a draw behind."""
  before = server.footprint()
  yield
  assert server.footprint() == before


@pytest.fixture
def rng(request):
  """Randomness from a printed seed; FAIRDRAW_TEST_SEED repeats a run."""
  seed = os.environ.get("FAIRDRAW_TEST_SEED") or str(random.SystemRandom().getrandbits(64))
  print(f"FAIRDRAW_TEST_SEED={seed}")
  return random.Random(f"{seed}:{request.node.nodeid}")


@pytest.fixture(scope="session")
def verifier():
  """The independent verifier that the documentation hands to users."""
  if not harness.VERIFIER.exists():
    pytest.skip(f"no verifier at {harness.VERIFIER}")
  spec = importlib.util.spec_from_file_location("fairdraw_verify", harness.VERIFIER)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module
