"""`/api/outcomes` and `fairdraw listen`: all outcomes of an account, none left out and none twice, whatever is restarted."""

import json
import os
import re
import signal
import subprocess
import threading

import pytest

import postgres
from harness import BINARY, TIMEOUT, environment, open_terminal, unique, wait_until
from test_faults import Client
from test_postgres import cluster, fleet
from test_raffle import Between, url_of

__all__ = ["cluster", "fleet"]  # fixtures

needs_postgres = pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL's server is not installed")


def listed(server, key, **query):
  """All pages, by their cursors."""
  outcomes, side = [], "before" if "before" in query or "after" not in query else "after"
  while True:
    answer = server.get("/api/outcomes", query, key=key)
    assert answer.status == 200, answer
    page = answer.json()
    outcomes += page["outcomes"]
    if not page["hasMore"]:
      return outcomes
    query[side] = page["next" if side == "after" else "before"]


def test_pages_of_an_account(server, account):
  live, test, other = server.key(account), server.key(account, "test"), server.key()
  assert server.get("/api/outcomes", key=live).json() == {"outcomes": [], "next": "0", "before": "0", "hasMore": False}
  drawn = []
  for index in range(9):
    drawn.append(server.draw("ints" if index % 3 else "dice", {"clientSeed": f"seed {index % 4}", **({} if index % 3 else {"notation": "d6"})}, key=live).json())
    assert server.draw("ints", key=other).status == server.draw("floats", {"count": index + 1}, key=test).status == 200
  committed = server.post("/api/commit", key=live).json()["commitId"]
  drawn.append(server.post("/api/reveal", {"commitId": committed, "clientSeed": "seed 0", "endpoint": "ints"}, key=live).json())
  batch = server.post("/api/batch", {"draws": [{"endpoint": "floats"}, {"endpoint": "nothing"}, {"endpoint": "floats"}]}, key=live).json()
  drawn += [result["outcome"] for result in batch["results"] if result["ok"]]
  for limit in (1, 5, 1000):
    assert listed(server, live, limit=limit) == drawn[::-1]
    assert listed(server, server.key(account), limit=limit, after="0") == drawn
  assert listed(server, live, endpoint="dice", limit=2) == [one for one in drawn[::-1] if one["endpoint"] == "dice"]
  assert [one["count"] for one in listed(server, test, after="0")] == list(range(1, 10))
  newest = server.get("/api/outcomes", {"limit": 1}, key=live).json()
  assert listed(server, live, after=newest["next"]) == []
  more = server.draw("ints", key=live).json()
  assert listed(server, live, after=newest["next"]) == [more]
  assert listed(server, live, after="2000-01-01") == [*drawn, more] and listed(server, live, after="9999-12-31T23:59:59.999Z") == []
  assert listed(server, live, before="2000-01-01") == []


# The command


class Listener:
  """`fairdraw listen --json`, read as it prints."""

  def __init__(self, url, key, *arguments):
    self.process = subprocess.Popen(
      [BINARY, "listen", "--json", *arguments], env=environment(FAIRDRAW_SERVER=url, FAIRDRAW_KEY=key), stdout=subprocess.PIPE,
      stderr=subprocess.PIPE, text=True)
    self.lines, self.errors = [], []
    self.threads = [threading.Thread(target=self.read, args=streams, daemon=True)
                    for streams in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))]
    for thread in self.threads:
      thread.start()

  @staticmethod
  def read(stream, lines):
    for line in stream:
      lines.append(line)

  @property
  def outcomes(self):
    return [json.loads(line) for line in list(self.lines)]

  def end(self, number=signal.SIGINT):
    """The cursor that it named last."""
    self.process.send_signal(number)
    assert self.process.wait(TIMEOUT) == 0
    for thread in self.threads:
      thread.join(TIMEOUT)
    [cursor] = re.findall(r"^To go on from here: --since (\S+)$", "".join(self.errors), re.MULTILINE)
    return cursor


