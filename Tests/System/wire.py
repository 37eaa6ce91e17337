"""HTTP/1 by hand: connections that send what no library would, and take answers apart one after another."""


def request(method, path, *headers, body=b"", host="localhost", version="1.1"):
  """A request's bytes, with a Content-Length where there is a body or `method` has one."""
  lines = [f"{method} {path} HTTP/{version}", *([f"Host: {host}"] if host else []), *headers]
  if body or method == "POST":
    lines.append(f"Content-Length: {len(body)}")
  return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Wire:
  """A connection to a server. `source` is the address to come from: all of 127.0.0.0/8 is this machine."""

  def __init__(self, server, source=None, receive_buffer=None):
    self.socket = server.open_socket(source, receive_buffer)
    self.file = self.socket.makefile("rb")

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()

  def close(self):
    self.file.close()
    self.socket.close()

  def send(self, data):
    self.socket.sendall(data)

  def head(self):
    """Status and headers of the next answer; None at the end, a reset included."""
    try:
      line = self.file.readline()
    except ConnectionResetError:
      return None
    if not line:
      return None
    headers = {}
    while (text := self.file.readline()) not in (b"\r\n", b""):
      name, value = text.decode("latin-1").split(":", 1)
      headers[name.lower()] = value.strip()
    return int(line.split()[1]), headers

  def answer(self, method="GET"):
    """Status, headers and body of the next answer; None at the end."""
    head = self.head()
    if head is None:
      return None
    status, headers = head
    if method == "HEAD" or status in (204, 304) or status < 200:
      return status, headers, b""
    if headers.get("transfer-encoding") == "chunked":
      body = b""
      while size := int(self.file.readline(), 16):
        body += self.file.read(size)
        self.file.readline()
      self.file.readline()
      return status, headers, body
    length = headers.get("content-length")
    return status, headers, self.file.read(int(length)) if length is not None else self.file.read()

  def is_closed(self):
    """Waits for the server to close the connection; false if it says something first."""
    try:
      return self.file.read(1) == b""
    except ConnectionResetError:
      return True
