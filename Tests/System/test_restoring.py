"""Going back in time: that it is noticed, and how an operator puts an earlier state in place without using anything twice."""

import re
import shutil
import subprocess
import time

from harness import BINARY, environment, unique, wait_until
from log_reader import Log
from test_dashboard import Person
from test_postgres import Load, cluster, fleet

__all__ = ["cluster", "fleet"]  # fixtures

ROLLED_BACK = "log_rolled_back"


def copy_by_hand(server, folder):
  """The files of a stopped server, as somebody copies them who knows no better."""
  folder.mkdir()
  for file in server.data.iterdir():
    if file.name.startswith("fairdraw.db"):
      shutil.copy(file, folder / file.name)
  return folder


def put_back(server, folder):
  for file in server.data.iterdir():
    if file.name.startswith("fairdraw.db"):
      file.unlink()
  for file in folder.iterdir():
    shutil.copy(file, server.data / file.name)


def draw(server, client_seed, **rest):
  response = server.draw("ints", {"clientSeed": client_seed, "max": 10**9}, **rest)
  assert response.status == 200, response
  return response.json()


def logged(server, size):
  """Waits until the log has so many entries, and a server has seen it."""
  Log(server).grown_to(size)
  wait_until(lambda: remembered(server.data) >= size, f"the checkpoint file has {size} entries")


def remembered(folder):
  """The size of the log as the file beside the database has it."""
  files = list(folder.glob("log-*.checkpoint"))
  assert len(files) < 2
  return int(files[0].read_text().splitlines()[1]) if files else -1


def with_an_earlier_state(server, folder):
  """Draws twice and stops; the first outcome, and a copy by hand from before the second."""
  first = draw(server, "a")
  logged(server, 2)
  server.stop()
  earlier = copy_by_hand(server, folder)
  server.start()
  draw(server, "a")
  logged(server, 3)
  server.stop()
  return first, earlier


def refused(response):
  return response.status == 503 and response.code == ROLLED_BACK


def expect_stopped(server, short_id, reason):
  """Nothing is drawn, everything can be read, and whoever watches the server is told."""
  key = {"headers": {"Content-Type": "application/json"}}
  assert refused(server.draw("ints", {"clientSeed": "a"}))
  assert refused(server.get("/api/seed", {"clientSeed": unique()}))
  assert refused(server.post("/api/batch", {"draws": [{"endpoint": "floats", "params": {}}]}, **key))
  assert refused(server.post("/api/rotate", {"clientSeed": "a"}, **key))
  assert refused(server.post("/api/commit", {}, **key))
  assert server.get("/api/verifyShortId", {"shortId": short_id}).status == 200
  assert server.get(f"/o/{short_id}").status == 200
  wait_until(lambda: server.get("/api/health").status == 503, "the health check says so")
  health = server.get("/api/health").json()
  assert (health["status"], health["db"]) == ("degraded", "ok")
  assert server.get("/api/public-metrics").json()["apiStatus"] == "degraded"
  lines = [line for line in server.log_lines() if reason in line.get("message", "")]
  assert 1 <= len(lines) <= 2 and "fairdraw era begin" in lines[0]["message"], lines


def test_an_earlier_state_is_noticed_at_the_start(serve, tmp_path):
  server = serve()
  kept, earlier = with_an_earlier_state(server, tmp_path / "earlier")
  put_back(server, earlier)
  server.start()
  expect_stopped(server, kept["shortId"], "its log has 2 entries, and had 3")
  # A restart does not help, and the log does not grow to what it was.
  server.restart()
  assert refused(server.draw("ints", {"clientSeed": "a"}))
  assert Log(server).checkpoint().size == 2
  server.stop()
  server.cli("era", "begin", "--reason", "the disk was replaced", check=True)
  server.start()
  assert draw(server, "a")["serverHash"] != kept["serverHash"]
  assert server.get("/api/health").json()["status"] == "ok"