@pytest.fixture
def listen():
  running = []

  def start(*arguments):
    running.append(Listener(*arguments))
    return running[-1]

  yield start
  for one in running:
    one.process.kill()
    one.process.wait(TIMEOUT)


def draw_while(servers, key, event, threads=3):
  """Draws with retries from three threads while `event` happens, and a little more; what was answered."""
  done, acknowledged, failures = threading.Event(), [], []

  def client(number):
    connection = Client(servers[number % len(servers)])
    try:
      while not done.is_set():
        name = unique("draw")
        if len(acknowledged) % 5 == 0:
          request = ("POST", "/api/batch"), {"body": {"draws": [{"endpoint": "floats", "params": {"clientSeed": name}}] * 3}}
        else:
          request = ("GET", "/api/ints"), {"query": {"clientSeed": f"{number}"}}
        answer, _ = connection.until_answered(*request[0], **request[1], key=key, idempotency=name)
        assert answer.status == 200, answer
        acknowledged.extend([one["outcome"] for one in answer.json()["results"]] if "results" in answer.json() else [answer.json()])
    except BaseException as failure:
      failures.append(failure)
    finally:
      connection.close()

  running = [threading.Thread(target=client, args=(number,)) for number in range(threads)]
  for thread in running:
    thread.start()

  def more(count=60):
    wanted = len(acknowledged) + count
    wait_until(lambda: failures or len(acknowledged) >= wanted, "draws are answered", timeout=120)

  try:
    more()
    event(more)
    more()
  finally:
    done.set()
    for thread in running:
      thread.join(120)
  assert not failures, failures
  return acknowledged


def check(listener, acknowledged, server, key):
  """What was printed is what is recorded, in the order of the list, each once; and so is what was answered."""
  wait_until(lambda: len(listener.lines) >= len(acknowledged), "all is printed", timeout=60)
  recorded = listed(server, key, after="0", limit=1000)
  assert listener.outcomes == recorded
  short_ids = [one["shortId"] for one in recorded]
  assert len(set(short_ids)) == len(short_ids) and set(short_ids) == {one["shortId"] for one in acknowledged}


@pytest.fixture
def address():
  """An address for a server that stays while the server is started anew."""
  made = []

  def of(server):
    made.append(Between(server))
    return made[-1].url

  yield of
  for one in made:
    one.shutdown()


def test_nothing_is_missed_or_doubled_while_the_server_is_killed(serve, listen, address):
  server = serve(folder="listened", FAIRDRAW_PUBLIC_URL="https://draws.example")  # whatever its port
  key = server.key(server.account("--daily-quota", 10**6))
  listener = listen(address(server), key, "--since", "0")

  def kill(more):
    for _ in range(2):
      server.kill()
      server.start()
      more()

  acknowledged = draw_while([server], key, kill)
  check(listener, acknowledged, server, key)
  assert any("trying again" in line for line in listener.errors)
  # Where it ends, another goes on.
  cursor = listener.end()
  drawn = server.draw("ints", key=key).json()
  second = listen(url_of(server), key, "--since", cursor)
  wait_until(lambda: second.lines, "the next outcome is printed")
  assert second.outcomes == [drawn]
  second.end(signal.SIGTERM)


@needs_postgres
def test_nothing_is_missed_or_doubled_with_two_servers(fleet, listen, address):
  servers = fleet.start(2)
  key = fleet.key(fleet.account("--daily-quota", "1000000"))
  listeners = [listen(address(server), key, "--since", "0") for server in servers]

  def kill(more):
    for server in servers:
      server.kill()
      more(20)
      server.start()
      more()

  acknowledged = draw_while(servers, key, kill)
  for listener in listeners:
    check(listener, acknowledged, servers[0], key)


