"""Checking outcomes: /api/verifyServerHash, /api/verifyShortId, and `fairdraw verify`."""

import json
import subprocess
import sys

import pytest

import test_log_proofs
from harness import BINARY, DRAWS, REPOSITORY, REQUIRED, TIMEOUT, Server, cli, environment, node, sha256_hex, unique, wait_until
from test_log_proofs import LOG_VKEY, ORIGIN, OTHER_VKEY, SIMPLE, SIMPLE_TEXT, WITNESS_VKEYS, canonical_text, drawn, log_proof, policy

__all__ = ["drawn"]  # a fixture

HASH = "0" * 64
OWN = ("verified", "reason", "reasonCode", "notation", "items", "serverSeed", "seedProof", "next")


def ok(response):
  assert response.status == 200, response
  return response.json()


def refused(response, status, naming):
  assert response.status == status, response
  assert naming in response.error
  return True


def draw(server, endpoint, client_seed, key=None, **parameters):
  return ok(server.draw(endpoint, {"clientSeed": client_seed, **parameters}, "POST", key=key))


def rotate(server, client_seed, key=None):
  return ok(server.post("/api/rotate", {"clientSeed": client_seed}, key=key))["revealed"]["serverSeed"]


def look_up(server, short_id, key=None):
  return ok(server.get("/api/verifyShortId", {"shortId": short_id}, key=key))


def is_known(server, client_seed, server_hash, key=None):
  return ok(server.get("/api/verifyServerHash", {"clientSeed": client_seed, "serverHash": server_hash}, key=key))


def unknown(client_seed, server_hash):
  return {"verified": False, "clientSeed": client_seed, "serverHash": server_hash, "outcomes": []}


# verifyServerHash


@pytest.mark.parametrize("mode", [None, "live"])
def test_a_hash_is_known_from_the_pin_on(server, client_seed, account, mode):
  key = server.key(account, mode) if mode else None
  pinned = server.seed(client_seed, key)["serverHash"]
  stranger = server.key()
  for asker in (None, key, stranger):
    assert is_known(server, client_seed, pinned, asker) is True
    assert is_known(server, client_seed, pinned.upper(), asker) is True
  assert is_known(server, client_seed + "x", pinned) == unknown(client_seed + "x", pinned)
  draw(server, "ints", client_seed, key)
  rotate(server, client_seed, key)
  assert is_known(server, client_seed, pinned) is True
  assert is_known(server, client_seed, server.seed(client_seed, key)["serverHash"]) is True
  assert is_known(server, client_seed, HASH) == unknown(client_seed, HASH)


def test_hashes_of_test_outcomes_and_commitments(server, client_seed, test_key):
  rehearsed = draw(server, "ints", client_seed, test_key)["serverHash"]
  assert is_known(server, client_seed, rehearsed) is True
  for key in (None, test_key):
    committed = ok(server.post("/api/commit", key=key))
    assert is_known(server, client_seed, committed["serverHash"]) == unknown(client_seed, committed["serverHash"])
    ok(server.post("/api/reveal", {"commitId": committed["commitId"], "clientSeed": client_seed, "endpoint": "ints"}, key=key))
    assert is_known(server, client_seed, committed["serverHash"]) is True


@pytest.mark.parametrize("query, naming", [
  ({}, "serverHash"), ([("serverHash", HASH), ("serverHash", HASH)], "serverHash"), ({"serverHash": HASH, "clientSeed": ""}, "clientSeed"),
  ({"serverHash": HASH, "clientSeed": "x" * 257}, "clientSeed"), ({"serverHash": "a\0b"}, "serverHash"),
])
def test_bad_hashes(server, unchanged, query, naming):
  assert refused(server.get("/api/verifyServerHash", query), 400, naming)


@pytest.mark.parametrize("text", ["", "x", "0" * 63, "0" * 65, "g" * 64, "\u0660" * 64, "0" * 10_000, "\"\n"], ids=lambda text: repr(text)[:20])
def test_what_is_no_hash_is_the_hash_of_nothing(server, client_seed, unchanged, text):
  assert is_known(server, client_seed, text) == unknown(client_seed, text)


# verifyShortId

PARAMETERS = {
  "ints": {"count": 3, "min": -5, "max": 1000}, "shuffle": {"items": ["a", 2.50, {"id": [None]}]},
  "pick": {"items": ["a", "b", 3], "weights": [1, 0.5, 2]}, "bytes": {"count": 20, "encoding": "base64"}, "dice": {"notation": "3d6 + 4"},
  "gaussian": {"count": 3, "mean": 100, "stddev": 15},
  "sample": {"count": 20, "min": -5, "max": 40},
}


