"""`fairdraw draw`: a draw from a shell, sent again under one key until there is an answer."""

import json
import signal
import subprocess

import pytest

from harness import BINARY, DRAWS, REQUIRED, TIMEOUT, cli, environment, unique
from test_raffle import Between, between, outcomes, refused, url_of

__all__ = ["between"]  # a fixture


def draw(url, *arguments, key=None, **rest):
  return cli("draw", *arguments, env={"FAIRDRAW_SERVER": url, **({"FAIRDRAW_KEY": key} if key else {})}, **rest)


@pytest.mark.parametrize("endpoint", DRAWS)
def test_every_endpoint(server, live_key, client_seed, endpoint):
  given = [f"{name}={json.dumps(value) if name == 'items' else value}" for name, value in REQUIRED.get(endpoint, {}).items()]
  seed = f"{client_seed}-{endpoint}"
  done = draw(url_of(server), endpoint, *given, "--client-seed", seed, "--json", key=live_key, check=True)
  [drawn] = outcomes(server, seed, live_key)
  assert json.loads(done.stdout) == drawn and done.stdout.count("\n") == 1
  assert done.stderr == ""


def test_values_are_one_a_line(server, live_key, client_seed, tmp_path):
  url = url_of(server)
  items = tmp_path / "items.txt"
  items.write_text("a b\r\n\nc,d\n")
  (tmp_path / "items.json").write_text('["x", {"y": 1}]')
  for arguments, expected in [
    (["ints", "count=3", "min=-5", "max=-5"], ["-5", "-5", "-5"]), (["dice", "notation=3d2+10"], None),
    (["shuffle", "items=one,two"], ["one", "two"]), (["shuffle", f"items=@{items}"], ["a b", "c,d"]),
    (["shuffle", f"items=@{tmp_path / 'items.json'}"], ['{"y":1}', "x"]), (["pick", "items=[[1,2]]", "weights=1"], ["1", "2"]),
  ]:
    done = draw(url, *arguments, "--client-seed", client_seed, key=live_key, check=True)
    lines = done.stdout.splitlines()
    if expected is None:
      assert len(lines) == 1 and 13 <= int(lines[0]) <= 16
    else:
      assert sorted(lines) == sorted(expected)
    newest = outcomes(server, client_seed, live_key)[0]
    assert done.stderr == newest["permalink"] + "\n"


@pytest.mark.parametrize("arguments, words", [
  (["ints", "min=7", "max=1"], "max"), (["ints", "cuont=1"], "cuont"), (["shuffle"], "items required"), (["dice", "notation=d"], "notation"),
])
def test_what_the_server_refuses(server, unchanged, live_key, arguments, words):
  refused(draw(url_of(server), *arguments, key=live_key), words)


def test_an_unknown_key_is_refused_once(server, unchanged, between):
  refused(draw(between.url, "ints", key="pk_live_" + "x" * 43), "key")
  assert len(between.sent) == 1


@pytest.mark.parametrize("arguments", [
  [], ["nonsense"], ["ints", "count"], ["ints", "=1"], ["ints", "count=1", "count=2"], ["ints", "clientSeed=a", "--client-seed", "b"],
  ["ints", "--idempotency-key", ""], ["ints", "--idempotency-key", "ä"], ["ints", "--retry-for", "-1"], ["ints", "--retry-for", "86401"],
  ["ints", "--server", "ftp://example.com"],
], ids=" ".join)
def test_wrong_usage(arguments):
  refused(cli("draw", *arguments), status=64)


def test_retries_have_one_key_and_draw_once(server, live_key, client_seed, between):
  """The first answers are lost after the draw, or are errors; the last one is a replay of the first."""
  answers = []

  def lose(forward):
    answers.append(forward())
    if len(answers) == 1:
      return None
    if len(answers) == 2:
      return 500, {"Content-Type": "application/json", "Content-Length": "15"}, b'{"error":"bad"}'
    return answers[-1]

  between.rules["/api/ints"] = lose
  done = draw(between.url, "ints", "--client-seed", client_seed, "--json", key=live_key, check=True)
  assert done.stdout.encode().strip() == answers[0][2] and len(answers) == 3
  assert len(outcomes(server, client_seed, live_key)) == 1
  keys = {headers.get("Idempotency-Key") for _, _, headers, _ in between.sent}
  assert len(keys) == 1 and None not in keys
  assert done.stderr.count("trying again in") == 2


