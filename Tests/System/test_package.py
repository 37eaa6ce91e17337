"""The packages of bin/package: what they hold, and the .deb in a Debian that has nothing else: install, serve, draw, upgrade, remove."""

import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from harness import BINARY, REPOSITORY, cli, environment, wait_until

LONG = 600  # a limit on hanging, never a measure of success
SETTING = re.compile(r"^#?([a-z-]+) = ", re.MULTILINE)


def run(command, **more):
  done = subprocess.run(list(map(str, command)), **{"capture_output": True, "text": True, "timeout": LONG, **more})
  assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
  return done.stdout


def package(folder):
  """Not compressed, which would take a minute."""
  run([REPOSITORY / "bin" / "package", folder], env=environment(
    FAIRDRAW_BINARY=BINARY, FAIRDRAW_PACKAGE_VERSION="0.2.0~test1", DPKG_DEB_COMPRESSOR_TYPE="none"))
  return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  if not (REPOSITORY / ".git").exists() or not shutil.which("dpkg-deb") or not shutil.which("swift"):
    pytest.skip("packages are built from a Git checkout, on Debian, with Swift")
  return package(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
  folder = tmp_path_factory.mktemp("unpacked")
  run(["dpkg-deb", "-R", next(built.glob("*.deb")), folder])
  return folder


# What is in them


@pytest.mark.timeout(1800)
def test_two_builds_are_identical(built, tmp_path):
  def digests(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}

  assert len(digests(built)) == 4
  assert digests(package(tmp_path)) == digests(built)


def test_the_checksums_are_those_of_the_files(built):
  run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=built)


def test_the_program_loads_only_what_the_package_depends_on(built, unpacked):
  program = unpacked / "usr" / "bin" / "fairdraw"
  names = re.findall(r"NEEDED +(\S+)", run(["objdump", "-p", program]))
  assert "libc.so.6" in names
  assert not [name for name in names if re.search("swift|Foundation|dispatch|BlocksRuntime", name)]
  depends = run(["dpkg-deb", "-f", next(built.glob("*.deb")), "Depends"])
  for library in (
    "libc6", "libpq5", "libcurl4", "libjemalloc2", "libnettle8", "librsvg2-2", "libsodium23", "libsqlite3-0",
    "fonts-dejavu-core", "ca-certificates"):
    assert re.search(rf"\b{library}\b", depends), depends
  assert cli("--version").stdout == run([program, "--version"])


def test_every_setting_is_in_the_settings_file_and_explained(unpacked):
  text = (unpacked / "etc" / "fairdraw" / "fairdraw.conf").read_text()
  options = set(re.findall(r"^  --([a-z-]+)", cli("serve", "--help", check=True).stdout, re.MULTILINE)) - {"version", "help"}
  assert len(options) >= 10
  assert set(SETTING.findall(text)) == options
  for paragraph in text.strip().split("\n\n")[1:]:
    lines = paragraph.splitlines()
    assert len(lines) > 1 and all(line.startswith("# ") for line in lines[:-1]) and SETTING.match(lines[-1]), paragraph


def test_every_command_has_a_manual_page(unpacked):
  pages = {page.name.removesuffix(".1.gz") for page in (unpacked / "usr" / "share" / "man" / "man1").iterdir()}

  def commands(command, path):
    yield ".".join(path)
    for each in command.get("subcommands", []):
      yield from commands(each, [*path, each["commandName"]])

  top = json.loads(cli("--experimental-dump-help", check=True).stdout)["command"]
  assert pages == set(commands(top, ["fairdraw"]))
  serve = gzip.decompress((unpacked / "usr" / "share" / "man" / "man1" / "fairdraw.serve.1.gz").read_bytes()).decode()
  assert ".It Fl -public-url Ar url" in serve


