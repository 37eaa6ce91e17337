"""What the command line does for account holders: sign-in, names of keys, usage, export, chains and outcomes, deletion."""

import csv
import hashlib
import io
import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from harness import BINARY, DRAWS, TIMEOUT, environment, sha256_hex, unique, wait_until

PASSWORD = "correct horse battery"


def failed(done, status=1, mentions=()):
  assert done.returncode == status, done
  assert done.stdout == ""
  assert "Fatal" not in done.stderr and "Error Domain" not in done.stderr
  for word in [mentions] if isinstance(mentions, str) else mentions:
    assert word in done.stderr, done.stderr
  return True


def at_terminal(server, answers, *arguments):
  """Runs a command on a terminal and types a line at each prompt; what the terminal showed, and the exit status."""
  try:
    pid, terminal = pty.fork()
  except OSError as error:
    pytest.skip(f"this machine has no terminals to give: {error}")
  if pid == 0:
    os.execve(BINARY, [BINARY, *map(str, arguments), "--data", str(server.data)], environment())
  shown, asked = b"", 0
  deadline = time.monotonic() + TIMEOUT
  while time.monotonic() < deadline:
    if select.select([terminal], [], [], 0.05)[0]:
      try:
        more = os.read(terminal, 4096)
      except OSError:  # Linux's way to say that the other side has closed
        break
      if not more:
        break
      shown += more
    if asked < len(answers) and answers[asked][0].encode() in shown:
      shown_before, shown = shown, shown.replace(answers[asked][0].encode(), b"<asked>", 1)
      os.write(terminal, answers[asked][1].encode() + b"\n")
      asked += 1
  os.close(terminal)
  return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def sign_in(server, name):
  rows = server.sql("SELECT email, password FROM sign_ins JOIN accounts ON id = account_id WHERE name = ?", name)
  return rows[0] if rows else None