@pytest.mark.parametrize("endpoint", DRAWS)
def test_an_outcome_before_and_after_its_seed_is_told(server, client_seed, live_key, verifier, endpoint):
  drawn = draw(server, endpoint, client_seed, live_key, **PARAMETERS.get(endpoint, {}))
  stranger = server.key()
  sealed = look_up(server, drawn["shortId"])
  assert {n: v for n, v in sealed.items() if n not in OWN} == drawn
  assert sealed["verified"] is True and sealed["reasonCode"] == "not_revealed" and sealed["reason"]
  assert "serverSeed" not in sealed
  assert sealed.get("items") == PARAMETERS.get(endpoint, {}).get("items")
  assert sealed.get("notation") == ("3d6+4" if endpoint == "dice" else None)
  seed = rotate(server, client_seed, live_key)
  for key in (None, live_key, stranger):
    told = look_up(server, drawn["shortId"], key)
    assert told["verified"] is True and told["reasonCode"] == "revealed"
    assert told["serverSeed"] == seed and sha256_hex(seed) == told["serverHash"]
    assert {n: v for n, v in told.items() if n not in OWN} == drawn
    # All that a stranger needs is in the answer.
    assert verifier.verify(told, told["serverSeed"], told.get("items"))["ok"]
  # What is drawn later does not touch it.
  later = draw(server, "ints", client_seed, live_key)
  assert look_up(server, later["shortId"])["reasonCode"] == "not_revealed"
  now = look_up(server, drawn["shortId"])
  assert {**now, "next": told["next"]} == told and now["next"]["nonce"] == told["next"]["nonce"] + 1


def test_items_are_told_as_they_were_given(server, client_seed):
  body = '{"clientSeed": "%s", "items": [1.50, -0, 1e400, "\\u00e9", {"a" : [ ]}]}' % client_seed
  short_id = ok(server.post("/api/shuffle", body))["shortId"]
  answer = server.get("/api/verifyShortId", {"shortId": short_id})
  assert b'"items":[1.50,-0,1e400,"\\u00e9",{"a":[]}]' in answer.body


@pytest.mark.parametrize("endpoint", DRAWS)
def test_rehearsals_are_verified_by_the_server_alone(server, client_seed, test_key, endpoint):
  drawn = draw(server, endpoint, client_seed, test_key)
  found = look_up(server, drawn["shortId"])
  assert found["verified"] is True and found["reasonCode"] == "rehearsal" and found["mode"] == "test"
  assert "test mode" in found["reason"] and "serverSeed" not in found
  assert {n: v for n, v in found.items() if n not in OWN} == drawn


@pytest.mark.parametrize("mode", [None, "live", "test"])
def test_reveals_are_found_with_their_seeds(server, client_seed, account, mode):
  key = server.key(account, mode) if mode else None
  committed = ok(server.post("/api/commit", key=key))
  revealed = ok(server.post("/api/reveal", {"commitId": committed["commitId"], "clientSeed": client_seed, "endpoint": "floats"}, key=key))
  found = look_up(server, revealed["shortId"])
  assert found["verified"] is True and found["reasonCode"] == "revealed"
  assert found["serverSeed"] == revealed["serverSeed"]
  assert {n: v for n, v in found.items() if n not in OWN} == {n: v for n, v in revealed.items() if n not in ("serverSeed", "commitId")}


def test_a_client_seed_with_markup_comes_back_as_it_is(server):
  seed = unique("<script>alert('\u202e\"&amp;\\")
  drawn = draw(server, "ints", seed)
  assert look_up(server, drawn["shortId"])["clientSeed"] == seed
  rotate(server, seed)
  found = look_up(server, drawn["shortId"])
  assert found["clientSeed"] == seed and found["verified"]
  assert is_known(server, seed, drawn["serverHash"]) is True


TAMPERING = [
  ("UPDATE outcomes SET value = CAST('[1,2,3]' AS BLOB)", "outcome_mismatch"),
  ("UPDATE outcomes SET nonce = 17", "outcome_mismatch"),
  ("UPDATE outcomes SET cursor = 17", "outcome_mismatch"),
  ("UPDATE chains SET client_seed = CAST('other' AS BLOB)", "outcome_mismatch"),
  ("UPDATE outcomes SET fields = CAST('\"min\":1,\"max\":99,\"count\":3' AS BLOB)", "outcome_mismatch"),
  ("UPDATE outcomes SET endpoint = 1", "outcome_mismatch"),
  ("UPDATE outcomes SET endpoint = 3", "bad_parameters"),
  ("UPDATE outcomes SET fields = CAST('\"count\":3' AS BLOB)", "bad_parameters"),
  ("UPDATE revealed_seeds SET server_hash = zeroblob(32)", "hash_mismatch"),
  ("UPDATE revealed_seeds SET server_seed = CAST(replace(hex(zeroblob(32)), '0', 'a') AS BLOB)", "hash_mismatch"),
]


