"""`fairdraw doctor` and `fairdraw status`, and the settings file that they and all commands read."""

import contextlib
import http.client
import http.server
import os
import re
import shutil
import threading

import pytest

import postgres
from harness import Server, cli, wait_until
from test_cosigning import address, needs_postgres
from test_log_proofs import WITNESS_VKEYS
from test_witness import Witness

LINE = re.compile(r"^(ok|warning|wrong) +(\S+(?: \S+)*?)  +(.*)$")


def doctor(*arguments, data=None, **env):
  """Its exit code, and its lines: (verdict, subject, finding)."""
  done = cli("doctor", *arguments, data=data, env=env)
  assert done.stderr == "", done.stderr
  lines = [LINE.match(line) for line in done.stdout.splitlines()]
  assert all(lines), done.stdout
  return done.returncode, [line.groups() for line in lines]


def found(lines, subject, verdict=None):
  """The findings on a subject, of a verdict if it is given."""
  return [finding for one, about, finding in lines if about == subject and verdict in (None, one)]


def running(server, **more):
  """What tells the command of a server."""
  return {"FAIRDRAW_PORT": server.port, "FAIRDRAW_PUBLIC_URL": f"http://127.0.0.1:{server.port}", "FAIRDRAW_TRUSTED_PROXIES": "127.0.0.1", **more}


def test_all_is_ok_beside_a_running_server(serve):
  server = serve()
  account = server.account()
  server.key(account)
  server.key(account, "test")
  assert server.draw("ints").status == 200
  code, lines = doctor(data=server.data, **running(server))
  assert code == 0 and {verdict for verdict, _, _ in lines} == {"ok"}, lines
  assert {about for _, about, _ in lines} >= {
    "setting", "public-url", "proxy", "addresses", "data folder", "master key", "file", "disk space", "server", "database", "sync time", "clock", "keys",
    "log", "webhooks"}
  assert found(lines, "keys") == ["1 accounts with 1 live and 1 test keys; 0 revoked"]
  assert found(lines, "database")[0].startswith("SQLite 3.")
  assert found(lines, "webhooks") == ["0 deliveries are pending"]
  # It has changed nothing.
  assert server.draw("ints").json()["nonce"] == 1


def test_each_setting_says_where_it_comes_from(tmp_path):
  conf = tmp_path / "fairdraw.conf"
  conf.write_text("# A comment\n\nport = 8099\ndaily-quota=7\nanonymous =\n  host = 127.0.0.2  \n")
  _, lines = doctor(data=tmp_path / "data", FAIRDRAW_CONFIG=conf, FAIRDRAW_DAILY_QUOTA=8)
  settings = found(lines, "setting")
  for line in (
    f"data = {tmp_path / 'data'} (option)", "daily-quota = 8 (FAIRDRAW_DAILY_QUOTA)", f"port = 8099 ({conf})", f"host = 127.0.0.2 ({conf})",
    "anonymous = no limit (default)", "commit-ttl-ms = 600000 (default)", "sign-up = false (default)", "witness = none (default)",
  ):
    assert line in settings, settings
  options = set(re.findall(r"^  --([a-z-]+)", cli("serve", "--help", check=True).stdout, re.MULTILINE)) - {"version", "help"}
  assert {line.split(" = ")[0] for line in settings} == options


def test_a_password_is_not_shown(tmp_path):
  url = "postgres://someone:s3cr3t@127.0.0.1:1/none"
  code, lines = doctor(data=tmp_path / "data", FAIRDRAW_DATABASE=url)
  assert code == 1 and found(lines, "database", "wrong")
  assert not [finding for _, _, finding in lines if "s3cr3t" in finding]


@pytest.mark.parametrize("text, mentions", [
  ("port = 1\nprot = 2\n", 'line 2: there is no setting "prot"'), ("port\n", "line 1: a setting must be written"),
  ("port = 1\nport = 2\n", 'line 2: "port" is set twice'),
])
def test_a_settings_file_that_is_wrong_stops_every_command(tmp_path, text, mentions):
  conf = tmp_path / "fairdraw.conf"
  conf.write_text(text)
  for command in ("serve", "status", "account list"):
    done = cli(*command.split(), data=tmp_path / "data" if command != "status" else None, env={"FAIRDRAW_CONFIG": conf})
    assert done.returncode == 1 and f"{conf}, {mentions}" in done.stderr, done
  assert not (tmp_path / "data").exists()
  assert cli("--version", env={"FAIRDRAW_CONFIG": conf}).returncode == 0


def test_a_settings_file_that_is_named_must_be_there(tmp_path):
  done = cli("status", env={"FAIRDRAW_CONFIG": tmp_path / "none"})
  assert done.returncode == 1 and str(tmp_path / "none") in done.stderr