def matches(stored, password):
  """Whether a stored hash is of this password, by Python's own scrypt."""
  kind, rounds, block_size, parallelism, salt, digest = stored.split("$")
  assert kind == "scrypt"
  derived = hashlib.scrypt(
    password.encode(), salt=bytes.fromhex(salt), n=int(rounds), r=int(block_size), p=int(parallelism), dklen=len(digest) // 2, maxmem=1 << 28)
  return derived.hex() == digest


# Signing in


def test_an_account_with_a_sign_in(server):
  name = unique("account")
  done = server.cli("account", "create", name, "--email", f"{name}@Example.COM", typed=PASSWORD + "\n")
  assert (done.returncode, done.stdout) == (0, "") and PASSWORD not in done.stderr
  email, password = sign_in(server, name)
  assert email == f"{name}@example.com" and matches(password, PASSWORD) and not matches(password, PASSWORD + "x")
  assert [line.split()[-1] for line in server.cli("account", "list").stdout.splitlines() if name in line] == [email]


def test_an_account_without_one(server, account):
  assert sign_in(server, account) is None


def test_a_taken_address_makes_no_account(server):
  name = unique("account")
  assert server.cli("account", "create", name, "--email", f"{name}@example.com", typed=PASSWORD).returncode == 0
  other = unique("account")
  assert failed(server.cli("account", "create", other, "--email", f"{name.upper()}@example.com", typed=PASSWORD), mentions="email")
  assert other not in server.cli("account", "list").stdout


@pytest.mark.parametrize("password", ["", "short", "x" * 9, "x" * 513, "é" * 257], ids=lambda text: str(len(text)))
def test_a_password_has_a_length(server, password):
  name = unique("account")
  assert failed(server.cli("account", "create", name, "--email", f"{name}@example.com", typed=password + "\n"), mentions="password")
  assert name not in server.cli("account", "list").stdout


@pytest.mark.parametrize("email", ["", "nobody", "@example.com", "a b@example.com", "a@"])
def test_what_is_no_address(server, email):
  assert failed(server.cli("account", "create", unique("account"), "--email", email, typed=PASSWORD), 64, "email")
  assert failed(server.cli("account", "password", "x", "--email", email, typed=PASSWORD), 64, "email")


def test_a_password_is_set_and_replaced(server, account):
  assert failed(server.cli("account", "password", account, typed=PASSWORD), mentions="--email")
  assert server.cli("account", "password", account, "--email", f"{account}@example.com", typed=PASSWORD).returncode == 0
  assert matches(sign_in(server, account)[1], PASSWORD)
  assert server.cli("account", "password", account, typed="another one entirely").returncode == 0
  email, password = sign_in(server, account)
  assert email == f"{account}@example.com" and matches(password, "another one entirely") and not matches(password, PASSWORD)
  assert failed(server.cli("account", "password", "nobody", typed=PASSWORD), mentions="nobody")


def test_on_a_terminal_a_password_is_asked_for_twice_and_not_shown(server, account):
  command = ["account", "password", account, "--email", f"{account}@example.com"]
  shown, status = at_terminal(server, [("Password:", PASSWORD), ("Repeat the password:", PASSWORD)], *command)
  assert status == 0 and PASSWORD not in shown
  assert matches(sign_in(server, account)[1], PASSWORD)
  shown, status = at_terminal(server, [("Password:", "something else"), ("Repeat the password:", "something other")], *command)
  assert status == 1 and "differ" in shown and "something" not in shown
  assert matches(sign_in(server, account)[1], PASSWORD)


# Keys


def test_a_key_has_a_name(server, account):
  key = server.key(account, "live", "--name", "the shop’s")
  lines = server.cli("key", "list", check=True).stdout.splitlines()
  assert lines[0].split("  ")[0] == "PREFIX" and "NAME" in lines[0] and "LAST USED" in lines[0] and "DENIED" in lines[0]
  assert [line for line in lines if key[:16] in line and "the shop’s" in line and "never" in line]


@pytest.mark.parametrize("name", ["x" * 101, "two\nlines", "a\tb"])
def test_what_no_key_is_called(server, account, name):
  assert failed(server.cli("key", "create", "--account", account, "--name", name), 64, "--name")


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines", "a\x1bb"])
def test_what_no_account_is_called(server, name):
  assert failed(server.cli("account", "create", name), 64, "100 characters")


def activity(server, key):
  """What the database says of a key: last used, denied, last denied."""
  rows = server.sql(
    "SELECT last_used, denied, last_denied FROM key_activity JOIN api_keys ON id = key_id WHERE hash = ?", bytes.fromhex(sha256_hex(key)))
  return rows[0] if rows else (None, 0, None)


def test_the_use_of_keys_is_recorded(serve):
  server = serve()
  account = server.account()
  used, picky, revoked, idle = (server.key(account), server.key(account, "live", "--allow-ip", "192.0.2.0/24"), server.key(account), server.key(account))
  before = time.time() * 1000 - 2
  assert server.draw("ints", key=used).status == 200
  for _ in range(3):
    assert server.draw("ints", key=picky).status == 403
  server.cli("key", "revoke", revoked[:16], check=True)
  wait_until(lambda: server.draw("ints", key=revoked).status == 401, "the key is refused")
  wait_until(lambda: activity(server, used)[0], "the server has told the store")
  assert before <= activity(server, used)[0] <= time.time() * 1000 + 2 and activity(server, used)[1:] == (0, None)
  assert activity(server, picky)[:2] == (None, 3) and before <= activity(server, picky)[2]
  wait_until(lambda: activity(server, revoked)[1], "the server has told the store")
  # The last of it is told when the server stops.
  assert server.draw("ints", key=revoked).status == 401
  denied = activity(server, revoked)[1]
  assert server.draw("ints", key=picky).status == 403
  assert server.stop() == 0
  assert activity(server, picky)[1] == 4 and activity(server, revoked)[1] >= denied
  assert activity(server, idle) == (None, 0, None)
  line = next(line for line in server.cli("key", "list", check=True).stdout.splitlines() if picky[:16] in line)
  assert re.search(r"never +4 ", line), line


def test_an_unknown_key_leaves_no_trace(serve):
  server = serve()
  key = server.key()
  assert server.draw("ints", key=key[:-1] + ("A" if key[-1] != "A" else "B")).status == 401
  assert server.stop() == 0
  assert server.sql("SELECT count(*) FROM key_activity") == [(0,)]


# Usage


def test_usage(server, account):
  key = server.key(account)
  for endpoint in DRAWS:
    assert server.draw(endpoint, key=key).status == 200
  assert server.draw("ints", key=key).status == 200
  assert server.draw("ints", key=server.key(account, "test")).status == 200
  lines = server.cli("account", "usage", account, check=True).stdout.splitlines()
  assert lines[0].split() == ["DATE", "ENDPOINT", "OUTCOMES"]
  rows = [line.split() for line in lines[1:]]
  assert {(endpoint, int(count)) for _, endpoint, count in rows} == {(endpoint, 2 if endpoint == "ints" else 1) for endpoint in DRAWS}
  assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day, *_ in rows)


