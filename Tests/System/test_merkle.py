"""The daily log from outside: published after the day, checked with Python's own hashes and an Ed25519 of its own."""

import base64
import datetime
import hashlib
import http.client
import json
import re
import time
import urllib.parse

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness import cli, unique, wait_until

DAY = 86_400_000


def day_of(moment):
  return datetime.datetime.fromtimestamp(moment // 1000, datetime.timezone.utc).strftime("%Y-%m-%d")


def day_before(date, days=1):
  return str(datetime.date.fromisoformat(date) - datetime.timedelta(days=days))


# The tree, written down once more


def leaf_hash(canonical):
  return hashlib.sha256(b"\0" + canonical.encode()).digest()


def node_hash(left, right):
  return hashlib.sha256(b"\1" + left + right).digest()


def root_of(leaves):
  if not leaves:
    return ""
  level = list(leaves)
  while len(level) > 1:
    if len(level) % 2:
      level.append(level[-1])
    level = [node_hash(*level[i:i + 2]) for i in range(0, len(level), 2)]
  return level[0].hex()


def height_of(count):
  return max(count - 1, 0).bit_length()


def canonical(outcome):
  return "{clientSeed}:{cursor}:{nonce}|{serverHash}|{clientSeed}|{created}".format(**outcome)


def tree_order(outcome):
  return (outcome["clientSeed"].encode(), outcome["cursor"], outcome["nonce"], outcome["shortId"].encode())


def check_proof(proof, root):
  node = leaf_hash(proof["leaf"]["canonical"])
  assert node.hex() == proof["leaf"]["hash"]
  assert len(proof["siblings"]) == proof["treeHeight"] == height_of(proof["leafCount"])
  index = proof["index"]
  for sibling in proof["siblings"]:
    assert sibling["position"] == ("left" if index % 2 else "right")
    other = bytes.fromhex(sibling["hash"])
    node = node_hash(other, node) if sibling["position"] == "left" else node_hash(node, other)
    index //= 2
  assert node.hex() == root == proof["root"]


def check_signature(root, public_key):
  statement = "{date}|{root}|{leafCount}|{previousRoot}".format(**root)
  key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
  key.verify(base64.b64decode(root["signature"]), statement.encode())


# Getting a day into the log without waiting for midnight


def draw_some(server, count=7):
  """Draws of several callers, on chains whose coordinates they share; the live ones as they were answered."""
  account = server.account()
  live, also, rehearsal = server.key(account), server.key(account), server.key(account, "test")
  seeds = ["a", "é", "z", "Z", "round:1:0", "a/b c%2F", "🎲"]
  outcomes = []
  for number in range(count):
    for key in (live, also, None):
      outcomes.append(server.draw("ints", {"clientSeed": seeds[number % len(seeds)]}, key=key).json())
  assert server.draw("ints", {"clientSeed": "a"}, key=rehearsal).status == 200
  return outcomes, live


def stop_time(server):
  """Stops the server and has all its outcomes drawn at one moment, so that no midnight lies between them; the moment."""
  server.stop()
  server.alter("UPDATE outcomes SET created = (SELECT min(created) FROM outcomes)")
  return server.sql("SELECT DISTINCT created FROM outcomes")[0][0]


def shift(server, days=1, where="1"):
  """Puts recorded outcomes into the past. The server must be stopped."""
  server.alter(f"UPDATE outcomes SET created = created - {days * DAY} WHERE {where}")


def into_the_past(server, outcomes, days=1):
  created = stop_time(server) - days * DAY
  shift(server, days)
  server.start()
  return [{**outcome, "created": created} for outcome in outcomes]


def published(server, date):
  def ask():
    answer = server.get(f"/api/merkle/{date}")
    assert answer.status in (200, 404), answer
    return answer.status == 200 and answer.json()

  return wait_until(ask, f"{date} is published")


def leaves_of(server, date):
  answer = server.get(f"/api/merkle/{date}/leaves")
  assert answer.status == 200
  assert answer.header("Content-Type").startswith("text/plain")
  return [bytes.fromhex(line) for line in answer.body.decode().splitlines()]


def proof_of(server, date, outcome, **rest):
  return server.get(f"/api/merkle/{date}/proof/{urllib.parse.quote(outcome, safe='')}", **rest)


def coordinates(outcome):
  return "{clientSeed}:{cursor}:{nonce}".format(**outcome)


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
  """A server with a published day: the server, the day's date, its live outcomes, and a live key that drew some."""
  import harness

  with harness.Server(tmp_path_factory.mktemp("logged") / "data") as server:
    outcomes, key = draw_some(server)
    outcomes = into_the_past(server, outcomes)
    date = day_of(outcomes[0]["created"])
    published(server, date)
    yield server, date, outcomes, key


# A published day


def test_a_day_is_published_once_it_is_over(logged):
  server, date, outcomes, _ = logged
  root = published(server, date)
  assert set(root) == {"date", "root", "leafCount", "treeHeight", "publishedAt", "previousRoot", "signature"}
  leaves = leaves_of(server, date)
  assert leaves == [leaf_hash(canonical(outcome)) for outcome in sorted(outcomes, key=tree_order)]
  assert root["root"] == root_of(leaves)
  assert (root["leafCount"], root["treeHeight"]) == (len(leaves), height_of(len(leaves)))
  assert root["previousRoot"] == ""
  assert abs(root["publishedAt"] - time.time() * 1000) < 3600_000


def test_the_root_is_signed(logged):
  server, date, _, _ = logged
  key = server.get("/api/merkle/key").json()
  assert key["algorithm"] == "Ed25519" and len(base64.b64decode(key["publicKey"])) == 32
  root = published(server, date)
  check_signature(root, key["publicKey"])
  with pytest.raises(InvalidSignature):
    check_signature({**root, "leafCount": root["leafCount"] + 1}, key["publicKey"])


def test_every_outcome_has_a_proof_by_its_short_id(logged, verifier):
  server, date, outcomes, _ = logged
  root = published(server, date)
  indexes = set()
  for outcome in outcomes:
    answer = proof_of(server, date, outcome["shortId"])
    assert answer.status == 200, answer
    proof = answer.json()
    check_proof(proof, root["root"])
    assert {name: proof[name] for name in root} == root
    assert proof["outcomeId"] == proof["leaf"]["outcomeId"] == coordinates(outcome)
    assert proof["leaf"]["canonical"] == canonical(outcome)
    assert proof["leaf"]["clientSeed"] == outcome["clientSeed"] and proof["leaf"]["timestamp"] == outcome["created"]
    assert proof["leaf"]["serverHash"] == outcome["serverHash"]
    report = verifier.check_proof(proof, root["root"], outcome)
    assert report["ok"], report
    indexes.add(proof["index"])
  assert indexes == set(range(len(outcomes)))


def test_coordinates_find_the_callers_own_outcome(logged):
  server, date, outcomes, key = logged
  listed = {}
  for caller in (key, None):
    for seed in {outcome["clientSeed"] for outcome in outcomes}:
      for outcome in server.get("/api/listOutcomes", {"clientSeed": seed}, key=caller).json():
        listed[caller, outcome["shortId"]] = outcome
  assert len(listed) == 21
  for (caller, short_id), outcome in listed.items():
    answer = proof_of(server, date, coordinates(outcome), key=caller)
    assert answer.status == 200, answer
    assert answer.body == proof_of(server, date, short_id).body
  # Others find the first in the order of the tree, whoever drew it.
  leaves = {outcome["shortId"]: proof_of(server, date, outcome["shortId"]).json() for outcome in outcomes}
  for stranger in (server.key(), server.key(mode="test"), None):
    for outcome in outcomes:
      if (stranger, outcome["shortId"]) in listed:
        continue
      same = [leaf for leaf in leaves.values() if leaf["outcomeId"] == coordinates(outcome)]
      answer = proof_of(server, date, coordinates(outcome), key=stranger)
      assert answer.status == 200, answer
      own = [listed[it]["shortId"] for it in listed if it[0] == stranger and coordinates(listed[it]) == coordinates(outcome)]
      assert answer.json() == (leaves[own[0]] if own else min(same, key=lambda leaf: leaf["index"]))
  assert proof_of(server, date, "nobody:0:0").status == 404 and proof_of(server, date, coordinates(outcomes[0]) + "9").status == 404


def test_an_account_exports_its_own_leaves(logged):
  server, date, outcomes, key = logged
  answer = server.get(f"/api/merkle/{date}/mine", key=key)
  assert answer.status == 200 and answer.header("Content-Type") == "application/x-ndjson"
  mine = [json.loads(line) for line in answer.body.decode().splitlines()]
  anonymous = {o["shortId"] for seed in {o["clientSeed"] for o in outcomes} for o in server.get("/api/listOutcomes", {"clientSeed": seed}).json()}
  assert [leaf["canonical"] for leaf in mine] == [canonical(o) for o in outcomes if o["shortId"] not in anonymous]
  leaves = leaves_of(server, date)
  for leaf in mine:
    assert leaf_hash(leaf["canonical"]).hex() == leaf["hash"] == leaves[leaf["index"]].hex()
  assert server.get(f"/api/merkle/{date}/mine", key=server.key()).body == b""


def test_mine_needs_a_live_key(logged):
  server, date, _, _ = logged
  assert server.get(f"/api/merkle/{date}/mine").status == 401
  refused = server.get(f"/api/merkle/{date}/mine", key=server.key(mode="test"))
  assert (refused.status, refused.code) == (403, "test_mode_forbidden")


# What is not there


def test_days_that_are_not_published_are_404_and_say_why(logged):
  server, date, _, _ = logged
  today = day_of(int(time.time() * 1000))
  for day, why in ((day_before(today, -2), "not over"), ("9999-12-31", "not over"), (day_before(date), "begins later"), ("0001-01-01", "begins later")):
    for path in ("", "/leaves", "/mine"):
      answer = server.get(f"/api/merkle/{day}{path}", key=server.key())
      assert answer.status == 404 and why in answer.error, answer


@pytest.mark.parametrize("date", ["2026-02-30", "2026-13-01", "2026-1-1", "yesterday", "20260101", "2026-01-01T00:00:00Z", "%20", "keys"])
def test_what_is_no_date_is_a_400(logged, date):
  server, _, _, key = logged
  for path in ("", "/leaves", "/mine", "/proof/0123456789"):
    answer = server.get(f"/api/merkle/{date}{path}", key=key)
    assert answer.status == 400 and "date" in answer.error, answer


def test_an_outcome_of_another_day_is_a_404_that_names_the_day(logged):
  server, date, outcomes, _ = logged
  answer = proof_of(server, day_before(date), outcomes[0]["shortId"])
  assert answer.status == 404 and date in answer.error, answer


def test_an_outcome_of_today_has_no_proof_yet(logged):
  server, _, _, _ = logged
  outcome = server.draw("ints", {"clientSeed": unique()}).json()
  answer = proof_of(server, day_of(outcome["created"]), outcome["shortId"])
  assert answer.status == 404 and ("not over" in answer.error or "not published" in answer.error), answer


@pytest.mark.parametrize("name", ["short", "a:b", "a:0", "a:0:x", "a:-1:0", "a:0:", ":0:0", "a:1.5:0", "a:0:99999999999999999", "abcdefghi-", "%ff:0:0", "%zz:0:0", "%00:0:0"])
def test_what_names_no_outcome_is_a_400(logged, name):
  server, date, _, _ = logged
  assert server.raw_get(f"/api/merkle/{date}/proof/{name}".encode()).status == 400


@pytest.mark.parametrize("name", ["0123456789", "nobody:0:0", "a:9:9", "+:0:0"])
def test_an_outcome_that_is_not_there_is_a_404(logged, name):
  server, date, _, _ = logged
  assert proof_of(server, date, name).status == 404


def test_test_outcomes_are_not_in_the_log(logged):
  server, date, _, _ = logged
  key = server.key(mode="test")
  seed = unique("test")
  outcome = server.draw("ints", {"clientSeed": seed}, key=key).json()
  assert proof_of(server, day_of(outcome["created"]), outcome["shortId"]).status == 404
  assert proof_of(server, date, f"{seed}:0:0", key=key).status == 404


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 91}, {"limit": "x"}, {"before": "2026-02-30"}, {"before": "now"}])
def test_bad_parameters_of_the_list(server, query):
  answer = server.get("/api/merkle", query)
  assert answer.status == 400 and next(iter(query)) in answer.error


