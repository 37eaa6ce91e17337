"""Server seeds that nobody can choose: one for each chain and epoch, and the proof of it wherever a seed is told."""

from harness import unique


def ok(response):
  assert response.status == 200, response
  return response.json()


def keys(server):
  return ok(server.get("/api/keys"))


def draw(server, client_seed, key=None):
  return ok(server.draw("ints", {"clientSeed": client_seed}, "POST", key=key))


def rotate(server, client_seed, key=None):
  return ok(server.post("/api/rotate", {"clientSeed": client_seed}, key=key))


def failing(report):
  return [check["name"] for check in report["checks"] if not check["ok"]]


def test_the_key_is_told_before_anything_is_drawn(serve):
  server = serve()
  told = keys(server)
  assert set(told) == {"vrf", "daily", "log", "responses", "witnesses"} and told["vrf"]["suite"] == "vrf-r255"
  assert told["daily"] == ok(server.get("/api/merkle/key"))
  draw(server, "a")
  assert keys(server) == told


def test_every_rotation_tells_its_proof(server, client_seed, account, verifier):
  public_key = keys(server)["vrf"]["publicKey"]
  for key in (None, server.key(account)):
    for epoch in range(3):
      drawn = draw(server, client_seed, key)
      answer = rotate(server, client_seed, key)
      proof = answer["revealed"]["seedProof"]
      assert (proof["epoch"], proof["era"], proof["publicKey"]) == (epoch, 0, public_key)
      assert (proof["scope"] == "anonymous") == (key is None)
      assert answer["revealed"]["serverHash"] == drawn["serverHash"]
      assert failing(verifier.check_seed_proof(answer, seed_key=public_key)) == []
      looked_up = ok(server.get("/api/verifyShortId", {"shortId": drawn["shortId"]}))
      assert looked_up["seedProof"] == proof and looked_up["verified"]
      assert failing(verifier.verify(looked_up, looked_up["serverSeed"], looked_up.get("items"), seed_key=public_key)) == []


def test_what_is_not_rotated_tells_neither(server, client_seed):
  drawn = draw(server, client_seed)
  looked_up = ok(server.get("/api/verifyShortId", {"shortId": drawn["shortId"]}))
  assert "serverSeed" not in looked_up and "seedProof" not in looked_up


def test_a_commitments_seed_is_drawn_and_has_no_proof(server, client_seed):
  commit_id = ok(server.post("/api/commit"))["commitId"]
  revealed = ok(server.post("/api/reveal", {"commitId": commit_id, "clientSeed": client_seed, "endpoint": "ints"}))
  looked_up = ok(server.get("/api/verifyShortId", {"shortId": revealed["shortId"]}))
  assert looked_up["serverSeed"] == revealed["serverSeed"] and "seedProof" not in looked_up


def test_another_server_with_the_same_master_key_has_no_other_choice(serve):
  first = serve()
  seeds = [unique("chosen") for _ in range(5)]
  pinned = [first.seed(seed)["serverHash"] for seed in seeds]
  again = serve(folder="again", FAIRDRAW_MASTER_KEY_FILE=first.data / "master.key")
  assert [again.seed(seed)["serverHash"] for seed in reversed(seeds)] == pinned[::-1]
  assert serve(folder="other").seed(seeds[0])["serverHash"] != pinned[0]


def test_a_chain_goes_on_after_a_restart(serve):
  server = serve()
  draw(server, "a")
  rotate(server, "a")
  pinned = server.seed("a")
  server.stop()
  again = serve()
  assert again.seed("a")["serverHash"] == pinned["serverHash"] == draw(again, "a")["serverHash"]
  assert rotate(again, "a")["revealed"]["seedProof"]["epoch"] == 1


def test_no_seed_lies_in_the_database(serve):
  server = serve()
  for seed in ("a", "b"):
    draw(server, seed)
  rotate(server, "b")
  server.stop()
  columns = [row[1] for row in server.sql("PRAGMA table_info(chains)")]
  assert [column for column in columns if "seed" in column] == ["client_seed"]
  assert server.sql("SELECT client_seed, era, epoch FROM chains ORDER BY id") == [(b"a", 0, 0), (b"b", 0, 1)]


def test_after_a_restore_a_new_era_draws_from_other_seeds(serve):
  server = serve()
  draw(server, "a")
  server.stop()
  backup = server.database.read_bytes()
  server.start()
  lost = [rotate(server, "a")["next"]["serverHash"], draw(server, "b")["serverHash"]]
  server.stop()
  server.database.write_bytes(backup)
  for suffix in ("-wal", "-shm"):
    server.database.with_name(server.database.name + suffix).unlink(missing_ok=True)
  assert "Era 1" in server.cli("era", "begin", "--reason", "restored from a backup", check=True).stdout
  server.start()
  answer = rotate(server, "a")
  assert answer["revealed"]["seedProof"]["era"] == 0 and answer["next"]["serverHash"] not in lost
  assert draw(server, "b")["serverHash"] not in lost
  proof = rotate(server, "b")["revealed"]["seedProof"]
  assert (proof["era"], proof["epoch"]) == (1, 0)
  lines = server.cli("era", "list", check=True).stdout.splitlines()
  assert len(lines) == 2 and lines[1].startswith("1 ") and lines[1].endswith("restored from a backup")


def test_an_era_needs_a_reason(server):
  for options in ([], ["--reason", ""], ["--reason", "x" * 101], ["--reason", "two\nlines"]):
    done = server.cli("era", "begin", *options)
    assert done.returncode == 64 and "--reason" in done.stderr, options