def test_usage_goes_back_so_many_days(serve):
  server = serve()
  account = server.account()
  assert server.draw("ints", key=server.key(account)).status == 200
  assert server.stop() == 0
  server.alter("UPDATE usage SET day = day - 3")
  shown = lambda *options: server.cli("account", "usage", account, *options, check=True).stdout.count("ints")
  assert (shown(), shown("--days", 4), shown("--days", 3), shown("--days", 1)) == (1, 1, 0, 0)


@pytest.mark.parametrize("days", ["0", "-1", "x", "36526"])
def test_days_are_a_number(server, account, days):
  assert failed(server.cli("account", "usage", account, f"--days={days}"), 64, "--days")


def test_usage_of_nobody(server):
  assert failed(server.cli("account", "usage", "nobody"), mentions="nobody")


# Exporting


def export(server, account, *options):
  done = server.cli("account", "export", account, *options, check=True)
  assert done.stderr == ""
  return done.stdout


@pytest.fixture(scope="module")
def drawn(server):
  """An account that has drawn all there is, and what it was answered, by the key it was drawn with."""
  account = server.account()
  key, other, test = server.key(account, "live", "--name", "one"), server.key(account), server.key(account, "test")
  answers = {key: [], other: [], test: []}
  for who in answers:
    for endpoint in DRAWS:
      for client_seed in ("a", "=HYPERLINK(\"x\")", "caf\u00e9, cafe\u0301", "two\nlines", "'quoted'"):
        answer = server.draw(endpoint, {"clientSeed": client_seed}, key=who)
        assert answer.status == 200, answer
        answers[who].append(answer.body)
    commitment = server.post("/api/commit", key=who).json()["commitId"]
    revealed = server.post("/api/reveal", {"commitId": commitment, "clientSeed": "r", "endpoint": "ints"}, key=who)
    assert revealed.status == 200, revealed
    # What a test key revealed is told without its seed afterwards.
    answers[who].append(re.sub(rb',"serverSeed":.*', b"}", revealed.body) if who == test else revealed.body)
  # More than a page of one chain, with a cursor and a rotation in between.
  for count in range(250):
    if count == 100:
      assert server.get("/api/incrementCursor", {"clientSeed": "long"}, key=key).status == 200
    if count == 200:
      assert server.post("/api/rotate", {"clientSeed": "long"}, key=key).status == 200
    answers[key].append(server.draw("ints", {"clientSeed": "long"}, key=key).body)
  server.cli("webhook", "create", "--account", account, "--url", "https://example.com/hook", check=True)
  server.cli("webhook", "disable", server.sql("SELECT max(id) FROM webhook_endpoints")[0][0], check=True)
  return account, answers


def test_export_as_json(server, drawn):
  account, answers = drawn
  url = f"http://127.0.0.1:{server.port}"
  text = export(server, account, "--public-url", url)
  data = json.loads(text)
  assert set(data) == {"account", "keys", "usage", "webhooks", "seeds", "outcomes"}
  assert data["account"]["name"] == account and data["account"]["email"] is None and data["account"]["dailyQuota"] is None
  assert [(key["prefix"], key["mode"]) for key in data["keys"]] == [(key[:16], key[3:7]) for key in answers]
  assert data["keys"][0]["name"] == "one" and data["keys"][0]["revoked"] is None
  assert sum(row["count"] for row in data["usage"]) == sum(len(bodies) for key, bodies in answers.items() if key.startswith("pk_live_"))
  assert [(hook["url"], hook["enabled"]) for hook in data["webhooks"]] == [("https://example.com/hook", False)]
  for key in answers:
    assert key not in text and key[17:] not in text
  assert "whsec_" not in text
  # Every outcome, byte for byte as it was answered.
  got = [re.fullmatch(r'\{(?:"items":\[.*\],)?"outcome":(\{"outcome":.*\})\},?', line) for line in text.splitlines()]
  assert sorted(found[1].encode() for found in got if found) == sorted(body for bodies in answers.values() for body in bodies)
  shuffles = [row for row in data["outcomes"] if row["outcome"]["endpoint"] in ("shuffle", "pick")]
  assert shuffles and all(row["items"] == ["a", "b", "c"] for row in shuffles)


