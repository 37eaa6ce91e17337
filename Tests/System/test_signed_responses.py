"""Signed responses (RFC 9421), checked with the cryptography of another program and with a library from PyPI."""

import base64
import hashlib
import json
import re
import subprocess
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness import DRAWS, REPOSITORY, REQUIRED, TIMEOUT, environment, same_answer, target, tool, unique, wait_until

ASK = {"Accept-Signature": 'sig1=("@status" "content-digest");created'}
USUAL = ['"@status"', '"content-digest"', '"@method";req', '"@path";req', '"@query";req']
HEADERS = ("Content-Digest", "Signature", "Signature-Input")


def unsigned(response):
  return all(response.header(name) is None for name in HEADERS)


class Exchange:
  """A request and its response; what a signature covers is looked up here, as RFC 9421 has it."""

  def __init__(self, server, method, path, query=None, body=None, key=None, idempotency=None, ask=ASK, status=200):
    self.server, self.method, self.idempotency = server, method, idempotency
    self.response = server.request(method, path, query, body=body, key=key, idempotency=idempotency, headers=ask)
    assert status in (None, self.response.status), self.response
    self.status, self.body = self.response.status, self.response.body
    self.path, mark, query = target(path, query).partition("?")
    self.query = "?" + query

  def component(self, identifier):
    target_uri = f"http://{self.server.host}:{self.server.port}{self.path}{self.query if self.query != '?' else ''}"
    derived = {
      '"@status"': str(self.status), '"@method";req': self.method, '"@path";req': self.path, '"@query";req': self.query, '"@scheme";req': "http",
      '"@request-target";req': target_uri.partition(f":{self.server.port}")[2], '"@authority";req': f"{self.server.host}:{self.server.port}",
      '"@target-uri";req': target_uri, '"idempotency-key";req': self.idempotency,
    }
    return derived[identifier] if identifier in derived else ", ".join(self.response.headers.get_all(identifier.strip('"')))

  def check(self, label=None, key=None):
    """Verifies the digest and one signature, the only one unless it is named; its components and its parameters."""
    digest = base64.b64encode(hashlib.sha256(self.body).digest()).decode()
    assert self.response.header("Content-Digest") == f"sha-256=:{digest}:"
    inputs = dict(re.findall(r'([a-z*][a-z0-9_.*-]*)=(\((?:[^()"]|"[^"]*")*\)(?:[^,"]|"(?:[^"\\]|\\.)*")*)(?:, |$)', self.response.header("Signature-Input")))
    signatures = dict(re.findall(r"([a-z*][a-z0-9_.*-]*)=:([^:]*):(?:, |$)", self.response.header("Signature")))
    assert inputs.keys() == signatures.keys()
    if label is None:
      [label] = inputs
    covered, parameters = re.fullmatch(r"\(([^)]*)\)(.*)", inputs[label]).groups()
    covered = covered.split(" ")
    lines = [f"{identifier}: {self.component(identifier)}" for identifier in covered] + [f'"@signature-params": {inputs[label]}']
    key = key or self.server.get("/api/keys").json()["responses"]
    Ed25519PublicKey.from_public_bytes(base64.b64decode(key["publicKey"])).verify(base64.b64decode(signatures[label]), "\n".join(lines).encode())
    assert f';keyid="{key["keyId"]}";alg="ed25519"' in parameters
    self.created = int(re.match(r";created=(\d+);", parameters)[1])
    self.parameters = parameters
    assert set(USUAL) | ({'"idempotency-key";req'} if self.idempotency else set()) <= set(covered)
    return covered


def fails(exchange):
  with pytest.raises((InvalidSignature, AssertionError)):
    exchange.check()
  return True


def test_nobody_who_did_not_ask_gets_one(server, live_key, client_seed):
  for path, query in (("/api/ints", {"clientSeed": client_seed}), ("/api/keys", None), ("/api/nothing", None), ("/api/ints", {"max": "x"})):
    assert unsigned(server.get(path, query)) and unsigned(server.get(path, query, key=live_key, idempotency=unique("key")))
    assert unsigned(server.get(path, query, headers={"Accept-Signature": ""}))


