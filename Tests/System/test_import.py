"""Outcomes that another service drew are imported: read from its export, checked, found, and marked everywhere."""

import csv
import io
import json
import os
import signal
import subprocess

import pytest

import postgres
from harness import BINARY, REPOSITORY, Server, environment, unique, wait_until
from test_openapi import conforms

SEVEN = ("floats", "ints", "shuffle", "pick", "bytes", "dice", "gaussian")
VECTORS = [json.loads(line) for line in (REPOSITORY / "Tests" / "FairnessTests" / "vectors.jsonl").read_text().splitlines()]
CREATED = 1_700_000_000_000


def outcome(vector, name, **more):
  """What the service that drew it answered, with what it has revealed since."""
  given, endpoint, expected = vector["params"], vector["endpoint"], vector["expected"]
  if endpoint in ("floats", "ints", "gaussian", "bytes"):
    own = given
  if endpoint == "shuffle":
    own = {"count": len(given["items"]), "items": given["items"]}
  if endpoint == "pick":
    own = {"count": 1, "index": expected["index"], "weights": given.get("weights"), "items": given["items"]}
    expected = expected["outcome"]
  if endpoint == "dice":
    own = {"count": given["dice"], "sides": given["sides"], "modifier": given["modifier"]}
    expected = {"notation": given["notation"], "rolls": expected["rolls"], "modifier": given["modifier"], "total": expected["total"]}
  return {
    "outcome": expected, "shortId": name, "permalink": f"https://hosted.example/o/{name}", "serverHash": vector["serverHash"],
    "clientSeed": vector["clientSeed"], "cursor": vector["cursor"], "nonce": vector["nonce"], "endpoint": endpoint, **own,
    "created": CREATED + len(name), "mode": "live", "serverSeed": vector["serverSeed"], **more}


def some(count=3):
  """Some outcomes of each of the seven, with names of several lengths."""
  chosen = []
  for endpoint in SEVEN:
    chosen += [vector for vector in VECTORS if vector["endpoint"] == endpoint and len(vector["params"].get("items", "abc")) > 2][:count]
  return [outcome(vector, f"old{number:04d}" + "abcdefghij"[:(0, 3, 10)[number % 3]]) for number, vector in enumerate(chosen)]


def as_csv(rows):
  names = list(dict.fromkeys(name for row in rows for name in row))
  text = io.StringIO()
  writer = csv.writer(text)
  writer.writerow(names)
  for row in rows:
    writer.writerow([cell(name, row.get(name)) for name in names])
  return text.getvalue()


def cell(name, value):
  if value is None and name != "outcome":
    return ""
  return value if isinstance(value, str) and name != "outcome" else json.dumps(value, ensure_ascii=False)


FORMATS = {
  "array": lambda rows: json.dumps(rows, indent=1),
  "lines": lambda rows: "".join(json.dumps(row) + "\n" for row in rows),
  "object": lambda rows: json.dumps({"exported": "2026-11-21", "total": len(rows), "outcomes": rows}),
  "csv": as_csv,
}


@pytest.fixture(scope="module")
def cluster():
  with postgres.Cluster() as running:
    yield running


@pytest.fixture(params=["sqlite", "postgres"])
def server(request, tmp_path):
  settings = {}
  if request.param == "postgres":
    cluster, name = request.getfixturevalue("cluster"), unique("db").replace("-", "_")
    cluster.psql("postgres", f"CREATE DATABASE {name}")
    settings["FAIRDRAW_DATABASE"] = cluster.url(name)
  with Server(tmp_path / "data", **settings) as running:
    yield running