def test_export_as_csv(server, drawn):
  account, answers = drawn
  done = subprocess.run(  # not as text, which would lose the carriage returns
    [BINARY, "account", "export", account, "--format", "csv", "--data", str(server.data)], env=environment(), stdin=subprocess.DEVNULL,
    capture_output=True, timeout=TIMEOUT)
  assert done.returncode == 0 and done.stdout.endswith(b"\r\n")
  rows = list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))
  assert rows[0] == ["shortId", "created", "endpoint", "clientSeed", "serverHash", "cursor", "nonce", "count", "outcome", "fields", "mode", "imported"]
  outcomes = {}
  for bodies in answers.values():
    for body in bodies:
      outcome = json.loads(body)
      outcomes[outcome["shortId"]] = outcome
  assert len(rows) - 1 == len(outcomes)
  for row in rows[1:]:
    short_id, created, endpoint, client_seed, server_hash, cursor, nonce, count, value, fields, mode, imported = row
    assert imported == ""
    outcome = outcomes.pop(short_id)
    seed = outcome["clientSeed"]
    assert client_seed == ("'" + seed if seed[0] in "=+-@'" else seed)
    assert (endpoint, server_hash, int(cursor), int(nonce), mode) == tuple(outcome[name] for name in ("endpoint", "serverHash", "cursor", "nonce", "mode"))
    assert json.loads(value) == outcome["outcome"] and int(count) == outcome["count"]
    assert json.loads(fields).items() <= outcome.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created)
    assert not any(cell.startswith(tuple("=+@\t\r")) for cell in row)
  assert not outcomes


def test_the_export_has_every_seed_that_was_told_with_its_proof(server, account, verifier):
  key, other = server.key(account), server.key()
  told = []
  for client_seed in ("b", "a", "\u00e9"):
    for _ in range(3 if client_seed == "a" else 1):
      server.draw("ints", {"clientSeed": client_seed}, key=key)
      told.append(server.post("/api/rotate", {"clientSeed": client_seed}, key=key).json())
  server.draw("ints", {"clientSeed": "kept"}, key=key)
  server.draw("ints", {"clientSeed": "a"}, key=other)
  server.post("/api/rotate", {"clientSeed": "a"}, key=other)
  server.post("/api/reveal", {"commitId": server.post("/api/commit", key=key).json()["commitId"], "clientSeed": "a", "endpoint": "ints"}, key=key)
  seeds = json.loads(export(server, account))["seeds"]
  expected = [{"clientSeed": answer["clientSeed"], **answer["revealed"], "revealedAt": answer["next"]["rotatedAt"]} for answer in told]
  assert seeds == sorted(expected, key=lambda seed: (seed["clientSeed"].encode(), seed["nonce"]))
  public_key = server.get("/api/keys").json()["vrf"]["publicKey"]
  for seed in seeds:
    assert all(check["ok"] for check in verifier.check_seed_proof(seed, seed_key=public_key)["checks"])


def test_export_of_an_account_without_anything(server, account):
  assert json.loads(export(server, account)) == {
    "account": {"name": account, "email": None, "dailyQuota": None, "created": server.sql("SELECT created FROM accounts WHERE name = ?", account)[0][0]},
    "keys": [], "usage": [], "webhooks": [], "seeds": [], "outcomes": [],
  }
  assert export(server, account, "--format", "csv").count("\n") == 1


def test_export_tells_the_address_and_not_the_password(server):
  name = unique("account")
  server.cli("account", "create", name, "--email", f"{name}@example.com", typed=PASSWORD)
  text = export(server, name)
  assert json.loads(text)["account"]["email"] == f"{name}@example.com" and "scrypt" not in text


def test_what_cannot_be_exported(server, account):
  assert failed(server.cli("account", "export", "nobody"), mentions="nobody")
  assert failed(server.cli("account", "export", account, "--format", "xml"), 64, "--format")
  assert failed(server.cli("account", "export", account, "--public-url", "nonsense"), 64, "--public-url")


# Chains and outcomes


