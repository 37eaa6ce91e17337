"""A reader of the continuous log: tlog-tiles, signed-note and tlog-proof written down once more, on hashlib and an Ed25519 of its own.

It believes nothing but the verifier key: whatever it returns follows from the entries that it fetched.
"""

import base64
import hashlib
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness import exact, wait_until

WIDTH = 256


def sha256(*parts):
  return hashlib.sha256(b"".join(parts)).digest()


def leaf_of(entry):
  return sha256(b"\0", entry.encode())


def node_of(left, right):
  return sha256(b"\1", left, right)


class Roots:
  """The roots of all prefixes, one leaf at a time (RFC 6962): the complete subtrees from left to right."""

  def __init__(self):
    self.size = 0
    self.subtrees = []

  def append(self, leaf):
    self.subtrees.append(leaf)
    self.size += 1
    size = self.size
    while size % 2 == 0:
      right = self.subtrees.pop()
      self.subtrees.append(node_of(self.subtrees.pop(), right))
      size //= 2

  def root(self):
    if not self.subtrees:
      return sha256()
    *rest, root = self.subtrees
    for left in reversed(rest):
      root = node_of(left, root)
    return root


def root_of(leaves):
  roots = Roots()
  for leaf in leaves:
    roots.append(leaf)
  return roots.root()


def check_inclusion(entry, index, size, path, root):
  """RFC 9162, section 2.1.3.2."""
  assert 0 <= index < size
  at, last, node = index, size - 1, leaf_of(entry)
  for other in path:
    assert last > 0, "the proof is too long"
    if at % 2 or at == last:
      node = node_of(other, node)
      while at % 2 == 0 and at:
        at, last = at // 2, last // 2
    else:
      node = node_of(node, other)
    at, last = at // 2, last // 2
  assert last == 0, "the proof is too short"
  assert node == root


@dataclass(frozen=True)
class VerifierKey:
  name: str
  key_id: bytes
  public: bytes

  @classmethod
  def parse(cls, text):
    name, key_id, data = text.split("+", 2)
    data = base64.b64decode(data, validate=True)
    assert len(data) == 33 and data[0] == 1, "an Ed25519 key"
    assert key_id == sha256(name.encode(), b"\n", data)[:4].hex()
    return cls(name, bytes.fromhex(key_id), data[1:])

  def open(self, note):
    """The text of a note whose one signature is this key's."""
    text, gap, signatures = note.rpartition("\n\n")
    text += "\n"
    assert gap and signatures.endswith("\n") and signatures.count("\n") == 1, note
    dash, name, signature = signatures.removesuffix("\n").split(" ")
    signature = base64.b64decode(signature, validate=True)
    assert (dash, name, signature[:4]) == ("\u2014", self.name, self.key_id)
    Ed25519PublicKey.from_public_bytes(self.public).verify(signature[4:], text.encode())
    return text


@dataclass(frozen=True)
class Checkpoint:
  size: int
  root: bytes

  @classmethod
  def open(cls, note, key):
    origin, size, root, end = key.open(note).split("\n")
    assert origin == key.name and end == "" and size == str(int(size))
    root = base64.b64decode(root, validate=True)
    assert len(root) == 32
    return cls(int(size), root)


def tile_path(level, number, width=WIDTH):
  """`level` is a number, or "entries"."""
  groups = [f"{number % 1000:03}"]
  while number := number // 1000:
    groups.insert(0, f"x{number % 1000:03}")
  return f"tile/{level}/{'/'.join(groups)}" + ("" if width == WIDTH else f".p/{width}")