@pytest.mark.parametrize("endpoint", DRAWS)
def test_draws(server, live_key, client_seed, endpoint):
  parameters = {**REQUIRED.get(endpoint, {}), "clientSeed": client_seed}
  for key in (None, live_key):
    exchange = Exchange(server, "GET", f"/api/{endpoint}", parameters, key=key)
    assert exchange.check() == USUAL
    assert Exchange(server, "POST", f"/api/{endpoint}", body=parameters, key=key).check() == USUAL


def test_a_replay_is_signed_anew_over_the_same(server, live_key, client_seed, idempotency):
  ask = lambda: Exchange(server, "POST", "/api/ints", body={"clientSeed": client_seed}, key=live_key, idempotency=idempotency)
  first = ask()
  assert first.check() == [*USUAL, '"idempotency-key";req']
  for _ in range(3):  # from the store, and from the two memories of it
    again = ask()
    assert again.response.replayed and same_answer(first.response, again.response)
    assert again.check() == [*USUAL, '"idempotency-key";req']
    assert first.created <= again.created <= time.time() + 1
  # One that was made without a signature gets it too, and the one who does not ask goes without.
  assert unsigned(server.post("/api/ints", {"clientSeed": client_seed}, key=live_key, idempotency=idempotency))
  quoted = Exchange(server, "POST", "/api/ints", body={"clientSeed": client_seed}, key=live_key, idempotency=f'"{idempotency}"')
  assert quoted.response.replayed and quoted.check()


def test_every_other_response_in_json(server, account, live_key, client_seed, idempotency):
  draws = [{"endpoint": "ints", "params": {"clientSeed": client_seed}}, {"endpoint": "pick"}]
  ask = lambda *arguments, **rest: Exchange(server, *arguments, **rest).check()
  ask("POST", "/api/batch", body={"draws": draws}, key=live_key, idempotency=idempotency)
  ask("POST", "/api/batch", body={"draws": draws}, key=live_key, idempotency=idempotency)
  ask("GET", "/api/seed", {"clientSeed": client_seed}, key=live_key)
  ask("POST", "/api/rotate", body={"clientSeed": client_seed}, key=live_key)
  committed = Exchange(server, "POST", "/api/commit")
  committed.check()
  ask("POST", "/api/reveal", body={"commitId": committed.response.json()["commitId"], "endpoint": "ints"})
  ask("GET", "/api/listOutcomes", {"clientSeed": client_seed}, key=live_key)
  ask("GET", "/api/usage", key=live_key)
  for path in ("/api/keys", "/api/health", "/api/merkle", "/openapi.json", "/api/public-metrics"):
    ask("GET", path)


def test_a_response_that_is_sent_in_pieces(server, live_key, client_seed):
  items = [f"{n:0500}" for n in range(400)]
  shuffled = Exchange(server, "POST", "/api/shuffle", body={"clientSeed": client_seed, "items": items}, key=live_key)
  assert shuffled.check() and len(shuffled.body) > 200_000
  listed = Exchange(server, "GET", "/api/listOutcomes", {"clientSeed": client_seed}, key=live_key)
  assert listed.check() and len(listed.body) > 200_000