@pytest.mark.parametrize("statement, code", TAMPERING)
def test_a_database_that_was_tampered_with_is_found_out(serve, statement, code):
  server = serve()
  drawn = draw(server, "ints", "raffle", count=3, max=1_000_000)
  rotate(server, "raffle")
  assert look_up(server, drawn["shortId"])["verified"] is True
  assert server.stop() == 0
  assert server.alter(statement) == 1
  server.start()
  found = look_up(server, drawn["shortId"])
  assert (found["verified"], found["reasonCode"]) == (False, code)
  done = server.cli("verify", drawn["shortId"])
  assert done.returncode == 1 and "NOT verified" in done.stdout


def test_rehearsals_that_were_tampered_with(serve):
  server = serve()
  drawn = draw(server, "ints", "raffle", server.key(mode="test"), count=3)
  assert server.stop() == 0
  server.alter("UPDATE test_outcomes SET value = CAST('[1,2,3]' AS BLOB)")
  server.start()
  assert look_up(server, drawn["shortId"])["reasonCode"] == "outcome_mismatch"


@pytest.mark.parametrize("query, status", [
  ({}, 400), ({"shortId": ""}, 400), ({"shortId": "abc"}, 400), ({"shortId": "0" * 33}, 400), ({"shortId": "0" * 4}, 404), ({"shortId": "0" * 11}, 404), ({"shortId": "0" * 9 + "-"}, 404), ({"shortId": "z" * 32}, 404),
  ({"shortId": "\u00e9" * 5}, 404), ({"shortId": "0" * 9 + "\0"}, 400), ([("shortId", "0" * 10), ("shortId", "0" * 10)], 400),
  ({"shortId": "x" * 10_000}, 400), ({"shortId": "0000000000"}, 404), ({"shortId": "zzzzzzzzzz"}, 404), ({"shortId": "ZZZZZZZZZZ"}, 404),
])
def test_short_ids_that_are_none(server, unchanged, query, status):
  assert refused(server.get("/api/verifyShortId", query), status, "shortId")


def test_verifying_needs_no_key_but_takes_a_slot(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=3)
  key = server.key()
  short_id = draw(server, "ints", "raffle", key)["shortId"]
  statuses = [server.get("/api/verifyShortId", {"shortId": short_id}).status for _ in range(8)]
  assert statuses[0] == 200 and statuses[-1] == 429
  assert look_up(server, short_id, key)["verified"]


def test_a_key_that_is_none_may_not_look_up_either(server, client_seed):
  short_id = draw(server, "ints", client_seed)["shortId"]
  assert server.get("/api/verifyShortId", {"shortId": short_id}, key="nonsense").status == 401


# fairdraw verify


def verify(*arguments, stdin=None, data=None):
  command = [BINARY, "verify", *map(str, arguments), *(["--data", str(data)] if data else [])]
  return subprocess.run(
    command, env=environment(), input="" if stdin is None else stdin, capture_output=True, text=True, timeout=TIMEOUT)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
  """One outcome of every kind, its seed told: (as drawn, as looked up, seed)."""
  with Server(tmp_path_factory.mktemp("told") / "data") as server:
    drawn = [draw(server, endpoint, "raffle", **PARAMETERS.get(endpoint, {})) for endpoint in DRAWS]
    drawn += [draw(server, "gaussian", "raffle", distribution=d, count=5, **{"lambda": 3}) for d in ("exponential", "poisson")]
    seed = rotate(server, "raffle")
    yield server, [(outcome, look_up(server, outcome["shortId"]), seed) for outcome in drawn]


def test_every_kind_is_verified_from_a_file_and_from_standard_input(told, tmp_path):
  for _, found, _ in told[1]:
    file = tmp_path / "outcome.json"
    file.write_text(json.dumps(found, indent=2))
    for done in (verify(file), verify("-", stdin=json.dumps(found))):
      assert (done.returncode, done.stderr) == (0, ""), done
      assert done.stdout.splitlines()[:2] == ["ok    serverHash", "ok    seedProof"] and "ok    outcome" in done.stdout
      assert done.stdout.splitlines()[-1] == "verified"


