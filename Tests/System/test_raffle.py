"""`fairdraw raffle`: from a list of entrants to a report that others can check, drawn once whatever is interrupted."""

import base64
import csv
import hashlib
import http.client
import http.server
import io
import json
import re
import signal
import subprocess
import sys
import threading

import pytest

from browser import Browser
from harness import BINARY, REPOSITORY, TIMEOUT, VERIFIER, cli, environment, node, unique
from test_docs import alike, blocks, examples
from test_pages import chromium

__all__ = ["chromium"]  # a fixture

GUIDE = (REPOSITORY / "docs" / "raffles.md").read_text()
NAMES = ["Ada Álvarez", "Noor Nowak", "李 小龍", "O'Brien, \"Bob\"", "<b onclick=x>Eve</b> & Co", "Zoë‮ evil"]


class Between(http.server.ThreadingHTTPServer):
  """Stands between the command and a server, keeps what was sent, and may lose an answer."""

  daemon_threads = True

  def __init__(self, server):
    self.server = server
    self.sent = []
    # By path: called with a function that forwards the request; what it returns is answered, nothing if None.
    self.rules = {}
    super().__init__(("127.0.0.1", 0), self.Handler)
    threading.Thread(target=self.serve_forever, daemon=True).start()

  @property
  def url(self):
    return f"http://127.0.0.1:{self.server_port}"

  def kill_server_once(self, path):
    """The first request for `path` is forwarded, and the server killed and started again before it is answered; what the
    server did for it is put into the list that is returned."""
    drawn = []

    def kill(forward):
      if not drawn:
        drawn.append(json.loads(forward()[2]))
        self.server.kill()
        self.server.start()
        return None
      return forward()

    self.rules[path] = kill
    return drawn

  class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
      pass

    def handle_one(self):
      between = self.server
      body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
      between.sent.append((self.command, self.path, dict(self.headers), body))

      def forward():
        connection = http.client.HTTPConnection(between.server.host, between.server.port, timeout=TIMEOUT)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(self.command, self.path, body=body or None, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()

      try:
        answer = between.rules.get(self.path.split("?")[0], lambda forward: forward())(forward)
      except OSError:
        answer = None
      self.close_connection = True
      if answer:
        status, headers, content = answer
        self.send_response(status)
        for name, value in headers.items():
          if name.lower() not in ("connection", "date", "transfer-encoding"):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = handle_one


@pytest.fixture
def between(server):
  proxy = Between(server)
  yield proxy
  proxy.shutdown()


def write_list(folder, count=40, name="entrants.csv"):
  """A list such as spreadsheets save them; returns the file, and its names as another reader of CSV has them."""
  rows = [["Name", "Email"], *([f"{NAMES[i % len(NAMES)]} {i}", f"p{i}@example.com"] for i in range(1, count + 1))]
  text = io.StringIO(newline="")
  csv.writer(text).writerows(rows)
  file = folder / name
  file.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
  with open(file, newline="", encoding="utf-8-sig") as lines:
    return file, [row["Name"] for row in csv.DictReader(lines)]


def raffle(file, url, key=None, *options, winners=3, reserves=2, title="Summer raffle", column="Name", **rest):
  chosen = ["--column", column] if column else []
  settings = {"FAIRDRAW_SERVER": url, **({"FAIRDRAW_KEY": key} if key else {})}
  return cli(
    "raffle", file, "--title", title, "--winners", winners, "--reserves", reserves, *chosen, *options, env=settings, **rest)


def url_of(server):
  return f"http://{server.host}:{server.port}"


def printed(done):
  """The numbers of the entries, in the order drawn, and their names."""
  rows = [line.split("\t") for line in done.stdout.splitlines()]
  return [int(row[1]) for row in rows], [row[2] for row in rows], [row[0] for row in rows]


def embedded(report):
  """The files that a report holds, by name."""
  found = re.findall(r'<a download="([^"]+)" href="data:application/octet-stream;base64,([^"]*)"', report)
  return {name: base64.b64decode(content) for name, content in found}


def refused(done, *words, status=1):
  assert done.returncode == status, done
  assert done.stdout == ""
  for word in words:
    assert word in done.stderr, done.stderr
  assert "Fatal" not in done.stderr


def outcomes(server, client_seed, key=None):
  return server.get("/api/listOutcomes", {"clientSeed": client_seed}, key=key).json()


# The whole way


def test_a_raffle_and_its_report(server, live_key, tmp_path, between, chromium):
  file, names = write_list(tmp_path, 300)
  done = raffle(file, between.url, live_key, winners=10, reserves=5, check=True)
  numbers, shown, roles = printed(done)
  assert len(set(numbers)) == 15 and roles[0] == "winner 1" and roles[10:] == [f"reserve {n}" for n in range(1, 6)]
  for number, name in zip(numbers, shown):
    assert name == names[number - 1].replace("‮", "\\u{202e}")

  # The list stays here.
  everything = b"".join(path.encode() + repr(headers).encode() + body for _, path, headers, body in between.sent)
  assert hashlib.sha256(file.read_bytes()).hexdigest().encode() in everything
  assert not any(word in everything for word in ["Álvarez".encode(), b"example.com", b"entrants"])

  report = tmp_path / "entrants.csv.raffle.html"
  text = report.read_text()
  files = embedded(text)
  assert files["entrants.csv"] == file.read_bytes()
  outcome = json.loads(files["outcome.json"])
  assert outcome["outcome"] == numbers and (outcome["count"], outcome["min"], outcome["max"]) == (15, 1, 300)
  client_seed = f"raffle:{hashlib.sha256(file.read_bytes()).hexdigest()}:Summer raffle"
  assert outcome["clientSeed"] == client_seed
  assert [one["shortId"] for one in outcomes(server, client_seed, live_key)] == [outcome["shortId"]]
  assert outcome["permalink"] in done.stderr

  # What the report says how to check it, done with what it holds and nothing else.
  for name, content in files.items():
    (tmp_path / "check" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "check" / name).write_bytes(content)
  key = re.search(r"--key (\S+?)</pre>", text)[1].replace("&#39;", "").strip("'")
  ways = [
    [BINARY, "verify", "outcome.json"], [sys.executable, VERIFIER, "outcome.json"],
    [*node(), VERIFIER.with_name("fairdraw-verify.js"), "outcome.json"],
    [BINARY, "verify", "outcome.json", "--proof", "draw.tlog-proof", "--key", key],
    [sys.executable, VERIFIER, "outcome.json", "--proof", "draw.tlog-proof", "--key", key],
  ]
  for way in ways:
    checked = subprocess.run(
      list(map(str, way)), cwd=tmp_path / "check", env=environment(), capture_output=True, text=True, timeout=TIMEOUT)
    assert checked.returncode == 0 and checked.stdout.splitlines()[-1] == "verified", checked

  # How it looks: nothing runs, nothing is wider than a phone, in light and dark.
  chromium.base = ""
  for width in (Browser.PHONE, Browser.DESKTOP):
    for scheme in ("light", "dark"):
      chromium.resize(width)
      chromium.scheme(scheme)
      chromium.open(report.as_uri())
      assert chromium.run("return document.documentElement.scrollWidth") <= width
      assert not chromium.all("[onclick], script, img, iframe, link")
      rows = [element.text for element in chromium.all(".drawn .name")]
      assert rows == [names[number - 1].replace("‮", "U+202E") for number in numbers]
      background = chromium.run("return getComputedStyle(document.documentElement).backgroundColor")
      assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 380) == (scheme == "light")
  chromium.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
  assert len(chromium.all(".all li")) == 300
  chromium.resize(Browser.PHONE)
  assert chromium.run("return document.documentElement.scrollWidth") <= Browser.PHONE
  assert chromium.complaints() == []