def test_a_log_that_has_not_begun_is_an_empty_list(serve):
  server = serve()
  assert server.get("/api/merkle").json() == {"roots": []}
  answer = server.get("/api/merkle/2020-01-01")
  assert answer.status == 404 and "not published" in answer.error


# Day after day


def test_missed_days_are_caught_up_on_the_empty_ones_too(serve):
  server = serve()
  outcomes, _ = draw_some(server, 4)
  created = stop_time(server)
  (last,) = server.sql("SELECT max(id) FROM outcomes")[0]
  shift(server, 5, f"id <= {last // 2}")
  shift(server, 1, f"id > {last // 2}")
  server.start()
  newest = day_of(created - DAY)
  published(server, newest)
  roots = server.get("/api/merkle").json()["roots"]
  dates = [root["date"] for root in roots if root["date"] <= newest]
  assert dates == [day_before(newest, days) for days in range(len(dates))]
  assert dates[-1] == day_of(created - 5 * DAY)
  roots = [root for root in roots if root["date"] <= newest]
  assert sum(root["leafCount"] for root in roots) == len(outcomes)
  assert [root["root"] == "" for root in roots[1:4]] == [True] * 3
  key = server.get("/api/merkle/key").json()["publicKey"]
  for root, before in zip(roots, roots[1:] + [{"root": ""}]):
    assert root["previousRoot"] == before["root"]
    assert root["root"] == root_of(leaves_of(server, root["date"]))
    check_signature(root, key)
  empty = roots[1]
  assert (empty["leafCount"], empty["treeHeight"], empty["root"]) == (0, 0, "")
  # Page by page, and no further.
  assert server.get("/api/merkle", {"limit": 2, "before": roots[0]["date"]}).json()["roots"] == roots[1:3]
  assert server.get("/api/merkle", {"before": roots[-1]["date"]}).json() == {"roots": []}


