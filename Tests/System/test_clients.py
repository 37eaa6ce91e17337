"""Programs that are made from openapi.json: a generated client imports, type-checks and draws, and a tester of APIs finds nothing wrong."""

import json
import os
import re
import subprocess

import pytest

from harness import REPOSITORY, TIMEOUT, Server, tool

DOCUMENT = REPOSITORY / "Sources" / "API" / "openapi.json"

# Every operation of the hosted service that answers JSON, as its users would write it; checked by mypy before it runs.
PROGRAM = '''
import datetime
import json
import sys
from uuid import UUID

from made import AuthenticatedClient
from made.api.draws import (
  batch_draw, gaussian, get_bytes, get_floats, get_ints, get_sample, pick_item, post_shuffle, roll_dice, shuffle_items)
from made.api.looking_up import get_outcome, list_account_outcomes, list_outcomes, verify_server_hash, verify_short_id
from made.api.seed_chain import create_commit, increment_cursor, reveal_commit, rotate_server_seed
from made.api.system import get_health, get_public_metrics
from made.api.transparency import get_merkle_root, list_merkle_roots
from made.models import (
  BatchRequest, BatchRequestDrawsItem, BatchRequestDrawsItemEndpoint, BatchRequestDrawsItemParams, BatchResponse, BatchResponseResultsItemType0,
  BytesOutcome, Commit, DiceOutcome, Error, FloatOutcome, GaussianOutcome, Health, IntOutcome, OutcomePage, PickOutcome, PublicMetrics, RevealOutcome, RevealRequest,
  RevealRequestEndpoint, RevealRequestParams, RotateRequest, RotateServerSeedResponse200, SampleOutcome, ShuffleOutcome, ShuffleRequest, VerifyResult)

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)

ints = get_ints.sync(client=client, client_seed="made", count=3, min_=1, max_=6, idempotency_key="once")
assert isinstance(ints, IntOutcome) and len(ints.outcome) == 3 and all(1 <= value <= 6 for value in ints.outcome)
again = get_ints.sync_detailed(client=client, client_seed="made", count=3, min_=1, max_=6, idempotency_key="once")
assert again.parsed == ints and again.headers["Idempotent-Replayed"] == "true"
floats = get_floats.sync(client=client, client_seed="made", count=2)
assert isinstance(floats, FloatOutcome) and all(0 <= value < 1 for value in floats.outcome)
raw = get_bytes.sync(client=client, client_seed="made", count=4)
assert isinstance(raw, BytesOutcome) and len(bytes.fromhex(raw.outcome)) == 4
dice = roll_dice.sync(client=client, client_seed="made", notation="2d20+5")
assert isinstance(dice, DiceOutcome) and dice.outcome.total == sum(dice.outcome.rolls) + 5 and dice.sides == 20
shuffled = shuffle_items.sync(client=client, client_seed="made", items=["a", "b", "c"])
assert isinstance(shuffled, ShuffleOutcome) and sorted(shuffled.outcome) == ["a", "b", "c"]
posted = post_shuffle.sync(client=client, body=ShuffleRequest(items=[1, None, {"a": 2.5}], client_seed="made"))
assert isinstance(posted, ShuffleOutcome) and len(posted.outcome) == 3
picked = pick_item.sync(client=client, client_seed="made", items=["a", "b"], weights=[0, 1])
assert isinstance(picked, PickOutcome) and picked.outcome == "b" and picked.weights == [0, 1]
plain = pick_item.sync(client=client, client_seed="made", items=["a", "b"])
assert isinstance(plain, PickOutcome) and plain.weights is None
bell = gaussian.sync(client=client, client_seed="made", count=2, mean=100, stddev=15)
assert isinstance(bell, GaussianOutcome) and bell.mean == 100 and len(bell.outcome) == 2
sample = get_sample.sync(client=client, client_seed="made", count=5)
assert isinstance(sample, SampleOutcome) and len(set(sample.outcome)) == 5

draws = [
  BatchRequestDrawsItem(BatchRequestDrawsItemEndpoint.INTS, BatchRequestDrawsItemParams.from_dict({"clientSeed": "made"}), id="good"),
  BatchRequestDrawsItem(BatchRequestDrawsItemEndpoint.PICK, id="bad")]
batch = batch_draw.sync(client=client, body=BatchRequest(draws))
assert isinstance(batch, BatchResponse)
good, bad = batch.results
assert isinstance(good, BatchResponseResultsItemType0) and good.id == "good" and isinstance(good.outcome, IntOutcome)
assert not isinstance(bad, BatchResponseResultsItemType0) and (bad.id, bad.code, bad.parameter) == ("bad", "invalid_parameter", "items")
aborted = batch_draw.sync(client=client, body=BatchRequest(draws, atomic=True))
assert isinstance(aborted, BatchResponse) and not any(isinstance(result, BatchResponseResultsItemType0) for result in aborted.results)

commit = create_commit.sync(client=client)
assert isinstance(commit, Commit) and isinstance(commit.commit_id, UUID)
reveal = RevealRequest(commit.commit_id, "made", RevealRequestEndpoint.DICE, RevealRequestParams.from_dict({"notation": "d6"}))
revealed = reveal_commit.sync(client=client, body=reveal)
assert isinstance(revealed, RevealOutcome) and revealed.commit_id == commit.commit_id and revealed.server_hash == commit.server_hash
refused = reveal_commit.sync(client=client, body=reveal)
assert isinstance(refused, Error) and refused.code == "commitment_used" and refused.short_id == revealed.short_id

listed = list_outcomes.sync(client=client, client_seed="made", limit=1000)
assert isinstance(listed, list) and any(outcome.short_id == ints.short_id for outcome in listed)
assert {type(outcome) for outcome in listed} >= {IntOutcome, FloatOutcome, BytesOutcome, DiceOutcome, ShuffleOutcome, PickOutcome, GaussianOutcome}
page = list_account_outcomes.sync(client=client, after="0", limit=3)
assert isinstance(page, OutcomePage) and page.has_more and page.outcomes[0] == ints
later = list_account_outcomes.sync(client=client, after=page.next_)
assert isinstance(later, OutcomePage) and not later.has_more
assert sorted(outcome.short_id for outcome in page.outcomes + later.outcomes) == sorted(outcome.short_id for outcome in listed)
assert get_outcome.sync(client=client, client_seed="made", cursor=ints.cursor, nonce=ints.nonce) == ints
known = verify_server_hash.sync(client=client, client_seed="made", server_hash=ints.server_hash)
assert known is True
unknown = verify_server_hash.sync(client=client, client_seed="made", server_hash="no hash")
assert isinstance(unknown, VerifyResult) and not unknown.verified and unknown.outcomes == []
moved = increment_cursor.sync(client=client, client_seed="made")
assert moved is not None and not isinstance(moved, Error) and moved.cursor == 1
rotated = rotate_server_seed.sync(client=client, body=RotateRequest("made"))
assert isinstance(rotated, RotateServerSeedResponse200) and rotated.revealed.server_hash == ints.server_hash
verified = verify_short_id.sync(client=client, short_id=ints.short_id)
assert verified is not None and not isinstance(verified, Error) and verified.verified and verified.server_seed == rotated.revealed.server_seed

roots = list_merkle_roots.sync(client=client)
assert roots is not None and not isinstance(roots, Error) and roots.roots == []
missing = get_merkle_root.sync(client=client, date=datetime.date(2020, 1, 1))
assert isinstance(missing, Error) and missing.code == "not_published"
health = get_health.sync(client=client)
assert isinstance(health, Health) and health.timestamp.tzinfo is not None
metrics = get_public_metrics.sync(client=client)
assert isinstance(metrics, PublicMetrics)
print(json.dumps({"drawn": len(listed), "outcome": ints.outcome, "shortId": ints.short_id}))
'''


