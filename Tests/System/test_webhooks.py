"""Webhooks, with a receiver of their own: a process that checks signatures by itself and fails in many ways."""

import base64
import contextlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from harness import DRAWS, together, unique, wait_until
from receiver import signatures_hold

RECEIVER = pathlib.Path(__file__).with_name("receiver.py")


class Receiver:
  def __init__(self, folder, certificate=None):
    self.log = folder / f"{unique('receiver')}.jsonl"
    self.log.touch()
    command = [sys.executable, str(RECEIVER), str(self.log), "1", *([str(certificate)] if certificate else [])]
    self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    self.port = int(self.process.stdout.readline())
    self.scheme, self.host = ("https", "localhost") if certificate else ("http", "127.0.0.1")

  def url(self, path):
    return f"{self.scheme}://{self.host}:{self.port}{path}"

  def received(self, path=None):
    text = self.log.read_text()
    entries = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return [entry for entry in entries if path is None or entry.get("path") == path]

  def taken(self, path=None):
    """What was answered with a 2xx, by webhook-id: the body of each, and how often."""
    events = {}
    for entry in self.received(path):
      if 200 <= entry["status"] < 300:
        events.setdefault(entry["headers"]["webhook-id"], []).append(entry)
    return events

  def stop(self):
    self.process.kill()
    self.process.wait()
    self.process.stdout.close()


@pytest.fixture
def receiver(tmp_path):
  running = Receiver(tmp_path)
  yield running
  running.stop()


