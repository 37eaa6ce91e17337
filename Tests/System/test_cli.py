"""The command line: accounts and keys beside a running server, help, errors, exit codes, and secrets kept secret."""

import hashlib
import re
import signal
import socket
import stat
import subprocess
import threading

import pytest

from harness import BINARY, DRAWS, Server, cli, environment, unique

KEY = re.compile(r"pk_(live|test)_[A-Za-z0-9_-]{32,}\n")


def failed(done, status=1, mentions=()):
  assert done.returncode == status, done
  assert done.stdout == ""
  assert done.stderr.strip()
  assert "Fatal" not in done.stderr and "Error Domain" not in done.stderr
  for word in [mentions] if isinstance(mentions, str) else mentions:
    assert word in done.stderr, done.stderr
  return True


# Help


@pytest.mark.parametrize("command, mentions", [
  ([], ["serve", "account", "key"]),
  (["serve"], ["--host", "--port", "--database", "--public-url", "--data", "127.0.0.1", "8080", "FAIRDRAW_"]),
  (["account"], ["create", "set", "list", "password", "usage", "export", "delete"]),
  (["account", "create"], ["--daily-quota", "--email"]),
  (["account", "set"], ["--daily-quota", "none"]),
  (["account", "export"], ["--format", "csv", "--public-url"]),
  (["account", "delete"], ["--yes"]),
  (["chain"], ["list", "rotate"]),
  (["chain", "rotate"], ["--account", "--client-seed"]),
  (["era", "begin"], ["--reason"]),
  (["verify"], ["--server-seed", "--items", "--seed-key", "--proof", "--key", "--policy"]),
  (["witness"], ["--log", "--data", "--host", "127.0.0.1", "--port", "8082", "--name"]),
  (["bytes"], ["--count", "--endless", "--server-seed", "--client-seed", "--generator", "dieharder"]),
  (["outcomes", "list"], ["--account", "--mode", "--client-seed", "--limit"]),
  (["import", "outcomes"], ["--account", "--dry-run", "csv", "json"]),
  (["account", "list"], ["--database"]),
  (["raffle"], ["--title", "--winners", "--reserves", "--column", "--duplicates", "--show", "--announce", "--value", "--server", "--key"]),
  (["draw"], ["--client-seed", "--idempotency-key", "--retry-for", "--json", "--server", "--key", *DRAWS]),
  (["key"], ["create", "set", "list", "revoke"]),
  (["key", "set"], ["--daily-quota", "none"]),
  (["key", "create"], ["--daily-quota", "--account", "--name", "--mode", "--allow-ip", "--allow-referer"]),
  (["key", "list"], ["--database"]),
  (["key", "revoke"], ["prefix"]),
  (["webhook"], ["create", "list", "delete", "test", "deliveries", "resend", "rotate-secret", "enable", "disable"]),
  (["webhook", "create"], ["--account", "--url", "secret"]),
  (["webhook", "deliveries"], ["--account", "--state", "--limit"]),
])
def test_help(command, mentions):
  done = cli(*command, "--help")
  assert (done.returncode, done.stderr) == (0, "")
  for word in mentions:
    assert word.lower() in done.stdout.lower()


def test_version():
  done = cli("--version")
  assert done.returncode == 0
  assert re.search(r"\d+\.\d+\.\d+", done.stdout)


