"""`fairdraw witness`: what it cosigns of a log that is built here, and what it refuses, whatever happens to it."""

import base64
import hashlib
import http.client
import re
import select
import signal
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from harness import BINARY, TIMEOUT, Server, environment, wait_until
from test_log_proofs import LOG_VKEY, ORIGIN, OTHER_LOG, OTHER_VKEY, SERVED, SERVED_LOG, checkpoint_body, in_base64, log_line, tree_head, vkey

SIZE = "text/x.tlog.size"


class Witness:
  """A `fairdraw witness` over one folder; it may be killed and started again."""

  def __init__(self, folder, *arguments, logs=(LOG_VKEY,)):
    self.folder, self.process = folder, None
    named = [part for log in logs for part in ("--log", log)]
    self.command = [BINARY, "witness", "--data", str(folder), "--port", "0", *named, *arguments]

  def start(self):
    self.process = subprocess.Popen(
      self.command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = self.process.stdout.readline()
    found = re.fullmatch(r"The witness is listening on http://127\.0\.0\.1:(\d+)/add-checkpoint\n", line)
    if not found:
      raise AssertionError("%r\n%s" % (line, self.process.communicate(timeout=TIMEOUT)))
    self.port = int(found[1])
    self.vkey = re.fullmatch(r"Its key is (\S+)\n", self.process.stdout.readline())[1]
    return self

  def end(self, number):
    """Its exit status and what it said on standard error."""
    self.process.send_signal(number)
    said = self.process.communicate(timeout=TIMEOUT)[1]
    return self.process.returncode, said

  def __enter__(self):
    return self.start()

  def __exit__(self, *_):
    if self.process.poll() is None:
      self.end(signal.SIGKILL)

  def request(self, method, path, body=b""):
    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
    try:
      connection.request(method, path, body)
      response = connection.getresponse()
      return response.status, response.getheader("Content-Type"), response.read().decode()
    finally:
      connection.close()

  def add(self, old, leaves, **changes):
    return self.request("POST", "/add-checkpoint", add_checkpoint(old, leaves, **changes).encode())

  def check(self, answer, leaves, **changes):
    """Checks a cosignature of a tree; returns its time."""
    status, content_type, text = answer
    assert (status, content_type) == (200, "text/plain; charset=utf-8"), answer
    name, digest, material = self.vkey.split("+", 2)
    dash, signer, data = text.split(" ")
    assert (dash, signer, data[-1]) == ("\u2014", name, "\n")
    key, data = base64.b64decode(material), base64.b64decode(data)
    assert key[0] == 4 and data[:4].hex() == digest == hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8]
    at = int.from_bytes(data[4:12], "big")
    body = checkpoint_body(leaves, **changes)
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(data[12:], ("cosignature/v1\ntime %d\n" % at + body).encode())
    return at


def consistency(old, leaves, whole=True):
  """RFC 6962, 2.1.2."""
  if old == len(leaves):
    return [] if whole else [tree_head(leaves)]
  k = 1 << (len(leaves) - 1).bit_length() - 1
  if old <= k:
    return consistency(old, leaves[:k], whole) + [tree_head(leaves[k:])]
  return consistency(old - k, leaves[k:], False) + [tree_head(leaves[:k])]


def add_checkpoint(old, leaves, path=None, lines=None, **body):
  text = checkpoint_body(leaves, **body)
  if path is None:
    path = consistency(old, leaves) if 0 < old <= len(leaves) else []
  lines = [log_line(text, origin=body.get("origin", ORIGIN))] if lines is None else lines(text)
  return "old %d\n%s\n%s\n%s" % (old, "".join(in_base64(node) + "\n" for node in path), text, "".join(lines))


def entries(size, fork=None):
  return [b"%s %d" % (b"draw" if fork is None or n < fork else b"other", n) for n in range(size)]