def test_the_seed_and_the_items_may_be_given_beside_it(told, tmp_path):
  for drawn, found, seed in told[1]:
    options = ["--server-seed", seed]
    if "items" in found:
      unknown = verify("-", *options, stdin=json.dumps(drawn))
      assert unknown.returncode == 2 and unknown.stdout.splitlines()[-1] == "cannot check", unknown
      assert "?     items" in unknown.stdout
      [line] = verify("-", *options, "--json", stdin=json.dumps(drawn)).stdout.splitlines()
      assert [check["ok"] for check in json.loads(line)["checks"]] == [True, None]
      assert verify("-", "--server-seed", "0" * 64, stdin=json.dumps(drawn)).returncode == 1
      file = tmp_path / "items.json"
      file.write_text(json.dumps(found["items"]))
      assert verify("-", *options, "--items", file, stdin=json.dumps(drawn)).returncode == 0
      options += ["--items", json.dumps(found["items"])]
    done = verify("-", *options, stdin=json.dumps(drawn))
    assert done.returncode == 0, done


def test_many_at_once(told):
  found = [answer for _, answer, _ in told[1]]
  for text in (json.dumps(found), "\n".join(map(json.dumps, found)) + "\n\n", json.dumps(found, indent=2)):
    done = verify("-", stdin=text)
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-1] == f"{len(found)} of {len(found)} verified"
    assert all(answer["shortId"] in done.stdout for answer in found)
  found[3] = {**found[3], "serverHash": HASH}
  done = verify("-", stdin=json.dumps(found))
  assert done.returncode == 1
  assert done.stdout.splitlines()[-1] == f"{len(found) - 1} of {len(found)} verified"


def test_outcomes_of_several_seeds(told):
  server = told[0]
  seed = unique("several")
  seeds = []
  for _ in range(3):
    for _ in range(2):
      draw(server, "ints", seed)
    seeds.append(rotate(server, seed))
  outcomes = server.get("/api/listOutcomes", {"clientSeed": seed}).body.decode()
  options = [word for told_seed in seeds for word in ("--server-seed", told_seed)]
  done = verify("-", *options, stdin=outcomes)
  assert done.returncode == 0 and done.stdout.splitlines()[-1] == "6 of 6 verified"
  done = verify("-", *options[:4], stdin=outcomes)
  assert done.returncode == 1 and done.stdout.splitlines()[-1] == "4 of 6 verified"


def programs():
  """The three programs that check an outcome, each as a command."""
  folder = REPOSITORY / "docs" / "verifiers"
  return {
    "swift": [BINARY, "verify"], "python": [sys.executable, str(folder / "fairdraw_verify.py")],
    "javascript": [*node(), str(folder / "fairdraw-verify.js")],
  }


@pytest.fixture(scope="module")
def records(tmp_path_factory):
  """Every record there is of an outcome of every kind: (where it is from, the record), the seed, and the items by shortId."""
  with Server(tmp_path_factory.mktemp("records") / "data") as server:
    account = server.account()
    key = server.key(account)
    drawn = [draw(server, endpoint, "raffle", key, **PARAMETERS.get(endpoint, {})) for endpoint in DRAWS]
    drawn += [draw(server, "gaussian", "raffle", key, distribution=d, count=5, **{"lambda": 3}) for d in ("exponential", "poisson")]
    drawn += [draw(server, "pick", "raffle", key, items=["a", "b", "c"]), draw(server, "bytes", "raffle", key, count=3)]
    seed = rotate(server, "raffle", key)
    looked_up = [look_up(server, outcome["shortId"]) for outcome in drawn]
    listed = ok(server.get("/api/listOutcomes", {"clientSeed": "raffle"}, key=key))
    exported = json.loads(server.cli("account", "export", account, check=True).stdout)["outcomes"]
    assert len(drawn) == len(looked_up) == len(listed) == len(exported) == len(DRAWS) + 4
    batch = ok(server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {"clientSeed": "batch"}}]}, key=key))["results"]
    batch[0]["outcome"]["serverSeed"] = rotate(server, "batch", key)
    sources = {"a batch": batch, "the draw": drawn, "verifyShortId": looked_up, "listOutcomes": listed, "the export": exported}
    yield [(source, record) for source, found in sources.items() for record in found], seed, {
      record["shortId"]: record["items"] for record in looked_up if "items" in record}


@pytest.mark.parametrize("program", ["swift", "python", "javascript"])
def test_every_program_takes_every_record(records, tmp_path, program):
  found, seed, items = records
  command = programs()[program]
  file, list_of_items = tmp_path / "record.json", tmp_path / "items.json"

  def run(*options):
    return subprocess.run(
      [*command, str(file), *map(str, options)], env=environment(), capture_output=True, text=True, timeout=TIMEOUT)

  for source, record in found:
    short_id = record.get("shortId") or record["outcome"]["shortId"]
    # As an editor may have left it.
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(record).encode())
    options = [] if "serverSeed" in record or source == "a batch" else ["--server-seed", seed.upper()]
    done = run(*options)
    needs_items = short_id in items and "items" not in record
    verdict = (2, "cannot check") if needs_items else (0, "verified")
    assert (done.returncode, done.stdout.splitlines()[-1]) == verdict, (source, record, done)
    if needs_items:
      list_of_items.write_text(json.dumps(items[short_id]))
      assert run(*options, "--items", list_of_items).returncode == 0, (source, record)
    wrong = run("--server-seed", "0" * 64)
    assert (wrong.returncode, wrong.stdout.splitlines()[-1]) == (1, "NOT verified"), (source, record, wrong)