def test_it_begins_now_and_can_be_limited_to_an_endpoint(server, listen):
  key = server.key()
  for endpoint in ("ints", "floats"):
    assert server.draw(endpoint, key=key).status == 200
  everything, floats = listen(url_of(server), key), listen(url_of(server), key, "--endpoint", "floats")
  drawn = []

  def both_print():
    for endpoint in ("ints", "floats"):
      drawn.append(server.draw(endpoint, key=key).json())
    return everything.lines and floats.lines

  wait_until(both_print, "they are listening", pause=0.1)
  wait_until(lambda: everything.outcomes[-1:] == drawn[-1:] == floats.outcomes[-1:], "all is printed")
  assert everything.outcomes == drawn[-len(everything.lines):]
  assert floats.outcomes == [one for one in drawn if one["endpoint"] == "floats"][-len(floats.lines):]


def test_lines_for_people(server, live_key):
  drawn = [
    server.draw("dice", {"notation": "2d6+1", "clientSeed": "a\nb"}, key=live_key).json(),
    server.post("/api/shuffle", {"items": ["x" * 300, "\x1b[31m"], "clientSeed": "wide"}, key=live_key).json()]
  terminal, program = open_terminal()
  running = subprocess.Popen([BINARY, "listen", "--since", "0"], env=environment(FAIRDRAW_SERVER=url_of(server), FAIRDRAW_KEY=live_key), stdout=program)
  os.close(program)
  shown = b""
  while shown.count(b"\n") < 2:
    shown += os.read(terminal, 4096)
  running.send_signal(signal.SIGINT)
  assert running.wait(TIMEOUT) == 0
  os.close(terminal)
  first, second = shown.decode().replace("\r", "").splitlines()[:2]
  assert re.fullmatch(rf"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  {drawn[0]['shortId']}  dice  a\\u{{a}}b:0:0  {drawn[0]['outcome']['total']}", first)
  assert f"  {drawn[1]['shortId']}  shuffle  wide:0:0  " in second and "\x1b" not in second


def test_a_reader_that_goes_ends_it(server, live_key):
  for _ in range(5):
    assert server.draw("ints", key=live_key).status == 200
  command = f"'{BINARY}' listen --json --since 0 | head -3"
  done = subprocess.run(
    ["bash", "-o", "pipefail", "-c", command], env=environment(FAIRDRAW_SERVER=url_of(server), FAIRDRAW_KEY=live_key), capture_output=True,
    text=True, timeout=TIMEOUT)
  assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 3)


def test_keys_and_wrong_usage(server, live_key, tmp_path):
  def run(*arguments, **env):
    return subprocess.run([BINARY, "listen", *arguments], env=environment(FAIRDRAW_SERVER=url_of(server), **env), capture_output=True, text=True, timeout=TIMEOUT)

  for arguments, words in [
    ([], "API key"), (["--key", live_key, "--key-file", "x"], "--key-file"), (["--key-file", tmp_path / "none"], "--key-file"),
    (["--key", live_key, "--since", "yesterday"], "--since"), (["--key", live_key, "--endpoint", "coins"], "coins"), (["--key", "a b"], "--key"),
  ]:
    refused = run(*map(str, arguments))
    assert refused.returncode == 64 and words in refused.stderr and not refused.stdout, refused
  unknown = run(FAIRDRAW_KEY="pk_live_" + "x" * 43)
  assert unknown.returncode == 1 and "unknown or has been revoked" in unknown.stderr
  (tmp_path / "key").write_text(live_key + "\n")
  drawn = server.draw("ints", key=live_key).json()
  for arguments, env in ((["--key-file", tmp_path / "key"], {}), ([], {"FAIRDRAW_KEY_FILE": tmp_path / "key"})):
    running = subprocess.Popen([BINARY, "listen", "--json", "--since", "0", *arguments], env=environment(FAIRDRAW_SERVER=url_of(server), **env), stdout=subprocess.PIPE)
    assert json.loads(running.stdout.readline()) == drawn
    running.terminate()
    assert running.wait(TIMEOUT) == 0