@pytest.fixture
def hooked(serve):
  """A server that may deliver to this machine."""
  return serve(FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true", FAIRDRAW_DAILY_QUOTA=10_000_000)


def webhook(server, account, url):
  """A new webhook: its id and secret."""
  made = server.cli("webhook", "create", "--account", account, "--url", url, check=True)
  return int(re.search(r"Webhook (\d+) is ready", made.stderr)[1]), made.stdout.strip()


def deliveries(server, *options):
  return server.cli("webhook", "deliveries", *options, check=True).stdout


def state_counts(server):
  return dict(server.sql("SELECT CASE state WHEN 1 THEN 'pending' WHEN 2 THEN 'delivered' ELSE 'dead' END, count(*) FROM deliveries GROUP BY 1"))


def expected(outcome):
  """The event's data, from the answer to the draw."""
  created = outcome["created"]
  moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created // 1000)) + f".{created % 1000:03}Z"
  data = {
    "endpoint": f"/api/{outcome['endpoint']}",
    "outcomeId": f"{outcome['clientSeed']}:{outcome['cursor']}:{outcome['nonce']}",
    "clientSeed": outcome["clientSeed"], "serverSeedHash": outcome["serverHash"], "nonce": outcome["nonce"],
    "cursor": outcome["cursor"], "values": outcome["outcome"], "count": outcome["count"], "createdAt": moment,
    "shortId": outcome["shortId"], "permalink": outcome["permalink"],
  }
  data |= {name: outcome[name] for name in ("min", "max", "index", "weights") if name in outcome}
  if outcome["endpoint"] == "dice":
    data["notation"] = outcome["outcome"]["notation"]
  return {"event": "outcome.created", "type": "outcome.created", "timestamp": moment, "data": data}


def test_every_kind_of_draw_is_told_and_signed(hooked, receiver, client_seed):
  account = hooked.account()
  key = hooked.key(account)
  _, secret = webhook(hooked, account, receiver.url("/ok"))
  assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
  drawn = [hooked.draw(endpoint, {"clientSeed": client_seed + "é\""}, "POST", key=key).json() for endpoint in DRAWS]
  batch = hooked.post("/api/batch", {"draws": [
    {"endpoint": "ints", "params": {"clientSeed": client_seed}}, {"endpoint": "pick", "params": {}},
    {"endpoint": "floats", "params": {"clientSeed": client_seed}}]}, key=key).json()
  drawn += [result["outcome"] for result in batch["results"] if result["ok"]]
  assert len(drawn) == len(DRAWS) + 2
  wait_until(lambda: len(receiver.received()) >= len(drawn), "the events have come")
  events = {entry["headers"]["webhook-id"]: entry for entry in receiver.received()}
  assert len(events) == len(drawn)
  for outcome in drawn:
    entry = events[f"msg_{outcome['shortId']}"]
    assert json.loads(entry["body"]) == expected(outcome)
    headers = entry["headers"]
    assert (entry["method"], entry["path"]) == ("POST", "/ok")
    assert headers["content-type"] == "application/json" and headers["user-agent"] == "Fairdraw-Webhook/1.0"
    assert headers["x-provable-event"] == "outcome.created"
    assert signatures_hold(secret, headers, entry["body"].encode()) == {"provable": True, "standard": True, "fresh": True}
    assert not signatures_hold(secret, headers, entry["body"].encode() + b" ")["standard"]


def test_only_live_keys_of_the_account_make_events(hooked, receiver, client_seed):
  account, other = hooked.account(), hooked.account("--daily-quota", "1")
  webhook(hooked, account, receiver.url("/ok"))
  webhook(hooked, other, receiver.url("/other"))
  live, test, limited = hooked.key(account), hooked.key(account, "test"), hooked.key(other)
  hooked.draw("ints", key=test)
  hooked.draw("ints")
  assert hooked.get("/api/ints", {"count": "no"}, key=live).status == 400
  hooked.get("/api/seed", {"clientSeed": client_seed}, key=live)
  first = hooked.draw("ints", {"clientSeed": client_seed}, key=live, idempotency="once")
  for _ in range(3):
    assert hooked.draw("ints", {"clientSeed": client_seed}, key=live, idempotency="once").replayed
  assert [hooked.draw("ints", key=limited).status for _ in range(3)] == [200, 429, 429]
  wait_until(lambda: len(receiver.received()) >= 3, "both events have come, and that a quota is used up")
  assert sum(state_counts(hooked).values()) == 3
  assert sorted(entry["headers"]["x-provable-event"] for entry in receiver.received("/other")) == ["outcome.created", "quota.reached"]
  assert [entry["headers"]["webhook-id"] for entry in receiver.received("/ok")] == [f"msg_{first.json()['shortId']}"]


def test_a_test_event_can_be_sent_and_sent_again(hooked, receiver):
  number, secret = webhook(hooked, hooked.account(), receiver.url("/ok"))
  assert hooked.cli("webhook", "test", number).returncode == 0
  entry = wait_until(receiver.received, "the test event has come")[0]
  assert entry["headers"]["x-provable-event"] == "test" and json.loads(entry["body"])["event"] == "test"
  assert all(signatures_hold(secret, entry["headers"], entry["body"].encode()).values())
  wait_until(lambda: state_counts(hooked) == {"delivered": 1}, "it is recorded")
  delivery = re.match(r"\d+", deliveries(hooked))[0]
  assert hooked.cli("webhook", "resend", delivery).returncode == 0
  again = wait_until(lambda: receiver.received()[1:], "it has come again")[0]
  assert again["headers"]["webhook-id"] == entry["headers"]["webhook-id"] and again["body"] == entry["body"]


def test_secrets_are_shown_once_and_both_sign_after_a_rotation(hooked, receiver):
  number, old = webhook(hooked, hooked.account(), receiver.url("/ok"))
  new = hooked.cli("webhook", "rotate-secret", number, check=True).stdout.strip()
  assert new != old
  hooked.cli("webhook", "test", number, check=True)
  entry = wait_until(receiver.received, "the test event has come")[0]
  body = entry["body"].encode()
  assert signatures_hold(new, entry["headers"], body) == {"provable": True, "standard": True, "fresh": True}
  assert signatures_hold(old, entry["headers"], body) == {"provable": False, "standard": True, "fresh": True}
  for text in (hooked.cli("webhook", "list").stdout, deliveries(hooked), hooked.settled_log(), hooked.database.read_bytes().decode("latin1")):
    assert old not in text and new not in text


def test_failures_are_tried_again_and_told(hooked, receiver):
  account = hooked.account()
  key = hooked.key(account)
  for path in ("/status/500", "/redirect", "/status/204"):
    webhook(hooked, account, receiver.url(path))
  closed = webhook(hooked, account, "http://127.0.0.1:1/")[0]
  hooked.draw("ints", key=key)
  wait_until(lambda: len(receiver.received("/status/500")) >= 2, "it was tried again")
  assert not receiver.received("/ok"), "the redirect was followed"
  ids = {entry["headers"]["webhook-id"] for entry in receiver.received()}
  assert len(ids) == 1
  wait_until(lambda: "the connection was refused" in deliveries(hooked) and state_counts(hooked).get("delivered") == 1, "all are recorded")
  text = deliveries(hooked, "--account", account, "--state", "pending")
  assert "the answer was 500" in text and '{"status":500}' in text and "the answer was 302" in text
  assert "/status/204" in deliveries(hooked, "--state", "delivered") and f"to {closed} http://127.0.0.1:1/" in text


def test_gone_disables_the_endpoint(hooked, receiver):
  account = hooked.account()
  key = hooked.key(account)
  number, _ = webhook(hooked, account, receiver.url("/gone"))
  hooked.draw("ints", key=key)
  wait_until(lambda: "410 Gone" in hooked.cli("webhook", "list").stdout, "it is disabled")
  hooked.draw("ints", key=key)
  assert state_counts(hooked) == {"dead": 1} and len(receiver.received()) == 1
  refused = hooked.cli("webhook", "test", number)
  assert refused.returncode == 1 and "disabled" in refused.stderr
  hooked.cli("webhook", "enable", number, check=True)
  hooked.draw("ints", key=key)
  wait_until(lambda: len(receiver.received()) == 2, "it is told again")


def test_a_disabled_or_deleted_webhook_is_left_alone_at_once(hooked, receiver):
  account = hooked.account()
  key = hooked.key(account)
  first, _ = webhook(hooked, account, receiver.url("/first"))
  second, _ = webhook(hooked, account, receiver.url("/second"))
  hooked.cli("webhook", "disable", first, check=True)
  hooked.cli("webhook", "delete", second, check=True)
  hooked.draw("ints", key=key)
  assert state_counts(hooked) == {}
  assert "disabled: by its operator" in hooked.cli("webhook", "list", "--account", account).stdout
  hooked.cli("webhook", "enable", first, check=True)
  hooked.draw("ints", key=key)
  wait_until(lambda: receiver.received("/first"), "the first is told")
  assert not receiver.received("/second")


def test_private_addresses_are_refused_unless_allowed(serve, receiver):
  server = serve()
  account = server.account()
  key = server.key(account)
  for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
    webhook(server, account, f"http://{host}:{receiver.port}/ok")
  webhook(server, account, "http://169.254.169.254/latest/meta-data")
  server.draw("ints", key=key)
  wait_until(lambda: deliveries(server).count("is not a public one") >= 5, "all have failed")
  assert not receiver.received() and state_counts(server) == {"pending": 5}


def test_the_certificate_must_be_the_hosts(hooked, tmp_path):
  certificate = tmp_path / "certificate.pem"
  subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
     "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", certificate, "-out", tmp_path / "public.pem"],
    check=True, capture_output=True)
  with open(certificate, "a") as file:
    file.write((tmp_path / "public.pem").read_text())
  receiver = Receiver(tmp_path, certificate)
  try:
    account = hooked.account()
    webhook(hooked, account, receiver.url("/ok"))
    hooked.draw("ints", key=hooked.key(account))
    wait_until(lambda: "this server does not trust the certificate" in deliveries(hooked), "the certificate is refused")
    assert receiver.received()[0] == {"sni": "localhost"} and not receiver.received("/ok")
  finally:
    receiver.stop()