def test_a_reveal_carries_its_seed(told):
  server = told[0]
  commit_id = ok(server.post("/api/commit"))["commitId"]
  revealed = server.post("/api/reveal", {"commitId": commit_id, "endpoint": "ints"}).body.decode()
  assert verify("-", stdin=revealed).returncode == 0


def tampered():
  yield "ints", {"outcome": [1, 2, 3]}, "FAIL  outcome"
  yield "ints", {"serverHash": HASH}, "FAIL  serverHash"
  yield "ints", {"serverSeed": "a" * 64}, "FAIL  serverHash"
  yield "ints", {"nonce": 6}, "at nonce 1"
  yield "ints", {"cursor": 6}, "at cursor 0"
  yield "ints", {"clientSeed": "Raffle"}, "FAIL  outcome"
  yield "ints", {"max": 100_000}, "FAIL  outcome"
  yield "ints", {"count": 2}, "FAIL  outcome"
  yield "ints", {"min": 2000}, "FAIL  max"
  yield "shuffle", {"items": ["a", 2.5]}, "FAIL  outcome"
  yield "shuffle", {"count": 4}, "FAIL  count"
  yield "pick", {"index": 99}, "FAIL  index"
  yield "pick", {"weights": [1, 1]}, "FAIL  weights"
  yield "bytes", {"encoding": "hex"}, "FAIL  outcome"
  yield "dice", {"sides": 20}, "FAIL  sides"
  yield "dice", {"endpoint": "coins"}, "FAIL  endpoint"
  yield "gaussian", {"stddev": 16}, "FAIL  outcome"
  yield "gaussian", {"stddev": 0}, "FAIL  stddev"
  yield "sample", {"max": 41}, "FAIL  outcome"
  yield "sample", {"max": 13}, "FAIL  count"


@pytest.mark.parametrize("endpoint, change, says", tampered(), ids=lambda value: json.dumps(value)[:40])
def test_tampering_is_named(told, endpoint, change, says):
  found = next(answer for _, answer, _ in told[1] if answer["endpoint"] == endpoint)
  done = verify("-", stdin=json.dumps({**found, **change}))
  assert done.returncode == 1 and done.stderr == ""
  assert says in done.stdout, done.stdout
  assert done.stdout.splitlines()[-1] == "NOT verified"


def test_what_was_computed_is_said(told):
  found = next(answer for _, answer, _ in told[1] if answer["endpoint"] == "ints")
  done = verify("-", stdin=json.dumps({**found, "outcome": [1, 2, 3]}))
  assert "computed: " + json.dumps(found["outcome"], separators=(",", ":")) in done.stdout
  assert "claimed:  [1, 2, 3]" in done.stdout


def test_json_for_programs(told):
  found = [answer for _, answer, _ in told[1]][:3]
  done = verify("-", "--json", stdin=json.dumps([found[0], {**found[1], "outcome": [0]}, {**found[2], "serverSeed": None}]))
  assert done.returncode == 1
  reports = list(map(json.loads, done.stdout.splitlines()))
  assert [report["ok"] for report in reports] == [True, False, False]
  assert [report["shortId"] for report in reports] == [answer["shortId"] for answer in found]
  [bad] = [check for check in reports[1]["checks"] if not check["ok"]]
  assert bad == {"name": "outcome", "ok": False, "expected": found[1]["outcome"], "actual": [0]}
  assert reports[2]["checks"][0]["name"] == "serverSeed"


def test_it_agrees_with_the_other_verifiers_about_tampering(told, verifier):
  for _, found, seed in told[1]:
    for change in ({}, {"nonce": 40}, {"serverHash": HASH}, {"clientSeed": "x"}):
      outcome = {**found, **change}
      assert (verify("-", stdin=json.dumps(outcome)).returncode == 0) == verifier.verify(outcome, seed, outcome.get("items"))["ok"], outcome