@pytest.mark.parametrize("shown, first", [("initials", "A. Á. "), ("numbers", "Entry ")])
def test_a_public_report_may_leave_out_names(server, live_key, tmp_path, shown, first):
  file, names = write_list(tmp_path)
  title = unique("private")
  done = raffle(file, url_of(server), live_key, title=title, check=True)
  report = tmp_path / "entrants.csv.raffle.html"
  assert "entrants.csv" in embedded(report.read_text())
  again = raffle(file, url_of(server), live_key, "--show", shown, title=title, check=True)
  assert again.stdout == done.stdout
  text = report.read_text()
  assert first in text and "entrants.csv" not in embedded(text)
  for name in ("Álvarez", "Nowak", "O&#39;Brien", "example.com", base64.b64encode(file.read_bytes()).decode()[:200]):
    assert name not in text


def test_a_rehearsal_decides_nothing(server, test_key, live_key, tmp_path):
  file, _ = write_list(tmp_path)
  title = unique("rehearsed")
  raffle(file, url_of(server), test_key, title=title, check=True)
  rehearsal = (tmp_path / "entrants.csv.rehearsal.html").read_text()
  assert "A rehearsal." in rehearsal
  raffle(file, url_of(server), live_key, title=title, check=True)
  assert "A rehearsal." not in (tmp_path / "entrants.csv.raffle.html").read_text()
  refused(
    raffle(file, url_of(server), live_key, "--report", tmp_path / "entrants.csv.rehearsal.html", title=title), "a test key")


