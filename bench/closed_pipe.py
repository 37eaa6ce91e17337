"""What a command does when the reader of its output has gone, as in `bin/evidence --list | head -1`: it ends in silence."""

import contextlib
import os
import select
import signal
import sys


@contextlib.contextmanager
def ends_quietly():
  """For all that a command does: its exit code is then that of a program which the signal SIGPIPE ended."""
  try:
    try:
      yield
    finally:
      sys.stdout.flush()
  except BrokenPipeError:
    state = select.poll()
    state.register(sys.stdout, 0)
    if not any(event & select.POLLERR for _, event in state.poll(0)):
      raise  # another pipe's
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter, which flushes once more
    sys.exit(128 + signal.SIGPIPE)
