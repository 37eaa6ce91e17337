"""The proxies of docs/proxies, run as ordinary processes on free ports of 127.0.0.1, each with its own folder.

They run the very files of the documentation. Only ports, paths and certificates are replaced; what a proxy needs
besides (a place for its temporary files, Caddy's own certificate authority) is set around the file.
"""

import contextlib
import http.client
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import threading

from harness import REPOSITORY, TIMEOUT, Connection, environment, wait_until
from ports import free_port

FILES = REPOSITORY / "docs" / "proxies"
HOST = "draws.example.com"


def replaced(text, *pairs):
  """The text with each of the strings replaced, all of which must be there."""
  for old, new in pairs:
    assert old in text, f"{old} is not in the file"
    text = text.replace(old, str(new))
  return text


class Proxy:
  """A proxy in front of the servers on `upstreams`, two ports."""

  name = None
  file = None

  def __init__(self, folder, upstreams):
    self.folder = folder / self.name
    self.folder.mkdir()
    self.upstreams = upstreams
    self.host = "127.0.0.1"
    self.plain_port, self.port = free_port(), free_port()
    self.log = self.folder / "log"
    self.authority = self.folder / "authority.pem"
    self.text = replaced((FILES / self.file).read_text(), *zip(("127.0.0.1:8080", "127.0.0.1:8081"), map("127.0.0.1:{}".format, upstreams)))
    self.process = None

  def make_certificate(self):
    subprocess.run(
      ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
       "-addext", f"subjectAltName=DNS:{HOST},DNS:*.{HOST}", "-keyout", self.folder / "key.pem", "-out", self.authority],
      check=True, capture_output=True, timeout=TIMEOUT)
    both = self.folder / "both.pem"
    both.write_text(self.authority.read_text() + (self.folder / "key.pem").read_text())
    return both

  def command(self):
    raise NotImplementedError

  def start(self):
    command = self.command()
    env = environment(HOME=self.folder, XDG_DATA_HOME=self.folder, XDG_CONFIG_HOME=self.folder)
    with open(self.log, "ab") as log:
      self.process = subprocess.Popen(command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    wait_until(self.is_up, f"{self.name} responds")
    return self

  def is_up(self):
    assert self.process.poll() is None, self.log.read_text()[-3000:]
    try:
      with self.connect() as connection:
        return connection.get("/api/health").status < 600
    except (OSError, http.client.HTTPException):
      return False

  def stop(self):
    if self.process is not None:
      self.process.terminate()
      self.process.wait(TIMEOUT)
      self.process = None

  def __enter__(self):
    return self.start()

  def __exit__(self, *_):
    self.stop()

  # As a server

  def open_socket(self, source=None, tls=None):
    """A connection over TLS to the server behind, from the address `source` if it is given."""
    plain = socket.create_connection((self.host, self.port), TIMEOUT, source_address=(source, 0) if source else None)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ssl.create_default_context(cafile=self.authority).wrap_socket(plain, server_hostname=HOST)

  def connect(self, source=None):
    return SecureConnection(self, source)

  def request(self, method, path, query=None, source=None, **rest):
    with self.connect(source) as connection:
      return connection.request(method, path, query, **rest)

  def get(self, path, query=None, **rest):
    return self.request("GET", path, query, **rest)

  def post(self, path, body=None, **rest):
    return self.request("POST", path, body=body, **rest)

  def curl(self, path, *arguments, data=None, host=HOST):
    """HTTP version, status and body of a request that curl makes over HTTP/2.

    Of a response that comes while curl still sends the request, curl may lose the body (exit code 18).
    """
    output = self.folder / "answer"
    done = subprocess.run(
      ["curl", "-sS", "--http2", "--cacert", self.authority, "--resolve", f"{host}:{self.port}:{self.host}", "-o", output,
       "-w", "%{http_version} %{http_code}", *arguments, *(["--data-binary", "@-"] if data is not None else []),
       f"https://{host}:{self.port}{path}"],
      input=data, capture_output=True, timeout=TIMEOUT)
    assert done.returncode == 0 or data is not None and done.returncode == 18, done.stderr
    version, status = done.stdout.decode().split()
    return version, int(status), output.read_bytes()


class SecureConnection(Connection):
  """One kept-alive connection to a proxy."""

  def __init__(self, proxy, source=None):
    self.http = http.client.HTTPSConnection(HOST, proxy.port, timeout=TIMEOUT)
    self.http.connect = lambda: setattr(self.http, "sock", proxy.open_socket(source))


class Nginx(Proxy):
  name = "nginx"
  file = "nginx.conf"

  def command(self):
    self.make_certificate()
    self.text = replaced(
      self.text, ("listen 80;", f"listen 127.0.0.1:{self.plain_port};"), ("listen 443 ", f"listen 127.0.0.1:{self.port} "),
      ("/etc/ssl/draws.example.com.pem", self.authority), ("/etc/ssl/draws.example.com.key", self.folder / "key.pem"))
    user = "user root;\n" if os.geteuid() == 0 else ""  # else its processes could not use the test's folder
    folders = "".join(
      f"  {kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (self.folder / "main.conf").write_text(
      f"{user}daemon off;\npid {self.folder}/pid;\nerror_log stderr;\nworker_processes 2;\nworker_rlimit_nofile 4096;\n"
      f"events {{ worker_connections 1024; }}\nhttp {{\n  access_log off;\n{folders}  include site.conf;\n}}\n")
    self.write(self.text)
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(self.folder), "-e", "stderr", "-c", "main.conf"]

  def write(self, text):
    (self.folder / "site.conf").write_text(text)

  def workers(self):
    children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
    with open(children) as file:
      return set(file.read().split())

  def leave_out(self, port):
    """Has it send nothing more to a server; None puts all back. Returns when the old processes are gone."""
    before = self.workers()
    self.write(self.text if port is None else replaced(self.text, (f"server 127.0.0.1:{port} ", f"server 127.0.0.1:{port} down ")))
    self.process.send_signal(signal.SIGHUP)
    wait_until(lambda: self.workers() and not before & self.workers(), "nginx has read its file again")