@pytest.mark.parametrize("command", [
  ["nonsense"], ["serve", "--nonsense"], ["serve", "--port", "abc"], ["serve", "--port", "65536"], ["serve", "--port", "-1"], ["account"],
  ["account", "create"], ["account", "create", "a", "b"], ["account", "create", "a", "--daily-quota", "abc"], ["account", "create", "a", "--daily-quota", "-1"],
  ["account", "set", "a"], ["account", "set", "a", "--daily-quota", "2147483648"], ["account", "set", "a", "--daily-quota", "all"],
  ["key"], ["key", "create"], ["key", "create", "--account", "a", "--mode", "dead"], ["key", "revoke"],
  ["key", "create", "--account", "a", "--daily-quota", "few"], ["key", "set", "pk_live_a"], ["key", "set", "pk_live_a", "--daily-quota", "-1"],
  ["key", "create", "--account", "a", "--allow-ip", "nonsense"], ["key", "create", "--account", "a", "--allow-ip", "10.0.0.0/33"],
  ["key", "create", "--account", "a", "--allow-ip", "::/129"], ["key", "create", "--account", "a", "--allow-ip", "10.0.0.0/-1"],
  ["key", "create", "--account", "a", "--allow-referer", "example.com"], ["key", "create", "--account", "a", "--allow-referer", "https://"],
  ["key", "create", "--account", "a", "--allow-referer", "https://a.*.example"], ["key", "create", "--account", "a", "--allow-referer", "https://a.example/path"],
  ["account", "list", "--database", "mysql://nowhere"],
], ids=" ".join)
def test_wrong_usage(tmp_path, command):
  done = subprocess.run(
    [BINARY, *command], env=environment(FAIRDRAW_DATA=tmp_path / "data"), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
  if command in (["account"], ["key"]):  # a group without its verb explains itself
    assert "create" in done.stdout + done.stderr
  else:
    assert failed(done, 64)


@pytest.mark.parametrize("name, value", [
  ("FAIRDRAW_PORT", "abc"), ("FAIRDRAW_DAILY_QUOTA", "many"), ("FAIRDRAW_RATE_LIMIT_PER_MINUTE", "-1"), ("FAIRDRAW_TRUSTED_PROXIES", "nonsense"),
  ("FAIRDRAW_DATABASE", "mysql://nowhere"), ("FAIRDRAW_LOG_LEVEL", "shout"),
])
def test_a_bad_environment_variable_is_named(tmp_path, name, value):
  done = cli("serve", data=tmp_path / "data", env={"FAIRDRAW_PORT": 0, name: value})
  assert done.returncode in (1, 64) and failed(done, done.returncode)
  assert name in done.stderr or "--" + name[9:].lower().replace("_", "-") in done.stderr


# Accounts


@pytest.fixture
def data(tmp_path):
  return tmp_path / "data"


def test_accounts(data):
  assert cli("account", "create", "alice", data=data).returncode == 0
  assert cli("account", "create", "bob", "--daily-quota", 7, data=data).returncode == 0
  listed = cli("account", "list", data=data)
  assert listed.returncode == 0
  lines = listed.stdout.splitlines()
  assert any("alice" in line for line in lines)
  assert any("bob" in line and "7" in line for line in lines)


def test_an_account_is_created_once(data):
  cli("account", "create", "alice", data=data, check=True)
  assert failed(cli("account", "create", "alice", data=data), mentions="alice")


def test_names_are_bytes(data):
  for name in ("caf\u00e9", "cafe\u0301"):
    cli("account", "create", name, data=data, check=True)


# Keys


@pytest.mark.parametrize("mode", ["live", "test"])
def test_the_key_alone_is_on_standard_output(server, account, mode):
  done = server.cli("key", "create", "--account", account, "--mode", mode)
  assert done.returncode == 0
  assert KEY.fullmatch(done.stdout) and done.stdout.startswith(f"pk_{mode}_")
  assert done.stdout.strip() not in done.stderr


def test_live_is_the_default_mode(server, account):
  assert server.cli("key", "create", "--account", account).stdout.startswith("pk_live_")


def test_keys_are_all_different(server, account):
  assert len({server.key(account) for _ in range(5)}) == 5


def test_a_key_of_an_unknown_account(server):
  assert failed(server.cli("key", "create", "--account", "nobody"), mentions="nobody")


def test_key_list_shows_enough_to_revoke_and_too_little_to_use(server, account):
  live = server.key(account, "live", "--allow-ip", "192.0.2.0/24", "--allow-referer", "https://*.example.com")
  test = server.key(account, "test")
  server.cli("key", "revoke", test[:16], check=True)
  listed = server.cli("key", "list")
  assert listed.returncode == 0
  assert live not in listed.stdout and test not in listed.stdout
  live_line, test_line = (next(line for line in listed.stdout.splitlines() if key[:16] in line) for key in (live, test))
  for word in (account, "live", "192.0.2.0/24", "https://*.example.com"):
    assert word in live_line
  assert "test" in test_line and "revoked" in test_line.lower()
  assert "revoked" not in live_line.lower()


def test_revoking_an_unknown_key(server):
  assert failed(server.cli("key", "revoke", "pk_live_nothing"), mentions="pk_live_nothing")


def test_a_whole_key_pasted_into_revoke_is_not_repeated(server):
  unknown = "pk_live_" + "A" * 43
  done = server.cli("key", "revoke", unknown)
  assert failed(done) and unknown not in done.stderr


def test_revoking_more_than_one_key_at_once(server, account):
  server.key(account), server.key(account)
  assert failed(server.cli("key", "revoke", "pk_live_"))


def test_everything_works_beside_a_running_server_under_load(server, client_seed):
  """The command line writes to the same file the server is writing to."""
  stop = threading.Event()
  statuses = []

  def load():
    with server.connect() as connection:
      while not stop.is_set():
        statuses.append(connection.get("/api/ints", {"clientSeed": client_seed}).status)

  threads = [threading.Thread(target=load) for _ in range(8)]
  for thread in threads:
    thread.start()
  try:
    for _ in range(5):
      account = server.account()
      key = server.key(account)
      assert server.draw("ints", key=key).status == 200
      server.cli("key", "revoke", key[:16], check=True)
      server.cli("key", "list", check=True), server.cli("account", "list", check=True)
  finally:
    stop.set()
    for thread in threads:
      thread.join()
  assert set(statuses) == {200}


def test_the_database_may_be_named(tmp_path):
  url = f"sqlite:{tmp_path / 'elsewhere' / 'draws.db'}"
  done = cli("account", "create", "alice", "--database", url, data=tmp_path / "data")
  assert done.returncode == 0, done
  assert (tmp_path / "elsewhere" / "draws.db").exists()
  assert "alice" in cli("account", "list", env={"FAIRDRAW_DATABASE": url}, data=tmp_path / "data").stdout


def test_the_default_folder_is_the_users_own(tmp_path):
  home = tmp_path / "home"
  home.mkdir()
  run = lambda **env: subprocess.run([BINARY, "account", "create", unique("a")], env=environment(**env), capture_output=True, text=True, timeout=60)
  assert run(XDG_DATA_HOME=tmp_path / "xdg").returncode == 0
  assert (tmp_path / "xdg" / "fairdraw" / "fairdraw.db").exists()
  clean = {"HOME": home, "XDG_DATA_HOME": ""}
  assert run(**clean).returncode == 0
  assert (home / ".local" / "share" / "fairdraw" / "fairdraw.db").exists()


# serve


def test_a_port_in_use(tmp_path):
  with socket.create_server(("127.0.0.1", 0)) as taken:
    port = taken.getsockname()[1]
    done = cli("serve", "--port", port, data=tmp_path / "data")
  assert failed(done, mentions=[str(port), "in use"])


def test_flags_win_over_the_environment(tmp_path):
  with Server(tmp_path / "data", FAIRDRAW_PORT=1, FAIRDRAW_HOST="192.0.2.1") as server:
    assert server.get("/api/health").status == 200


def test_sigterm_and_sigint_end_it_well(serve):
  for number in (signal.SIGTERM, signal.SIGINT):
    server = serve(folder=f"data-{number}")
    server.draw("ints")
    server.signal(number)
    assert server.wait() == 0


def test_a_database_of_something_else_is_left_alone(data):
  data.mkdir()
  (data / "fairdraw.db").write_bytes(b"these are my holiday pictures" * 1000)
  done = cli("serve", "--port", 0, data=data)
  assert done.returncode == 1 and done.stderr.strip()
  assert (data / "fairdraw.db").read_bytes() == b"these are my holiday pictures" * 1000


# The master key


def test_the_master_key_is_its_owners_alone(serve):
  server = serve()
  mode = (server.data / "master.key").stat().st_mode
  assert stat.S_IMODE(mode) == 0o600


def test_another_master_key_is_refused(serve, tmp_path):
  server, other = serve("one"), serve("two")
  server.draw("ints", {"clientSeed": "kept"})
  server.stop(), other.stop()
  right = (server.data / "master.key").read_bytes()
  (server.data / "master.key").write_bytes((other.data / "master.key").read_bytes())
  assert failed(cli("serve", "--port", 0, data=server.data), mentions="master")
  (server.data / "master.key").write_bytes(right)
  server.start()
  assert server.draw("ints", {"clientSeed": "kept"}).json()["nonce"] == 1


def test_a_lost_master_key_is_not_made_anew(serve):
  server = serve()
  server.draw("ints")
  server.stop()
  (server.data / "master.key").unlink()
  assert failed(cli("serve", "--port", 0, data=server.data), mentions="master")
  assert not (server.data / "master.key").exists()


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 1000])
def test_a_damaged_master_key_is_refused(serve, content):
  server = serve()
  server.stop()
  (server.data / "master.key").write_bytes(content)
  assert failed(cli("serve", "--port", 0, data=server.data), mentions="master")