def test_a_receiver_that_hangs_holds_back_nobody(hooked, receiver):
  account, other = hooked.account(), hooked.account()
  key, others = hooked.key(account), hooked.key(other)
  webhook(hooked, account, receiver.url("/hang"))
  webhook(hooked, account, receiver.url("/ok"))
  webhook(hooked, other, receiver.url("/other"))
  for _ in range(20):
    hooked.draw("ints", key=key)
    hooked.draw("ints", key=others)
  # The hanging one has answered nothing yet, and cannot have for fifteen seconds.
  wait_until(lambda: len(receiver.taken("/ok")) == 20 and len(receiver.taken("/other")) == 20, "the others have theirs")
  hung = len(receiver.received("/hang"))
  assert 1 <= hung <= 8
  wait_until(lambda: "there was no response within 15 seconds" in deliveries(hooked, "--state", "pending"), "it is given up for now")


def test_receivers_that_hang_hold_back_no_other_account(hooked, receiver):
  # Four accounts with every webhook they may have, all of which hang, and a fifth whose receiver is new and answers.
  for _ in range(4):
    account = hooked.account()
    key = hooked.key(account)
    for _ in range(10):
      webhook(hooked, account, receiver.url("/hang"))
    for _ in range(10):
      hooked.draw("ints", key=key)
  wait_until(lambda: len(receiver.received("/hang")) >= 40, "each of them hangs")
  other = hooked.account()
  key = hooked.key(other)
  webhook(hooked, other, receiver.url("/ok"))
  for _ in range(20):
    hooked.draw("ints", key=key)
  wait_until(lambda: len(receiver.taken("/ok")) == 20, "the other account has its events")
  # Nobody's attempt had to be given up first, which takes fifteen seconds.
  assert len(receiver.received("/hang")) == 40