def test_chains_are_listed_by_prefix(server, account):
  key, other = server.key(account), server.key(account)
  for who, client_seed in ((key, "apple"), (other, "apricot"), (key, "banana"), (key, "\u00e9"), (other, "apple")):
    assert server.draw("ints", {"clientSeed": client_seed}, key=who).status == 200
  server.draw("ints", {"clientSeed": "apple"}, key=server.key())  # somebody else's

  def listed(*options):
    lines = server.cli("chain", "list", "--account", account, *options, check=True).stdout.splitlines()
    assert lines[0].split() == ["CURSOR", "NONCE", "CREATED", "SERVER", "HASH", "CLIENT", "SEED"]
    return [(line.split()[1], line.split()[-1]) for line in lines[1:]]

  assert listed() == [("2", "apple"), ("1", "apricot"), ("1", "banana"), ("1", "\u00e9")]
  assert listed("--prefix", "ap") == [("2", "apple"), ("1", "apricot")]
  assert listed("--prefix", "\u00e9") == [("1", "\u00e9")]
  assert listed("--prefix", "e\u0301") == [] and listed("--prefix", "%") == []
  assert listed("--limit", 2) == [("2", "apple"), ("1", "apricot")]
  line = server.cli("chain", "list", "--account", account, "--prefix", "banana", check=True).stdout.splitlines()[1]
  assert server.seed("banana", key)["serverHash"] in line
  assert failed(server.cli("chain", "list", "--account", "nobody"), mentions="nobody")
  assert failed(server.cli("chain", "list", "--account", account, "--limit", 0), 64, "--limit")


def test_a_chain_is_rotated_beside_the_server(server, account, client_seed):
  key = server.key(account)
  before = [server.draw("ints", {"clientSeed": client_seed}, key=key).json() for _ in range(3)]
  done = server.cli("chain", "rotate", "--account", account, "--client-seed", client_seed, check=True)
  seed = done.stdout.strip()
  assert sha256_hex(seed) == before[0]["serverHash"] or re.fullmatch("[0-9a-f]{64}", seed)
  pinned = server.seed(client_seed, key)
  assert pinned["nonce"] == 3 and pinned["serverHash"] != before[0]["serverHash"] and pinned["serverHash"] in done.stderr
  # The server goes on with the new seed, and can verify what was drawn with the old one.
  after = server.draw("ints", {"clientSeed": client_seed}, key=key).json()
  assert (after["nonce"], after["serverHash"]) == (3, pinned["serverHash"])
  record = server.sql("SELECT server_seed FROM revealed_seeds r JOIN chains c ON c.id = r.chain_id WHERE client_seed = ?", client_seed.encode())
  assert [bytes(row[0]).decode() for row in record] == [seed]


def test_what_cannot_be_rotated(server, account, client_seed):
  server.draw("ints", {"clientSeed": client_seed}, key=server.key(account, "test"))
  rotate = lambda *options: server.cli("chain", "rotate", *options)
  assert failed(rotate("--account", account, "--client-seed", client_seed), mentions="no outcome")
  assert failed(rotate("--account", "nobody", "--client-seed", client_seed), mentions="nobody")
  assert failed(rotate("--account", account, "--client-seed", ""), 64, "--client-seed")
  assert failed(rotate("--account", account, "--client-seed", "x" * 257), 64, "--client-seed")


def test_a_key_is_replaced_without_a_trace(server, account, client_seed):
  """Its chains are the account's: the next key draws on, sees what was drawn, and rotates."""
  old = server.key(account)
  drawn = [server.draw("ints", {"clientSeed": client_seed}, key=old).json() for _ in range(3)]
  commitment = server.post("/api/commit", key=old).json()
  new = server.key(account)
  server.cli("key", "revoke", old[:16], check=True)
  assert server.seed(client_seed, new)["serverHash"] == drawn[0]["serverHash"]
  drawn.append(server.draw("ints", {"clientSeed": client_seed}, key=new).json())
  assert [outcome["nonce"] for outcome in drawn] == [0, 1, 2, 3]
  assert server.get("/api/listOutcomes", {"clientSeed": client_seed}, key=new).json() == drawn[::-1]
  revealed = server.post("/api/reveal", {"commitId": commitment["commitId"], "clientSeed": client_seed, "endpoint": "ints"}, key=new)
  assert revealed.status == 200 and revealed.json()["serverHash"] == commitment["serverHash"]
  rotated = server.post("/api/rotate", {"clientSeed": client_seed}, key=new).json()
  assert rotated["revealed"]["nonce"] == 4 and sha256_hex(rotated["revealed"]["serverSeed"]) == drawn[0]["serverHash"]


def test_a_chain_is_rotated_when_every_key_is_revoked(server, account, client_seed):
  key = server.key(account)
  hash = server.draw("ints", {"clientSeed": client_seed}, key=key).json()["serverHash"]
  server.cli("key", "revoke", key[:16], check=True)
  seed = server.cli("chain", "rotate", "--account", account, "--client-seed", client_seed, check=True).stdout.strip()
  assert sha256_hex(seed) == hash