def test_a_master_key_file_that_was_named_is_not_made(data, tmp_path):
  missing = tmp_path / "missing.key"
  assert failed(cli("account", "list", data=data, env={"FAIRDRAW_MASTER_KEY_FILE": missing}), mentions=str(missing))
  assert not missing.exists()


def test_the_master_key_may_lie_elsewhere(serve, tmp_path):
  path = tmp_path / "fairdraw.key"
  path.write_text("0123456789abcdef" * 4 + "\n")
  server = serve(FAIRDRAW_MASTER_KEY_FILE=path)
  first = server.draw("ints", {"clientSeed": "kept"}).json()
  assert not (server.data / "master.key").exists()
  server.restart()
  assert server.draw("ints", {"clientSeed": "kept"}).json()["serverHash"] == first["serverHash"]


# Secrets


@pytest.mark.parametrize("url", [
  "postgres://user:open@sesame@127.0.0.1:1/name", "postgres://user:open/sesame@127.0.0.1:1/name", "postgres://user:open@ses/ame@127.0.0.1:1/name",
  "postgres://user:open?sesame@127.0.0.1:1/name", "postgres://user:open#sesame@127.0.0.1:1/name", "postgres://user:open:sesame@127.0.0.1:1/name",
  "postgres://user:open%40sesame@127.0.0.1:1/name", "postgres://user:open%sesame@127.0.0.1:1/name", "postgres://user:sesame/name",
  "postgres://127.0.0.1:1/name?password=open@sesame", "postgres://127.0.0.1:1?password=open@sesame",
])
def test_no_part_of_a_databases_password_is_said(tmp_path, url):
  path = tmp_path / "data" / "fairdraw.db"
  cli("account", "list", data=tmp_path / "data", check=True)
  for arguments, env in [
    (["account", "list", "--database", url], {}), (["account", "list", f"--database={url}"], {}), (["account", "list"], {"FAIRDRAW_DATABASE": url}),
    (["account", "list", url], {}), (["account", "list", f"--datbase={url}"], {}), (["serve", "--port", url], {}),
    (["serve", "--port", "0", "--database", url], {}), (["migrate", "--from", f"sqlite:{path}", "--to", url], {}),
  ]:
    done = cli(*arguments, env={"FAIRDRAW_DATA": tmp_path / "data", **env})
    assert failed(done, done.returncode) and done.returncode in (1, 64)
    for part in ("open", "sesame", "ses/ame"):
      assert part not in done.stderr.replace("cannot be opened", ""), done


