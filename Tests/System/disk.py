"""The disk: how long it takes to sync, and a library under a program that makes syncs slower or fail."""

import os
import pathlib
import shutil
import subprocess
import time

SOURCE = pathlib.Path(__file__).with_name("sync.c")


def sync_times(folder, count=100):
  """The seconds that each of `count` appended blocks of 4 KiB took to be written and synced."""
  times = []
  path = folder / "probe"
  with open(path, "wb", buffering=0) as file:
    for _ in range(count):
      began = time.perf_counter()
      file.write(bytes(4096))
      os.fdatasync(file)
      times.append(time.perf_counter() - began)
  path.unlink()
  return times


def compiler():
  return next(filter(None, map(shutil.which, ("gcc", "clang", "cc"))), None)


def sync_library(folder):
  """Compiles sync.c, which says what it does; its path is for LD_PRELOAD."""
  library = folder / "sync.so"
  subprocess.run([compiler(), "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"], check=True)
  return library
