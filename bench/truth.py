"""What a stopped server has stored, read without it, against what it acknowledged."""

import sqlite3
from contextlib import closing


def check(folder, least, most, least_keys, most_keys):
  """What is in the database, and sentences about what is wrong with it.

  The numbers are of outcomes and of idempotency keys: acknowledged, and with those that may have been in progress."""
  with closing(sqlite3.connect(f"file:{folder / 'fairdraw.db'}?mode=ro", uri=True)) as database:
    def one(statement):
      return database.execute(statement).fetchone()

    (outcomes,) = one("SELECT count(*) FROM outcomes")
    chains, gaps = one(
      """SELECT count(*), coalesce(sum(low <> 0 OR high <> n - 1 OR different <> n), 0) FROM
          (SELECT min(nonce) low, max(nonce) high, count(*) n, count(DISTINCT nonce) different
          FROM outcomes GROUP BY chain_id)""")
    (wrong_next,) = one(
      """SELECT count(*) FROM chains LEFT JOIN
          (SELECT chain_id, count(*) n FROM outcomes GROUP BY chain_id) used ON used.chain_id = chains.id
          WHERE chains.nonce <> coalesce(used.n, 0)""")
    (billed,) = one("SELECT coalesce(sum(count), 0) FROM usage")
    (records,) = one("SELECT count(*) FROM idempotency")
    (sound,) = one("PRAGMA quick_check")
    (journal,) = one("PRAGMA journal_mode")
  conditions = [
    (least <= outcomes <= most, f"{least:,} draws were acknowledged and {outcomes:,} are stored"),
    (gaps == 0, f"{gaps} of {chains:,} chains have nonces that do not run 0…n−1"),
    (wrong_next == 0, f"{wrong_next} chains carry a nonce that is not the number of their outcomes"),
    (billed == outcomes, f"usage counts {billed:,} draws where {outcomes:,} are stored"),
    (least_keys <= records <= most_keys, f"{least_keys:,} idempotency keys were used and {records:,} are stored"),
    (sound == "ok", f"the database is damaged: {sound}"),
  ]
  stored = {"outcomes": outcomes, "acknowledged": least, "chains": chains, "journal": journal,
            "bytes": sum(file.stat().st_size for file in folder.glob("fairdraw.db*"))}
  return stored, [sentence for holds, sentence in conditions if not holds]
