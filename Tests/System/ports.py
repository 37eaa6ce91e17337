"""Ports for servers that have to be told one."""

import socket

# Bound and never listening: the system chooses such a port neither for a connection nor for a server that takes any, and a
# server that is told it, and sets SO_REUSEADDR as all here do, can listen on it.
_reserved = []


def free_port():
  """A port of 127.0.0.1 that nobody listens on and that is the caller's until this process ends."""
  reserved = socket.socket()
  _reserved.append(reserved)
  reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  reserved.bind(("127.0.0.1", 0))
  return reserved.getsockname()[1]