def test_errors(server):
  key = server.key(server.account("--daily-quota", 1))
  fenced = server.key(None, "live", "--allow-ip", "192.0.2.0/24")
  seed, kept = unique("errors"), unique("kept")
  ask = lambda *arguments, **rest: Exchange(server, *arguments, **rest).check()
  ask("GET", "/api/ints", {"max": "x"}, status=400)
  ask("POST", "/api/ints", body="{", key=key, status=400)
  ask("GET", "/api/ints", {"max": "x"}, key=key, idempotency=kept, status=400)
  ask("GET", "/api/ints", {"max": "x"}, key=key, idempotency=kept, status=400)
  ask("GET", "/api/ints", key=key, idempotency="two words", status=400)
  ask("GET", "/api/ints", key="pk_live_nonsense", status=401)
  ask("GET", "/api/ints", key=fenced, status=403)
  ask("GET", "/api/nothing", {"here": "?"}, status=404)
  ask("PATCH", "/api/ints", status=405)
  ask("GET", "/api/ints", {"clientSeed": seed}, key=key, idempotency="once")
  ask("GET", "/api/floats", {"clientSeed": seed}, key=key, idempotency="once", status=409)
  ask("GET", "/api/ints", key=key, status=429)
  ask("GET", "/api/ints", {"clientSeed": "x" * 70_000}, status=414)
  # RFC 9457's form is what is signed, if that is what is sent.
  ask("GET", "/api/ints", {"max": "x"}, ask={**ASK, "Accept": "application/problem+json"}, status=400)


def test_the_rate_limits_refusal(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=2)
  for path in ("/api/ints", "/api/listOutcomes"):
    limited = wait_until(lambda: (it := Exchange(server, "GET", path, status=None)).status == 429 and it, "the address has no slot left")
    server.restart()  # which has its slots again
    assert limited.check()


def test_what_was_changed_on_the_way_fails(server, live_key, client_seed, idempotency):
  exchange = Exchange(server, "POST", "/api/ints", {"max": 6}, body={"clientSeed": client_seed}, key=live_key, idempotency=idempotency)
  assert exchange.check()
  for name, value in {
    "body": exchange.body.replace(b"outcome", b"0utcome"), "status": 201, "method": "GET", "path": "/api/floats", "query": "?max=7", "idempotency": idempotency + "x",
  }.items():
    before = getattr(exchange, name)
    setattr(exchange, name, value)
    assert value != before and fails(exchange), name
    setattr(exchange, name, before)
  assert exchange.check()
  # A digest that fits the other body is another thing signed.
  exchange.body = b"{}"
  del exchange.response.headers["Content-Digest"]
  exchange.response.headers["Content-Digest"] = f"sha-256=:{base64.b64encode(hashlib.sha256(b'{}').digest()).decode()}:"
  with pytest.raises(InvalidSignature):
    exchange.check()


def test_the_key_belongs_to_the_installation(serve):
  one, other = serve(folder="one"), serve(folder="other")
  key = one.get("/api/keys").json()["responses"]
  assert key["algorithm"] == "Ed25519" and key != other.get("/api/keys").json()["responses"]
  exchange = Exchange(one, "GET", "/api/ints")
  assert exchange.check(key=key)
  with pytest.raises(InvalidSignature):
    exchange.check(key=other.get("/api/keys").json()["responses"])
  # A thumbprint of RFC 7638, in the form of RFC 8037.
  x = base64.urlsafe_b64encode(base64.b64decode(key["publicKey"])).decode().rstrip("=")
  thumbprint = hashlib.sha256(json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":")).encode()).digest()
  assert key["keyId"] == base64.urlsafe_b64encode(thumbprint).decode().rstrip("=")
  one.restart()
  assert Exchange(one, "GET", "/api/ints").check(key=key)


def test_a_client_says_what_it_wants(server, live_key, client_seed, idempotency):
  key = server.get("/api/keys").json()["responses"]
  ask = lambda wanted: Exchange(server, "GET", "/api/ints", {"clientSeed": client_seed, "max": 6}, key=live_key, idempotency=idempotency, ask={"Accept-Signature": wanted})
  everything = [*USUAL, '"idempotency-key";req']
  assert ask("a=()").check("a") == everything
  assert ask('a=("@method";req "@status")').check("a") == ['"@method";req', '"@status"', *(c for c in everything if c not in ('"@method";req', '"@status"'))]
  more = '"@target-uri";req "@authority";req "@scheme";req "@request-target";req "content-type" "cache-control" "shortid" "content-length"'
  assert ask(f"a=({more})").check("a") == [*more.split(" "), *everything]
  both = ask('a=("@status");nonce="n\\"1";tag="app" , *b.2-_=( "@status"  "content-digest" );created;alg="ed25519";keyid="%s"' % key["keyId"])
  assert both.check("*b.2-_") and both.check("a") and both.parameters.endswith(';nonce="n\\"1";tag="app"')
  twice = ask('a=("@status"), a=("content-type")')
  assert twice.check() == ['"content-type"', *everything]


