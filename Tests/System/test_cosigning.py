"""`fairdraw serve --witness`: what witnesses sign is published, and whatever a witness does, draws and the log go on."""

import http.server
import json
import re
import shutil
import signal
import socketserver
import threading
import time

import pytest

import postgres
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from harness import TIMEOUT, Server, cli, wait_until
from log_reader import Checkpoint, VerifierKey
from ports import free_port
from test_log_proofs import sha256, signature_line, vkey
from test_openapi import conforms
from test_postgres import cluster, fleet
from test_verifiers import Node, Python, run
from test_witness import Witness

__all__ = ["cluster", "fleet"]  # fixtures

needs_postgres = pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL's server is not installed")
URL = "https://draws.example"


def address(witness):
  return f"http://127.0.0.1:{witness.port}={witness.vkey}"


def signers(note):
  """The names under a checkpoint, the log's own first."""
  return [line.split(" ")[1] for line in note.rpartition("\n\n")[2].splitlines()]


class Watched:
  """A server, its log's key, and what it shows of the log."""

  def __init__(self, server):
    self.server = server
    self.key = server.get("/api/keys").json()["log"]["vkey"]
    self.origin = self.key.split("+")[0]

  def with_witnesses(self, *witnesses, interval=1):
    """The server again, with these witnesses."""
    self.server.arguments = [
      "--witness-interval", interval, *(part for witness in witnesses for part in ("--witness", witness))]
    self.server.restart()

  def note(self, path="checkpoint"):
    answer = self.server.get(f"/log/0/{path}")
    assert answer.status in (200, 404), answer
    return answer.body.decode() if answer.status == 200 else None

  def draw(self, count=1):
    answers = [self.server.draw("ints", {"clientSeed": "watched"}) for _ in range(count)]
    assert all(answer.status == 200 for answer in answers), answers
    return answers[-1].body.decode()

  def proof(self, outcome):
    answer = self.server.get(f"/api/proof/{json.loads(outcome)['shortId']}")
    return answer.body.decode() if answer.status == 200 else None

  def cosigned_by(self, *witnesses, outcome=None):
    """Awaits a checkpoint, or the proof of an outcome, that these witnesses cosigned and no others."""
    wanted = [self.origin, *sorted(witness.vkey.split("+")[0] for witness in witnesses)]

    def found():
      note = self.note() if outcome is None else self.proof(outcome)
      return note if note and [signers(note)[0], *sorted(signers(note)[1:])] == wanted else None

    return wait_until(found, f"it is cosigned by {wanted[1:]}")


@pytest.fixture
def watched(tmp_path):
  with Server(tmp_path / "data", FAIRDRAW_PUBLIC_URL=URL) as server:
    yield Watched(server)


def policy(log, witnesses, quorum):
  lines = [f"log {log}", *(f"witness w{n} {witness.vkey}" for n, witness in enumerate(witnesses))]
  return "\n".join([*lines, f"group some {quorum} " + " ".join(f"w{n}" for n in range(len(witnesses))), "quorum some", ""])


def check_policies(folder, watched, outcome, witnesses, met):
  """That the command line and both programs accept the outcome's proof if so many witnesses are asked for, and no more."""
  (folder / "outcome.json").write_text(outcome)
  (folder / "draw.tlog-proof").write_text(watched.proof(outcome))
  for quorum in range(1, len(witnesses) + 1):
    (folder / "policy").write_text(policy(watched.key, witnesses, quorum))
    arguments = [folder / "outcome.json", "--proof", folder / "draw.tlog-proof", "--policy", folder / "policy"]
    statuses = {"fairdraw": cli("verify", *arguments).returncode}
    statuses |= {type(program).__name__: run(program, *arguments).returncode for program in (Python(), Node())}
    assert set(statuses.values()) == {0 if quorum <= met else 1}, (quorum, statuses)


