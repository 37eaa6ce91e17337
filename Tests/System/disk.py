"""The disk: how long it takes to sync."""

import os
import time


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