def test_a_published_root_is_never_rewritten(serve):
  server = serve()
  outcomes = into_the_past(server, draw_some(server, 3)[0])
  date = day_of(outcomes[0]["created"])
  before = published(server, date)
  # Somebody slips an outcome into that day.
  server.stop()
  server.alter("INSERT INTO outcomes SELECT (SELECT max(id) FROM outcomes) + 1, chain_id, previous, jump, epoch, cursor, nonce + 1000, endpoint, value, fields, items, created FROM outcomes WHERE id = 1")
  server.start()
  server.draw("ints")
  assert server.cli("merkle", "publish", "--date", date, check=True).stdout.strip() == before["root"]
  server.restart()
  assert published(server, date) == before
  assert root_of(leaves_of(server, date)) == before["root"]
  for outcome in outcomes:
    check_proof(proof_of(server, date, outcome["shortId"]).json(), before["root"])


def test_the_key_is_the_same_after_a_restart(serve):
  server = serve()
  key = server.get("/api/merkle/key").json()
  server.restart()
  assert server.get("/api/merkle/key").json() == key
  assert serve(folder="another").get("/api/merkle/key").json() != key


def fill(server, count):
  """Records `count` outcomes of the day before their own, without drawing them. The server must be stopped."""
  server.alter(
    """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
    INSERT INTO outcomes (id, chain_id, previous, jump, epoch, cursor, nonce, endpoint, value, fields, created)
    SELECT (SELECT max(id) FROM outcomes) + i, o.chain_id, 0, 0, o.epoch, o.cursor, 1000000 + (i * 7919) % 1000003, o.endpoint, o.value,
           o.fields, o.created
    FROM n JOIN outcomes o ON o.id = 1 + i % (SELECT max(id) FROM outcomes)
    ORDER BY i
    """, count)
  shift(server)