def test_an_account_holder_is_told(serve):
  server = serve()
  holder = Person(server).arrive()
  assert "Nothing is drawn at the moment" not in holder.get("/dashboard").body.decode()
  server.cli("era", "begin", "--reason", "a mistake", check=True)
  wait_until(lambda: refused(server.draw("floats")), "the server draws nothing any more")
  for page in ("/dashboard", "/dashboard/keys", "/dashboard/outcomes"):
    assert "Nothing is drawn at the moment" in holder.get(page).body.decode()


def test_a_server_that_runs_is_stopped_by_a_new_era(serve):
  server = serve()
  kept = draw(server, "a")
  logged(server, 2)
  server.cli("era", "begin", "--reason", "a mistake", check=True)
  wait_until(lambda: refused(server.draw("ints", {"clientSeed": "b"})), "the server draws nothing any more")
  server.restart()
  after = draw(server, "a")
  assert (after["cursor"], after["nonce"]) == (1_000_000, kept["nonce"] + 1)


def test_a_log_that_is_another_is_noticed(serve, tmp_path):
  """As many entries, and others: a state before, from which somebody went on."""
  server = serve()
  _, earlier = with_an_earlier_state(server, tmp_path / "earlier")
  file, = server.data.glob("log-*.checkpoint")
  newest = file.read_text()
  put_back(server, earlier)
  file.unlink()
  server.start()
  other = draw(server, "b")
  logged(server, 3)
  server.stop()
  file.write_text(newest)
  server.start()
  assert refused(server.draw("ints", {"clientSeed": "a"}))
  expect_stopped(server, other["shortId"], "the first 3 entries of its log are not those that it had")


# Backup and restore


def coordinates(outcome):
  return outcome["clientSeed"], outcome["cursor"], outcome["nonce"]


def outcomes_of(answers):
  for _, _, response in answers:
    body = response.json()
    if response.status != 200:
      assert response.code == "invalid_api_key", response  # one key is revoked meanwhile
      continue
    yield from (result["outcome"] for result in body["results"]) if "results" in body else [body]


def test_nothing_is_used_again_after_a_restore(serve, tmp_path, rng):
  server = serve()
  account = server.account("--daily-quota", 10**9)
  keys = [server.key(account) for _ in range(2)]
  copy = tmp_path / "copy.db"
  commits = []
  with Load([server], keys, clients=8, seed=rng.random()) as load:
    wait_until(lambda: len(load.answers) > 200, "there is something to copy")
    commits.append(server.post("/api/commit", {}, key=keys[0]).json())
    made = server.cli("backup", copy, check=True)
    assert str(copy) in made.stderr and oct(copy.stat().st_mode & 0o777) == "0o600"
    # From here on it will be lost.
    copied = len(load.answers)
    wait_until(lambda: len(load.answers) > copied + 300, "there is something to lose")
    rotated = server.post("/api/rotate", {"clientSeed": "seed-1"}, key=keys[0]).json()
    commits.append(server.post("/api/commit", {}, key=keys[0]).json())
    revoked = server.key(account)
    server.cli("key", "revoke", keys[1][:16], check=False)
    wait_until(lambda: len(load.answers) > copied + 600 or load.failures, "more is lost")
  lost = list(outcomes_of(load.answers))
  logged(server, 300)
  server.stop()

  done = server.cli("restore", copy, "--reason", "the first disk failed", check=True)
  assert "Era 1 has begun: the first disk failed" in done.stdout
  assert re.search(r"Lost outcomes: \d+\. Lost rotations: 1\.", done.stdout), done.stdout
  assert keys[1][:16] in done.stdout and revoked[:16] in done.stdout
  aside, = server.data.glob("fairdraw.db.replaced-*")
  assert str(aside) in done.stdout

  server.start()
  with Load([server], keys[:1], clients=8, seed=rng.random(), name="later-") as load:
    wait_until(lambda: len(load.answers) > 400, "it draws again")
  drawn = list(outcomes_of(load.answers))
  assert not {outcome["shortId"] for outcome in lost} & {outcome["shortId"] for outcome in drawn}
  assert not set(map(coordinates, lost)) & set(map(coordinates, drawn))
  told = {outcome["serverHash"] for outcome in lost} | {rotated["next"]["serverHash"]}
  assert not told & {outcome["serverHash"] for outcome in drawn}
  for commit in commits:
    answer = server.post(
      "/api/reveal", {"commitId": commit["commitId"], "endpoint": "floats", "clientSeed": "x"}, key=keys[0])
    assert answer.status in (404, 410), answer

  # What the copy has is still there, and can be checked: the seed that it was drawn from is revealed.
  known = [outcome for outcome in lost if server.get("/api/verifyShortId", {"shortId": outcome["shortId"]}).status == 200]
  assert len(known) > 100
  for outcome in rng.sample(known, 10):
    answer = server.get("/api/verifyShortId", {"shortId": outcome["shortId"]}).json()
    assert answer["outcome"] == outcome["outcome"] and answer["serverHash"] == outcome["serverHash"]
    if "serverSeed" in answer:
      assert answer["seedProof"]["era"] == 0
  # The log of the era before is as it was in the copy; there is another beside it.
  assert server.get("/log/0/checkpoint").status == 200
  assert Log(server, era=1).key.name.endswith("/log/1") and Log(server, era=1).grown_to(2)
  assert server.get(f"/api/proof/{known[0]['shortId']}").status == 200