def test_the_guides_commands(server, live_key, tmp_path):
  def run(script, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    if not (tmp_path / folder / "entrants.csv").exists():
      rows = "".join(f"{['Ada Álvarez', 'Bo Berg', 'Noor Nowak'][(n - 1) % 3]} {n},p{n}@example.com\r\n" for n in range(1, 3001))
      (tmp_path / folder / "entrants.csv").write_bytes(f"Name,Email\r\n{rows}".encode())
    script = re.sub(r"^fairdraw\b", BINARY, script, flags=re.MULTILINE)
    script = script.replace("https://draws.example.com", url_of(server)).replace("pk_live_…", live_key)
    done = subprocess.run(
      ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path / folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
      env=environment(FAIRDRAW_SERVER=url_of(server), FAIRDRAW_KEY=live_key), timeout=TIMEOUT)
    assert done.returncode == 0, done
    return done.stdout

  looks, draws, announces, values, requests = blocks(GUIDE, "sh")
  [(script, shown)] = examples(GUIDE)
  assert alike(run(script, "plain")) == alike(shown)
  assert len(run(draws, "plain").splitlines()) == 15
  assert (tmp_path / "plain" / "entrants.csv.raffle.html").exists()
  announced = run(announces, "announced")
  assert len(announced.splitlines()) == 5 and "drand quicknet" in announced
  assert len(run(values, "announced").splitlines()) == 15
  run(requests, "requests")
  assert len(json.loads((tmp_path / "requests" / "outcome.json").read_text())["outcome"]) == 15


# Lists


@pytest.mark.parametrize("name, content, options, entries", [
  ("a.txt", "Ann\nBob\n", [], ["Ann", "Bob"]),
  ("a.txt", "\ufeffAnn\r\n\r\n  \r\n Bob \r\nCat", [], ["Ann", "Bob", "Cat"]),
  ("a.txt", "Ann\rBob\r", [], ["Ann", "Bob"]),
  ("a.txt", 'Smith, "Jo"\nx;y\n', [], ['Smith, "Jo"', "x;y"]),
  ("a.txt", "Only one", [], ["Only one"]),
  ("a.txt", "Name\nAnn\n", ["--header"], ["Ann"]),
  ("a.txt", "Name\nAnn\n", ["--no-header"], ["Name", "Ann"]),
  ("a.csv", "Ann\nBob\n", [], ["Ann", "Bob"]),
  ("a.csv", "\n\nName,Email\nAnn,a@x\n,\nBob,b@x\n", ["--column", "Name"], ["Ann", "Bob"]),
  ("a.csv", "Name;Email\nAnn;a@x\n", ["--column", "2", "--header"], ["a@x"]),
  ("a.tsv", "First\tLast\nAnn\tLee\n", ["--column", "First", "--column", "Last"], ["Ann Lee"]),
  ("a.csv", 'x\n"Lee, Ann"\n"say ""hi"""\n""""\n', ["--header"], ["Lee, Ann", 'say "hi"', '"']),
  ("a.csv", 'N;T\n"a\r\nb";1\nc;2\n', ["--column", "N"], ["a\\u{d}\\u{a}b", "c"]),
  ("a.CSV", "x\nAnn\nAnn\n", ["--header", "--duplicates", "keep"], ["Ann", "Ann"]),
  ("a.csv", "x\nAnn\nBob\nAnn \nCat\n", ["--header", "--duplicates", "once"], ["Ann", "Bob", "Cat"]),
  ("a.txt", "e\u0301\n\u00e9\n", [], ["e\u0301", "\u00e9"]),  # two texts, though they look alike
])
def test_lists(tmp_path, name, content, options, entries):
  file = tmp_path / name
  file.write_bytes(content.encode())
  done = cli("raffle", file, "--title", "t", "--winners", 1, "--check", *options, check=True)
  first, hashed, *ends, seed = done.stdout.splitlines()
  assert first.startswith(f"{len(entries)} entries. ")
  digest = hashlib.sha256(content.encode()).hexdigest()
  assert hashed.endswith(digest) and seed == f"Client seed: raffle:{digest}:t"
  assert re.fullmatch(r"Entry 1, line \d+: (.*)", ends[0])[1] == entries[0]
  assert re.fullmatch(rf"Entry {len(entries)}, line \d+: (.*)", ends[-1])[1] == entries[-1]
  assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name, content, options, words", [
  ("a.txt", b"", [], ["empty"]),
  ("a.txt", b"\n \r\n\n", [], ["no entries"]),
  ("a.txt", b"Name\n", ["--header"], ["no entries"]),
  ("a.txt", b"Name\nAnn\n", [], ["--header", "--no-header"]),
  ("a.csv", b"Name,Email\nAnn,a@x\n", [], ["2 columns", "1 Name, 2 Email", "--column"]),
  ("a.csv", b"Name,Email\nAnn,a@x\n", ["--column", "name"], ['no column "name"', "1 Name"]),
  ("a.csv", b"Name,Email\nAnn,a@x\n", ["--column", "3"], ["no column 3"]),
  ("a.csv", b"Name,Email\nAnn,a@x\n,b@x\n", ["--column", "Name"], ["line 3", "nothing in column"]),
  ("a.csv", b"Name,Email\nAnn,a@x\n", ["--column", "Name", "--no-header"], ["no column"]),
  ("a.txt", b"Ann\nBob\nAnn\n", [], ["Ann (lines 1 and 3)", "--duplicates keep", "--duplicates once"]),
  ("a.csv", b'x\n"Ann\nBob\nCat\n', ["--header"], ["line 2", "never closed"]),
  ("a.txt", b"Ann\n\xffBob\n", [], ["line 2", "UTF-8"]),
  ("a.txt", "Ann\nBob\n".encode("utf-16"), [], ["UTF-8"]),
  ("a.xlsx", b"PK\x03\x04 and so on", [], ["spreadsheet", "CSV"]),
  ("a.txt", b"x" * 1001, [], ["line 1", "1000 bytes"]),
  ("a.txt", b"Ann\nBob\n", ["--winners", "2", "--reserves", "1"], ["2 winners and 1 reserves", "2 entries"]),
])
def test_lists_that_are_refused(server, unchanged, tmp_path, name, content, options, words):
  file = tmp_path / name
  file.write_bytes(content)
  winners = [] if "--winners" in options else ["--winners", "1"]
  refused(cli("raffle", file, "--title", "t", *winners, *options, env={"FAIRDRAW_SERVER": url_of(server)}), *words)
  assert list(tmp_path.iterdir()) == [file]