def test_outcomes_are_listed_as_they_were_answered(server, account, client_seed):
  key, test = server.key(account), server.key(account, "test")
  answers = {who: [server.draw("ints", {"clientSeed": client_seed, "max": 1000 + n}, key=who).body.decode() for n in range(205)][::-1] for who in (key, test)}
  answers[key].insert(0, server.draw("dice", {"clientSeed": client_seed}, key=server.key(account)).body.decode())
  url = f"http://127.0.0.1:{server.port}"

  def listed(*options):
    return server.cli(
      "outcomes", "list", "--account", account, "--client-seed", client_seed, "--public-url", url, *options, check=True).stdout.splitlines()

  assert listed() == listed("--mode", "live") == answers[key]
  assert listed("--mode", "test") == answers[test]
  assert listed("--limit", 203) == answers[key][:203]
  assert listed("--mode", "test", "--limit", 3) == answers[test][:3]
  assert server.cli("outcomes", "list", "--account", account, "--client-seed", "never", check=True).stdout == ""


def test_what_cannot_be_listed(server, account):
  assert failed(server.cli("outcomes", "list", "--account", "nobody", "--client-seed", "a"), mentions="nobody")
  assert failed(server.cli("outcomes", "list", "--account", account, "--client-seed", "a", "--mode", "dead"), 64, "--mode")
  assert failed(server.cli("outcomes", "list", "--account", account, "--client-seed", ""), 64, "--client-seed")
  assert failed(server.cli("outcomes", "list", "--account", account, "--client-seed", "a", "--limit", 0), 64, "--limit")


# Deleting


def test_a_deleted_account(server, client_seed):
  account = server.account()
  key, test = server.key(account), server.key(account, "test")
  live = server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency="once").json()
  rehearsed = server.draw("ints", {"clientSeed": client_seed}, key=test).json()
  with server.connect() as connection:
    done = server.cli("account", "delete", account, "--yes", check=True)
    assert done.stdout == "" and account in done.stderr
    since = accepted = time.monotonic()

    def is_refused():
      nonlocal accepted
      began = time.monotonic()
      if connection.get("/api/ints", key=key).status == 401:
        return True
      accepted = began

    wait_until(is_refused, "the key is refused")
    assert accepted - since <= 1, "let in later than a second after the account was deleted"
  again = lambda: server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency="once").status
  wait_until(lambda: again() == 401, "the key gets no replay")
  wait_until(lambda: server.draw("ints", key=test).status == 401, "the test key is refused")
  assert account not in server.cli("account", "list").stdout
  listed = server.cli("key", "list").stdout
  assert key[:16] not in listed and test[:16] not in listed
  for command in (["account", "delete", account, "--yes"], ["account", "usage", account], ["account", "export", account], ["key", "create", "--account", account]):
    assert failed(server.cli(*command), mentions=account)
  # Outcomes stay, and are still counted.
  for outcome in (live, rehearsed):
    assert server.get(f"/o/{outcome['shortId']}").status == 200
    assert server.get("/api/verifyShortId", {"shortId": outcome["shortId"]}).status == 200
  # The name is free, and its new holder begins with nothing.
  server.account(name=account)
  assert server.cli("chain", "list", "--account", account, check=True).stdout.count("\n") == 1
  assert server.draw("ints", {"clientSeed": client_seed}, key=server.key(account)).json()["nonce"] == 0


def test_deleting_needs_a_yes(server, account):
  assert failed(server.cli("account", "delete", account), 64, "--yes")
  shown, status = at_terminal(server, [("Type its name", "something else")], "account", "delete", account)
  assert status == 1 and "nothing was deleted" in shown
  assert account in server.cli("account", "list").stdout
  shown, status = at_terminal(server, [("Type its name", account)], "account", "delete", account)
  assert status == 0 and "deleted" in shown
  assert account not in server.cli("account", "list").stdout
  assert failed(server.cli("account", "delete", "nobody", "--yes"), mentions="nobody")


def test_an_account_is_deleted_in_the_midst_of_draws(server):
  account = server.account()
  key = server.key(account)
  with server.connect() as connection:
    for _ in range(20):
      assert connection.get("/api/ints", key=key).status == 200
    server.cli("account", "delete", account, "--yes", check=True)
    # From the moment the command returns nothing is drawn for it, believed or not: the ledger looks itself.
    counted = lambda: server.sql("SELECT count(*) FROM outcomes WHERE chain_id IN (SELECT id FROM chains WHERE owner_id IN (SELECT id FROM accounts WHERE deleted IS NOT NULL))")
    before = counted()
    assert before[0][0] >= 20
    for _ in range(20):
      assert connection.get("/api/ints", key=key).status == 401
    assert counted() == before