def test_a_restore_that_is_killed_can_be_run_again(serve, tmp_path, rng):
  server = serve()
  draw(server, "a")
  copy = tmp_path / "copy.db"
  server.cli("backup", copy, check=True)
  last = draw(server, "a")
  logged(server, 3)
  server.stop()
  command = [BINARY, "restore", str(copy), "--data", str(server.data)]
  durations = [0.0]
  for attempt in range(20):
    began = time.monotonic()
    running = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
      running.wait(rng.uniform(0, max(durations)) if attempt else None)
    except subprocess.TimeoutExpired:
      running.kill()
      running.wait()
    durations.append(time.monotonic() - began)
    database = server.data / "fairdraw.db"
    # There is a whole database in place, or none, and then the server says so.
    assert database.exists() or server.cli("account", "list").returncode == 1
  done = server.cli("restore", copy, check=True)
  assert "is in place" in done.stdout
  server.start()
  after = draw(server, "a")
  assert after["serverHash"] != last["serverHash"] and after["cursor"] % 1_000_000 == 0 < after["cursor"]
  assert server.sql("PRAGMA integrity_check") == [("ok",)]
  assert not list(server.data.glob("*.restored*"))


def test_what_cannot_be_restored_changes_nothing(serve, tmp_path):
  server = serve()
  draw(server, "a")
  copy, other, half, text = (tmp_path / name for name in ("copy.db", "other.db", "half.db", "text.db"))
  server.cli("backup", copy, check=True)
  half.write_bytes(copy.read_bytes()[:copy.stat().st_size // 2])
  text.write_text("no database\n" * 1000)
  foreign = serve("foreign")
  draw(foreign, "a")
  foreign.cli("backup", other, check=True)
  foreign.stop()
  assert "stop the server first" in server.cli("restore", copy).stderr
  assert draw(server, "a")["nonce"] == 1
  server.stop()
  for file, words in ((tmp_path / "none.db", "no file"), (half, "damaged"), (text, "damaged: file is not a database"), (other, "another master key")):
    done = server.cli("restore", file)
    assert done.returncode == 1 and words in done.stderr, (file, done.stderr)
  server.start()
  assert draw(server, "a")["nonce"] == 2


def test_a_backup_is_whole_or_not_there(serve, tmp_path):
  server = serve()
  account = server.account("--daily-quota", 10**9)
  key = server.key(account)
  for _ in range(200):
    server.post("/api/batch", {"draws": [{"endpoint": "bytes", "params": {"count": 1024}}] * 50}, key=key)
  copy = tmp_path / "copy.db"
  for _ in range(6):
    running = subprocess.Popen(
      [BINARY, "backup", str(copy), "--data", str(server.data)], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: (tmp_path / "copy.db.part").exists() or running.poll() is not None, "it writes")
    running.kill()
    running.wait()
    copy.unlink(missing_ok=True)
  server.cli("backup", copy, check=True)
  assert "exists already" in server.cli("backup", copy).stderr
  assert not (tmp_path / "copy.db.part").exists()
  counted = subprocess.run(
    ["sqlite3", copy, "PRAGMA integrity_check; SELECT count(*) FROM outcomes"], capture_output=True, text=True, check=True)
  assert counted.stdout.split() == ["ok", "10000"]


def test_a_damaged_database_is_moved_aside(serve, tmp_path):
  server = serve()
  draw(server, "a")
  copy = tmp_path / "copy.db"
  server.cli("backup", copy, check=True)
  lost = draw(server, "a")
  logged(server, 3)
  server.stop()
  server.database.write_bytes(b"nothing" * 1000)
  done = server.cli("restore", copy, check=True)
  assert "What was lost is not known." in done.stdout and "damaged" in done.stderr
  server.start()
  after = draw(server, "a")
  assert after["serverHash"] != lost["serverHash"] and after["cursor"] == 1_000_000


def test_an_era_that_the_copy_does_not_know_is_not_begun_again(serve, tmp_path):
  server = serve()
  draw(server, "a")
  copy = tmp_path / "copy.db"
  server.cli("backup", copy, check=True)
  hashes = []
  for era in (1, 2, 3):
    if era == 3:
      # What is in place is lost too; the file beside it knows.
      wait_until(
        lambda: any("/log/2" in file.read_text() for file in server.data.glob("log-*")), "the era's log is remembered")
      server.kill()
      for suffix in ("", "-wal", "-shm"):
        server.database.with_name(f"fairdraw.db{suffix}").unlink(missing_ok=True)
    else:
      server.stop()
    assert f"Era {era} has begun" in server.cli("restore", copy, check=True).stdout
    server.start()
    hashes.append(draw(server, "a")["serverHash"])
  assert len(set(hashes)) == 3


# PostgreSQL


def test_postgresql_that_went_back(cluster, fleet):
  first, second = fleet.start(2)
  account = fleet.account()
  key = fleet.key(account)
  kept = draw(first, "a", key=key)
  logged(first, 2)
  cluster.psql("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{fleet.name}'")
  copy = fleet.name + "_copy"
  first.stop(), second.stop()
  cluster.psql("postgres", f"CREATE DATABASE {copy} TEMPLATE {fleet.name}")
  first.start(), second.start()
  lost = [draw(server, "a", key=key) for server in (first, second)] + [draw(first, "b", key=key)]
  logged(first, 5)
  logged(second, 5)
  # As with a standby that was behind: the servers run, and find another state when they connect again.
  cluster.psql("postgres", f"ALTER DATABASE {fleet.name} ALLOW_CONNECTIONS false")
  cluster.psql("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{fleet.name}'")
  cluster.psql("postgres", f"ALTER DATABASE {fleet.name} RENAME TO {fleet.name}_old")
  cluster.psql("postgres", f"ALTER DATABASE {copy} RENAME TO {fleet.name}")
  for server in (first, second):
    wait_until(lambda: refused(server.draw("ints", {"clientSeed": "c"}, key=key)), "the server draws nothing any more")
    assert server.get("/api/verifyShortId", {"shortId": kept["shortId"]}).status == 200
    server.restart()
    assert refused(server.draw("ints", {"clientSeed": "a"}, key=key))
    server.stop()
  fleet.cli("era", "begin", "--reason", "a standby that was behind")
  first.start(), second.start()
  drawn = [draw(server, seed, key=key) for seed in ("a", "b") for server in (first, second)]
  for member in ("shortId", "serverHash"):
    assert not {outcome[member] for outcome in lost} & {outcome[member] for outcome in drawn}
  assert not set(map(coordinates, lost)) & set(map(coordinates, drawn))
  assert len({outcome["shortId"] for outcome in drawn}) == 4