def test_a_list_is_bounded(tmp_path):
  file = tmp_path / "huge.txt"
  with open(file, "wb") as sparse:
    sparse.truncate((32 << 20) + 1)
  refused(cli("raffle", file, "--title", "t", "--winners", 1), "32 MiB")
  refused(cli("raffle", tmp_path / "none.txt", "--title", "t", "--winners", 1), "No such file")


@pytest.mark.parametrize("options", [
  ["--winners", "0"], ["--winners", "-1"], ["--winners", "1001"], ["--winners", "600", "--reserves", "401"], ["--winners", str(2**63 - 1), "--reserves", "1"],
  ["--winners", "1", "--title", ""], ["--winners", "1", "--title", "a\nb"], ["--winners", "1", "--title", "x" * 81],
  ["--winners", "1", "--value", ""], ["--winners", "1", "--value", "a", "--announce", "b"], ["--winners", "1", "--server", "nonsense"],
  ["--winners", "1", "--key", "pk live"],
], ids=" ".join)
def test_wrong_usage(tmp_path, options):
  file = tmp_path / "a.txt"
  file.write_text("Ann\nBob\n")
  title = [] if "--title" in options else ["--title", "t"]
  refused(cli("raffle", file, *title, *options), status=64)
  assert list(tmp_path.iterdir()) == [file]