def test_of_three_witnesses_one_is_down_and_one_catches_up(watched, tmp_path):
  folders = [tmp_path / name for name in ("steady", "slow", "down")]
  with Witness(folders[0], "--name", "steady", logs=[watched.key]) as steady, \
       Witness(folders[1], "--name", "slow", logs=[watched.key]) as slow, \
       Witness(folders[2], "--name", "down", logs=[watched.key]) as down:
    all_three = (steady, slow, down)
    watched.with_witnesses(*map(address, all_three))
    assert watched.server.get("/api/keys").json()["witnesses"] == [witness.vkey for witness in all_three]
    first = watched.draw(3)
    watched.cosigned_by(*all_three, outcome=first)
    check_policies(tmp_path, watched, first, all_three, met=3)

    down.end(signal.SIGKILL)
    slow.process.send_signal(signal.SIGSTOP)
    try:
      second = watched.draw(300)
      watched.cosigned_by(steady, outcome=second)
      check_policies(tmp_path, watched, second, all_three, met=1)
    finally:
      slow.process.send_signal(signal.SIGCONT)
    third = watched.draw(5)
    watched.cosigned_by(steady, slow, outcome=third)
    check_policies(tmp_path, watched, third, all_three, met=2)
    check_policies(tmp_path, watched, second, all_three, met=2)
    note = watched.cosigned_by(steady, slow)
    assert Checkpoint.open(own(note), VerifierKey.parse(watched.key)).size == 309
    wait_until(lambda: "A witness does not cosign" in watched.server.log_text(), "the log says so")
    # For a minute the one that all cosigned is shown to who follows with a policy, and then this one.
    assert watched.server.stop() == 0
    watched.server.alter("UPDATE log_cosignatures SET made = made - 60001 WHERE size < 309")
    watched.server.start()
    wait_until(lambda: watched.note("cosigned") == note, "the newest is the one that most have cosigned")
    assert conforms(watched.server.get("/log/0/cosigned"), "/log/{era}/cosigned", "get")

    # What was cosigned is kept, and what follows is cosigned, after a restart of the server.
    watched.server.restart()
    assert watched.note() == note
    watched.cosigned_by(steady, slow, outcome=watched.draw())
    assert "another history" not in watched.server.log_text()


def own(note):
  """A checkpoint without its cosignatures."""
  text, gap, lines = note.rpartition("\n\n")
  return text + gap + lines.splitlines(keepends=True)[0]


@pytest.mark.parametrize("elsewhere, here", [(6, 3), (3, 6), (4, 4)])
def test_a_witness_that_was_shown_another_history_signs_nothing(watched, tmp_path, elsewhere, here):
  """The log goes on in a copy of the database, which the witness sees, and then in the database itself."""
  with Witness(tmp_path / "one", "--name", "one", logs=[watched.key]) as one, \
       Witness(tmp_path / "other", "--name", "other", logs=[watched.key]) as other:
    watched.draw(2)
    assert watched.server.stop() == 0
    shutil.copytree(watched.server.data, tmp_path / "copy")
    with Server(tmp_path / "copy", FAIRDRAW_PUBLIC_URL=URL) as server:
      copy = Watched(server)
      assert copy.key == watched.key
      copy.draw(elsewhere)
      copy.with_witnesses(address(other))
      wait_until(lambda: len(signers(copy.note())) == 2 and f"\n{3 + elsewhere}\n" in copy.note(), "the copy is cosigned")
    watched.server.start()
    outcome = watched.draw(here)
    wait_until(lambda: f"\n{3 + here}\n" in watched.note(), "the log has them")
    watched.with_witnesses(address(one), address(other))
    wait_until(lambda: "A witness has seen another history" in watched.server.log_text(), "the log says so")
    note = watched.cosigned_by(one)
    assert f"\n{3 + here}\n" in note
    watched.cosigned_by(one, outcome=outcome)
    check_policies(tmp_path, watched, outcome, (one, other), met=1)
    assert watched.server.log_text().count("A witness has seen another history") == 1
    refused = watched.server.draw("floats")
    assert (refused.status, refused.code) == (503, "log_rolled_back")


# Witnesses that do what they like