def test_completions_are_scripts_of_their_shells(unpacked):
  completions = unpacked / "usr" / "share" / "bash-completion" / "completions" / "fairdraw"
  run(["bash", "-n", completions])
  words = run(["bash", "-c", f". {completions}; COMP_WORDS=(fairdraw ser); COMP_CWORD=1; COMP_LINE='fairdraw ser'; COMP_POINT=12; "
               "_fairdraw fairdraw ser fairdraw; printf '%s\\n' \"${COMPREPLY[@]}\""])
  assert words.split() == ["serve"]
  assert (unpacked / "usr" / "share" / "zsh" / "vendor-completions" / "_fairdraw").read_text().startswith("#compdef fairdraw")
  assert "complete -c 'fairdraw'" in (unpacked / "usr" / "share" / "fish" / "vendor_completions.d" / "fairdraw.fish").read_text()


def test_the_sbom_names_every_library(built):
  sbom = json.loads(next(built.glob("*.spdx.json")).read_text())
  packages = {package["name"]: package for package in sbom["packages"]}
  pins = json.loads((REPOSITORY / "Package.resolved").read_text())["pins"]
  assert {pin["identity"] for pin in pins} | {"fairdraw", "swift", "libc6", "libsodium23", "libpq5"} <= set(packages)
  related = {relation["relatedSpdxElement"] for relation in sbom["relationships"]}
  assert related == {package["SPDXID"] for package in sbom["packages"]} and len(related) == len(sbom["packages"])


def test_the_licences_of_all_libraries_are_told(unpacked):
  text = (unpacked / "usr" / "share" / "doc" / "fairdraw" / "copyright").read_text()
  for pin in json.loads((REPOSITORY / "Package.resolved").read_text())["pins"]:
    assert f"{pathlib.PurePath(pin['location']).name.removesuffix('.git')} (LICENSE" in text


def test_the_configurations_for_proxies_and_monitoring_are_in_it(unpacked):
  for folder in ("proxies", "monitoring"):
    files = {file.name: file.read_text() for file in (REPOSITORY / "docs" / folder).iterdir()}
    assert {file.name: file.read_text() for file in (unpacked / "usr/share/doc/fairdraw/examples" / folder).iterdir()} == files


def test_the_archive_holds_what_the_package_holds(built, unpacked):
  with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
    files = {member.name.split("/", 1)[1]: member for member in archive if member.isfile()}
  packaged = {str(file.relative_to(unpacked)) for file in unpacked.rglob("*") if file.is_file() and "DEBIAN" not in file.parts}
  assert set(files) - packaged == {"usr/share/doc/fairdraw/INSTALL", "usr/share/doc/fairdraw/LICENSE"}
  assert not packaged - set(files)
  assert {(member.uid, member.gid) for member in files.values()} == {(0, 0)}


def test_the_unit_is_confined():
  if not shutil.which("systemd-analyze"):
    pytest.skip("systemd-analyze is not installed")
  unit = REPOSITORY / "packaging" / "fairdraw.service"
  exposure = run(["systemd-analyze", "security", "--offline=true", unit])
  assert float(re.search(r"Overall exposure level for fairdraw.service: ([\d.]+)", exposure)[1]) < 2.0


def system_calls():
  """What systemd's names for groups of system calls stand for."""
  groups, members = {}, []
  for line in run(["systemd-analyze", "syscall-filter"]).splitlines():
    if line.startswith("@"):
      members = groups.setdefault(line.strip(), [])
    elif line.strip() and not line.strip().startswith("#"):
      members.append(line.strip())

  def expanded(name):
    return set().union(*(expanded(each) for each in groups[name])) if name.startswith("@") else {name}

  return expanded