@pytest.mark.parametrize("arguments, sentence", [
  (["--host", "192.0.2.1"], "Cannot assign requested address"), (["--host", "nowhere.invalid"], "there is no such address"),
  (["--host", "nowhere.invalid", "--port", "0"], "there is no such address"),
])
def test_an_address_that_cannot_be_listened_on(tmp_path, arguments, sentence):
  done = cli("serve", *arguments, data=tmp_path / "data")
  assert failed(done, mentions=["cannot listen on", sentence])
  assert not re.search(r"NIO|errno|\(|\.swift|Error", done.stderr), done


def test_no_secret_is_written_or_said_anywhere(serve):
  server = serve(FAIRDRAW_LOG_LEVEL="trace")
  account = server.account()
  live, test = server.key(account), server.key(account, "test")
  wrong = "pk_live_" + "W" * 43
  hashes, said = set(), []
  for key in (None, live, test, wrong):
    for endpoint in DRAWS:
      for method in ("GET", "POST"):
        answer = server.draw(endpoint, {"clientSeed": "secrets"}, method, key=key, idempotency=f"{endpoint}{method}{key and key[:9]}")
        said.append(answer.body + str(answer.headers).encode())
        if answer.status == 200:
          hashes.add(answer.json()["serverHash"])
    for path in ("/api/seed", "/api/incrementCursor", "/api/listOutcomes", "/api/outcome", "/nowhere", "/api/health", "/api/public-metrics"):
      answer = server.get(path, {"clientSeed": "secrets", "cursor": 0, "nonce": 0}, key=key)
      said.append(answer.body + str(answer.headers).encode())
  server.get("/api/ints", headers={"Authorization": f"Bearer {live}"})
  assert len(hashes) == 3
  server.stop()
  master = (server.data / "master.key").read_bytes()
  files = {path.name: path.read_bytes() for path in server.data.iterdir() if path.name != "master.key"}
  places = {**files, "the log": server.log.read_bytes(), "the answers": b"\n".join(said), "standard output": "\n".join(server.banner).encode()}
  assert "fairdraw.db" in places and len(places["the log"]) > 1000
  for place, content in places.items():
    for name, secret in {"live key": live, "test key": test, "unknown key": wrong}.items():
      assert secret.encode() not in content, f"the {name} is in {place}"
      assert secret[20:].encode() not in content, f"most of the {name} is in {place}"
    for form in {master, master.strip(), master.strip().lower(), master.hex().encode()}:
      assert form not in content, f"the master key is in {place}"
    # A server seed would give itself away by its hash: any 64 hex characters, or any 32 bytes.
    for match in re.finditer(rb"(?=([0-9a-fA-F]{64}))", content):
      assert hashlib.sha256(match[1].lower()).hexdigest() not in hashes, f"a server seed is in {place}"
    for start in range(len(content) - 31):
      assert hashlib.sha256(content[start:start + 32].hex().encode()).hexdigest() not in hashes, f"a server seed is in {place}"