class Fake(http.server.BaseHTTPRequestHandler):
  """Answers as the path says; /good/N is a witness without a memory."""

  protocol_version = "HTTP/1.1"

  def log_message(self, *_):
    pass

  def do_POST(self):
    body = self.rfile.read(int(self.headers["Content-Length"])).decode()
    kind = self.path.strip("/").split("/")[0]
    assert self.path.endswith("/add-checkpoint"), self.path
    head, _, note = body.partition("\n\n")
    text = note.rpartition("\n\n")[0] + "\n"
    self.server.requests.append((kind, head, note))
    getattr(self, kind)(text)

  def reply(self, status, body, content_type="text/plain", **headers):
    body = body.encode() if isinstance(body, str) else body
    self.send_response(status)
    for name, value in {"Content-Type": content_type, "Content-Length": len(body), **headers}.items():
      self.send_header(name.replace("_", "-"), str(value))
    self.end_headers()
    self.wfile.write(body)

  def cosigned(self, kind, text, at=None, key=None):
    at = int(time.time()) if at is None else at
    signature = (key or KEYS[kind]).sign(b"cosignature/v1\ntime %d\n" % at + text.encode())
    return signature_line(kind, 4, KEYS[kind], at.to_bytes(8, "big") + signature)

  def good(self, text):
    self.reply(200, self.cosigned("good", text))

  def many(self, text):  # others' lines, and its own among them
    self.reply(200, self.cosigned("good", text) * 3 + "no line\n" + self.cosigned("many", text))

  def hang(self, text):
    self.server.over.wait(TIMEOUT)

  def trickle(self, text):
    self.send_response(200)
    self.send_header("Content-Length", "10000")
    self.end_headers()
    try:
      while not self.server.over.wait(0.1):
        self.wfile.write(b"\n")
    except OSError:
      pass

  def cut(self, text):
    self.close_connection = True

  def half(self, text):
    self.send_response(200)
    self.send_header("Content-Length", "100000")
    self.end_headers()
    self.wfile.write(self.cosigned("half", text).encode())
    self.close_connection = True

  def empty(self, text):
    self.reply(200, "")

  def garbage(self, text):
    self.reply(200, bytes(range(256)) * 20)

  def huge(self, text):
    try:
      self.reply(200, self.cosigned("huge", text) + "\n" * (1 << 26))
    except OSError:
      pass

  def wrong(self, text):
    self.reply(200, self.cosigned("wrong", text, key=KEYS["good"]))

  def elsewhere(self, text):  # of another checkpoint
    self.reply(200, self.cosigned("elsewhere", text + "x\n"))

  def old(self, text):
    self.reply(200, self.cosigned("old", text, at=int(time.time()) - 86_400))

  def future(self, text):
    self.reply(200, self.cosigned("future", text, at=2**63 - 1))

  def size(self, text):
    self.reply(409, "many\n", "text/x.tlog.size")

  def loop(self, text):
    self.reply(409, str(len(self.server.requests) % 2) + "\n", "text/x.tlog.size")

  def conflict(self, text):
    self.reply(409, "1000000\n")

  def refusing(self, text):
    self.reply(403, self.cosigned("refusing", text))

  def redirect(self, text):
    self.reply(307, "", Location="/good/add-checkpoint")


BAD = [
  "hang", "trickle", "cut", "half", "empty", "garbage", "huge", "wrong", "elsewhere", "old", "future", "size", "loop", "conflict"]
MORE_BAD = ["refusing", "redirect"]
KEYS = {kind: Ed25519PrivateKey.from_private_bytes(sha256(kind.encode())) for kind in ["good", "many", *BAD, *MORE_BAD]}


@pytest.fixture
def fakes():
  class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # the other side hung up
      pass

  server = Threads(("127.0.0.1", 0), Fake)
  server.requests, server.over = [], threading.Event()
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  yield server
  server.over.set()
  server.shutdown()
  server.server_close()


def fake_address(fakes, kind):
  return f"http://127.0.0.1:{fakes.server_port}/{kind}/={vkey(kind, 4, KEYS[kind])}"


@pytest.mark.parametrize("bad", [BAD, MORE_BAD])
def test_what_a_witness_answers_wrongly_changes_nothing(watched, fakes, bad):
  asked = ["good", "many", *bad]
  first = watched.draw(20)  # what "loop" answers is no size that is asked about
  wait_until(lambda: watched.proof(first), "the log has them")
  watched.with_witnesses(*(fake_address(fakes, kind) for kind in asked))
  for _ in range(3):
    outcome = watched.draw(20)
    wait_until(lambda: signers(watched.proof(outcome) or "")[1:] == ["good", "many"], "the good ones cosign it")
    assert set(signers(watched.note())[1:]) <= {"good", "many"}
  wait_until(lambda: {kind for kind, *_ in fakes.requests} == set(asked), "all have been asked")
  for kind, head, note in list(fakes.requests):
    assert signers(note) == [watched.origin], "what is sent has the log's signature only"
    assert re.fullmatch(r"old \d+(\n[A-Za-z0-9+/]{43}=)*", head), (kind, head)
  if "loop" in bad:  # asked again once, from the size that it named, and not a third time
    def is_asked_again():
      notes = [note for kind, _, note in list(fakes.requests) if kind == "loop"]
      return len(notes) > len(set(notes))

    wait_until(is_asked_again, "it is asked again")
  said = watched.server.log_text()
  assert "another history" not in said and said.count("A witness does not cosign") <= len(bad) + 1, said
  assert watched.server.stop() == 0


