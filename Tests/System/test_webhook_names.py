"""Webhooks to host names, as a name server of our own resolves them, in a mount namespace of the server's own.

There `/etc/resolv.conf` names our name server, and the certificates that the machine trusts are the one we made.
"""

import os
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from harness import Server, wait_until
from test_webhooks import Receiver, deliveries, state_counts, webhook

ADDRESS = "127.53.53.53"

# The new files are put over the machine's for this process and its children alone.
WORLD = """
set -e
mount --bind "$1" /etc/resolv.conf
mount -t tmpfs -o mode=755 tmpfs /etc/ssl
mkdir /etc/ssl/certs
cp "$2" /etc/ssl/certs/ca-certificates.crt
shift 2
exec "$@"
"""


class NameServer:
  """Answers every question for an A record with what `zone` has, and any other with nothing (RFC 1035)."""

  def __init__(self, zone):
    self.zone = zone
    self.asked = []
    self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    self.socket.bind((ADDRESS, 53))
    self.thread = threading.Thread(target=self.serve, daemon=True)
    self.thread.start()

  def serve(self):
    while True:
      question, client = self.socket.recvfrom(512)
      if not question:
        return
      labels, place = [], 12
      while question[place]:
        labels.append(question[place + 1:place + 1 + question[place]].decode())
        place += 1 + question[place]
      kind, = struct.unpack_from(">H", question, place + 1)
      name = ".".join(labels).lower()
      addresses = self.zone.get(name)
      answers = b""
      if kind == 1 and addresses:
        self.asked.append(name)
        for address in addresses() if callable(addresses) else addresses:
          answers += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(address)
      flags = 0x8180 if addresses else 0x8183
      head = question[:2] + struct.pack(">HHHHH", flags, 1, len(answers) // 16, 0, 0)
      self.socket.sendto(head + question[12:place + 5] + answers, client)

  def close(self):
    self.socket.sendto(b"", (ADDRESS, 53))
    self.thread.join()
    self.socket.close()


def why_not():
  if os.geteuid() != 0:
    return "only root may make a mount namespace"
  if not shutil.which("openssl"):
    return "there is no openssl"
  if not os.path.isdir("/etc/ssl") or not os.path.isfile("/etc/resolv.conf"):
    return "there is no /etc/ssl or no /etc/resolv.conf to put another in place of"
  if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
    return "mount namespaces are not to be had here"
  return None


REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON or "")


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
def world(tmp_path, certificate):
  """Starts servers to which `zone` is the internet's names: world(zone, FAIRDRAW_…)."""
  resolver = tmp_path / "resolv.conf"
  resolver.write_text(f"nameserver {ADDRESS}\noptions timeout:1 attempts:1\n")
  ends = []

  def start(zone, **settings):
    names = NameServer(zone)
    ends.append(names.close)
    server = Server(
      tmp_path / "data", launcher=["unshare", "--mount", "sh", "-c", WORLD, "sh", resolver, certificate[1]], **settings)
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


def test_https_to_a_name_with_its_certificate(world, tmp_path, certificate):
  server, names = world(
    {"hooks.example.com": ["127.0.0.1"], "other.example.com": ["127.0.0.1"]}, FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true")
  receiver = Receiver(tmp_path, certificate[0])
  try:
    account = server.account()
    webhook(server, account, f"https://hooks.example.com:{receiver.port}/ok")
    webhook(server, account, f"https://other.example.com:{receiver.port}/other")
    server.draw("ints", key=server.key(account))
    wait_until(lambda: receiver.taken("/ok"), "the event has come over TLS")
    wait_until(lambda: "Couldn't find other.example.com in certificate" in deliveries(server), "the certificate of another name is refused")
    entry = receiver.received("/ok")[0]
    assert entry["headers"]["host"] == f"hooks.example.com:{receiver.port}"
    assert {"sni": "hooks.example.com"} in receiver.received(None) and not receiver.received("/other")
  finally:
    receiver.stop()
