#!/usr/bin/env python3
"""What an idempotency key takes in the database: draws with as many keys as asked for, then the bytes of the table that
keeps them and of its indexes, over the keys.

  bench/idempotency.py BINARY [KEYS]                  the embedded database
  bench/idempotency.py BINARY [KEYS] postgres://…     an empty PostgreSQL database, by psql

It needs wrk. BINARY is a built fairdraw; KEYS is 1000000."""

import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile

import closed_pipe

WRK = pathlib.Path(__file__).resolve().parent / "wrk"


def keys_in(database, url):
  if url:
    return int(psql(url, "SELECT count(*) FROM idempotency"))
  connection = sqlite3.connect(database, timeout=60)
  (count,) = connection.execute("SELECT coalesce(max(id), 0) FROM idempotency").fetchone()
  connection.close()
  return count


def psql(url, statement):
  return subprocess.run(["psql", "-qAtc", statement, url], check=True, capture_output=True, text=True).stdout.strip()


def pages(connection):
  connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
  [(used, size)] = connection.execute(
    "SELECT page_count - freelist_count, page_size FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()")
  return used * size


def bytes_in(database, url):
  if url:
    psql(url, "VACUUM idempotency")
    return int(psql(url, "SELECT pg_total_relation_size('idempotency')"))
  connection = sqlite3.connect(database, timeout=60, isolation_level=None)
  before = pages(connection)
  connection.execute("DROP TABLE idempotency")
  return before - pages(connection)


def main(binary, wanted=1_000_000, url=None):
  with tempfile.TemporaryDirectory() as folder:
    env = {**os.environ, "FAIRDRAW_DATA": folder, "FAIRDRAW_DAILY_QUOTA": str(2**31 - 1)}
    if url:
      env["FAIRDRAW_DATABASE"] = url
    command = lambda *arguments: subprocess.run(
      [binary, *arguments], env=env, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    server = subprocess.Popen(
      [binary, "serve", "--port", "0"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
      address = re.search(r"http://\S+", server.stdout.readline())[0]
      command("account", "create", "bench")
      key = command("key", "create", "--account", "bench")
      database = pathlib.Path(folder) / "fairdraw.db"
      run = 0
      while (kept := keys_in(database, url)) < wanted:
        run += 1
        print(f"{kept:,} keys", file=sys.stderr)
        subprocess.run(
          ["wrk", "-t1", "-c64", "-d10", "-s", WRK / "keyed.lua", address], cwd=WRK, check=True, stdout=subprocess.DEVNULL,
          env={**env, "BENCH_API_KEY": key, "BENCH_SEEDS": "1000", "BENCH_RUN": f"run-{run}"})
    finally:
      server.send_signal(signal.SIGTERM)
      server.wait(60)
    kept = keys_in(database, url)
    size = bytes_in(database, url)
    print(f"{kept:,} keys take {size:,} bytes: {size / kept:.1f} each")


if __name__ == "__main__":
  given = sys.argv[1:]
  if not given:
    sys.exit(__doc__)
  with closed_pipe.ends_quietly():
    main(given[0], *([int(given[1])] if len(given) > 1 else []), *given[2:3])