@pytest.fixture
def witness(tmp_path):
  with Witness(tmp_path / "witness", "--name", "witness.example/w") as witness:
    yield witness


def test_a_log_that_grows_is_cosigned(witness):
  assert witness.vkey.startswith("witness.example/w+")
  old, before = 0, int(time.time())
  for size in [0, 0, 1, 2, 3, 3, 7, 8, 9, 64, 65, 300, 300]:
    at = witness.check(witness.add(old, entries(size)), entries(size))
    assert before <= at <= int(time.time())
    old = size
  extended = {"more": "an extension\n"}
  witness.check(witness.add(300, entries(301), **extended), entries(301), **extended)
  assert witness.end(signal.SIGTERM) == (0, "")


def test_each_refusal_has_its_status(witness):
  witness.check(witness.add(0, entries(5)), entries(5))
  elsewhere = {"origin": "draws.example/elsewhere"}
  good = add_checkpoint(5, entries(9))

  def post(body):
    return witness.request("POST", "/add-checkpoint", body.encode())

  refused = [
    (404, witness.add(0, entries(9), **elsewhere)),
    (403, witness.add(5, entries(9), lines=lambda text: [log_line(text, OTHER_LOG)])),
    (403, witness.add(5, entries(9), lines=lambda text: [log_line(text + "x")])),
    (400, witness.add(10, entries(9), path=[])),
    (400, post("")), (400, post("old 5\n")), (400, post(good[:-1])), (400, post(good.replace("old 5", "old 05"))),
    (400, post(good.replace("\n", "\r\n"))), (400, witness.add(5, entries(9), path=[tree_head([])] * 64)),
    (422, witness.add(5, entries(9), path=[tree_head([])] * 63)), (422, witness.add(5, entries(9), path=[])),
    (422, witness.add(5, entries(9, fork=4))), (422, witness.add(5, entries(5), path=[tree_head([])])),
    (413, post("old 5\n" + "a" * (256 << 10))),
    (405, witness.request("GET", "/add-checkpoint")), (404, witness.request("POST", "/", good.encode())),
  ]
  for number, (status, answer) in enumerate(refused):
    assert answer[0] == status and "\u2014" not in answer[2], (number, answer)
  for old, leaves in [(0, entries(9)), (4, entries(9)), (6, entries(9)), (0, entries(5)), (5, entries(5, fork=4))]:
    assert witness.add(old, leaves) == (409, SIZE, "5\n")
  # Nothing of that was remembered; and a signature by a stranger beside the log's does no harm.
  witness.check(witness.add(5, entries(9), lines=lambda text: [log_line(text, OTHER_LOG), log_line(text)]), entries(9))


def test_a_fork_is_never_cosigned_and_is_told(witness):
  for size in (3, 7):
    witness.check(witness.add({3: 0, 7: 3}[size], entries(size)), entries(size))
  assert witness.add(7, entries(7, fork=6)) == (409, SIZE, "7\n")
  assert witness.add(7, entries(12, fork=6))[0] == 422
  assert witness.add(3, entries(12, fork=6)) == (409, SIZE, "7\n")  # though it continues the tree of 3
  witness.check(witness.add(7, entries(12)), entries(12))
  status, said = witness.end(signal.SIGTERM)
  assert status == 0 and said.count("The log signed:") == 2 and ORIGIN in said