def test_a_server_takes_its_settings_from_the_file(serve, tmp_path):
  conf = tmp_path / "fairdraw.conf"
  conf.write_text("daily-quota = 1\npublic-url = https://draws.example\n")
  server = serve(FAIRDRAW_CONFIG=conf)
  key = server.key(server.account())
  assert server.draw("ints", key=key).json()["permalink"].startswith("https://draws.example/o/")
  assert server.draw("ints", key=key).code == "quota_exceeded"


def test_a_setting_that_is_wrong_is_named(tmp_path):
  code, lines = doctor(data=tmp_path / "data", FAIRDRAW_PORT="abc")
  assert code == 1 and "FAIRDRAW_PORT" in found(lines, "settings", "wrong")[0]


def test_a_fresh_machine_has_only_warnings_and_stays_as_it_is(tmp_path, free_port):
  code, lines = doctor(data=tmp_path / "data", FAIRDRAW_PORT=free_port)
  assert code == 2 and not [line for line in lines if line[0] == "wrong"], lines
  assert "not set" in found(lines, "public-url", "warning")[0]
  assert "no server responds" in found(lines, "server", "warning")[0]
  assert "first start" in found(lines, "database", "warning")[0]
  assert not (tmp_path / "data").exists()


def test_files_that_others_may_read_are_named(serve):
  server = serve()
  (server.data / "master.key").chmod(0o644)
  server.data.chmod(0o755)
  code, lines = doctor(data=server.data, **running(server))
  assert code == 2
  assert f"chmod 600 {server.data / 'master.key'}" in found(lines, "master key", "warning")[0]
  assert f"chmod 700 {server.data}" in found(lines, "data folder", "warning")[0]


def test_an_https_server_without_trusted_proxies_is_warned_of(serve):
  server = serve()
  _, lines = doctor(data=server.data, FAIRDRAW_PORT=server.port, FAIRDRAW_PUBLIC_URL="https://127.0.0.1:1")
  assert "trusted-proxies" in found(lines, "proxy", "warning")[0]
  assert found(lines, "public-url", "warning")  # it leads nowhere