def bring(server, account, text, *options, status=0):
  file = server.data.parent / "export"
  file.write_bytes(text if isinstance(text, bytes) else text.encode())
  env = {name: value for name, value in server.env.items() if name == "FAIRDRAW_DATABASE"}
  done = subprocess.run(
    [BINARY, "import", "outcomes", str(file), "--account", account, "--data", str(server.data), *options], env=environment(**env),
    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
  assert done.returncode == status and not done.stdout, done
  return done.stderr


def new_account(server):
  env = {name: value for name, value in server.env.items() if name == "FAIRDRAW_DATABASE"}
  name = unique("account")
  run = lambda *arguments: subprocess.run(
    [BINARY, *arguments, "--data", str(server.data)], env=environment(**env), capture_output=True, text=True, check=True, timeout=60).stdout
  run("account", "create", name)
  return name, run("key", "create", "--account", name).strip()


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_imported_is_found_checked_and_marked(server, form):
  account, key = new_account(server)
  rows = some()
  said = bring(server, account, FORMATS[form](rows))
  assert f"{len(rows)} imported" in said.splitlines() and "refused" not in said, said
  for row in rows:
    response = server.get("/api/verifyShortId", {"shortId": row["shortId"]})
    assert response.status == 200 and conforms(response, "/api/verifyShortId", "get"), response
    found = response.json()
    assert (found["verified"], found["reasonCode"], found["imported"]) == (True, "revealed", True), found
    for name in row:
      if name == "permalink":
        assert found[name].endswith(f"/o/{row['shortId']}") and "hosted" not in found[name]
      else:
        assert found[name] == row[name], (name, row)
    assert "next" not in found and "seedProof" not in found
    place = {"clientSeed": row["clientSeed"], "cursor": row["cursor"], "nonce": row["nonce"]}
    one = server.get("/api/outcome", place, key=key)
    # The vectors have several draws at one place.
    there = {other["shortId"]: other["outcome"] for other in rows if all(other[name] == place[name] for name in place)}
    assert one.status == 200 and one.json()["imported"] is True and one.json()["outcome"] == there[one.json()["shortId"]]
    assert server.get("/api/outcome", place).status == 400
    assert server.get("/api/verifyServerHash", {"clientSeed": row["clientSeed"], "serverHash": row["serverHash"]}).json() is True
    listed = server.get("/api/listOutcomes", {"clientSeed": row["clientSeed"]}, key=key)
    assert conforms(listed, "/api/listOutcomes", "get")
    assert row["shortId"] in [entry["shortId"] for entry in listed.json()] and all(entry["imported"] for entry in listed.json())
  row = rows[0]
  page = server.get(f"/o/{row['shortId']}", headers={"Accept": "text/html"}).body.decode()
  assert "This outcome was imported" in page and f"https://hosted.example/o/{row['shortId']}" in page
  assert "none of its trees and logs" in page and "/transparency?shortId" not in page and 'id="logged"' not in page
  assert server.get(f"/o/{row['shortId']}/og.png").status == 200
  proof = server.get(f"/api/proof/{row['shortId']}")
  assert (proof.status, proof.code) == (404, "not_found") and "imported" in proof.error
  # It takes part in nothing else.
  assert server.get("/api/public-metrics").json()["callsServed"]["value"] == 0
  drawn = server.draw("ints", {"clientSeed": row["clientSeed"]}, key=key).json()
  assert drawn["nonce"] == 0 and "imported" not in drawn and drawn["serverHash"] != row["serverHash"]
  everything = [entry["shortId"] for entry in server.get("/api/listOutcomes", {"clientSeed": row["clientSeed"]}, key=key).json()]
  assert everything[0] == drawn["shortId"] and row["shortId"] in everything
  paged, before = [], None
  while entries := server.get("/api/listOutcomes", {"clientSeed": row["clientSeed"], "limit": 1, "before": before} if before else {"clientSeed": row["clientSeed"], "limit": 1}, key=key).json():
    paged += [entry["shortId"] for entry in entries]
    before = paged[-1]
    assert len(paged) <= len(everything)
  assert paged == everything


def test_a_repeated_import_skips_and_a_changed_one_is_refused(server):
  account, _ = new_account(server)
  rows = some(1)
  hidden = [{name: value for name, value in row.items() if name not in ("serverSeed", "items")} for row in rows]
  assert "7 would be imported" in bring(server, account, json.dumps(rows), "--dry-run")
  assert server.get("/api/verifyShortId", {"shortId": rows[0]["shortId"]}).status == 404
  assert "7 could not be recomputed" in bring(server, account, json.dumps(hidden))
  for row in hidden:
    found = server.get("/api/verifyShortId", {"shortId": row["shortId"]}).json()
    assert (found["verified"], found["reasonCode"]) == (False, "seed_unknown")
    page = server.get(f"/o/{row['shortId']}", headers={"Accept": "text/html"})
    assert page.status == 200 and b"Not known here" in page.body
  said = bring(server, account, as_csv(hidden))
  assert said.splitlines()[:2] == ["0 imported", "7 already there"]
  # Seeds that were revealed since are added; without the items a shuffle and a pick still cannot be recomputed.
  assert "7 completed" in bring(server, account, json.dumps([{**row, "serverSeed": full["serverSeed"]} for row, full in zip(hidden, rows)]))
  codes = [server.get("/api/verifyShortId", {"shortId": row["shortId"]}).json()["reasonCode"] for row in rows]
  assert codes == ["not_recomputable" if row["endpoint"] in ("shuffle", "pick") else "revealed" for row in rows]
  assert "2 completed" in bring(server, account, json.dumps(rows))
  changed = [{**row, "created": row["created"] + 1} for row in rows]
  said = bring(server, account, "".join(json.dumps(row) + "\n" for row in changed), status=1)
  assert "line 3: shortId names an imported outcome that has another created" in said and "7 refused" in said
  other, _ = new_account(server)
  assert "7 refused" in bring(server, other, json.dumps(rows), status=1)
  for row in rows:
    assert server.get("/api/verifyShortId", {"shortId": row["shortId"]}).json()["created"] == row["created"]


def test_what_is_wrong_is_refused_with_its_line_and_member(server):
  account, key = new_account(server)
  own = server.draw("ints", {"clientSeed": "own"}, key=key).json()
  good = {row["endpoint"]: row for row in some(1)}
  ints, pick = good["ints"], good["pick"]
  wrong = [
    ("outcome", {**ints, "outcome": [value + 1 for value in ints["outcome"]]}),
    ("outcome", {**good["floats"], "outcome": [value / 2 for value in good["floats"]["outcome"]]}),
    ("outcome", {**good["shuffle"], "outcome": good["shuffle"]["outcome"][::-1]}),
    ("outcome", {**good["bytes"], "outcome": "00" + good["bytes"]["outcome"][2:]}),
    ("outcome", {**good["dice"], "outcome": {**good["dice"]["outcome"], "total": 0}}),
    ("outcome", {**good["gaussian"], "outcome": [value + 1 for value in good["gaussian"]["outcome"]]}),
    ("index", {**pick, "index": pick["index"] + 1}), ("outcome", {**ints, "nonce": ints["nonce"] + 1}),
    ("outcome", {**ints, "clientSeed": ints["clientSeed"] + "x"}), ("serverSeed", {**ints, "serverSeed": "0" * 64}),
    ("serverSeed", {**ints, "serverSeed": "zz"}), ("serverHash", {**ints, "serverHash": "12"}), ("serverSeed", {**ints, "serverHash": "1" * 64}),
    ("shortId", {**ints, "shortId": "a-b-c-d"}), ("shortId", {**ints, "shortId": "x" * 33}), ("shortId", {**ints, "shortId": own["shortId"]}),
    ("shortId", {name: value for name, value in ints.items() if name != "shortId"}), ("endpoint", {**ints, "endpoint": "coins"}),
    ("mode", {**ints, "mode": "dead"}), ("created", {**ints, "created": -1}), ("created", {**ints, "created": "soon"}),
    ("cursor", {**ints, "cursor": 0.5}), ("clientSeed", {**ints, "clientSeed": "x" * 257}), ("clientSeed", {**ints, "clientSeed": ""}),
    ("count", {**ints, "count": 0}), ("permalink", {**ints, "permalink": "x" * 2049}),
    ("outcome", {name: value for name, value in ints.items() if name not in ("outcome",)}),
    ("outcome", {**{name: value for name, value in ints.items() if name != "serverSeed"}, "outcome": ["a"]}),
  ]
  rows = [good["bytes"], *(row for _, row in wrong), {**good["dice"], "mode": "test"}, good["gaussian"]]
  said = bring(server, account, "".join(json.dumps(row) + "\n" for row in rows), status=1)
  lines = dict(line.removeprefix("line ").split(": ", 1) for line in said.splitlines() if line.startswith("line "))
  for number, (member, row) in enumerate(wrong, start=2):
    assert lines.pop(str(number)).startswith(member + " "), (number, member, row, said)
  assert not lines and "2 imported" in said and "1 left out" in said and f"{len(wrong)} refused" in said
  # In a table a row may begin on any line.
  table = as_csv([{**ints, "clientSeed": "two\nlines", "serverSeed": None}, {**good["shuffle"], "outcome": []}])
  said = bring(server, account, table, status=1)
  assert "line 4: outcome" in said or "line 4: count" in said, said
  assert "has 2 cells, and the header" in bring(server, account, table + "a,b\r\n", status=1)


def test_a_redacted_outcome_is_imported_and_says_so(server):
  account, _ = new_account(server)
  row = some(1)[1]
  redacted = {"shortId": "redacted1", "serverHash": row["serverHash"], "endpoint": "ints", "outcome": None, "redacted": True, "toolMeta": {}, "clientSeed": "c",
              "cursor": 0, "nonce": 5, "created": 5, "serverSeed": row["serverSeed"]}
  assert "1 could not be recomputed" in bring(server, account, json.dumps(redacted))
  response = server.get("/api/verifyShortId", {"shortId": "redacted1"})
  assert conforms(response, "/api/verifyShortId", "get") and response.json()["reasonCode"] == "not_recomputable" and response.json()["redacted"] is True
  assert server.get("/o/redacted1", headers={"Accept": "text/html"}).status == 200


@pytest.mark.parametrize("text, said", [
  ("", "is empty"), ("nonsense\n1\n", "is no export"), ("[1]", "line 1"), ("[{}", "line 1"), ('[{"shortId":"abcd"', "in the midst of a row"),
  ('[{} {}]', "does not go on"), ("shortId,shortId\n", "two columns"), ('shortId\n"abcd', "quoted cell"), ('{"a":1}x', "should be an outcome"),
  (b'[{"shortId":"' + b"x" * (17 << 20) + b'"}]', "more than 16 MiB"), (b'shortId\n"' + b"x" * (17 << 20), "more than 16 MiB"),
  (b'{"shortId":"' + b"x" * (17 << 20) + b'"}', "more than 16 MiB")], ids=range(12))
def test_a_file_that_is_no_export_is_an_error(serve, text, said):
  server = serve()
  assert said in bring(server, server.account(), text, status=1)


def many(count):
  """Outcomes of one chain, whose seed is not revealed: cheap to make."""
  for number in range(count):
    yield {"outcome": [number % 100 + 1], "shortId": f"many{number:08d}", "serverHash": "ab" * 32, "clientSeed": "many", "cursor": 0, "nonce": number,
           "endpoint": "ints", "min": 1, "max": 100, "count": 1, "created": CREATED + number, "mode": "live"}


def test_an_import_that_is_killed_is_completed_by_another(server):
  account, key = new_account(server)
  count = 20_000
  file = server.data.parent / "export.jsonl"
  file.write_text("".join(json.dumps(row) + "\n" for row in many(count)))
  env = {name: value for name, value in server.env.items() if name == "FAIRDRAW_DATABASE"}
  command = [BINARY, "import", "outcomes", str(file), "--account", account, "--data", str(server.data)]
  process = subprocess.Popen(command, env=environment(**env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
  there = lambda number: server.get("/api/verifyShortId", {"shortId": f"many{number:08d}"}).status == 200
  wait_until(lambda: there(0), "the first outcomes are there", timeout=120)
  os.kill(process.pid, signal.SIGKILL)
  process.communicate()
  # A transaction is there or not.
  known = [there(number) for number in range(0, count, 1000)]
  assert known[0] and known == sorted(known, reverse=True)
  assert all(there(1000 * place + 999) == is_there for place, is_there in enumerate(known))
  said = bring(server, account, file.read_bytes())
  assert said.splitlines()[:2] == [f"{count - 1000 * sum(known)} imported", f"{1000 * sum(known)} already there"], said
  listed = server.get("/api/listOutcomes", {"clientSeed": "many"}, key=key).json()
  assert [entry["nonce"] for entry in listed] == list(range(count - 1, count - 1001, -1))
  assert there(count - 1)


def test_imported_outcomes_move_with_the_ledger_and_are_exported(serve, cluster, tmp_path):
  server = serve()
  account = server.account()
  rows = some(1)
  bring(server, account, json.dumps(rows))
  text = server.cli("account", "export", account, check=True).stdout
  exported = json.loads(text)["outcomes"]
  assert [entry["outcome"]["shortId"] for entry in exported] == [row["shortId"] for row in rows] and all(entry["outcome"]["imported"] for entry in exported)
  table = list(csv.DictReader(io.StringIO(server.cli("account", "export", account, "--format", "csv", check=True).stdout)))
  assert [(row["shortId"], row["imported"]) for row in table] == [(row["shortId"], "true") for row in rows]
  copy = tmp_path / "copy.db"
  server.cli("backup", str(copy), check=True)
  assert server.stop() == 0
  name = unique("db").replace("-", "_")
  cluster.psql("postgres", f"CREATE DATABASE {name}")
  moved = subprocess.run(
    [BINARY, "migrate", "--from", f"sqlite:{server.data / 'fairdraw.db'}", "--to", cluster.url(name)], env=environment(), capture_output=True, text=True, timeout=120)
  assert moved.returncode == 0, moved
  with Server(tmp_path / "moved", FAIRDRAW_DATABASE=cluster.url(name), FAIRDRAW_MASTER_KEY_FILE=server.data / "master.key") as there:
    for row in rows:
      assert there.get("/api/verifyShortId", {"shortId": row["shortId"]}).json()["reasonCode"] == "revealed"
    more = subprocess.run(
      [BINARY, "import", "outcomes", "-", "--account", account, "--data", str(tmp_path / "moved")], capture_output=True, text=True, timeout=60,
      input=json.dumps(next(many(1))), env=environment(FAIRDRAW_DATABASE=cluster.url(name), FAIRDRAW_MASTER_KEY_FILE=server.data / "master.key"))
    assert more.returncode == 0 and "1 imported" in more.stderr, more