def expected_leaves(server):
  """The leaves of all recorded outcomes, from the database. Ties are impossible: one caller."""
  rows = server.sql(
    """
    SELECT CAST(c.client_seed AS TEXT), o.cursor, o.nonce, lower(hex(c.server_hash)), o.created
    FROM outcomes o JOIN chains c ON c.id = o.chain_id WHERE c.epoch = o.epoch
    ORDER BY c.client_seed, o.cursor, o.nonce
    """)
  return [leaf_hash(canonical(dict(zip(("clientSeed", "cursor", "nonce", "serverHash", "created"), row)))) for row in rows]


def test_killed_while_it_publishes_it_begins_again(serve, rng):
  server = serve()
  drawn = [server.draw("ints", {"clientSeed": f"seed-{number}"}).json() for number in range(10)]
  stop_time(server)
  fill(server, 20_000)
  expected = expected_leaves(server)
  assert len(expected) == 20_010
  root = root_of(expected)
  (created,) = server.sql("SELECT DISTINCT created FROM outcomes")[0]
  date = day_of(created)
  kills = 0
  while not server.sql("SELECT 1 FROM merkle_days WHERE published IS NOT NULL"):
    server.start()
    # Longer each time, so that it comes to an end on a slow machine too.
    pause = rng.uniform(0, 0.05 + 0.02 * kills)
    deadline = time.monotonic() + pause
    while time.monotonic() < deadline:
      answer = server.get(f"/api/merkle/{date}")
      assert answer.status == 404 or answer.json()["root"] == root
    server.kill()
    kills += 1
    assert kills < 200
  print(f"killed {kills} times")
  server.start()
  found = published(server, date)
  assert (found["root"], found["leafCount"]) == (root, len(expected))
  assert leaves_of(server, date) == expected
  for outcome in drawn:
    check_proof(proof_of(server, date, outcome["shortId"]).json(), root)
  # And draws went on throughout.
  assert server.draw("ints", {"clientSeed": "seed-0"}).json()["nonce"] == 1