def test_a_retry_waits_as_long_as_it_is_asked_to(live_key, client_seed, between):
  told = []

  def busy(forward):
    if not told:
      told.append(1)
      return 503, {"Retry-After": "2", "Content-Type": "application/json", "Content-Length": "16"}, b'{"error":"busy"}'
    return forward()

  between.rules["/api/ints"] = busy
  done = draw(between.url, "ints", "--client-seed", client_seed, key=live_key, check=True)
  assert "503: busy; trying again in 2.0 s" in done.stderr


def test_no_answer_in_time_and_the_same_key_later(server, live_key, client_seed, between):
  def lose(forward):
    forward()

  between.rules["/api/ints"] = lose
  name = unique("key")
  command = ["ints", "--client-seed", client_seed, "--json", "--idempotency-key", name]
  refused(draw(between.url, *command, "--retry-for", 0, key=live_key), f"add --idempotency-key {name}", status=75)
  assert len(between.sent) == 1
  between.rules = {}
  done = draw(between.url, *command, key=live_key, check=True)
  assert [json.loads(done.stdout)] == outcomes(server, client_seed, live_key)
  again = draw(between.url, "ints", "--client-seed", client_seed, "--idempotency-key", name, key=live_key, check=True)
  assert "drawn earlier under this key" in again.stderr
  refused(draw(between.url, "ints", "count=2", "--client-seed", client_seed, "--idempotency-key", name, key=live_key), "refused")


def test_an_anonymous_draw_is_not_sent_again_when_it_may_have_been_made(server, client_seed, between):
  between.rules["/api/ints"] = lambda forward: forward() and None
  refused(draw(between.url, "ints", "--client-seed", client_seed), "Without an API key", status=75)
  assert len(between.sent) == 1 and len(outcomes(server, client_seed)) == 1

  body = b'{"error": "Too much to do.", "code": "overloaded"}'
  overloaded = [(503, {"Content-Length": str(len(body)), "Content-Type": "application/json"}, body)]
  between.rules["/api/ints"] = lambda forward: overloaded.pop() if overloaded else forward()
  draw(between.url, "ints", "--client-seed", client_seed, check=True)
  assert len(between.sent) == 3 and len(outcomes(server, client_seed)) == 2


def test_a_spent_quota_is_an_answer(server):
  key = server.key(server.account("--daily-quota", "1"))
  draw(url_of(server), "ints", key=key, check=True)
  refused(draw(url_of(server), "ints", key=key), "quota")


def test_a_server_that_is_killed_while_it_draws(serve, client_seed):
  """kill -9 after the draw and before its answer; the command is still asking when the server is back."""
  server = serve(folder="killed")
  key = server.key()
  between = Between(server)
  drawn = between.kill_server_once("/api/floats")
  done = draw(between.url, "floats", "--client-seed", client_seed, "--json", key=key, check=True)
  assert json.loads(done.stdout)["outcome"] == drawn[0]["outcome"] and json.loads(done.stdout)["shortId"] == drawn[0]["shortId"]
  assert server.sql("SELECT count(*) FROM outcomes") == [(1,)]
  between.shutdown()


def test_it_can_be_interrupted(free_port):
  running = subprocess.Popen(
    [BINARY, "draw", "ints"], env=environment(FAIRDRAW_SERVER=f"http://127.0.0.1:{free_port}", FAIRDRAW_KEY="pk_live_" + "x" * 43),
    stderr=subprocess.PIPE, text=True,
    # Whoever runs the tests in the background may have SIGINT ignored.
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
  assert "the connection was refused; trying again in" in running.stderr.readline()
  running.send_signal(signal.SIGINT)
  running.communicate(timeout=TIMEOUT)
  assert running.returncode == -signal.SIGINT
