"""Machines of one's own: each a network, process and mount namespace, with a cable to a common switch.

A machine may lose its power (all its processes are killed) or be cut off from the others. Its own clients still reach it.
Needs root. Nothing is left when the test ends: the namespaces go with their processes.
"""

import contextlib
import ctypes
import os
import pathlib
import subprocess

from harness import wait_until

CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)

# It inherits orphans, such as a PostgreSQL that Patroni started; the kernel buries the children of who ignores SIGCHLD.
FIRST_PROCESS = """
import signal, subprocess
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
while True:
  signal.pause()
"""


def why_not():
  """Why there can be no machines here; None if there can."""
  if os.geteuid() != 0:
    return "machines are namespaces, which only root can make"
  tried = subprocess.run(
    ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c",
     "ip link add br0 type bridge && ip link add cable type veth peer name eth0"], capture_output=True, text=True)
  return f"no namespaces with a bridge and cables can be made: {tried.stderr.strip()}" if tried.returncode else None


class Namespace:
  """Processes apart from the others; `kill` ends them all at once."""

  def __init__(self):
    self.holder = subprocess.Popen(
      ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
       "/usr/bin/python3", "-s", "-c", FIRST_PROCESS], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert self.holder.stdout.readline() == "ready\n"
    pid = self.holder.pid
    self.pid = int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

  def command(self, *words, user=None):
    drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"] if user else []
    return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--", *drop, *map(str, words)]

  def run(self, *words, user=None, **settings):
    done = subprocess.run(self.command(*words, user=user), stdin=subprocess.DEVNULL, capture_output=True, text=True, **settings)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout

  def kill(self):
    self.holder.kill()
    self.holder.wait()
    self.holder.stdout.close()
    wait_until(lambda: not os.path.exists(f"/proc/{self.pid}"), "all processes are gone")


class Switch(Namespace):
  def __init__(self):
    super().__init__()
    self.run("sh", "-c", "ip link add br0 type bridge && ip link set br0 up")


class Machine:
  """`folders` of the file system are the machine's own, and survive a loss of power."""

  def __init__(self, switch, number, root, folders):
    self.switch, self.number = switch, number
    self.name, self.address = f"node{number}", f"10.0.0.{10 + number}"
    self.root = root / self.name
    self.folders = folders
    self.space = None
    self.services = {}

  def start(self):
    self.space = Namespace()
    for path, owner in self.folders.items():
      own = self.root / path.strip("/")
      if not own.exists():
        own.mkdir(parents=True)
        subprocess.run(["chown", f"{owner}:", own], check=True)
      self.space.run("mount", "--bind", own, path)
    self._plug(f"port{self.number}")
    self.space.run("sh", "-c", f"ip address add {self.address}/24 dev eth0 && ip link set eth0 up")
    return self

  def _plug(self, port):
    # From the switch's network, but among this test's processes, since a cable's other end is given by a process.
    enter = ["nsenter", f"--target={self.switch.pid}", "--net", "--"]
    for words in (["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(self.space.pid)],
                  ["link", "set", port, "master", "br0", "up"]):
      subprocess.run([*enter, "ip", *words], check=True)

  def serve(self, name, *words, user=None, **env):
    """Starts a service, whose output goes to a file beside the machine's folders."""
    with open(self.root / f"{name}.log", "ab") as log:
      self.services[name] = subprocess.Popen(
        self.space.command(*words, user=user), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **env}, cwd="/")

  def kill_service(self, name):
    """SIGKILL. nsenter, whose child the service is, ends with it."""
    process = self.services.pop(name)
    for child in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
      os.kill(int(child), 9)
    process.wait()

  def lose_power(self):
    if self.space:
      self.space.kill()
      for process in self.services.values():
        process.wait()
      self.services, self.space = {}, None

  def cut_off(self):
    """Nothing reaches the others any more, and nobody is told."""
    self.switch.run("ip", "link", "set", f"port{self.number}", "nomaster")

  def reconnect(self):
    self.switch.run("ip", "link", "set", f"port{self.number}", "master", "br0")

  @contextlib.contextmanager
  def network(self):
    """Sockets that this thread makes meanwhile are on the machine."""
    with open("/proc/thread-self/ns/net") as home, open(f"/proc/{self.space.pid}/ns/net") as there:
      enter(there)
      try:
        yield
      finally:
        enter(home)


def enter(namespace):
  if libc.setns(namespace.fileno(), CLONE_NEWNET):
    raise OSError(ctypes.get_errno(), "setns")