def run(*command, cwd, **env):
  return subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=TIMEOUT)


def test_a_generated_client_imports_type_checks_and_draws(serve, tmp_path):
  made = run(tool("openapi-python-client"), "generate", "--path", DOCUMENT, "--meta", "none", "--output-path", "made", cwd=tmp_path)
  assert made.returncode == 0, made.stdout + made.stderr
  # What it has no words for: pictures, and lines of JSON.
  warned = set(re.findall(r"Unsupported content_type (\S+?)\)", made.stderr))
  assert made.stderr.count("WARNING") == 2 and warned == {"image/png", "application/x-ndjson"}, made.stderr
  (tmp_path / "program.py").write_text(PROGRAM)
  checked = run(tool("mypy"), "--strict", "made", "program.py", cwd=tmp_path)
  assert checked.returncode == 0, checked.stdout
  server = serve()
  account = server.account()
  ran = run(tool("python"), "program.py", f"http://{server.host}:{server.port}", server.key(account), cwd=tmp_path)
  assert ran.returncode == 0, ran.stderr
  told = json.loads(ran.stdout)
  assert server.get("/api/verifyShortId", {"shortId": told["shortId"]}).json()["outcome"] == told["outcome"]


CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"


@pytest.mark.parametrize("caller", ["anonymous", "live", "test"])
def test_no_request_is_answered_with_a_fault_or_with_what_is_not_documented(tmp_path, caller):
  """schemathesis: requests that follow openapi.json, and requests that nearly do, from a fixed seed."""
  schemathesis = tool("schemathesis")
  # A method that there is not is a 501, as HTTP has it.
  (tmp_path / "schemathesis.toml").write_text('[phases.coverage]\nunexpected-methods = ["DELETE", "PUT", "PATCH", "TRACE"]\n')
  with Server(tmp_path / "data", FAIRDRAW_RATE_LIMIT_PER_MINUTE=0) as server:
    key = [] if caller == "anonymous" else ["-H", f"x-api-key: {server.key(mode=caller)}"]
    found = run(
      schemathesis, "run", DOCUMENT, "--url", f"http://{server.host}:{server.port}", *key, "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
      "--max-examples", "15", "--seed", "15", "--generation-deterministic", "--continue-on-failure", "--no-color",
      "--exclude-operation-id", "streamOutcomes",  # which goes on for ten minutes
      cwd=tmp_path, HYPOTHESIS_STORAGE_DIRECTORY=str(tmp_path / "hypothesis"))
    assert found.returncode == 0, "\n".join(line[:300] for line in (found.stdout + found.stderr).splitlines()[-200:])
    tested = re.search(r"(\d+) generated", found.stdout)
    assert tested and int(tested[1]) > 500, found.stdout[-500:]