# Not to be had, or not to be read: then there is the usual signature, under a label of the server's.
REFUSED = {
  "another key": 'a=("@status");keyid="other"', "another algorithm": 'a=("@status");alg="rsa-pss-sha512"', "an end": 'a=("@status");expires',
  "unknown parameter": 'a=("@status");fast', "no such header": 'a=("x-nothing")', "the request's own": 'a=("x-api-key";req)', "not of a response": 'a=("@method")',
  "status of a request": 'a=("@status";req)', "in another form": 'a=("content-type";sf)', "a member": 'a=("content-digest";key="sha-256")', "twice": 'a=("@status" "@status")',
  "capitals": 'a=("Content-Type")', "not a list": "a", "a token": "a=b", "a token inside": "a=(b)", "no end": 'a=("@status"', "no quote": 'a=("@status)', "nothing between": 'a=("@status""@method";req)',
  "a comma too many": 'a=("@status"),', "capital label": 'A=("@status")', "no label": '("@status")', "a bare equals": "a=", "a bad escape": 'a=("@st\\atus")', "bytes": 'a=("@status");nonce=:AAAA:',
  "not ASCII": 'a=("é")', "too long": 'a=("@status");nonce="' + "n" * 2048 + '"', "a large number": 'a=("@status");created=99999999999999999999', "noise": "%00;;;,,(((",
}


@pytest.mark.parametrize("wanted", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_had_gets_the_usual_signature(server, client_seed, wanted):
  wanted = wanted.encode().decode("latin-1")
  for path in ("/api/ints", "/api/keys"):
    query = {"clientSeed": client_seed} if path == "/api/ints" else None
    assert Exchange(server, "GET", path, query, ask={"Accept-Signature": wanted}).check("fairdraw") == USUAL


def test_signatures_of_one_response_are_bounded(server, client_seed):
  wanted = ", ".join(f'a{n}=("@status")' for n in range(9))
  exchange = Exchange(server, "GET", "/api/ints", {"clientSeed": client_seed}, ask={"Accept-Signature": wanted})
  assert all(exchange.check(f"a{n}") for n in range(4)) and exchange.response.header("Signature").count(", ") == 3


def test_a_header_given_twice_is_one_list(server, client_seed):
  answer = server.raw_get(f"/api/ints?clientSeed={client_seed}".encode(), b'Accept-Signature: a=("@status")\r\naccept-signature: b=()\r\n')
  assert [label.split("=")[0] for label in answer.header("Signature").split(", ")] == ["a", "b"]


def test_what_has_no_body_or_no_end_is_not_signed(server, client_seed):
  head = server.request("HEAD", "/api/keys", headers=ASK)
  assert head.status == 200 and unsigned(head)
  stream = server.get("/api/stream", {"endpoint": "ints", "clientSeed": client_seed}, headers=ASK)
  assert stream.status == 200 and unsigned(stream)


def test_pages_may_ask_and_read(server, client_seed):
  allowed = server.request("OPTIONS", "/api/ints", headers={"Origin": "https://example.com"}).header("Access-Control-Allow-Headers")
  assert "accept-signature" in allowed.split(", ")
  exposed = server.get("/api/ints", {"clientSeed": client_seed}, headers={**ASK, "Origin": "https://example.com"}).header("Access-Control-Expose-Headers")
  assert set(HEADERS) <= set(exposed.split(", "))


def test_behind_tls_the_target_is_https(serve):
  server = serve(FAIRDRAW_PUBLIC_URL="https://draws.example.com")
  answer = server.raw(b'GET /api/ints HTTP/1.1\r\nHost: Draws.Example.com:443\r\nAccept-Signature: a=("@target-uri";req "@authority";req "@scheme";req)\r\n\r\n')
  covered, parameters = re.fullmatch(r"a=(\(.*\))(;created.*)", answer.header("Signature-Input")).groups()
  values = {'"@target-uri";req': "https://draws.example.com/api/ints", '"@authority";req': "draws.example.com", '"@scheme";req': "https", '"@status"': "200", '"@method";req': "GET", '"@path";req': "/api/ints", '"@query";req': "?"}
  lines = [f"{name}: {values.get(name) or answer.header('Content-Digest')}" for name in covered[1:-1].split(" ")] + [f'"@signature-params": {covered}{parameters}']
  public = base64.b64decode(server.get("/api/keys").json()["responses"]["publicKey"])
  Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(answer.header("Signature").removeprefix("a=:").removesuffix(":")), "\n".join(lines).encode())