def test_of_two_histories_at_once_one_is_cosigned(witness):
  witness.check(witness.add(0, entries(7)), entries(7))
  sides, answers, gate = [entries(9), entries(9, fork=7)], [], threading.Barrier(12)

  def send(side):
    gate.wait(TIMEOUT)
    answers.append((side, witness.add(7, sides[side])))

  threads = [threading.Thread(target=send, args=(n % 2,)) for n in range(12)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  cosigned = [(side, answer) for side, answer in answers if answer[0] == 200]
  assert len(answers) == 12 and len(cosigned) == 1
  witness.check(cosigned[0][1], sides[cosigned[0][0]])
  assert all(answer == (409, SIZE, "9\n") for _, answer in answers if answer[0] != 200), answers


def test_logs_do_not_meet(tmp_path):
  second = Ed25519PrivateKey.from_private_bytes(b"2" * 32)
  origin = "draws.example/second"
  sign = {"origin": origin, "lines": lambda text: [log_line(text, second, origin)]}
  with Witness(tmp_path / "w", logs=[LOG_VKEY, OTHER_VKEY, vkey(origin, 1, second), SERVED_LOG]) as witness:
    assert re.match(r"witness-[0-9a-f]{8}\+", witness.vkey)
    witness.check(witness.add(0, entries(5)), entries(5))
    witness.check(witness.add(0, entries(3, fork=0), **sign), entries(3, fork=0), origin=origin)
    # A log may have two keys, and it is one log.
    witness.check(witness.add(5, entries(6), lines=lambda text: [log_line(text, OTHER_LOG)]), entries(6))
    assert witness.add(3, entries(6), **sign)[0] == 422
    # A checkpoint that a log of certificates served in 2026, with signatures of others.
    assert witness.request("POST", "/add-checkpoint", ("old 0\n\n" + SERVED).encode())[0] == 200
    assert witness.request("POST", "/add-checkpoint", ("old 0\n\n" + SERVED).encode()) == (409, SIZE, "1432088532\n")


def test_a_servers_own_log_is_cosigned_as_it_grows(tmp_path):
  with Server(tmp_path / "data") as server:
    told = server.get("/api/keys").json()["log"]

    def checkpoint(above):
      """A checkpoint of more entries than that, and the entries."""
      def newest():
        text = server.get("/log/0/checkpoint").body.decode()
        return int(text.split("\n")[1]) > above and text

      text = wait_until(newest, "a checkpoint of more than %d entries" % above)
      size = int(text.split("\n")[1])
      rest, found = server.get("/log/0/tile/entries/000.p/%d" % size).body, []
      while rest:
        length = int.from_bytes(rest[:2], "big")
        found, rest = [*found, rest[2 : 2 + length]], rest[2 + length :]
      assert len(found) == size and in_base64(tree_head(found)) == text.split("\n")[2]
      return text, found

    with Witness(tmp_path / "witness", logs=[told["vkey"]]) as witness:
      old = 0
      for _ in range(3):
        assert server.draw("ints", {"clientSeed": "logged"}).status == 200
        text, found = checkpoint(old)
        path = "".join(in_base64(node) + "\n" for node in consistency(old, found)) if old else ""
        body = "old %d\n%s\n%s" % (old, path, text)
        witness.check(witness.request("POST", "/add-checkpoint", body.encode()), found, origin=told["origin"])
        old = len(found)


def test_kill_9_forgets_nothing_that_was_cosigned(tmp_path):
  """Checkpoints are sent one after the other while the witness is killed; then a fork of what it had cosigned is sent."""
  witness, answered, key = Witness(tmp_path / "w"), 0, None
  for number in range(6):
    with witness:
      assert key in (None, witness.vkey)
      key = witness.vkey
      status, content_type, text = witness.add(0, entries(10_000))
      if answered:
        assert (status, content_type) == (409, SIZE)
        known = int(text)
        # What was in flight may have been kept, and was then not answered.
        assert answered <= known <= answered + 1
        assert witness.add(known, entries(known, fork=known - 1)) == (409, SIZE, "%d\n" % known)
        assert witness.add(known, entries(known + 5, fork=known - 1))[0] == 422
      else:
        witness.check((status, content_type, text), entries(10_000))
        known = 10_000
      sent, enough = [known], threading.Event()

      def grow():
        try:
          while True:
            size = sent[-1] + 1
            if witness.add(sent[-1], entries(size))[0] != 200:
              return
            sent.append(size)
            if len(sent) > 3 + number:
              enough.set()
        except (OSError, http.client.HTTPException):
          return

      sender = threading.Thread(target=grow)
      sender.start()
      assert enough.wait(TIMEOUT)
      assert witness.end(signal.SIGKILL)[0] == -signal.SIGKILL
      sender.join()
      answered = sent[-1]


def test_what_cannot_be_kept_is_not_cosigned(witness):
  witness.check(witness.add(0, entries(5)), entries(5))
  [kept] = witness.folder.glob("*.checkpoint")
  draft = kept.with_name(kept.name + ".new")
  draft.mkdir()
  status, _, text = witness.add(5, entries(9))
  assert status == 500 and "\u2014" not in text
  draft.rmdir()
  assert kept.read_text() == checkpoint_body(entries(5))
  assert witness.add(9, entries(12)) == (409, SIZE, "5\n")
  witness.check(witness.add(5, entries(9)), entries(9))
  assert "nothing was cosigned" in witness.end(signal.SIGTERM)[1]


def test_what_it_keeps_is_its_own(tmp_path):
  folder = tmp_path / "w"
  with Witness(folder) as witness:
    witness.check(witness.add(0, entries(5)), entries(5))
    [kept] = folder.glob("*.checkpoint")
    key = folder / "witness.key"
    assert [path.stat().st_mode & 0o777 for path in (folder, key, kept)] == [0o700, 0o600, 0o600]
    assert key.read_text().strip() not in witness.vkey and len(key.read_text()) == 65

    def refused():
      return subprocess.run(Witness(folder).command, env=environment(), capture_output=True, text=True, timeout=TIMEOUT)

    second = refused()
    assert second.returncode == 1 and "another process" in second.stderr
    witness.end(signal.SIGTERM)
  good = kept.read_text()
  for damaged in ("", good[:-1], good.replace(ORIGIN, "draws.example/x"), good.replace("\n5\n", "\n05\n")):
    kept.write_text(damaged)
    said = refused()
    assert said.returncode == 1 and kept.name in said.stderr and said.stdout == ""
  kept.write_text(good)
  key.rename(folder / "away")
  said = refused()
  assert said.returncode == 1 and "put it back" in said.stderr
  (folder / "away").rename(key)
  with Witness(folder) as again:
    assert again.vkey == witness.vkey
    assert again.add(0, entries(9)) == (409, SIZE, "5\n")


def test_one_address_does_not_take_all_connections(witness):
  """Of more connections than one address may have, idle ones are closed for new ones; all are answered."""
  connections = []
  for _ in range(80):
    connection = http.client.HTTPConnection("127.0.0.1", witness.port, timeout=TIMEOUT)
    connections.append(connection)
    connection.request("POST", "/add-checkpoint", add_checkpoint(9, entries(9)).encode())
    response = connection.getresponse()
    assert (response.status, response.read()) == (409, b"0\n")

  def closed():
    return sum(not connection.sock or bool(select.select([connection.sock], [], [], 0)[0]) for connection in connections)

  wait_until(lambda: closed() >= 16, "16 of 80 connections being closed")
  assert closed() == 16
  for connection in connections:
    connection.close()


@pytest.mark.parametrize("arguments, naming", [
  ([], "--log"), (["--log", "x"], "verifier key"), (["--log", LOG_VKEY[:-1]], "verifier key"),
  (["--log", LOG_VKEY] * 1001, "--log must name 1 to 1000 keys"), (["--log", LOG_VKEY, "--port", "70000"], "--port"), (["--log", LOG_VKEY, "--name", "a b"], "--name"),
])
def test_wrong_usage(tmp_path, arguments, naming):
  result = subprocess.run(
    [BINARY, "witness", "--data", str(tmp_path / "w"), *arguments], env=environment(), capture_output=True, text=True, timeout=TIMEOUT)
  assert result.returncode == 64 and naming in result.stderr and not (tmp_path / "w").exists(), result