def test_a_short_id_is_looked_up_in_the_local_database(told):
  server, outcomes = told
  for drawn, _, _ in outcomes:
    done = server.cli("verify", drawn["shortId"])
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "verified"), done
  sealed = draw(server, "ints", "sealed")
  done = server.cli("verify", sealed["shortId"])
  assert done.returncode == 1 and "serverSeed" in done.stdout and "rotated" in done.stdout
  rehearsed = draw(server, "ints", "raffle", server.key(mode="test"))
  done = server.cli("verify", rehearsed["shortId"])
  assert done.returncode == 0 and "verified" in done.stdout


@pytest.mark.parametrize("arguments, stdin, says", [
  (["nowhere.json"], None, "nowhere.json"), (["0000000000"], None, "0000000000"), (["-"], "", "JSON"), (["-"], "{", "JSON"), (["-"], "[]", "no outcome"),
  (["-"], '{"outcome": 1}\n{', "line 2"), (["-", "--items", "nowhere.json"], "{}", "nowhere.json"), (["-", "--items", "[1,"], "{}", "--items"),
])
def test_what_cannot_be_read(tmp_path, arguments, stdin, says):
  done = verify(*arguments, stdin=stdin, data=tmp_path / "data")
  assert done.returncode == 1 and done.stdout == ""
  assert says in done.stderr and "Fatal" not in done.stderr


def test_nothing_a_terminal_would_obey_is_printed():
  outcome = {"outcome": "\u009b31m\u202e", "shortId": "\u009b", "serverSeed": "\u009b", "endpoint": "\u202e", "clientSeed": "\u2028"}
  done = verify("-", stdin=json.dumps([outcome, outcome], ensure_ascii=False))
  assert done.returncode == 1
  assert not {"\u009b", "\u202e", "\u2028", "\x1b"} & set(done.stdout + done.stderr)


def test_its_help():
  done = cli("verify", "--help")
  assert done.returncode == 0
  for word in ("--server-seed", "--items", "--seed-key", "--json", "shortId"):
    assert word in done.stdout
  assert cli("verify").returncode == 64


# Seed proofs

SEED_VECTORS = [json.loads(line) for line in (REPOSITORY / "Tests/FairnessTests/seed-vectors.jsonl").read_text().splitlines()]
ONLY = "This is the only server seed that the chain could have had"


def revealed(case, **changed):
  """A seed vector as a record of a revealed seed; what is changed is changed in the proof."""
  proof = {"suite": "vrf-r255", **{name: case[name] for name in ("publicKey", "scope", "era", "epoch", "proof")}, **changed}
  return {**{name: case[name] for name in ("clientSeed", "serverSeed", "serverHash")}, "seedProof": proof}


def test_every_seed_vector_is_verified():
  for records in ([revealed(case) for case in SEED_VECTORS], [
    {"clientSeed": case["clientSeed"], "revealed": {**revealed(case), "cursor": 0, "nonce": 3}, "next": {"nonce": 3}} for case in SEED_VECTORS
  ]):
    for record in records:
      record.get("revealed", {}).pop("clientSeed", None)
    done = verify("-", stdin="\n".join(map(json.dumps, records)))
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.count(ONLY) == done.stdout.count("which the record itself names") == 24
    assert done.stdout.splitlines()[-1] == "24 of 24 verified"


def test_a_seed_is_verified_for_a_key_that_is_given():
  case = SEED_VECTORS[0]
  other = next(other["publicKey"] for other in SEED_VECTORS if other["publicKey"] != case["publicKey"])
  good = verify("-", "--seed-key", case["publicKey"], stdin=json.dumps(revealed(case)))
  assert good.returncode == 0 and ONLY in good.stdout and "itself names" not in good.stdout
  wrong = verify("-", "--seed-key", other, stdin=json.dumps(revealed(case)))
  assert wrong.returncode == 1 and "FAIL  seedProof.publicKey" in wrong.stdout and ONLY not in wrong.stdout
  assert f'computed: "{other}"' in wrong.stdout and f'claimed:  "{case["publicKey"]}"' in wrong.stdout
  for key in ("", "x", "0" * 64, "ff" * 32, case["publicKey"][2:]):
    done = verify("-", "--seed-key", key, stdin=json.dumps(revealed(case)))
    assert (done.returncode, done.stdout) == (64, "") and "seed-key" in done.stderr, done


def test_without_a_proof_a_given_key_shows_nothing(told):
  _, found, _ = told[1][0]
  assert verify("-", stdin=json.dumps(found)).returncode == 0
  done = verify("-", "--seed-key", SEED_VECTORS[0]["publicKey"], stdin=json.dumps(found))
  assert done.returncode == 1 and "FAIL  seedProof" in done.stdout and "ok    outcome" in done.stdout