# The command line


def test_publishing_by_hand(serve):
  server = serve()
  draw_some(server, 3)
  created = stop_time(server)
  shift(server, 4, "id <= 2")
  shift(server, 1, "id > 2")
  date = day_of(created - DAY)
  first = server.cli("merkle", "publish", "--date", date, check=True)
  assert len(first.stdout.strip()) == 64
  assert day_before(date) in first.stderr  # the days before it were missing
  again = server.cli("merkle", "publish", "--date", date, check=True)
  assert again.stdout == first.stdout
  empty = server.cli("merkle", "publish", "--date", day_before(date), check=True)
  assert empty.stdout == "\n"
  listed = server.cli("merkle", "list", check=True).stdout.splitlines()
  assert listed[0].split() == ["DATE", "LEAVES", "PUBLISHED", "ROOT"]
  assert listed[1].startswith(date) and listed[1].endswith(first.stdout.strip())
  assert len(server.cli("merkle", "list", "--limit", 1, check=True).stdout.splitlines()) == 2
  server.start()
  assert published(server, date)["root"] == first.stdout.strip()


def test_publishing_by_hand_beside_a_running_server(logged):
  server, date, _, _ = logged
  done = server.cli("merkle", "publish", "--date", date, check=True)
  assert done.stdout.strip() == published(server, date)["root"]
  assert server.draw("ints").status == 200


def test_what_cannot_be_published(serve):
  server = serve()
  today = day_of(int(time.time() * 1000))
  for date, status, why in (
    (day_before(today, -1), 1, "not over"), ("2026-02-30", 64, "--date must be a day"), ("2020-01-01", 1, "nothing to publish")):
    done = server.cli("merkle", "publish", "--date", date)
    assert done.returncode == status and why in done.stderr and not done.stdout, done


# Audits


@pytest.fixture
def kept(logged, tmp_path):
  """The day's leaves and root in files, and the key."""
  server, date, _, _ = logged
  (tmp_path / "leaves").write_bytes(server.get(f"/api/merkle/{date}/leaves").body)
  (tmp_path / "root.json").write_bytes(server.get(f"/api/merkle/{date}").body)
  (tmp_path / "key").write_text(server.get("/api/merkle/key").json()["publicKey"])
  return tmp_path


def audit(*arguments):
  done = cli("audit", *arguments)
  checks = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith(("ok ", "FAIL"))}
  failed = {name for name, line in checks.items() if line.startswith("FAIL")}
  assert (done.returncode == 0) == (not failed and "\nverified" in done.stdout)
  assert done.returncode != 0 or len(checks) >= 5
  return done, failed, checks


def audit_files(kept, date, *more):
  return audit("--day", date, "--leaves", kept / "leaves", "--root-file", kept / "root.json", "--public-key", (kept / "key").read_text(), *more)


def base(server):
  return f"http://{server.host}:{server.port}"