class Log:
  """The log of an era as a server shows it."""

  def __init__(self, server, era=0):
    self.server = server
    self.keys = server.get("/api/keys").json()
    self.key = VerifierKey.parse(self.keys["log"]["vkey"])
    assert self.keys["log"]["origin"] == self.key.name
    self.prefix = f"/log/{era}"
    assert self.keys["log"]["prefix"].endswith(self.prefix)
    wait_until(lambda: server.get(f"{self.prefix}/checkpoint").status == 200, "the first checkpoint is signed")

  def note(self):
    answer = self.server.get(f"{self.prefix}/checkpoint")
    assert answer.status == 200, answer
    return answer.body.decode()

  def checkpoint(self):
    return Checkpoint.open(self.note(), self.key)

  def grown_to(self, size):
    """Awaits a checkpoint of so many entries. Until its first entry is in, a log has none."""
    def ask():
      if self.server.get(f"{self.prefix}/checkpoint").status == 404:
        return None
      found = self.checkpoint()
      return found if found.size >= size else None

    return wait_until(ask, f"the log has {size} entries")

  def entries(self, checkpoint=None):
    """All entries of a checkpoint, of the newest one if none is given; it, they and every tile fit together."""
    checkpoint = checkpoint or self.checkpoint()
    entries = []
    with self.server.connect() as connection:
      for number in range((checkpoint.size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, checkpoint.size - WIDTH * number)
        entries += bundle(self.fetch(connection, tile_path("entries", number, width)), width)
      nodes = [leaf_of(entry) for entry in entries]
      assert root_of(nodes) == checkpoint.root, "the entries give another root"
      level = 0
      while nodes:
        for number in range((len(nodes) + WIDTH - 1) // WIDTH):
          hashes = nodes[WIDTH * number:WIDTH * (number + 1)]
          assert self.fetch(connection, tile_path(level, number, len(hashes))) == b"".join(hashes), (level, number)
        nodes = [root_of(nodes[at:at + WIDTH]) for at in range(0, len(nodes) - len(nodes) % WIDTH, WIDTH)]
        level += 1
    assert entries[0] == self.first_entry()
    return entries

  def fetch(self, connection, path):
    answer = connection.get(f"{self.prefix}/{path}")
    assert answer.status == 200, (path, answer)
    assert answer.header("Content-Type") == "application/octet-stream"
    return answer.body

  def first_entry(self):
    """The keys that the server names, as the log's first entry has them."""
    daily = base64.b64decode(self.keys["daily"]["publicKey"], validate=True)
    return f"keys era=0 vrf={self.keys['vrf']['publicKey']} daily={daily.hex()}"

  def proof(self, short_id):
    """Awaits the proof of an outcome: until there is one, the server has to say that it is too early."""
    def ask():
      answer = self.server.get(f"/api/proof/{short_id}")
      if answer.status == 404:
        assert (answer.code, answer.header("Retry-After"), answer.json()["retryAfter"]) == ("not_logged_yet", "1", 1), answer
        return None
      assert answer.status == 200, answer
      assert answer.header("Content-Type") == "text/plain; charset=utf-8"
      return Proof(answer.body.decode(), self.key)

    return wait_until(ask, f"{short_id} is in the log")


def bundle(data, width):
  """The entries of a bundle, each after its length in two bytes."""
  entries = []
  while data:
    length = int.from_bytes(data[:2], "big")
    assert len(data) >= 2 + length
    entries.append(data[2:2 + length].decode("ascii"))
    data = data[2 + length:]
  assert len(entries) == width
  return entries


class Proof:
  """A tlog-proof, read as strictly as it is specified."""

  def __init__(self, text, key):
    head, gap, note = text.partition("\n\n")
    kind, extra, index, *path = head.split("\n")
    assert gap and kind == "c2sp.org/tlog-proof@v1"
    assert extra.startswith("extra ") and index.startswith("index ")
    self.extra = base64.b64decode(extra.removeprefix("extra "), validate=True)
    self.index = int(index.removeprefix("index "))
    assert index == f"index {self.index}"
    self.path = [base64.b64decode(line, validate=True) for line in path]
    assert all(len(node) == 32 for node in self.path)
    self.checkpoint = Checkpoint.open(note, key)

  def check(self, text):
    """That an outcome of this canonical text is in the log."""
    assert self.extra == text
    check_inclusion(entry_of("draw", text), self.index, self.checkpoint.size, self.path, self.checkpoint.root)


# What entries are the digests of


def entry_of(kind, text):
  return f"{kind} {sha256(text).hex()}"


def lines(*parts):
  return "".join(f"{part}\n" for part in parts).encode()


COMMON = {
  "outcome", "endpoint", "clientSeed", "serverHash", "nonce", "cursor", "count", "created", "shortId", "permalink", "mode",
  "serverSeed", "commitId"}


def members(text):
  """The members of a compact JSON object: each name with its value as it is spelled."""
  decoder, found, at = json.JSONDecoder(), {}, 1
  assert text[0] == "{"
  while text[at - 1] != "}":
    name, end = decoder.raw_decode(text, at)
    assert text[end] == ":"
    _, at = decoder.raw_decode(text, end + 1)
    found[name] = text[end + 1:at]
    at += 1
  assert at == len(text)
  return found


def elements(text):
  """The elements of a compact JSON array as they are spelled."""
  decoder, found, at = json.JSONDecoder(), [], 1
  assert text[0] == "["
  while text[at - 1] != "]":
    _, end = decoder.raw_decode(text, at)
    found.append(text[at:end])
    at = end + 1
  assert at == len(text)
  return found


def outcomes_in(body):
  """The text of each outcome in an answer: one, or those of a batch that succeeded."""
  found = members(body)
  if "results" not in found:
    return [body]
  return [result["outcome"] for result in map(members, elements(found["results"])) if result["ok"] == "true"]


def outcome_text(answer, items=None):
  """The canonical text of an outcome, from the text that answered it and the JSON array of its items."""
  spelled, outcome = members(answer), json.loads(answer)
  assert exact(answer).keys() == spelled.keys()
  parameters = ",".join(f'"{name}":{value}' for name, value in spelled.items() if name not in COMMON)
  return lines(
    "fairdraw/outcome/v1", outcome["shortId"], spelled["created"], outcome["endpoint"], outcome["serverHash"], spelled["cursor"],
    spelled["nonce"], sha256(outcome["clientSeed"].encode()).hex(), "" if items is None else sha256(items.encode()).hex(),
    f"{{{parameters}}}", spelled["outcome"])


def commitment_text(answer, lifetime):
  """`lifetime` is what the server's commitments have, in milliseconds."""
  return lines(
    "fairdraw/commitment/v1", answer["commitId"], answer["serverHash"], answer["expiresAt"] - lifetime, answer["expiresAt"])


def reveal_text(seed, client_seed, revealed):
  """`seed` has the members of a rotation's `revealed`."""
  return lines(
    "fairdraw/reveal/v1", seed["serverHash"], seed["serverSeed"], sha256(client_seed.encode()).hex(), seed["cursor"],
    seed["nonce"], revealed)