@contextlib.contextmanager
def proxy(server, forwarded):
  """A proxy on 127.0.0.1 that makes X-Forwarded-For of what it was sent, if there was any, with `forwarded`; its URL."""

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      headers = {name: value for name, value in self.headers.items() if name.lower() not in ("x-forwarded-for", "host")}
      if value := forwarded(self.headers.get("X-Forwarded-For")):
        headers["X-Forwarded-For"] = value
      with contextlib.closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        connection.request("GET", self.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
      self.send_response(answer.status)
      self.send_header("Content-Length", str(len(body)))
      self.end_headers()
      self.wfile.write(body)

    def log_message(self, *_):
      pass

  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()


def added(address):
  return lambda sent: f"{sent}, {address}" if sent else address


@pytest.mark.parametrize("forwarded, trusted, verdict, mentions", [
  (added("203.0.113.9"), "127.0.0.1", "ok", "takes it to be at 203.0.113.9"),
  (lambda sent: "203.0.113.9", "127.0.0.0/8", "ok", "takes it to be at 203.0.113.9"),
  (added("[2001:db8::9]:4711"), "127.0.0.1", "ok", "takes it to be at 2001:db8::9"),
  (added("203.0.113.9"), "", "warning", "is not in trusted-proxies"),
  (added("203.0.113.9"), "10.0.0.0/8", "warning", "is not in trusted-proxies"),
  (added("127.0.0.1"), "127.0.0.1", "ok", "in trusted-proxies itself"),
  (lambda sent: sent, "127.0.0.1", "wrong", "can claim any address"),
  (lambda sent: None, "127.0.0.1", "warning", "adds no X-Forwarded-For"),
  (lambda sent: None, "", "warning", "adds no X-Forwarded-For"),
  (lambda sent: "unknown", "127.0.0.1", "warning", "adds no X-Forwarded-For"),
])
def test_it_says_whose_address_comes_through_a_proxy(serve, forwarded, trusted, verdict, mentions):
  server = serve(FAIRDRAW_TRUSTED_PROXIES=trusted)
  with proxy(server, forwarded) as url:
    code, lines = doctor(data=server.data, **running(server, FAIRDRAW_PUBLIC_URL=url, FAIRDRAW_TRUSTED_PROXIES=trusted or "10.0.0.1"))
  [finding] = found(lines, "addresses", verdict)
  assert mentions in finding, finding
  assert code == {"ok": 0, "warning": 2, "wrong": 1}[verdict], lines


def test_without_a_proxy_callers_have_their_own_address(serve):
  server = serve()
  _, lines = doctor(data=server.data, **running(server))
  assert found(lines, "addresses", "ok") == ["callers connect directly, this command as 127.0.0.1"]


def test_only_who_has_the_master_key_learns_what_address_is_seen(serve):
  server = serve()
  other = serve(folder="other")
  unknown = server.get("/no/such/page")
  for headers in ({}, {"Fairdraw-Operator": ""}, {"Fairdraw-Operator": "1.AAAA"}, {"Fairdraw-Operator": "9" * 5000}):
    answer = server.get("/operator/address", headers=headers)
    assert (answer.status, answer.code, answer.error) == (404, unknown.code, unknown.error)
  _, lines = doctor(data=other.data, **running(server))
  assert "another master key" in found(lines, "addresses", "warning")[0]


def test_a_database_that_went_back_is_wrong(serve, tmp_path):
  server = serve()
  assert server.draw("ints").status == 200
  server.stop()
  shutil.copy(server.data / "fairdraw.db", tmp_path / "old.db")
  server.start()
  drawn = server.draw("ints").json()["shortId"]
  wait_until(lambda: server.get(f"/api/proof/{drawn}").status == 200, "the draw is in the log")
  [kept] = server.data.glob("log-*.checkpoint")
  wait_until(lambda: kept.read_text() == server.get("/log/0/checkpoint").body.decode(), "the server has kept its checkpoint")
  server.stop()
  for name in ("fairdraw.db-wal", "fairdraw.db-shm"):
    (server.data / name).unlink(missing_ok=True)
  shutil.copy(tmp_path / "old.db", server.data / "fairdraw.db")
  code, lines = doctor(data=server.data)
  assert code == 1 and "gone back" in found(lines, "log", "wrong")[0]


def test_witnesses_are_ok_once_they_have_cosigned(serve, tmp_path):
  server = serve()
  log = server.get("/api/keys").json()["log"]["vkey"]
  with Witness(tmp_path / "witness", logs=(log,)) as witness:
    wanted = f"{address(witness)} http://127.0.0.1:1={WITNESS_VKEYS[0]}"
    server.stop()
    server.env["FAIRDRAW_WITNESS"] = wanted
    server.start()
    wait_until(lambda: server.get("/log/0/cosigned").status == 200, "the checkpoint is cosigned")
    code, lines = doctor(data=server.data, **running(server, FAIRDRAW_WITNESS=wanted))
  assert code == 2, lines
  assert witness.vkey.split("+")[0] in found(lines, "witness", "ok")[0]
  assert WITNESS_VKEYS[0].split("+")[0] in found(lines, "witness", "warning")[0]


@needs_postgres
def test_postgresql_is_asked_for_its_version_and_its_clock(tmp_path):
  with postgres.Cluster() as cluster:
    with Server(tmp_path / "data", FAIRDRAW_DATABASE=cluster.url("postgres")) as server:
      code, lines = doctor(data=server.data, **running(server, FAIRDRAW_DATABASE=cluster.url("postgres")))
      assert code == 0, lines
      assert found(lines, "database")[0].startswith("PostgreSQL ")
      assert re.fullmatch(r"this machine's and the database's differ by \d+ ms", found(lines, "clock")[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_what_root_does_with_the_data_of_another_user_belongs_to_that_user(tmp_path):
  for folder in (tmp_path, *tmp_path.parents):
    if str(folder).startswith(os.environ.get("TMPDIR", "/tmp")) and folder.owner() == "root" and len(folder.parts) > 2:
      folder.chmod(folder.stat().st_mode | 0o011)
  data = tmp_path / "data"
  data.mkdir(0o700)
  shutil.chown(data, "nobody", "nogroup")
  cli("account", "create", "A game", data=data, check=True)
  assert {(file.owner(), file.group()) for file in data.iterdir()} == {("nobody", "nogroup")}


# status


def test_status_of_a_running_server(serve):
  server = serve()
  for arguments, env in ([], {"FAIRDRAW_PORT": server.port}), (["--url", f"http://127.0.0.1:{server.port}/"], {}):
    done = cli("status", *arguments, env=env)
    assert done.returncode == 0, done
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in done.stdout.splitlines())
    assert rows["status"] == "ok" and rows["database"] == "ok" and rows["version"] == cli("--version").stdout.strip()
    assert re.fullmatch(r"\d+ min \d+ s", rows["uptime"]) and rows["failed groups"] == "0"


def test_status_of_a_server_that_is_not_well(serve):
  server = serve()
  server.draw("ints")
  (server.data / "fairdraw.db").rename(server.data / "elsewhere.db")
  wait_until(lambda: server.get("/api/health").status == 503, "the server notices that its file is gone")
  done = cli("status", env={"FAIRDRAW_PORT": server.port})
  assert done.returncode == 1 and "not well: degraded" in done.stderr and re.search("^status +degraded$", done.stdout, re.MULTILINE)


def test_status_without_a_server(free_port):
  done = cli("status", env={"FAIRDRAW_PORT": free_port})
  assert done.returncode == 1 and done.stdout == "" and "connection was refused" in done.stderr


def test_status_of_something_else():
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
    threading.Thread(target=other.serve_forever, daemon=True).start()
    done = cli("status", "--url", f"http://127.0.0.1:{other.server_port}")
    other.shutdown()
  assert done.returncode == 1 and "not as Fairdraw does" in done.stderr
