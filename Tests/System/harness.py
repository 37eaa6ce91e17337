"""Drives the real program from outside: a server in a folder of its own, the command line, HTTP down to the raw socket.

Nothing here knows what an answer should be; that is for the tests.
"""

import functools
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import pty
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.parse
from contextlib import closing, suppress
from dataclasses import dataclass

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("FAIRDRAW_BINARY", str(REPOSITORY / ".build" / "release" / "fairdraw"))
VERIFIER = REPOSITORY / "docs" / "verifiers" / "fairdraw_verify.py"

DRAWS = ("floats", "ints", "shuffle", "pick", "bytes", "dice", "gaussian", "sample")

# What each draw needs besides a clientSeed to be a good request, whatever its other parameters; a sample needs room for its count.
REQUIRED = {
  "shuffle": {"items": ["a", "b", "c"]}, "pick": {"items": ["a", "b", "c"]}, "dice": {"notation": "2d6"}, "sample": {"max": 1000},
}

BODY_LIMIT = 2 * 1024 * 1024
TARGET_LIMIT = 64 * 1024

TIMEOUT = 60  # a limit on hanging, never a measure of success


def environment(**overrides):
  """The caller's environment without any FAIRDRAW_ setting of its own or of an installed package, plus `overrides`."""
  clean = {name: value for name, value in os.environ.items() if not name.startswith("FAIRDRAW_")}
  return {**clean, "FAIRDRAW_CONFIG": "/dev/null", **{name: str(value) for name, value in overrides.items()}}


def wait_until(condition, what, timeout=TIMEOUT, pause=0.005):
  """Awaits a condition that nothing notifies us of; returns its first true value."""
  deadline = time.monotonic() + timeout
  while True:
    value = condition()
    if value:
      return value
    if time.monotonic() > deadline:
      raise AssertionError(f"gave up waiting until {what}")
    time.sleep(pause)


# The command line


def cli(*arguments, data=None, env=None, check=False, timeout=TIMEOUT, typed=""):
  """Runs `fairdraw …` to its end, with `typed` on its standard input. `check` turns a failure into an exception."""
  command = [BINARY, *map(str, arguments)]
  if data is not None:
    command += ["--data", str(data)]
  done = subprocess.run(
    command, env=environment(**(env or {})), input=typed, capture_output=True, text=True, timeout=timeout)
  if check and done.returncode != 0:
    raise AssertionError(f"{shlex.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
  return done


# Node


@functools.cache
def node():
  """Node, without what its version 18, the oldest that the documentation names, does not have: a global `crypto`."""
  if not shutil.which("node"):
    pytest.fail("no `node` on PATH: install Debian's nodejs, as bin/test does", pytrace=False)
  flag = "--no-experimental-global-webcrypto"  # which later versions know no more
  known = subprocess.run(["node", flag, "--eval", ""], capture_output=True, timeout=TIMEOUT).returncode == 0
  return ["node", flag] if known else ["node"]


# Tools from PyPI, which bin/test installs


def tool(name):
  """The path of a program from Tests/System/tools.txt."""
  path = REPOSITORY / ".build" / "python-tools" / "bin" / name
  if not path.exists():
    pytest.skip(f"{name} is not installed: run bin/test, which gets it from PyPI")
  return str(path)


_names = itertools.count(1)


def unique(stem="it"):
  """A name nothing else in this run has."""
  return f"{stem}-{os.getpid()}-{next(_names)}"


# HTTP


@dataclass
class Response:
  status: int
  headers: http.client.HTTPMessage
  body: bytes
  method: str = "GET"

  def json(self):
    return json.loads(self.body)

  def header(self, name):
    return self.headers.get(name)

  @property
  def error(self):
    return self.json()["error"]

  @property
  def code(self):
    return self.json().get("code")

  @property
  def replayed(self):
    return self.header("Idempotent-Replayed") == "true"

  def __str__(self):
    return f"{self.status} {self.body[:600]!r}"


def target(path, query=None):
  """A request target; `query` is a dictionary, a list of pairs, or text that is sent as it stands."""
  if not query:
    return path
  if not isinstance(query, str):
    query = urllib.parse.urlencode(query, doseq=True)
  return f"{path}?{query}"


def headers_for(key=None, idempotency=None, headers=None):
  return {
    **({"x-api-key": key} if key else {}),
    **({"Idempotency-Key": idempotency} if idempotency is not None else {}),
    **(headers or {}),
  }


def encode(body):
  return body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()


class Connection:
  """One kept-alive connection; not for sharing between threads."""

  def __init__(self, server):
    self.http = http.client.HTTPConnection(server.host, server.port, timeout=TIMEOUT)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.http.close()

  def request(self, method, path, query=None, body=None, key=None, idempotency=None, headers=None):
    sent = headers_for(key, idempotency, headers)
    if body is not None:
      body = encode(body)
      sent.setdefault("Content-Type", "application/json")
    self.http.request(method, target(path, query), body=body, headers=sent)
    answer = self.http.getresponse()
    if answer.getheader("Content-Type") == "text/event-stream":
      # Which does not end for a long time: its first event, and then we hang up.
      event = b""
      while (line := answer.readline()).strip():
        event += line
      self.http.close()
      return Response(answer.status, answer.headers, event, method)
    return Response(answer.status, answer.headers, answer.read(), method)

  def get(self, path, query=None, **rest):
    return self.request("GET", path, query, **rest)

  def post(self, path, body=None, **rest):
    return self.request("POST", path, body=body, **rest)


def open_terminal():
  """The two ends of a new terminal."""
  try:
    return pty.openpty()
  except OSError as error:
    pytest.skip(f"this machine has no terminals to give: {error}")


def accepts(port):
  """Whether somebody listens on a port of the loopback address."""
  with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=10):
    return True
  return False