@contextlib.contextmanager
def speaking(answer):
  """A port of this machine's where everybody is told `answer`, whatever they say, and then hung up on; None: nobody listens."""
  with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
    if answer is None:
      server.close()
      yield port
      return

    def serve():
      while True:
        try:
          client, _ = server.accept()
        except OSError:
          return
        with client:
          client.recv(65536)
          client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield port
    server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("scheme, answer, sentence", [
  ("http", None, "the connection was refused"),
  ("http", b"", "the connection was closed before there was a response"),
  ("http", b"HTTP/1.1 200 OK\r\nContent-Len", "the connection was closed before there was a response"),
  ("http", b"SSH-2.0-OpenSSH_9.2\r\n", "the response is not valid HTTP"),
  ("http", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "the response is not valid HTTP"),
  ("http", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "the answer was 503"),
  ("https", None, "the connection was refused"),
  ("https", b"", "the connection was closed before there was a response"),
  ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "the receiver does not speak TLS"),
  ("https", bytes.fromhex("15030100020228"), "the receiver aborted the TLS handshake"),
])
def test_what_fails_is_told_in_a_sentence(hooked, scheme, answer, sentence):
  account = hooked.account()
  with speaking(answer) as port:
    webhook(hooked, account, f"{scheme}://127.0.0.1:{port}/")
    hooked.draw("ints", key=hooked.key(account))
    [error] = wait_until(lambda: hooked.sql("SELECT error FROM delivery_attempts LIMIT 1"), "an attempt is recorded")[0]
  assert error == sentence


def test_stopping_finishes_what_is_under_way(hooked, receiver):
  account = hooked.account()
  key = hooked.key(account)
  webhook(hooked, account, receiver.url("/slow/1000"))
  webhook(hooked, account, receiver.url("/hang"))
  hooked.draw("ints", key=key)
  # A receiver that has answered gets several at a time.
  wait_until(lambda: state_counts(hooked).get("delivered") == 1, "the first is delivered")
  for _ in range(3):
    hooked.draw("ints", key=key)
  wait_until(lambda: len(receiver.received("/slow/1000")) == 4, "the attempts are under way")
  started = time.monotonic()
  assert hooked.stop() == 0
  assert time.monotonic() - started < 20
  assert state_counts(hooked) == {"delivered": 4, "pending": 4}
  assert hooked.sql("SELECT count(*) FROM delivery_attempts")[0][0] == 4