def test_broken_seed_proofs_are_named_as_the_other_verifiers_name_them(verifier):
  case = next(case for case in SEED_VECTORS if case["scope"] == "account:1" and case["era"] == 1)
  other = next(other for other in SEED_VECTORS if other["publicKey"] != case["publicKey"])
  records = [revealed(case, **{name: value}) for name, value in (
    ("suite", "vrf-r256"), ("suite", None), ("publicKey", "0" * 64), ("publicKey", case["publicKey"][2:]), ("publicKey", other["publicKey"]),
    ("scope", "anonymous"), ("scope", "account:2"), ("scope", "account:0"), ("scope", "account:4711"), ("era", 2), ("era", 77), ("era", -1),
    ("epoch", 0), ("epoch", 3), ("epoch", "2"), ("epoch", 2**53 - 1), ("epoch", 2**53), ("proof", case["proof"][2:]), ("proof", case["proof"] + "00"),
    ("proof", "0" * 160), ("proof", other["proof"]), ("proof", case["proof"][:96] + "f" * 64), ("proof", 1),
  )]
  records += [{**revealed(case), "clientSeed": "another"}, {**revealed(case), "seedProof": None}, {**revealed(case), "seedProof": []}]
  records += [{**revealed(case), "serverSeed": "a" * 64, "serverHash": sha256_hex("a" * 64)}]
  done = verify("-", "--json", stdin=json.dumps(records))
  for record, line in zip(records, done.stdout.splitlines(), strict=True):
    named = [[check["name"] for check in report["checks"] if not check["ok"]] for report in (json.loads(line), verifier.check_seed_proof(record))]
    assert named[0] == named[1] and len(named[0]) == 1, (record, named)
  [report] = map(json.loads, verify("-", "--json", stdin=json.dumps(revealed(case))).stdout.splitlines())
  assert report["ok"] and report["provenBy"] == case["publicKey"]


# fairdraw verify --proof


@pytest.fixture
def logged(tmp_path):
  """Runs the command on an outcome's JSON and its log proof: the exit status, and the steps that failed."""
  def run(answer, proof, *arguments, key=LOG_VKEY, rules=None, items=None):
    given = {"outcome.json": answer, "draw.tlog-proof": proof, "policy": rules, "items.json": items}
    for name, text in given.items():
      if text is not None:
        (tmp_path / name).write_text(text, "utf-8", newline="")
    arguments += ("--key", key) if key else ()
    arguments += ("--policy", tmp_path / "policy") if rules is not None else ()
    arguments += ("--items", tmp_path / "items.json") if items is not None else ()
    result = verify(tmp_path / "outcome.json", "--proof", tmp_path / "draw.tlog-proof", "--json", *arguments)
    assert result.stderr == "", result
    report = json.loads(result.stdout)
    assert (result.returncode == 0) == report["ok"] == all(check["ok"] for check in report["checks"]), report
    return result.returncode, [check["name"] for check in report["checks"] if not check["ok"]], report
  return run


def test_a_draws_log_proof_is_checked_step_by_step(drawn, logged):
  steps = test_log_proofs.TEXT + ["count", "mode", "entry", "root", "origin", "signature"]
  for number, (answer, items, looked_up) in enumerate(drawn):
    proof = log_proof(canonical_text(answer, items), size=len(drawn), index=number)
    spaced = answer.replace(',"shortId"', ' ,\r\n\t"shortId" ')
    told = [(answer, None), (looked_up, None), (spaced, None), ('{"ok":true,"outcome":%s}' % answer, None)]
    if items:
      told += [(answer[:-1] + ',"items":null}', None), ('{"items" : %s ,"outcome":%s}' % (items, spaced), None)]
      told += [(answer, " " + items.replace("[],", "[ ] ,") + "\n")]
    for text, given in told:
      status, failed, report = logged(text, proof, items=given)
      if failed == ["items"]:  # the values are derived too, which takes the items
        assert status == 2 and '"serverSeed"' in text and given is None, report
      else:
        assert (status, failed) == (0, []), (text, report)
      names = [check["name"] for check in report["checks"]]
      assert names[-len(steps):] == steps and ("serverHash" in names) == ('"serverSeed"' in text), names


@pytest.mark.parametrize("number", range(len(test_log_proofs.TAMPERED_OUTCOMES)))
def test_the_line_that_an_outcome_differs_in_is_named(logged, number):
  tamper, names = test_log_proofs.TAMPERED_OUTCOMES[number]
  answer = tamper(SIMPLE)
  try:
    assert isinstance(json.loads(answer), dict)
  except (ValueError, AssertionError):
    return refused_as_no_outcome(answer)
  status, failed, report = logged(answer, log_proof(SIMPLE_TEXT))
  if answer == "{}":
    names = [*names[:-1], "count", "mode"]
  assert failed == names and status == (1 if names else 0), report