LIBRARY = """
import base64, json, sys
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageVerifier, InvalidSignature, MappingKeyResolver, algorithms

server, key, label = sys.argv[1:]
told = requests.get(f"{server}/api/keys").json()["responses"]
public = Ed25519PublicKey.from_public_bytes(base64.b64decode(told["publicKey"]))
verifier = HTTPMessageVerifier(
  signature_algorithm=algorithms.ED25519, key_resolver=MappingKeyResolver(public_keys={told["keyId"]: public}, private_keys={}))
required = ["@status", "content-digest", *('"%s";req' % name for name in ("@method", "@path", "@query", "idempotency-key"))]

def ask(method, path, **rest):
  headers = {"x-api-key": key, "Idempotency-Key": label + path, "Accept-Signature": 'sig1=("@status" "@target-uri";req "@authority";req);nonce="n1"'}
  return requests.request(method, server + path, headers=headers, **rest)

def verify(response, body):
  [result] = verifier.verify(response, body=body, require_components=required)
  assert result.label == "sig1" and result.nonce == "n1" and result.body == body
  return result

def refuses(response, body):
  try:
    verify(response, body)
  except InvalidSignature:
    return True

for method, path, rest, status in [
  ("GET", "/api/ints?max=6&clientSeed=" + label, {}, 200), ("POST", "/api/dice", {"json": {"notation": "3d6", "clientSeed": label}}, 200),
  ("POST", "/api/batch", {"json": {"draws": [{"endpoint": "ints"}]}}, 200), ("GET", "/api/ints?max=x", {}, 400),
]:
  first, again = ask(method, path, **rest), ask(method, path, **rest)
  assert again.headers["Idempotent-Replayed"] == "true" and first.content == again.content and first.status_code == status
  for response in (first, again):
    verify(response, response.content)
    assert refuses(response, response.content + b" ")
    response.status_code += 1
    assert refuses(response, response.content)
    response.status_code -= 1
    for change, value in [("method", "PUT"), ("url", response.request.url + "?")]:
      before = getattr(response.request, change)
      setattr(response.request, change, value)
      assert refuses(response, response.content), change
      setattr(response.request, change, before)
    response.request.headers["Idempotency-Key"] += "x"
    assert refuses(response, response.content)
print("good")
"""


def test_a_library_takes_them(server, live_key, client_seed):
  done = subprocess.run(
    [tool("python"), "-c", LIBRARY, f"http://{server.host}:{server.port}", live_key, client_seed], capture_output=True, text=True, timeout=TIMEOUT)
  assert done.stdout == "good\n", done.stderr


def test_the_guides_example_runs(server, live_key):
  [program] = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / "docs" / "verifying.md").read_text(), re.MULTILINE | re.DOTALL)
  settings = environment(FAIRDRAW_URL=f"http://{server.host}:{server.port}", FAIRDRAW_KEY=live_key)
  done = subprocess.run([tool("python"), "-c", program], env=settings, capture_output=True, text=True, timeout=TIMEOUT)
  assert done.returncode == 0 and "signed" in done.stdout, done.stderr