# Once


def test_an_answer_that_is_lost_does_not_draw_twice(server, live_key, tmp_path, between):
  """The draw's answer is lost again and again; the command asks under one key, and is told of one draw."""
  lost = []

  def lose(forward):
    answer = forward()
    if len(lost) < 3:
      lost.append(answer)
      return None
    return answer

  between.rules["/api/reveal"] = lose
  file, _ = write_list(tmp_path)
  title = unique("lost")
  numbers, _, _ = printed(raffle(file, between.url, live_key, title=title, check=True))
  assert len(lost) == 3 and {json.loads(body)["shortId"] for _, _, body in lost} == {
    one["shortId"] for one in outcomes(server, f"raffle:{hashlib.sha256(file.read_bytes()).hexdigest()}:{title}", live_key)}
  assert json.loads(lost[0][2])["outcome"] == numbers
  keys = {headers.get("Idempotency-Key") for _, path, headers, _ in between.sent if path == "/api/reveal"}
  assert len(keys) == 1 and None not in keys


@pytest.mark.parametrize("anonymous", [False, True], ids=["with a key", "anonymous"])
@pytest.mark.parametrize("path", ["/api/commit", "/api/reveal", "/api/proof"])
def test_a_killed_command_goes_on_with_the_same_draw(server, live_key, tmp_path, between, anonymous, path):
  """kill -9 when the server has acted and the command has not been told."""
  key = None if anonymous else live_key
  reached, released = threading.Event(), threading.Event()
  answers = []

  def hold(forward):
    answers.append(forward())
    reached.set()
    released.wait(TIMEOUT)

  file, _ = write_list(tmp_path)
  title = unique("killed")
  if path == "/api/proof":
    between.rules = Rules(path, hold)
  else:
    between.rules[path] = hold
  command = [BINARY, "raffle", file, "--title", title, "--winners", "3", "--column", "Name", "--server", between.url, *(["--key", key] if key else [])]
  running = subprocess.Popen(list(map(str, command)), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  assert reached.wait(TIMEOUT)
  if key:  # which no other user of the machine can read any more
    shown = open(f"/proc/{running.pid}/cmdline", "rb").read()
    assert key.encode() not in shown and key[:16].encode() in shown
  running.kill()
  running.communicate(timeout=TIMEOUT)
  between.rules = {}
  released.set()
  numbers, _, _ = printed(raffle(file, between.url, key, title=title, reserves=0, check=True))
  drawn = outcomes(server, f"raffle:{hashlib.sha256(file.read_bytes()).hexdigest()}:{title}", key)
  assert [one["outcome"] for one in drawn] == [numbers]
  if path == "/api/reveal":
    assert json.loads(answers[0][2])["outcome"] == numbers
  again = raffle(file, between.url, key, title=title, reserves=0, check=True)
  assert printed(again)[0] == numbers


class Rules(dict):
  """One rule for all paths that begin so."""

  def __init__(self, prefix, rule):
    self.prefix, self.rule = prefix, rule

  def get(self, path, default):
    return self.rule if path.startswith(self.prefix) else default


def test_a_killed_server_goes_on_with_the_same_draw(serve, tmp_path):
  """The server is killed when it has drawn and not answered; the command is still asking when it is back."""
  server = serve(folder="killed")
  key = server.key()
  between = Between(server)
  drawn = between.kill_server_once("/api/reveal")
  file, _ = write_list(tmp_path)
  numbers, _, _ = printed(raffle(file, between.url, key, check=True))
  assert numbers == drawn[0]["outcome"]
  assert server.sql("SELECT count(*) FROM outcomes") == [(1,)]
  between.shutdown()


def test_two_runs_at_once_draw_once(server, live_key, tmp_path):
  file, _ = write_list(tmp_path)
  title = unique("twice")
  command = [BINARY, "raffle", str(file), "--title", title, "--winners", "3", "--column", "Name", "--server", url_of(server)]
  runs = [
    subprocess.Popen(command, env=environment(FAIRDRAW_KEY=live_key), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(3)]
  printed_by_each = {run.communicate(timeout=TIMEOUT)[0] for run in runs}
  assert [run.returncode for run in runs] == [0, 0, 0] and len(printed_by_each) == 1
  assert len(outcomes(server, f"raffle:{hashlib.sha256(file.read_bytes()).hexdigest()}:{title}", live_key)) == 1


def test_another_raffle_does_not_take_the_place_of_one(server, live_key, tmp_path):
  file, _ = write_list(tmp_path)
  title = unique("kept")
  raffle(file, url_of(server), live_key, title=title, check=True)
  kept = {path: path.read_bytes() for path in tmp_path.glob("*.raffle.*")}
  before = server.footprint()
  for options, words in [
    ({"title": "another"}, ["the title was"]), ({"winners": 4}, ["the number of winners was 3, and is 4"]),
    ({"reserves": 0}, ["the number of reserves"]), ({"column": "Email"}, ["the reading of the list"]),
  ]:
    refused(raffle(file, url_of(server), live_key, **{"title": title, **options}), "drawn once", *words)
  refused(raffle(file, url_of(server), live_key, "--value", "1", title=title), "no announced value")
  refused(raffle(file, url_of(server), live_key, "--announce", "x", title=title), "no announcement")
  file.write_bytes(file.read_bytes() + b"\r\n")
  refused(raffle(file, url_of(server), live_key, title=title), "the SHA-256 of the list")
  file.write_bytes(file.read_bytes()[:-2])
  # The server remembers what the state file does not.
  (tmp_path / "entrants.csv.raffle.json").unlink()
  refused(raffle(file, url_of(server), live_key, title=title), "was drawn under this title already", "/o/")
  assert server.footprint() == before
  assert (tmp_path / "entrants.csv.raffle.html").read_bytes() == kept[tmp_path / "entrants.csv.raffle.html"]
  (tmp_path / "entrants.csv.raffle.json").write_text("{")
  refused(raffle(file, url_of(server), live_key, title=title), "damaged")


def test_a_server_that_is_not_there(tmp_path, server, live_key, free_port, between):
  """The command is stopped while it asks again, and a later run draws."""
  file, _ = write_list(tmp_path)
  title = unique("away")
  refusals = []

  def refuse(forward):
    refusals.append(1)
    return 503, {"Retry-After": "3600", "Content-Type": "application/json", "Content-Length": "2"}, b"{}"

  between.rules["/api/reveal"] = refuse
  refused(raffle(file, between.url, live_key, title=title), "503", status=75)
  assert len(refusals) == 1  # an hour is longer than the command asks
  assert outcomes(server, f"raffle:{hashlib.sha256(file.read_bytes()).hexdigest()}:{title}", live_key) == []
  between.rules = {}
  raffle(file, between.url, live_key, title=title, check=True)
  running = subprocess.Popen(
    [BINARY, "raffle", str(file), "--title", "t", "--winners", "1", "--column", "Name", "--report", str(tmp_path / "r.html")],
    env=environment(FAIRDRAW_SERVER=f"http://127.0.0.1:{free_port}"), stderr=subprocess.PIPE, text=True)
  assert "the connection was refused; trying again in" in running.stderr.readline()
  running.send_signal(signal.SIGTERM)
  running.communicate(timeout=TIMEOUT)


def test_an_answer_that_is_not_the_raffles_is_refused(server, live_key, tmp_path, between):
  """A server that draws from another seed than it committed to, or something else, is caught."""
  file, _ = write_list(tmp_path)

  def change(name, value):
    def rule(forward):
      status, headers, body = forward()
      outcome = {**json.loads(body), name: value}
      content = json.dumps(outcome).encode()
      return status, {**headers, "Content-Length": str(len(content))}, content
    return rule

  for name, value in [
    ("outcome", [1, 2, 3, 4, 5]), ("serverHash", "0" * 64), ("clientSeed", "raffle"), ("max", 39), ("nonce", 1),
    ("endpoint", "ints"), ("count", 4),
  ]:
    between.rules["/api/reveal"] = change(name, value)
    refused(raffle(file, between.url, live_key, "--report", tmp_path / f"{name}.html", title=unique("forged")), name)
    assert not (tmp_path / f"{name}.html").exists()


# Commitments that expire, and announcements


def test_an_expired_commitment_is_replaced_and_told(serve, tmp_path):
  server = serve(folder="expiring", FAIRDRAW_COMMIT_TTL_MS=1)
  key = server.key()
  file, _ = write_list(tmp_path)
  refused(raffle(file, url_of(server), key), "expired")
  server.stop()
  server.env["FAIRDRAW_COMMIT_TTL_MS"] = 600_000
  server.start()
  # The server's address is part of a raffle, and its port is another one now.
  state = tmp_path / "entrants.csv.raffle.json"
  kept = json.loads(state.read_text())
  state.write_text(json.dumps({**kept, "server": url_of(server), "expired": kept["expired"][:2]}))
  raffle(file, url_of(server), key, check=True)
  assert server.sql("SELECT count(*) FROM outcomes") == [(1,)]
  text = (tmp_path / "entrants.csv.raffle.html").read_text()
  assert "expired before a draw" in text and kept["expired"][0]["serverHash"] in text


def test_an_announced_value_decides(server, live_key, tmp_path):
  file, _ = write_list(tmp_path)
  title = unique("announced")
  refused(raffle(file, url_of(server), live_key, "--value", "7", title=title), "nothing was announced")
  announced = raffle(file, url_of(server), live_key, "--announce", "lottery of 1 May", title=title, check=True)
  digest = hashlib.sha256(file.read_bytes()).hexdigest()
  state = json.loads((tmp_path / "entrants.csv.raffle.json").read_text())
  for word in [title, digest, state["commitment"]["serverHash"], "lottery of 1 May", f"raffle:{digest}:{title}:<the value>"]:
    assert word in announced.stdout
  # Whoever knew the commitment's id could draw first, if the raffle is an anonymous caller's.
  assert state["commitment"]["commitId"] not in announced.stdout
  assert raffle(file, url_of(server), live_key, "--announce", "lottery of 1 May", title=title, check=True).stdout == announced.stdout
  refused(raffle(file, url_of(server), live_key, "--announce", "another", title=title), "lottery of 1 May")
  refused(raffle(file, url_of(server), live_key, title=title), "--value")
  assert outcomes(server, f"raffle:{digest}:{title}:3 17 22", live_key) == []
  numbers, _, _ = printed(raffle(file, url_of(server), live_key, "--value", "3 17 22", title=title, check=True))
  refused(raffle(file, url_of(server), live_key, "--value", "4", title=title), "3 17 22")
  assert printed(raffle(file, url_of(server), live_key, title=title, check=True))[0] == numbers
  [drawn] = outcomes(server, f"raffle:{digest}:{title}:3 17 22", live_key)
  assert drawn["outcome"] == numbers and drawn["serverHash"] == state["commitment"]["serverHash"]
  report = (tmp_path / "entrants.csv.raffle.html").read_text()
  assert "lottery of 1 May" in report and "3 17 22" in report


def test_an_announced_commitment_is_never_replaced(serve, tmp_path):
  server = serve(folder="late", FAIRDRAW_COMMIT_TTL_MS=1)
  key = server.key()
  file, _ = write_list(tmp_path)
  raffle(file, url_of(server), key, "--announce", "a beacon", check=True)
  commitments = server.sql("SELECT count(*) FROM commitments")
  refused(raffle(file, url_of(server), key, "--value", "1"), "not replaced", "Announce again")
  assert server.sql("SELECT count(*) FROM commitments") == commitments
  assert server.sql("SELECT count(*) FROM outcomes") == [(0,)]