def refused_as_no_outcome(answer):
  """What is not one JSON object is no outcome, with or without a proof."""
  result = verify("-", "--proof", "/dev/null", "--key", LOG_VKEY, stdin=answer)
  assert result.returncode == 1 and "verified" not in result.stdout.replace("NOT verified", ""), result


@pytest.mark.parametrize("number", range(len(test_log_proofs.TAMPERED_PROOFS)))
def test_the_step_that_a_proof_fails_at_is_named(logged, number):
  tamper, names = test_log_proofs.TAMPERED_PROOFS[number]
  status, failed, report = logged(SIMPLE, tamper(log_proof(SIMPLE_TEXT)))
  # One step says that the path does not fit; and a line that is missing makes another one wrong.
  same = {"path": ("root",), "proof": ("proof", "path[3]")}
  assert bool(failed) == bool(names) == bool(status), report
  assert all(failed[0] in same.get(name, (name,)) for name in names[:1]), report
  assert set(names) - {"signature", "root"} <= {*failed, "path", "proof"} and len(failed) <= 2, report


@pytest.mark.parametrize("number", range(len(test_log_proofs.POLICIES)))
def test_the_policys_quorum_is_asked_for(logged, number):
  rules, cosigners, names = test_log_proofs.POLICIES[number]
  if names == ["key"]:
    return  # a policy without logs is refused: see below
  status, failed, report = logged(SIMPLE, log_proof(SIMPLE_TEXT, cosigners=cosigners), key=None, rules=rules)
  assert failed == [name for name in names if "origin" not in names or name == "origin"], report
  if not names:
    told = {check["name"]: check["actual"] for check in report["checks"] if check["name"].startswith("witness ")}
    assert len(told) == len([n for n in cosigners if WITNESS_VKEYS[n] in rules])
    assert all(value == "cosigned 1795733812 s after 1970 began" for value in told.values())


def test_a_proof_beside_other_options(tmp_path, logged):
  proof = log_proof(SIMPLE_TEXT)
  assert logged(SIMPLE, proof, key=OTHER_VKEY)[1] == ["signature"]
  # A key stands before the policy's logs.
  assert logged(SIMPLE, proof, rules=policy("quorum none", logs=[]))[1] == []
  assert logged(SIMPLE, proof, key=OTHER_VKEY, rules=policy("quorum none"))[1] == ["signature"]
  paths = [tmp_path / "outcome.json", "--proof", tmp_path / "draw.tlog-proof"]
  said = verify(*paths, "--key", LOG_VKEY)
  assert said.returncode == 0 and said.stdout.splitlines()[-1] == "verified"
  assert "ok    signature: " + ORIGIN in said.stdout and "ok    root: entry 3 of 7" in said.stdout
  (tmp_path / "policy").write_text(policy("quorum W9"))
  for arguments, naming in [
    (paths, "--key"), ([paths[0], "--key", LOG_VKEY], "--proof"), ([*paths, "--key", "x"], "verifier key"),
    ([*paths, "--policy", tmp_path / "policy"], "line 6"), ([*paths, "--policy", tmp_path / "none"], "none"),
  ]:
    result = verify(*arguments)
    assert result.returncode != 0 and naming in result.stderr and result.stdout == "", result
  (tmp_path / "policy").write_text("quorum none\n")
  assert "names no log" in verify(*paths, "--policy", tmp_path / "policy").stderr
  (tmp_path / "two.json").write_text("[%s,%s]" % (SIMPLE, SIMPLE))
  assert "one outcome's" in verify(tmp_path / "two.json", *paths[1:], "--key", LOG_VKEY).stderr


def test_a_servers_own_proofs_are_verified(tmp_path):
  """Of every generator: the outcome as it was answered, the proof that the server gives, the key that it names."""
  with Server(tmp_path / "data") as server:
    answers = [server.draw(endpoint, {"clientSeed": "logged", **PARAMETERS.get(endpoint, {})}, "POST") for endpoint in DRAWS]
    key = ok(server.get("/api/keys"))["log"]["vkey"]
    for answer in answers:
      path = "/api/proof/" + ok(answer)["shortId"]
      proof = wait_until(lambda path=path: (found := server.get(path)).status == 200 and found, "the proof of a draw")
      for name, text in {"outcome.json": answer.body, "draw.tlog-proof": proof.body}.items():
        (tmp_path / name).write_bytes(text)
      paths = [tmp_path / "outcome.json", "--proof", tmp_path / "draw.tlog-proof"]
      said = verify(*paths, "--key", key)
      assert said.returncode == 0 and said.stdout.splitlines()[-1] == "verified", (answer, said)
      assert verify(*paths, "--key", OTHER_VKEY).returncode == 1
