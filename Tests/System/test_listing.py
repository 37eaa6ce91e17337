"""Lists of the command line: as tables that fit a terminal, and as JSON for programs."""

import fcntl
import json
import os
import struct
import subprocess
import termios

import pytest

from harness import BINARY, TIMEOUT, cli, environment, open_terminal, unique


@pytest.fixture
def filled(server, client_seed):
  """An account that every list has something of; its name."""
  account = server.account("--daily-quota", "7", name=unique("Ünïcode") + " \"quoted\"")
  key = server.key(account, "live", "--name", "a name that is long enough to be shortened on a narrow terminal", "--allow-ip", "127.0.0.0/8", "--allow-ip", "::1/128")
  assert server.draw("ints", {"clientSeed": client_seed}, key=key).status == 200
  server.cli("webhook", "create", "--account", account, "--url", "https://example.com/" + "x" * 150, "--events", "outcome.created", check=True)
  return account


def lines(server, *arguments):
  done = server.cli(*arguments, "--json", check=True)
  assert "\x1b" not in done.stdout
  return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_list_as_json(server, filled, client_seed):
  [account] = [one for one in lines(server, "account", "list") if one["name"] == filled]
  assert set(account) == {"id", "name", "dailyQuota", "created", "email"}
  assert (account["dailyQuota"], account["email"]) == (7, None) and type(account["id"]) is type(account["created"]) is int
  plain = server.account()
  assert [one["dailyQuota"] for one in lines(server, "account", "list") if one["name"] == plain] == [None]

  [key] = [one for one in lines(server, "key", "list") if one["account"] == filled]
  assert key["name"].startswith("a name that is long") and (key["mode"], key["state"], key["denied"]) == ("live", "active", 0)
  assert key["scopes"] == ["draw", "read"] and key["addresses"] == ["127.0.0.0/8", "::1/128"] and key["referers"] == []
  revoked = server.key(filled)
  server.cli("key", "revoke", revoked[:16], check=True)
  states = [(one["state"], type(one["revoked"])) for one in lines(server, "key", "list") if one["account"] == filled]
  assert sorted(states, key=str) == [("active", type(None)), ("revoked", int)]
  assert key["lastUsed"] is None or type(key["lastUsed"]) is int

  [webhook] = lines(server, "webhook", "list", "--account", filled)
  assert webhook["url"].endswith("x" * 150) and webhook["events"] == ["outcome.created"] and webhook["publicKey"].startswith("whpk_")
  [chain] = lines(server, "chain", "list", "--account", filled)
  assert (chain["clientSeed"], chain["cursor"], chain["nonce"]) == (client_seed, 0, 1) and len(chain["serverHash"]) == 64
  [usage] = lines(server, "account", "usage", filled)
  assert (usage["endpoint"], usage["outcomes"]) == ("ints", 1)
  assert isinstance(lines(server, "merkle", "list"), list) and isinstance(lines(server, "era", "list"), list)
  server.cli("webhook", "test", webhook["id"], check=True)
  [delivery] = [one for one in lines(server, "webhook", "deliveries", "--account", filled) if one["event"] == "test"]
  assert delivery["webhook"] == webhook["id"] and delivery["outcome"] is None and type(delivery["attempts"]) is int


def test_doctor_and_status_as_json(server):
  done = cli("status", "--url", f"http://{server.host}:{server.port}", "--json", check=True)
  assert json.loads(done.stdout)["status"] == "ok"
  checks = [json.loads(line) for line in server.cli("doctor", "--json").stdout.splitlines()]
  assert checks and all(set(one) == {"verdict", "subject", "finding"} for one in checks)
  assert {one["verdict"] for one in checks} <= {"ok", "warning", "wrong"}


def on_terminal(server, *arguments, columns=80, **env):
  """What a command prints on a terminal that is so wide."""
  primary, secondary = open_terminal()
  fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
  running = subprocess.Popen(
    [BINARY, *map(str, arguments), "--data", str(server.data)], stdin=subprocess.DEVNULL, stdout=secondary, stderr=subprocess.PIPE,
    env=environment(**{"TERM": "xterm", "NO_COLOR": "", **env}))
  os.close(secondary)
  output = b""
  while True:
    try:
      piece = os.read(primary, 65536)
    except OSError:  # the terminal's other end is closed
      break
    if not piece:
      break
    output += piece
  os.close(primary)
  assert running.wait(TIMEOUT) == 0, running.stderr.read()
  running.stderr.close()
  return output.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 200])
def test_a_table_fits_the_terminal(server, filled, columns):
  text = on_terminal(server, "webhook", "list", "--account", filled, columns=columns, NO_COLOR=1)
  rows = text.splitlines()
  assert len(rows) == 2 and max(map(len, rows)) <= columns and "…" in rows[1]
  # What is no terminal gets all of it.
  assert "x" * 150 in server.cli("webhook", "list", "--account", filled, check=True).stdout


def test_colours(server, filled):
  assert on_terminal(server, "account", "usage", filled).startswith("\x1b[1mDATE")
  for env in ({"NO_COLOR": 1}, {"TERM": "dumb"}):
    assert "\x1b" not in on_terminal(server, "account", "usage", filled, **env)
  assert "\x1b" not in server.cli("account", "usage", filled, check=True).stdout
  assert "\x1b" not in on_terminal(server, "account", "usage", filled, "--json")