def test_an_honest_day_passes_from_everywhere(logged, kept):
  server, date, outcomes, _ = logged
  key = (kept / "key").read_text()
  for arguments in (["--url", base(server)], ["--url", base(server) + "/", "--public-key", key], ["--data", server.data]):
    done, failed, checks = audit("--day", date, *arguments)
    assert done.returncode == 0 and not failed, done
    assert str(len(outcomes)) in checks["leafCount"] and key in checks["signature"]
    assert "pin it" not in done.stdout or "--public-key" not in arguments
    assert "\r" not in done.stderr  # a progress bar is for terminals
  done, failed, _ = audit_files(kept, date)
  assert done.returncode == 0 and not failed, done


def test_ones_own_outcomes_are_looked_for(logged, tmp_path):
  server, date, outcomes, key = logged
  file = tmp_path / "outcomes"
  mine = server.get("/api/listOutcomes", {"clientSeed": "a"}, key=key).body
  for content in (mine, server.get(f"/api/merkle/{date}/mine", key=key).body, "\n".join(map(json.dumps, outcomes)).encode()):
    file.write_bytes(content)
    done, failed, checks = audit("--day", date, "--url", base(server), "--outcomes", file)
    assert done.returncode == 0 and "outcomes" in checks, done
  file.write_text(json.dumps([{**outcomes[0], "nonce": 77}, outcomes[1]]))
  done, failed, checks = audit("--day", date, "--url", base(server), "--outcomes", file)
  assert failed == {"outcomes"} and done.returncode == 1
  assert "1 of 2" in checks["outcomes"] and ":77|" in checks["outcomes"]


def test_tampered_leaves_are_refused(logged, kept):
  _, date, _, _ = logged
  lines = (kept / "leaves").read_text().splitlines()
  swapped = [lines[1], lines[0], *lines[2:]]
  changed = ["0" * 64, *lines[1:]]
  for tampered, expected in ((swapped, {"root"}), (changed, {"root"}), (lines[:-1], {"root", "leafCount"}), (lines + lines[-1:], {"leafCount"} | {"root"})):
    (kept / "leaves").write_text("\n".join(tampered) + "\n")
    done, failed, checks = audit_files(kept, date)
    assert done.returncode == 1 and failed <= expected and failed, done
    assert root_of(map(bytes.fromhex, tampered)) in checks["root"]
  for tampered in ("nonsense\n", lines[0][:-1] + "\n", lines[0] + "\n\n" + lines[1] + "\n"):
    (kept / "leaves").write_text(tampered)
    done, _, _ = audit_files(kept, date)
    assert done.returncode == 1 and "line " in done.stderr, done


def test_tampered_roots_are_refused(logged, kept):
  _, date, _, _ = logged
  root = json.loads((kept / "root.json").read_text())
  other = "ab" * 32
  signature = base64.b64encode(bytes([1]) + base64.b64decode(root["signature"])[1:]).decode()
  for change, expected in (
    ({"root": other}, {"root", "signature"}), ({"leafCount": 5}, {"leafCount", "signature"}),
    ({"treeHeight": 9}, {"treeHeight"}), ({"previousRoot": other}, {"signature"}), ({"signature": signature}, {"signature"}),
    ({"signature": ""}, {"signature"})):
    (kept / "root.json").write_text(json.dumps({**root, **change}))
    done, failed, checks = audit_files(kept, date)
    assert failed == expected and done.returncode == 1, done
    name, value = next(iter(change.items()))
    assert str(value) in checks["signature" if name == "previousRoot" else name]
  (kept / "root.json").write_text(json.dumps(root))
  (kept / "key").write_text(base64.b64encode(bytes(range(32))).decode())
  assert audit_files(kept, date)[1] == {"signature"}