def test_metrics_show_what_each_witness_cosigned(tmp_path, fakes):
  port = free_port()
  with Server(tmp_path / "data", FAIRDRAW_PUBLIC_URL=URL, FAIRDRAW_METRICS_PORT=port) as server:
    watched = Watched(server)
    server.env["FAIRDRAW_WITNESS"] = f"  {fake_address(fakes, 'good')} {fake_address(fakes, 'refusing')} "
    server.env["FAIRDRAW_WITNESS_INTERVAL"] = 1
    server.restart()
    watched.draw(4)
    metrics = Server(tmp_path / "metrics")
    metrics.port = port

    def shown():
      text = metrics.get("/metrics").body.decode()
      return dict(re.findall(r'^fairdraw_log_cosigned_size\{witness="(\w+)"\} (\d+)$', text, re.MULTILINE))

    wait_until(lambda: shown() == {"good": "5", "refusing": "0"}, "the sizes are shown")


@needs_postgres
def test_all_servers_show_what_one_of_them_was_given(fleet, fakes):
  settings = {"FAIRDRAW_WITNESS": fake_address(fakes, "good"), "FAIRDRAW_WITNESS_INTERVAL": 1}
  servers = [Watched(server) for server in fleet.start(2, **settings)]
  for number in range(6):
    outcome = servers[number % 2].draw(3)
    wait_until(lambda: signers(servers[0].proof(outcome) or "")[1:] == ["good"], "the proof is cosigned")
    assert servers[1].proof(outcome) == servers[0].proof(outcome)
    assert servers[1].note() == servers[0].note() == servers[0].note("cosigned")
    if number == 3:
      servers[0].server.kill()
      servers[0] = servers[1]
  # However many servers there are, a checkpoint is sent about as often as by one.
  sent = [note for _, _, note in fakes.requests]
  assert len(sent) <= 2 * len(set(sent)) + 2, sent


def test_cosignatures_are_bounded_and_the_newest_stay(watched, fakes):
  """Under load checkpoints come and go; what is kept of them is a minute's."""
  watched.with_witnesses(fake_address(fakes, "good"))
  for _ in range(5):
    outcome = watched.draw(10)
    wait_until(lambda: len(signers(watched.proof(outcome) or "")) == 2, "it is cosigned")
  [[kept]] = watched.server.sql("SELECT count(*) FROM log_cosignatures")
  assert 1 <= kept <= 6
  assert watched.server.stop() == 0
  watched.server.alter("UPDATE log_cosignatures SET made = made - 60001")
  watched.server.start()
  outcome = watched.draw()
  wait_until(lambda: len(signers(watched.proof(outcome) or "")) == 2, "it is cosigned")
  [[kept]] = watched.server.sql("SELECT count(*) FROM log_cosignatures")
  assert kept == 2, "the newest of before, and the new one"


@pytest.mark.parametrize("arguments, naming", [
  (["--witness", "x"], "URL=VKEY"), (["--witness", "ftp://x=y"], "URL"), (["--witness", "http://x?y=z"], "URL"),
  (["--witness", "http://x=y"], "verifier key"),
  (["--witness", "http://x=" + vkey("good", 1, KEYS["good"])], "algorithm 4"),
  (["--witness", "http://x=" + vkey("a", 4, KEYS["good"]), "--witness", "http://y=" + vkey("b", 4, KEYS["good"])], "twice"),
  ([part for n in range(17) for part in ("--witness", f"http://x={vkey(str(n), 4, Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)))}")], "at most 16"),
  (["--witness-interval", "0"], "--witness-interval"), (["--witness-interval", "3601"], "--witness-interval"),
])
def test_wrong_usage(tmp_path, arguments, naming):
  result = cli("serve", "--port", "0", *arguments, data=tmp_path / "data")
  assert result.returncode == 64 and naming in result.stderr, result