class Server:
  """A `fairdraw serve` over one data folder; it may be stopped, killed and started again.

  `open_files` is how many it may have, `soft:hard`.
  """

  def __init__(self, data, host="127.0.0.1", arguments=(), open_files=None, **env):
    self.data = pathlib.Path(data)
    self.host = host
    self.arguments = arguments
    self.launcher = ["prlimit", f"--nofile={open_files}", "--"] if open_files else []
    self.env = {"FAIRDRAW_RATE_LIMIT_PER_MINUTE": 0, **env}
    self.process = None
    self.port = None
    self.banner = []
    self.log = self.data.parent / f"{self.data.name}.log"

  # Life and death

  def start(self):
    assert self.process is None, "already running"
    command = [*self.launcher, BINARY, "serve", "--host", self.host, "--port", "0", "--data", str(self.data), *map(str, self.arguments)]
    with open(self.log, "ab") as log:
      self.process = subprocess.Popen(
        command, env=environment(**self.env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
    line = self.process.stdout.readline()
    found = re.search(r"is listening on (http://\S+):(\d+)", line)
    if not found:
      self.kill()
      raise AssertionError(f"{shlex.join(command)} said {line!r} and:\n{self.log_text()[-4000:]}")
    self.port = int(found[2])
    self.banner = [line.rstrip("\n")]
    # Somebody must read on, or a talkative server would fill the pipe and stop.
    output = self.process.stdout

    def drain():
      for more in output:
        self.banner.append(more.rstrip("\n"))

    threading.Thread(target=drain, daemon=True).start()
    if port := self.env.get("FAIRDRAW_METRICS_PORT"):
      wait_until(lambda: accepts(int(port)), "the port of the metrics is open")
    return self

  def signal(self, number):
    self.process.send_signal(number)

  def wait(self, timeout=TIMEOUT):
    status = self.process.wait(timeout)
    self.process = None
    return status

  def stop(self):
    """SIGTERM; the exit code."""
    self.signal(signal.SIGTERM)
    return self.wait()

  def kill(self):
    """SIGKILL: the crash."""
    if self.process is not None:
      self.process.kill()
      self.wait()

  def restart(self):
    status = self.stop()
    assert status == 0, f"stopping gave {status}"
    return self.start()

  def __enter__(self):
    return self.start()

  def __exit__(self, *_):
    self.kill()

  # HTTP

  def connect(self):
    return Connection(self)

  def request(self, method, path, query=None, **rest):
    with self.connect() as connection:
      return connection.request(method, path, query, **rest)

  def get(self, path, query=None, **rest):
    return self.request("GET", path, query, **rest)

  def post(self, path, body=None, **rest):
    return self.request("POST", path, body=body, **rest)

  def draw(self, endpoint, parameters=None, method="GET", **rest):
    """A draw by its bare name, whose missing required parameters are filled in."""
    parameters = {**REQUIRED.get(endpoint, {}), **(parameters or {})}
    if method == "GET":
      return self.get(f"/api/{endpoint}", parameters, **rest)
    return self.post(f"/api/{endpoint}", parameters, **rest)

  def seed(self, client_seed, key=None):
    answer = self.get("/api/seed", {"clientSeed": client_seed}, key=key)
    assert answer.status == 200, answer
    return answer.json()

  def nonce(self, client_seed, key=None):
    return self.seed(client_seed, key)["nonce"]

  def open_socket(self, source=None, receive_buffer=None):
    """A connected socket, from the address `source` if it is given, with a receive buffer of about so many bytes."""
    sock = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
    sock.settimeout(TIMEOUT)
    if receive_buffer:
      sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
      sock.bind((source, 0))
    sock.connect((self.host, self.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock

  def raw(self, request, method="GET"):
    """Sends bytes as they are and reads one answer: for what no HTTP library would send."""
    with closing(self.open_socket()) as sock:
      try:
        sock.sendall(request)
      except (BrokenPipeError, ConnectionResetError):
        pass  # refused before it was read to its end; the answer may still be there
      answer = http.client.HTTPResponse(sock, method=method)
      answer.begin()
      return Response(answer.status, answer.headers, answer.read(), method)

  def raw_get(self, target_bytes, extra=b""):
    return self.raw(b"GET " + target_bytes + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + extra + b"\r\n")

  # Accounts and keys

  def cli(self, *arguments, **rest):
    return cli(*arguments, data=self.data, **rest)

  def account(self, *options, name=None):
    name = name or unique("account")
    self.cli("account", "create", name, *options, check=True)
    return name

  def key(self, account=None, mode="live", *options):
    """A new API key, of a new account unless one is named."""
    made = self.cli("key", "create", "--account", account or self.account(), "--mode", mode, *options, check=True)
    return made.stdout.strip()

  # Behind the curtain

  @property
  def database(self):
    return self.data / "fairdraw.db"

  def sql(self, statement, *arguments):
    """Reads the database file as any other program would."""
    with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=TIMEOUT)) as connection:
      return connection.execute(statement, arguments).fetchall()

  def alter(self, statement, *arguments):
    """Changes the database file, only while the server is stopped; returns the number of rows."""
    assert self.process is None, "stop the server first"
    with closing(sqlite3.connect(self.database, timeout=TIMEOUT)) as connection, connection:
      return connection.execute(statement, arguments).rowcount

  def footprint(self):
    """Everything a refused request must leave as it was."""
    return {
      "chains": self.sql("SELECT count(*), total(nonce), total(cursor), total(epoch) FROM chains"),
      "commitments": self.sql("SELECT count(*), count(revealed) FROM commitments"),
      "outcomes": self.sql("SELECT count(*) FROM outcomes"),
      "usage": self.sql("SELECT total(count) FROM usage"),
    }

  def used(self, account):
    """Quota units an account has used, over all days."""
    return self.sql(
      "SELECT coalesce(sum(count), 0) FROM usage JOIN accounts ON accounts.id = usage.account_id WHERE name = ?", account)[0][0]

  def log_text(self):
    """The log as far as it is written; see `settled_log`."""
    return self.log.read_text(errors="replace") if self.log.exists() else ""

  def settled_log(self):
    """The log with the lines of all requests that were answered: lines are written in the background, in order."""
    if self.process is None:
      return self.log_text()
    last = self.get("/api/health").header("X-Request-Id")
    wait_until(lambda: f'"{last}"' in self.log_text(), "the log's last line is written")
    return self.log_text()

  def log_lines(self):
    return [json.loads(line) for line in self.settled_log().splitlines() if line.startswith("{")]


# Comparing


def exact(text):
  """JSON in which every number is its own spelling: 1.0 is not 1, and 1e2 is not 100."""
  return json.loads(text, parse_int=lambda digits: ("number", digits), parse_float=lambda digits: ("number", digits))


def content_headers(response):
  """The headers that belong to the stored answer rather than to this delivery of it."""
  own = ("content-type", "content-length", "cache-control", "shortid", "retry-after")
  return {name.lower(): value for name, value in response.headers.items() if name.lower() in own}


def same_answer(first, second):
  return (first.status, first.body, content_headers(first)) == (second.status, second.body, content_headers(second))


def sha256_hex(text):
  return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def together(count, work):
  """Runs work(0) … work(count − 1) in as many threads, let go at the same moment; their results in order."""
  barrier = threading.Barrier(count)
  results = [None] * count
  failures = []

  def run(index):
    try:
      barrier.wait(TIMEOUT)
      results[index] = work(index)
    except BaseException as failure:  # reported below, in the test's own thread
      failures.append(failure)

  threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(TIMEOUT)
  if failures:
    raise failures[0]
  return results