def test_the_chain_to_the_day_before_is_checked(serve, tmp_path):
  server = serve()
  draw_some(server, 3)
  created = stop_time(server)
  (last,) = server.sql("SELECT max(id) FROM outcomes")[0]
  shift(server, 2, f"id <= {last // 2}")
  shift(server, 1, f"id > {last // 2}")
  server.start()
  date = day_of(created - DAY)
  published(server, date)
  assert not audit("--day", date, "--url", base(server))[1]
  roots = server.get("/api/merkle").json()
  assert roots["roots"][1]["root"] != ""
  (tmp_path / "leaves").write_bytes(server.get(f"/api/merkle/{date}/leaves").body)
  (tmp_path / "key").write_text(server.get("/api/merkle/key").json()["publicKey"])
  (tmp_path / "root.json").write_text(json.dumps(roots))
  done, failed, checks = audit_files(tmp_path, date)
  assert not failed and "the day before has it" in checks["previousRoot"], done
  for root in roots["roots"]:
    if root["date"] == day_before(date):
      root["root"] = "cd" * 32
  (tmp_path / "root.json").write_text(json.dumps(roots))
  done, failed, checks = audit_files(tmp_path, date)
  assert failed == {"previousRoot"} and "cd" * 32 in checks["previousRoot"], done


def test_a_database_whose_log_was_tampered_with_is_refused(serve):
  server = serve()
  outcomes = into_the_past(server, draw_some(server, 3)[0])
  date = day_of(outcomes[0]["created"])
  published(server, date)
  server.stop()
  assert not audit("--day", date, "--data", server.data)[1]
  server.alter("UPDATE merkle_tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE level = 0")
  assert audit("--day", date, "--data", server.data)[1] == {"root"}
  server.alter("UPDATE merkle_days SET leaf_count = leaf_count + 1")
  assert {"leafCount", "signature"} <= audit("--day", date, "--data", server.data)[1]


def test_leaf_hashes_that_are_not_complete_are_not_sent_as_if_they_were(serve):
  """An answer that is shorter than it says would take the beginning of the next one for its end."""
  server = serve()
  outcomes = into_the_past(server, draw_some(server, 3)[0])
  date = day_of(outcomes[0]["created"])
  published(server, date)
  server.stop()
  server.alter("UPDATE merkle_tiles SET hashes = substr(hashes, 33) WHERE level = 0")
  server.start()
  with pytest.raises(http.client.IncompleteRead):
    server.get(f"/api/merkle/{date}/leaves")
  wait_until(lambda: re.search("an answer was cut off.*damaged failure: the leaf hashes", server.log_text()), "the log says so")


def test_files_of_leaf_hashes_as_editors_write_them(logged, kept):
  _, date, _, _ = logged
  leaves = (kept / "leaves").read_bytes()
  for edited in (b"\xef\xbb\xbf" + leaves, leaves.replace(b"\n", b"\r\n"), leaves.rstrip()):
    (kept / "leaves").write_bytes(edited)
    done, failed, _ = audit_files(kept, date)
    assert done.returncode == 0 and not failed, done
  (kept / "leaves").write_bytes(b"\xff\xfe" + leaves)
  assert "line 1 of the leaf hashes is not 64 hexadecimal characters" in cli(
    "audit", "--day", date, "--leaves", kept / "leaves", "--root-file", kept / "root.json", "--public-key", (kept / "key").read_text()).stderr


def test_audits_that_cannot_be_made(logged, kept, tmp_path):
  server, date, _, _ = logged
  files = ["--leaves", kept / "leaves", "--root-file", kept / "root.json"]
  key = ["--public-key", (kept / "key").read_text()]
  for arguments, status, why in (
    (["--day", "2026-02-30"], 64, "--day must be a day"),
    (["--day", date, *files], 64, "--public-key"),
    (["--day", date, "--leaves", kept / "leaves"], 64, "go together"),
    (["--day", date, *files, *key, "--url", base(server)], 64, "not both"),
    (["--day", date, "--public-key", "nonsense"], 64, "32 bytes"),
    (["--day", date, "--url", "draws.example.com"], 64, "--url must be"),
    (["--day", date, "--url", "http://127.0.0.1:1"], 1, "did not answer"),
    (["--day", "2020-01-01", "--url", base(server)], 1, "404"),
    (["--day", "2020-01-01", *files, *key], 1, "no root of 2020-01-01"),
    (["--day", date, "--url", base(server), "--outcomes", tmp_path / "nowhere"], 1, "cannot be read"),
    (["--day", date, "--url", base(server), "--outcomes", kept / "leaves"], 1, "not JSON"),
    (["--day", date, "--data", server.data, "--root-file", kept / "root.json"], 64, "go together")):
    done = cli("audit", *arguments)
    assert done.returncode == status and why in done.stderr, (arguments, done)