# Long lists


def test_long_lists_are_read_in_pages_without_gaps_or_repeats(serve):
  """One more than two pages; what is listed first settles how wide columns are, and nothing is cut."""
  server = serve()
  account = server.account()
  key = server.key(account)
  seeds = [f"seed-{number:05}" for number in range(1001)] + ["z" * 100]
  with server.connect() as connection:
    for start in range(0, len(seeds), 50):
      draws = [{"endpoint": "ints", "params": {"clientSeed": seed}} for seed in seeds[start:start + 50]]
      assert connection.post("/api/batch", {"draws": draws}, key=key).status == 200
  listed = lambda limit: [
    line.split()[-1] for line in server.cli("chain", "list", "--account", account, "--limit", limit, check=True).stdout.splitlines()[1:]]
  assert listed(100000) == seeds
  for limit in (1, 499, 500, 501, 1000):
    assert listed(limit) == seeds[:limit]
  assert server.cli("chain", "list", "--account", server.account(), check=True).stdout.split() == [
    "CURSOR", "NONCE", "CREATED", "SERVER", "HASH", "CLIENT", "SEED"]
  # Deliveries likewise, the newest first. Nobody takes them.
  server.cli("webhook", "create", "--account", account, "--url", "https://192.0.2.1/", check=True)
  with server.connect() as connection:
    for _ in range(21):
      assert connection.post("/api/batch", {"draws": [{"endpoint": "ints"}] * 50}, key=key).status == 200
  text = server.cli("webhook", "deliveries", "--account", account, "--limit", 100000, check=True).stdout
  numbers = [int(line.split()[0]) for line in text.splitlines() if not line.startswith(" ")]
  assert len(numbers) == 1050 and numbers == sorted(set(numbers), reverse=True)
