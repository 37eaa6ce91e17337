"""A PostgreSQL of one's own: in a temporary folder, on a free loopback port, gone when it is closed."""

import contextlib
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from ports import free_port

FIELD, ROW = "\x1f", "\x1e"


def programs():
  """The folder of PostgreSQL's programs; None if PostgreSQL's server is not installed."""
  found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"), key=lambda path: int(path.split("/")[4]))
  found = found or [path for path in [shutil.which("pg_ctl")] if path]
  return pathlib.Path(found[-1]).resolve().parent if found else None


def as_postgres(*command):
  """PostgreSQL does not run as root; Debian's packages come with a user for it."""
  root = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
  return ["setpriv", *root, "--pdeathsig=QUIT", "--", *map(str, command)]


class Cluster:
  """`settings` are postgresql.conf's, given on the command line, so that a copy of the data does not inherit them; `environment`
  is added to the server's when it starts.
  """

  def __init__(self, copy_of=None, environment=None, **settings):
    self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fairdraw-pg-"))
    if os.geteuid() == 0:
      shutil.chown(self.folder, "postgres", "postgres")
    self.data = self.folder / "data"
    self.port = free_port()
    self.settings = {
      "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder, "max_connections": 200,
      "shared_buffers": "64MB", **settings}
    self.environment = environment or {}
    self.process = None
    if copy_of:
      self.run("pg_basebackup", "-d", copy_of.url("postgres"), "-D", self.data, "-R", "-X", "stream", "-c", "fast")
    else:
      self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync")

  def run(self, program, *arguments):
    done = subprocess.run(
      as_postgres(programs() / program, *arguments), cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
      text=True)
    if done.returncode != 0:
      raise AssertionError(f"{program} exited with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout

  # Life and death

  def start(self):
    options = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
    with open(self.folder / "log", "ab") as log:
      self.process = subprocess.Popen(
        as_postgres(programs() / "postgres", "-D", self.data, *options), cwd=self.folder, stdin=subprocess.DEVNULL,
        stdout=log, stderr=log, env={**os.environ, **{name: str(value) for name, value in self.environment.items()}})
    deadline = time.monotonic() + 60
    while subprocess.run(
        [programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], stdin=subprocess.DEVNULL).returncode:
      if self.process.poll() is not None or time.monotonic() > deadline:
        raise AssertionError(f"postgres did not start:\n{(self.folder / 'log').read_text()[-4000:]}")
      time.sleep(0.02)
    return self

  def processes(self):
    """The server's process and its children."""
    pid = self.process.pid
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]

  def signal_all(self, number):
    for pid in self.processes():
      with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)

  @contextlib.contextmanager
  def paused(self):
    self.signal_all(signal.SIGSTOP)
    try:
      yield
    finally:
      self.signal_all(signal.SIGCONT)

  def kill(self):
    """The crash: nothing is finished, nothing is said."""
    processes = self.processes()
    self.signal_all(signal.SIGKILL)
    self.process.wait()
    self.process = None
    # As long as one of them holds the shared memory, none starts.
    while any(pathlib.Path(f"/proc/{pid}").exists() for pid in processes):
      time.sleep(0.01)

  def stop(self):
    """A fast shutdown: sessions are ended, what was committed is written."""
    self.process.send_signal(signal.SIGINT)
    self.process.wait(60)
    self.process = None

  def restart(self):
    self.stop()
    return self.start()

  def close(self):
    if self.process is not None and self.process.poll() is None:
      self.signal_all(signal.SIGCONT)
      self.process.send_signal(signal.SIGQUIT)
      self.process.wait(60)
    shutil.rmtree(self.folder, ignore_errors=True)

  def __enter__(self):
    return self.start()

  def __exit__(self, *_):
    self.close()

  # Databases

  def url(self, database, user="postgres"):
    return f"postgres://{user}@127.0.0.1:{self.port}/{database}"

  def psql(self, database, statement):
    """The rows of a statement, each a tuple of strings; NULL is None."""
    done = subprocess.run(
      [programs() / "psql", "-X", "-q", "-A", "-t", "-F", FIELD, "-R", ROW, "-P", "null=\x1d", "-v", "ON_ERROR_STOP=1",
       "-d", self.url(database), "-c", statement], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
      raise AssertionError(done.stderr)
    rows = done.stdout.removesuffix("\n").split(ROW)
    return [tuple(None if cell == "\x1d" else cell for cell in row.split(FIELD)) for row in rows if row]

  def dump(self, database, *options):
    """The database as SQL that any later PostgreSQL takes."""
    done = subprocess.run(
      [programs() / "pg_dump", "--inserts", "--no-owner", "--no-privileges", *options, "-d", self.url(database)],
      stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    # psql's own commands, which earlier versions of it do not know.
    return "".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith("\\"))

  def restore(self, database, dump):
    """Makes a database from what `dump` gave."""
    self.psql("postgres", f"CREATE DATABASE {database}")
    subprocess.run(
      [programs() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, "-d", self.url(database)],
      input=dump, text=True, check=True)

  def session(self, database, *statements, user="postgres"):
    """Another client, which runs `statements` and then stays; closing its standard input ends it."""
    process = subprocess.Popen(
      [programs() / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url(database, user)],
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for statement in (*statements, "SELECT 'ready'"):
      process.stdin.write(statement + ";\n")
    process.stdin.flush()
    line = process.stdout.readline()
    while line and line.strip() != "ready":
      line = process.stdout.readline()
    if not line:
      process.wait()
      raise ConnectionError("the session could not be made")
    return process
