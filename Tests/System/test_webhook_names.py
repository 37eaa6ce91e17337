"""Webhooks to host names, as a name server of our own resolves them.

`names.c`, which is preloaded into the server, stands between it and the C library: it asks that name server, and puts
the certificate that we made in place of those that the machine trusts.
"""

import socket
import subprocess
import threading

import pytest

import preload
from harness import Server, wait_until
from test_webhooks import Receiver, deliveries, state_counts, webhook


class NameServer:
  """Answers every question with the addresses that `zone` has for the name."""

  def __init__(self, zone):
    self.zone = zone
    self.asked = []
    self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    self.socket.bind(("127.0.0.1", 0))
    self.port = self.socket.getsockname()[1]
    self.thread = threading.Thread(target=self.serve, daemon=True)
    self.thread.start()

  def serve(self):
    while True:
      question, client = self.socket.recvfrom(512)
      if not question:
        return
      name = question.decode()
      addresses = self.zone.get(name, [])
      self.asked.append(name)
      self.socket.sendto(" ".join(addresses() if callable(addresses) else addresses).encode(), client)

  def close(self):
    self.socket.sendto(b"", ("127.0.0.1", self.port))
    self.thread.join()
    self.socket.close()


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory):
  return preload.library("names", tmp_path_factory.mktemp("names"))


@pytest.fixture
def certificate(tmp_path):
  """A certificate for hooks.example.com with its key, and alone."""
  both, alone = tmp_path / "both.pem", tmp_path / "certificate.pem"
  subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
     "-subj", "/CN=hooks.example.com", "-addext", "subjectAltName=DNS:hooks.example.com", "-keyout", both, "-out", alone],
    check=True, capture_output=True)
  with open(both, "a") as file:
    file.write(alone.read_text())
  return both, alone


@pytest.fixture
def world(tmp_path, certificate, preloaded):
  """Starts servers to which `zone` is the internet's names: world(zone, FAIRDRAW_…)."""
  ends = []

  def start(zone, **settings):
    names = NameServer(zone)
    ends.append(names.close)
    server = Server(
      tmp_path / "data", LD_PRELOAD=preloaded, TEST_NAMES=names.port, TEST_CERTIFICATE=certificate[1], **settings)
    ends.append(server.kill)
    return server.start(), names

  yield start
  for end in reversed(ends):
    end()


def test_a_public_name_that_leads_inside_is_refused(world, tmp_path):
  zone = {
    "hooks.example.com": ["127.0.0.1"],
    "mixed.example.com": ["1.1.1.1", "127.0.0.1"],
    "metadata.example.com": ["169.254.169.254"],
  }
  server, names = world(zone)
  receiver = Receiver(tmp_path)
  try:
    account = server.account()
    for name in zone:
      webhook(server, account, f"http://{name}:{receiver.port}/ok")
    server.draw("ints", key=server.key(account))
    wait_until(lambda: deliveries(server).count("is not a public one") >= 3, "all three are refused")
    assert set(names.asked) == set(zone)
    assert not receiver.received() and state_counts(server) == {"pending": 3}
  finally:
    receiver.stop()


def test_a_name_that_changes_its_mind_is_checked_each_time(world, tmp_path):
  # The first answer is an address that nobody has (RFC 5737 keeps it for documentation); later ones lead inside.
  answers = iter([["203.0.113.1"]])
  server, names = world({"hooks.example.com": lambda: next(answers, ["127.0.0.1"])})
  receiver = Receiver(tmp_path)
  try:
    account = server.account()
    webhook(server, account, f"http://hooks.example.com:{receiver.port}/ok")
    server.draw("ints", key=server.key(account))
    wait_until(lambda: len(names.asked) >= 2, "it has been tried again")
    wait_until(lambda: "127.0.0.1 is not a public one" in deliveries(server), "and refused again")
    assert not receiver.received()
  finally:
    receiver.stop()


def test_a_name_that_nobody_has(world):
  server, names = world({})
  account = server.account()
  webhook(server, account, "http://nowhere.example.com/")
  server.draw("ints", key=server.key(account))
  wait_until(lambda: "there is no host nowhere.example.com" in deliveries(server), "the attempt says so")


def test_https_to_a_name_with_its_certificate(world, tmp_path, certificate):
  server, names = world(
    {"hooks.example.com": ["127.0.0.1"], "other.example.com": ["127.0.0.1"]}, FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true",
    https_proxy="http://127.0.0.1:1", ALL_PROXY="http://127.0.0.1:1")  # which are not for webhooks
  receiver = Receiver(tmp_path, certificate[0])
  try:
    account = server.account()
    webhook(server, account, f"https://hooks.example.com:{receiver.port}/ok")
    webhook(server, account, f"https://other.example.com:{receiver.port}/other")
    server.draw("ints", key=server.key(account))
    wait_until(lambda: receiver.taken("/ok"), "the event has come over TLS")
    wait_until(lambda: "the certificate is not for other.example.com" in deliveries(server), "the certificate of another name is refused")
    entry = receiver.received("/ok")[0]
    assert entry["headers"]["host"] == f"hooks.example.com:{receiver.port}"
    assert {"sni": "hooks.example.com"} in receiver.received(None) and not receiver.received("/other")
  finally:
    receiver.stop()