def test_usage_errors(hooked):
  account = hooked.account()
  for url in ("ftp://example.com", "https://user@example.com/", "example.com"):
    refused = hooked.cli("webhook", "create", "--account", account, "--url", url)
    assert refused.returncode == 64 and "--url" in refused.stderr and not refused.stdout
  for arguments, said in [
    (["create", "--account", "nobody", "--url", "https://example.com"], 'no account is called "nobody"'),
    (["test", "99"], "there is no webhook 99"), (["delete", "99"], "there is no webhook 99"),
    (["enable", "99"], "there is no webhook 99"), (["rotate-secret", "99"], "there is no webhook 99"),
    (["resend", "99"], "there is no delivery 99"), (["deliveries", "--account", "nobody"], 'no account is called "nobody"'),
  ]:
    refused = hooked.cli("webhook", *arguments)
    assert refused.returncode == 1 and said in refused.stderr, refused.stderr
  note = hooked.cli("webhook", "create", "--account", account, "--url", "http://10.0.0.1/").stderr
  assert "10.0.0.1 is a private address" in note
  for _ in range(9):
    webhook(hooked, account, "https://example.com")
  assert "the most there can be" in hooked.cli("webhook", "create", "--account", account, "--url", "https://example.com").stderr


def test_each_event_is_seen_once_though_everybody_fails(serve, receiver, rng):
  """Kills the server while it delivers under load to a receiver that fails at random; then lets it finish."""
  # Each start is at another port; permalinks are the same only at an address of their own.
  hooked = serve(
    FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true", FAIRDRAW_DAILY_QUOTA=10_000_000, FAIRDRAW_PUBLIC_URL="https://draws.example.com")
  account = hooked.account()
  key = hooked.key(account)
  webhook(hooked, account, receiver.url("/flaky/10"))
  drawn = {}

  def load(index):
    with hooked.connect() as connection:
      try:
        for number in range(10_000):
          answer = connection.get("/api/ints", {"clientSeed": f"seed-{index}"}, key=key, idempotency=f"{round_}-{index}-{number}")
          drawn[answer.json()["shortId"]] = answer.json()
      except OSError:
        pass  # the server was killed

  for round_ in range(3):
    goal = len(receiver.received()) + rng.randint(100, 400)
    def kill(_):
      wait_until(lambda: len(receiver.received()) >= goal, "deliveries are under way")
      hooked.kill()
    together(5, lambda index: kill(index) if index == 0 else load(index))
    hooked.start()
  stored = hooked.sql("SELECT count(*) FROM outcomes")[0][0]
  assert len(drawn) <= stored
  # Claims of the server that was killed end after half a minute, and failures are tried again after 5 seconds and more.
  wait_until(lambda: state_counts(hooked) == {"delivered": stored}, "all is delivered", timeout=300)
  taken = receiver.taken()
  assert len(taken) == stored
  for short_id, outcome in drawn.items():
    bodies = {entry["body"] for entry in taken[f"msg_{short_id}"]}
    assert [json.loads(body) for body in bodies] == [expected(outcome)]


def test_a_receiver_keeps_its_secret(hooked, receiver):
  account = hooked.account()
  secret = "whsec_" + base64.b64encode(bytes(range(24))).decode()
  for number, (given, data) in enumerate([(secret, ""), ("-", secret + "\n")]):
    done = hooked.cli("webhook", "create", "--account", account, "--url", receiver.url(f"/kept-{number}"), "--secret", given, typed=data, check=True)
    assert done.stdout == "" and secret not in done.stderr
  hooked.draw("ints", key=hooked.key(account))
  for number in range(2):
    [entry] = wait_until(lambda: receiver.received(f"/kept-{number}"), "the draw is reported")
    assert all(signatures_hold(secret, entry["headers"], entry["body"].encode()).values())
  for bad in ("nonsense", "whsec_", "whsec_!!!!", "whsec_" + base64.b64encode(bytes(15)).decode()):
    refused = hooked.cli("webhook", "create", "--account", account, "--url", receiver.url("/no"), "--secret", bad)
    assert refused.returncode == 1 and "whsec_" in refused.stderr
