"""Standard input, output and error that are closed, full or broken: no command dies of it, and none hides a failure."""

import json
import os
import re
import signal
import subprocess

import pytest

from harness import BINARY, TIMEOUT, Server, environment, wait_until

# What a shell puts around a command, and why its output then cannot be written.
UNWRITABLE = {
  "full": ('exec "$@" >/dev/full', "No space left on device"),
  "closed": ('exec "$@" >&-', "Bad file descriptor"),
  "broken": ('mkfifo "$PIPE" && exec 3<>"$PIPE" 4>"$PIPE" && exec 3<&- && exec "$@" >&4', "Broken pipe"),
  "limited": ('ulimit -f 0 && exec "$@" >"$FILE"', "File too large"),
}


def shell(script, server, *arguments, **env):
  """Runs a command the way the script does; its data are the server's."""
  return subprocess.run(
    ["sh", "-c", script, "sh", BINARY, *map(str, arguments)], env=environment(FAIRDRAW_DATA=server.data, **env),
    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
  """A server with something of everything, and what commands need to name it."""
  folder = tmp_path_factory.mktemp("streams")
  with Server(folder / "data") as server:
    account = server.account()
    key = server.key(account)
    made = server.cli("webhook", "create", "--account", account, "--url", "https://hooks.example.com/", check=True)
    webhook = re.search(r"Webhook (\d+)", made.stderr)[1]
    server.cli("webhook", "test", webhook, check=True)
    outcome = server.draw("ints", {"clientSeed": "kept"}, key=key).json()
    revealed = server.post("/api/rotate", {"clientSeed": "kept"}, key=key).json()["revealed"]
    file = folder / "outcome.json"
    file.write_text(json.dumps({**outcome, "serverSeed": revealed["serverSeed"]}))
    yield server, {"ACCOUNT": account, "PREFIX": key[:16], "WEBHOOK": webhook, "SHORTID": outcome["shortId"], "OUTCOME": file}


PRINTING = [
  "--help", "--version", "serve --help", "account list", "account usage ACCOUNT", "account export ACCOUNT",
  "account export ACCOUNT --format csv", "key create --account ACCOUNT", "key list", "chain list --account ACCOUNT",
  "chain rotate --account ACCOUNT --client-seed kept", "outcomes list --account ACCOUNT --client-seed kept",
  "webhook create --account ACCOUNT --url https://other.example.com/", "webhook list", "webhook deliveries",
  "webhook rotate-secret WEBHOOK", "verify SHORTID", "verify OUTCOME --json", "merkle list",
]


def words(command, names):
  return [names.get(word, word) for word in command.split()]


def kept(server):
  """What there is of secrets; deliveries change other columns of a webhook at any time."""
  return [server.sql("SELECT * FROM api_keys ORDER BY 1"), server.sql("SELECT id, sealed_secret, sealed_old_secret FROM webhook_endpoints ORDER BY 1")]


@pytest.mark.parametrize("how", UNWRITABLE)
@pytest.mark.parametrize("command", PRINTING)
def test_a_command_whose_output_cannot_be_written_fails(filled, tmp_path, command, how):
  server, names = filled
  if command.startswith("chain rotate"):  # which needs an outcome of the seed that it reveals
    if how == "limited":
      return  # nor can its database be written
    key = server.key(names["ACCOUNT"])
    assert server.draw("ints", {"clientSeed": "kept"}, key=key).status == 200
    names = {**names, "PREFIX": key[:16]}
  before = kept(server)
  script, reason = UNWRITABLE[how]
  done = shell(script, server, *words(command, names), PIPE=tmp_path / "pipe", FILE=tmp_path / "file")
  assert (done.returncode, done.stdout) == (1, ""), done
  assert f"standard output cannot be written: {reason}" in done.stderr and done.stderr.startswith("fairdraw: "), done
  # A secret that could not be shown was not made, and none that was there is another.
  if not command.startswith("chain rotate"):
    assert kept(server) == before


@pytest.mark.parametrize("command", PRINTING)
def test_a_command_needs_no_other_stream(filled, command):
  server, names = filled
  if command.startswith("chain rotate"):
    key = server.key(names["ACCOUNT"])
    server.draw("ints", {"clientSeed": "kept"}, key=key)
    names = {**names, "PREFIX": key[:16]}
  for script in ('exec "$@" 2>&-', 'exec "$@" <&-', 'exec "$@" <&- 2>&-', 'exec "$@" 2>/dev/full'):
    if command.startswith("chain rotate"):
      server.draw("ints", {"clientSeed": "kept"}, key=key)
    done = shell(script, server, *words(command, names))
    assert done.returncode == 0 and done.stdout, (script, done)


@pytest.mark.parametrize("command", ["account create NAME --email a@example.com", "account password ACCOUNT --email b@example.com", "verify -"])
def test_a_command_that_reads_says_that_it_cannot(filled, command):
  server, names = filled
  done = shell('exec "$@" <&-', server, *words(command, names))
  assert done.returncode == 1 and "standard input" in done.stderr and "Error" not in done.stderr, done


def test_a_secret_that_was_shown_but_not_made_is_said_to_be_worthless(serve):
  server = serve()
  account = server.account()
  server.stop()
  # The database may be read but not written.
  server.alter("CREATE TRIGGER full BEFORE INSERT ON api_keys BEGIN SELECT RAISE(ABORT, 'no more keys'); END")
  done = server.cli("key", "create", "--account", account)
  assert done.returncode == 1 and "worthless" in done.stderr, done


def test_what_is_refused_prints_no_secret(serve):
  server = serve()
  account = server.account()
  for command in (["key", "create", "--account", "nobody"], ["webhook", "rotate-secret", 77], ["webhook", "create", "--account", "nobody", "--url", "https://a.example/"]):
    done = server.cli(*command)
    assert (done.returncode, done.stdout) == (1, ""), done
  for _ in range(10):
    server.cli("webhook", "create", "--account", account, "--url", "https://a.example/", check=True)
  done = server.cli("webhook", "create", "--account", account, "--url", "https://a.example/")
  assert (done.returncode, done.stdout) == (1, "") and "10 webhooks" in done.stderr, done


# Servers


class Shelled(Server):
  """A server whose streams the shell has arranged; what it says about itself cannot be read, so its port is chosen."""

  def __init__(self, data, port, script, **env):
    super().__init__(data, **env)
    self.port, self.script = port, script

  def start(self):
    command = [BINARY, "serve", "--port", str(self.port), "--data", str(self.data)]
    self.process = subprocess.Popen(["sh", "-c", self.script, "sh", *command], env=environment(**self.env), stderr=subprocess.DEVNULL)
    wait_until(self.answers, "it answers")
    return self

  def answers(self):
    assert self.process.poll() is None, f"it ended with {self.process.returncode}"
    try:
      return self.get("/api/health").status == 200
    except OSError:
      return False


@pytest.mark.parametrize("script", [
  'exec "$@" >/dev/full', 'exec "$@" >&-', 'exec "$@" 2>&-', 'exec "$@" <&-', 'exec "$@" <&- >&- 2>&-', 'exec "$@" 2>/dev/full',
  'exec "$@" >/dev/full 2>&1', 'mkfifo "$PIPE" && exec 3<>"$PIPE" 4>"$PIPE" && exec 3<&- && exec "$@" >&4 2>&1',
])
def test_a_server_runs_without_its_streams(tmp_path, free_port, script):
  with Shelled(tmp_path / "data", free_port, script, PIPE=tmp_path / "pipe") as server:
    for _ in range(20):
      assert server.draw("ints").status == 200
    # No file of the server's has the number of a stream.
    for number in range(3):
      place = os.readlink(f"/proc/{server.process.pid}/fd/{number}")
      assert not place.startswith(str(server.data)), place
    assert server.stop() == 0


def test_a_greeting_that_nobody_reads_is_in_the_log(tmp_path, free_port):
  with Shelled(tmp_path / "data", free_port, f'exec "$@" >/dev/full 2>"{tmp_path}/log"') as server:
    wait_until(lambda: "standard output cannot be written" in (tmp_path / "log").read_text(), "the log says so")
    assert server.stop() == 0


def test_a_log_that_can_be_written_again_says_what_was_lost(tmp_path, free_port):
  pipe = tmp_path / "log"
  os.mkfifo(pipe)
  reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
  with Shelled(tmp_path / "data", free_port, f'exec "$@" 2>"{pipe}"') as server:
    os.close(reader)
    for _ in range(7):  # each with a line that goes nowhere
      assert server.draw("ints").status == 200
    reader = os.open(pipe, os.O_RDONLY)

    def told():
      server.draw("ints")  # whose line may be the one that says it; a refusal has a line too
      for line in os.read(reader, 1 << 20).splitlines():
        entry = json.loads(line)
        if entry["message"] == "log lines were dropped":
          return entry["dropped"]

    assert wait_until(told, "the loss is told") >= 1
    assert server.stop() == 0
  os.close(reader)


def test_a_log_that_nobody_reads_does_not_hold_a_server(tmp_path, free_port):
  pipe = tmp_path / "log"
  os.mkfifo(pipe)
  reader = os.open(pipe, os.O_RDWR)
  with Shelled(tmp_path / "data", free_port, f'exec "$@" 2>"{pipe}"') as server:
    with server.connect() as connection:
      for _ in range(500):  # more than a pipe holds
        assert connection.get("/api/ints").status == 200
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
  os.close(reader)
