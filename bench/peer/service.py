"""A draw service as one puts it together from FastAPI, PostgreSQL and Redis, with safe retries: what Fairdraw is compared with.

It answers the two requests that the benchmark makes. The README beside bench.py says what it does not do.
"""

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import time
from collections import Counter

import asyncpg
import redis.asyncio
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

SCHEMA = """
  CREATE TABLE IF NOT EXISTS chains (
    id bigserial PRIMARY KEY, client_seed text NOT NULL UNIQUE, server_seed bytea NOT NULL, nonce bigint NOT NULL);
  CREATE TABLE IF NOT EXISTS outcomes (
    id bigserial PRIMARY KEY, chain_id bigint NOT NULL REFERENCES chains, nonce bigint NOT NULL, min bigint NOT NULL,
    max bigint NOT NULL, value bigint[] NOT NULL, created timestamptz NOT NULL DEFAULT now(), UNIQUE (chain_id, nonce));
"""
# Takes nonces of chains, which are made if they are new: as many as are asked for, and the last is returned. Chains are locked in
# the order of their client seeds, so that two batches never wait for each other.
TAKE = """
  INSERT INTO chains AS c (client_seed, server_seed, nonce) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[])
  ON CONFLICT (client_seed) DO UPDATE SET nonce = c.nonce + excluded.nonce RETURNING id, client_seed, server_seed, nonce
"""
RECORD = """
  INSERT INTO outcomes (chain_id, nonce, min, max, value)
  SELECT chain_id, nonce, min, max, ARRAY[value] FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
    AS drawn (chain_id, nonce, min, max, value)
  RETURNING id
"""
API_KEY = os.environ["PEER_API_KEY"]
DAY = 24 * 60 * 60

app = FastAPI()


@app.on_event("startup")
async def connect():
  # asyncpg's first queries on a connection take a second if PostgreSQL compiles them.
  app.state.database = await asyncpg.create_pool(
    os.environ["PEER_DATABASE"], min_size=16, max_size=16, server_settings={"jit": "off"})
  app.state.redis = redis.asyncio.from_url(os.environ["PEER_REDIS"])


class Draw(BaseModel):
  clientSeed: str = Field(max_length=256)
  count: int = Field(1, ge=1, le=1)
  min: int = 1
  max: int = 100


class BatchDraw(BaseModel):
  endpoint: str = Field(regex="^ints$")
  params: Draw


class Batch(BaseModel):
  draws: list[BatchDraw] = Field(min_items=1, max_items=50)


def check_key(x_api_key: str = Header()):
  if not hmac.compare_digest(x_api_key.encode(), API_KEY.encode()):
    raise HTTPException(401, "unknown API key")


def derive(server_seed, client_seed, nonce, low, high):
  digest = hmac.digest(server_seed, f"{client_seed}:{nonce}".encode(), "sha256")
  return low + int.from_bytes(digest[:16], "big") % (high - low + 1)


async def draw_all(draws):
  """Draws and records in one transaction."""
  wanted = sorted(Counter(draw.clientSeed for draw in draws).items())
  names, counts = zip(*wanted)
  async with app.state.database.acquire() as connection, connection.transaction():
    chains = {
      row["client_seed"]: row for row in await connection.fetch(TAKE, names, [secrets.token_bytes(32) for _ in names], counts)}
    next_nonce = {name: chains[name]["nonce"] - count for name, count in wanted}
    rows = []
    for draw in draws:
      chain, nonce = chains[draw.clientSeed], next_nonce[draw.clientSeed]
      next_nonce[draw.clientSeed] += 1
      rows.append((chain["id"], nonce, draw.min, draw.max, derive(chain["server_seed"], draw.clientSeed, nonce, draw.min, draw.max)))
    ids = await connection.fetch(RECORD, *map(list, zip(*rows)))
  created = time.time_ns() // 1_000_000
  return [
    {"outcome": [value], "id": row["id"], "serverHash": hashlib.sha256(chains[draw.clientSeed]["server_seed"]).hexdigest(),
     "clientSeed": draw.clientSeed, "nonce": nonce, "endpoint": "ints", "min": low, "max": high, "count": 1, "created": created}
    for draw, row, (_, nonce, low, high, value) in zip(draws, ids, rows)]


async def once(key, request, work):
  """Does `work` unless a request with this idempotency key was answered before: then its response is sent again."""
  store, name = app.state.redis, f"idempotency:{key}"
  fingerprint = hashlib.sha256(request).hexdigest()
  claim = json.dumps({"request": fingerprint, "body": None})
  if not await store.set(name, claim, nx=True, ex=DAY):
    kept = json.loads(await store.get(name) or claim)
    if kept["request"] != fingerprint:
      raise HTTPException(422, "this idempotency key was used for another request")
    if kept["body"] is None:
      raise HTTPException(409, "the request with this idempotency key is in progress")
    return respond(kept["body"], {"Idempotent-Replayed": "true"})
  try:
    body = json.dumps(await work(), separators=(",", ":"))
  except BaseException:
    await asyncio.shield(store.delete(name))
    raise
  await store.set(name, json.dumps({"request": fingerprint, "body": body}), ex=DAY)
  return respond(body)


def respond(body, headers=None):
  return Response(body, headers=headers, media_type="application/json")


@app.get("/api/ints", dependencies=[Depends(check_key)])
async def ints(
    request: Request, clientSeed: str = Query(max_length=256), count: int = Query(1, ge=1, le=1), low: int = Query(1, alias="min"),
    high: int = Query(100, alias="max"), idempotency_key: str | None = Header(None, max_length=256)):
  if low > high:
    raise HTTPException(400, "min must not be greater than max")

  async def work():
    return (await draw_all([Draw(clientSeed=clientSeed, count=count, min=low, max=high)]))[0]

  if idempotency_key is None:
    return respond(json.dumps(await work()))
  return await once(idempotency_key, request.url.query.encode(), work)


@app.post("/api/batch", dependencies=[Depends(check_key)])
async def batch(request: Request, batch: Batch, idempotency_key: str | None = Header(None, max_length=256)):
  draws = [draw.params for draw in batch.draws]
  if any(draw.min > draw.max for draw in draws):
    raise HTTPException(400, "min must not be greater than max")

  async def work():
    return {"results": [{"ok": True, **drawn} for drawn in await draw_all(draws)]}

  if idempotency_key is None:
    return respond(json.dumps(await work()))
  return await once(idempotency_key, await request.body(), work)


async def create_tables():
  connection = await asyncpg.connect(os.environ["PEER_DATABASE"])
  await connection.execute(SCHEMA)
  await connection.close()


if __name__ == "__main__":
  asyncio.run(create_tables())