def test_the_unit_allows_what_the_server_does(free_port, tmp_path):
  if not shutil.which("systemd-analyze") or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode:
    pytest.skip("system calls cannot be traced here: that needs systemd-analyze, strace and leave to use it")
  expanded, allowed = system_calls(), set()
  unit = (REPOSITORY / "packaging" / "fairdraw.service").read_text()
  for sign, names in re.findall(r"^SystemCallFilter=(~?)(.*)$", unit, re.MULTILINE):
    for name in names.split():
      allowed = allowed - expanded(name) if sign else allowed | expanded(name)
  trace = tmp_path / "trace"
  launcher = ["strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace)]
  process = subprocess.Popen(
    [*launcher, BINARY, "serve", "--port", str(free_port), "--data", str(tmp_path / "data")], env=environment(), stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL, text=True)
  try:
    assert "is listening on" in process.stdout.readline()
    drawn = get(free_port, "/api/ints?clientSeed=traced")
    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/o/{drawn['shortId']}/og.png", timeout=60) as picture:
      assert picture.status == 200
  finally:
    for child in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
      os.kill(int(child), 15)
    process.communicate(timeout=60)
  called = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
  assert {"execve", "openat", "listen"} <= called
  # SQLite gives its files to the database's owner only as root.
  assert called - allowed <= {"fchown"}
  assert "PROT_WRITE|PROT_EXEC" not in trace.read_text()


# In a Debian that has nothing else


class Root:
  """A Debian below a folder. Its network is this machine's."""

  def __init__(self, path):
    self.path = path

  def command(self, *command, user=None, net=True):
    """Its processes end with the command, and see no others."""
    lo = [] if net else ["sh", "-c", 'ip link set lo up && exec "$@"', "-"]
    within = [f"--userspec={user}:{user}"] if user else []
    return [
      "unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.path}/proc", *([] if net else ["--net"]),
      *lo, "chroot", *within, str(self.path), *map(str, command)]

  def run(self, *command, user=None, **env):
    return run(self.command(*command, user=user), env=self.environment(**env), stderr=subprocess.STDOUT, capture_output=False,
               stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)

  def environment(self, **env):
    # TMPDIR is this machine's, and how bin/test finds processes that were left behind.
    kept = {name: value for name, value in os.environ.items() if name == "TMPDIR" or name.lower().endswith("_proxy")}
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", **kept, **env}

  def mode(self, path):
    return self.run("stat", "-c", "%a %U:%G", path).strip()

  def has(self, path):
    return (self.path / path.lstrip("/")).exists()

  @contextmanager
  def serving(self, port):
    process = subprocess.Popen(
      self.command("/usr/bin/fairdraw", "serve", user="fairdraw"), env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
      def is_up():
        assert process.poll() is None, process.stderr.read()
        try:
          return get(port, "/api/health")["status"] == "ok"
        except (urllib.error.URLError, ConnectionError):
          return False

      wait_until(is_up, "the installed server responds")
      yield
    finally:
      # unshare hands no signal on; its child is chroot's place, the server.
      for child in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        os.kill(int(child), 15)
      try:
        process.communicate(timeout=60)
      finally:
        process.kill()


def get(port, path):
  with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
    return json.load(response)


def mirror():
  """Where this machine's own packages come from, and the name of its release."""
  release = dict(re.findall(r'^(\w+)="?([^"\n]*)', pathlib.Path("/etc/os-release").read_text(), re.MULTILINE))
  if release.get("ID") != "debian":
    pytest.skip("this machine is not a Debian, so the package is not for one")
  codename = release["VERSION_CODENAME"]
  found = run(["apt-get", "indextargets", "--format", "$(SITE) $(REPO_URI) $(CODENAME)", "Created-By: Packages"])
  for line in found.splitlines():
    _, uri, name = (line.split() + ["", "", ""])[:3]
    if name == codename and "security" not in uri:
      return uri, codename
  return "http://deb.debian.org/debian", codename


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
  if os.geteuid() != 0 or not shutil.which("debootstrap"):
    pytest.skip("a bare Debian needs root and debootstrap")
  if subprocess.run(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"], capture_output=True).returncode:
    pytest.skip("a bare Debian needs namespaces of its own, which are forbidden here")
  uri, codename = mirror()
  path = tmp_path_factory.mktemp("debian") / "root"
  done = subprocess.run(
    ["debootstrap", "--variant=minbase", codename, str(path), uri], env=Root(path).environment(), stdin=subprocess.DEVNULL,
    capture_output=True, text=True, timeout=LONG, start_new_session=True)
  if done.returncode:
    pytest.skip(f"debootstrap could not make a bare Debian from {uri}: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
  path.parent.chmod(0o755)
  temporary = path / os.environ.get("TMPDIR", "/tmp").lstrip("/")
  temporary.mkdir(parents=True, exist_ok=True)
  temporary.chmod(0o1777)
  shutil.copy("/etc/resolv.conf", path / "etc" / "resolv.conf")
  root = Root(path)
  try:
    root.run("apt-get", "-q", "update")
  except AssertionError as failure:
    pytest.skip(f"the bare Debian does not reach {uri}: {failure}")
  return root


def next_version(deb, folder):
  """The same package, one version later."""
  run(["dpkg-deb", "-R", deb, folder / "next"])
  control = folder / "next" / "DEBIAN" / "control"
  control.write_text(control.read_text().replace("~test1", "~test2"))
  run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", folder / "next", folder / "fairdraw-next.deb"])
  return folder / "fairdraw-next.deb"


@pytest.mark.timeout(1800)
def test_the_life_of_an_installation(built, debian, free_port, tmp_path):
  def install(deb):
    shutil.copy(deb, debian.path / "tmp" / "fairdraw.deb")
    return debian.run("apt-get", "-q", "install", "-y", "--no-install-recommends", "/tmp/fairdraw.deb")

  # Installed, with settings of its own.
  deb = next(built.glob("*.deb"))
  install(deb)
  assert not debian.has("/opt/swift") and not debian.has("/usr/bin/swift")
  assert debian.mode("/etc/fairdraw/fairdraw.conf") == "640 root:fairdraw"
  assert debian.mode("/var/lib/fairdraw") == "700 fairdraw:fairdraw"
  assert debian.has("/etc/systemd/system/multi-user.target.wants/fairdraw.service") or os.path.islink(
    debian.path / "etc/systemd/system/multi-user.target.wants/fairdraw.service")
  conf = debian.path / "etc" / "fairdraw" / "fairdraw.conf"
  conf.write_text(conf.read_text().replace("#port = 8080", f"port = {free_port}"))

  with debian.serving(free_port):
    # As root too, whose commands leave nothing of root's.
    debian.run("fairdraw", "account", "create", "A game")
    drawn = get(free_port, "/api/ints?clientSeed=package&max=1000000")
    assert drawn["nonce"] == 0
    assert "ok" in debian.run("fairdraw", "status", user="fairdraw")
    assert "database     SQLite" in debian.run("sh", "-c", "fairdraw doctor || test $? = 2")
    assert set(debian.run("stat", "-c", "%U:%G", *(f"/var/lib/fairdraw/{file.name}" for file in (debian.path / "var/lib/fairdraw").iterdir())).split()) == {"fairdraw:fairdraw"}
    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/o/{drawn['shortId']}/og.png", timeout=60) as picture:
      assert picture.read(8) == b"\x89PNG\r\n\x1a\n"
  assert debian.mode("/var/lib/fairdraw/master.key") == "600 fairdraw:fairdraw"

  # Upgraded, with its settings and its data.
  install(next_version(deb, tmp_path))
  assert debian.run("dpkg-query", "-W", "-f", "${Version}", "fairdraw") == "0.2.0~test2"
  assert f"port = {free_port}" in conf.read_text()
  assert debian.mode("/etc/fairdraw/fairdraw.conf") == "640 root:fairdraw"
  with debian.serving(free_port):
    assert drawn["shortId"] in json.dumps(get(free_port, "/api/outcome?clientSeed=package&cursor=0&nonce=0"))
    assert get(free_port, "/api/ints?clientSeed=package")["nonce"] == 1

  # Removed and purged: the proof of what was drawn is not the package's to delete.
  debian.run("apt-get", "-q", "remove", "-y", "fairdraw")
  assert not debian.has("/usr/bin/fairdraw") and debian.has("/etc/fairdraw/fairdraw.conf")
  assert "kept in /var/lib/fairdraw" in debian.run("apt-get", "-q", "purge", "-y", "fairdraw")
  assert not debian.has("/etc/fairdraw") and debian.has("/var/lib/fairdraw/master.key")
  shutil.rmtree(debian.path / "var/lib/fairdraw")
  install(deb)
  debian.run("apt-get", "-q", "purge", "-y", "fairdraw")
  assert not debian.has("/var/lib/fairdraw")


def pretend_systemd(debian):
  """Makes a Debian in which systemd seems to run; returns where it is written down what is started, and whether it runs."""
  folder = debian.path / "pretended"
  folder.mkdir()
  (debian.path / "run/systemd/system").mkdir(parents=True)
  # What it is asked to do is written down; `is-active` says whether there is a file of that name.
  for name, script in {
    "deb-systemd-invoke": 'echo "$1" >>/pretended/done; [ "$1" = stop ] && rm -f /pretended/active || touch /pretended/active',
    "systemctl": 'case "$*" in *is-active*) test -e /pretended/active ;; esac'}.items():
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
  return folder


@pytest.mark.timeout(1800)
def test_when_the_package_starts_the_service(built, debian):
  deb = next(built.glob("*.deb"))
  shutil.copy(deb, debian.path / "tmp" / "fairdraw.deb")
  pretended = pretend_systemd(debian)

  def apt(*words):
    path = "DPkg::Path=/pretended:/usr/sbin:/usr/bin:/sbin:/bin"
    debian.run("apt-get", "-q", "-y", "-o", path, "--no-install-recommends", *words)
    done = (pretended / "done").read_text().split() if (pretended / "done").exists() else []
    (pretended / "done").unlink(missing_ok=True)
    return done

  try:
    assert apt("install", "/tmp/fairdraw.deb") == ["start"]
    assert apt("--reinstall", "install", "/tmp/fairdraw.deb") == ["restart"]
    (pretended / "active").unlink()
    assert apt("--reinstall", "install", "/tmp/fairdraw.deb") == [], "whoever has stopped it starts it"
    (pretended / "active").touch()
    assert apt("remove", "fairdraw") == ["stop"]
    assert apt("install", "/tmp/fairdraw.deb") == ["start"], "its settings were there still"
    assert apt("purge", "fairdraw") == ["stop"]
    assert apt("install", "/tmp/fairdraw.deb") == ["start"]
  finally:
    apt("purge", "fairdraw")
    shutil.rmtree(debian.path / "run/systemd")
    shutil.rmtree(pretended)
  assert not debian.has("/var/lib/fairdraw")


@pytest.mark.timeout(1800)
def test_the_container_file_makes_a_healthy_server(built, debian):
  if not shutil.which("ip"):
    pytest.skip("a network of its own needs iproute2's `ip`")
  lines = dict(re.findall(r"^(?:HEALTHCHECK .* )?(FROM|RUN|USER|ENV|ENTRYPOINT|CMD) (.*)$", (REPOSITORY / "packaging" / "Containerfile").read_text(), re.MULTILINE))
  check = json.loads(re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", (REPOSITORY / "packaging" / "Containerfile").read_text(), re.MULTILINE)[1])
  deb = next(built.glob("*.deb"))
  shutil.copy(deb, debian.path / "tmp" / deb.name)
  debian.run("sh", "-c", lines["RUN"].replace(" /var/lib/apt/lists/*", ""))
  command = [*json.loads(lines["ENTRYPOINT"]), *json.loads(lines["CMD"])]
  # In a network of its own, since it listens on every address: the server, and its health check until that is content.
  script = ('"$@" >/dev/null 2>/tmp/container.log & server=$!; '
            f'until {" ".join(check)}; do kill -0 $server || {{ cat /tmp/container.log; exit 1; }}; sleep 0.1; done; '
            f'kill -TERM $server; wait $server && ! {" ".join(check)}')
  name, value = lines["ENV"].split("=")
  done = subprocess.run(
    debian.command("sh", "-c", script, "-", *command, user=lines["USER"], net=False),
    env=debian.environment(**{name: value}), capture_output=True, text=True, timeout=LONG)
  assert done.returncode == 0, done.stdout + done.stderr
  assert re.search("^status +ok$", done.stdout, re.MULTILINE)