class Caddy(Proxy):
  name = "caddy"
  file = "Caddyfile"

  def command(self):
    # Its own authority signs the certificate, since nobody else would for that name.
    options = (
      f"{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {self.plain_port}\n\thttps_port {self.port}\n\tlocal_certs\n"
      "\tskip_install_trust\n}\n\n")
    (self.folder / "Caddyfile").write_text(options + self.text)
    self.authority = self.folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    return ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"]


class HAProxy(Proxy):
  name = "haproxy"
  file = "haproxy.cfg"

  def command(self):
    text = replaced(
      self.text, ("bind :80\n", f"bind 127.0.0.1:{self.plain_port}\n"), ("bind :443 ", f"bind 127.0.0.1:{self.port} "),
      ("/etc/haproxy/draws.example.com.pem", self.make_certificate()))
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 10_000:
      text = replaced(text, ("maxconn 4000", "maxconn 200"))  # it does not start if it may not open so many files
    (self.folder / "haproxy.cfg").write_text(text)
    return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", "haproxy.cfg"]


class HAProxyOfCells(HAProxy):
  """In front of two cells, with the maps of the documentation."""

  name = "haproxy-cells"
  file = "haproxy-cells.cfg"

  def __init__(self, folder, upstreams):
    super().__init__(folder, upstreams)
    self.socket = self.folder / "admin.sock"
    self.keys = self.folder / "keys.map"
    for name in ("cells.map", "keys.map"):
      shutil.copy(FILES / name, self.folder)
    self.text = replaced(
      self.text, ("/etc/haproxy/cells.map", self.folder / "cells.map"), ("/etc/haproxy/keys.map", self.keys),
      ("/run/haproxy/admin.sock", self.socket))

  def order(self, command):
    """Has HAProxy do what can be done while it runs; what it says."""
    with socket.socket(socket.AF_UNIX) as sock:
      sock.settimeout(TIMEOUT)
      sock.connect(str(self.socket))
      sock.sendall(f"{command}\n".encode())
      with sock.makefile() as file:
        return file.read().strip()


ALL = [Nginx, Caddy, HAProxy]


class DyingServer:
  """A server that is well, but dies of every draw: it reads the request to its end, and closes the connection."""

  def __init__(self):
    self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    self.port = self.listener.getsockname()[1]
    self.requests = []

  def serve(self):
    while True:
      try:
        connection, _ = self.listener.accept()
      except OSError:
        return
      threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

  def answer(self, connection):
    with contextlib.closing(connection), connection.makefile("rb") as file, contextlib.suppress(ConnectionError):
      while line := file.readline():
        length = 0
        while (header := file.readline()) not in (b"\r\n", b""):
          if found := re.match(rb"content-length: *(\d+)", header, re.IGNORECASE):
            length = int(found[1])
        text = line + file.read(length)
        if b"/api/health" not in line:
          self.requests.append(text.decode())
          return
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")

  def __enter__(self):
    threading.Thread(target=self.serve, daemon=True).start()
    return self

  def __exit__(self, *_):
    self.listener.shutdown(socket.SHUT_RDWR)
    self.listener.close()
