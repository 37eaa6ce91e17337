"""Seed chains and looking outcomes up: /api/seed, /api/incrementCursor, /api/listOutcomes, /api/outcome."""

import re

import pytest

from harness import DRAWS, together, wait_until


def draw(server, client_seed, key=None, **parameters):
  answer = server.draw("ints", {"clientSeed": client_seed, **parameters}, key=key)
  assert answer.status == 200, answer
  return answer


def coordinates(outcome):
  return outcome["cursor"], outcome["nonce"]


# seed


def test_seed_pins_the_hash_before_the_first_draw(server, client_seed):
  pinned = server.get("/api/seed", {"clientSeed": client_seed})
  assert pinned.status == 200 and pinned.header("Cache-Control") == "no-store"
  pinned = pinned.json()
  assert set(pinned) == {"clientSeed", "serverHash", "cursor", "nonce"}
  assert pinned["clientSeed"] == client_seed
  assert re.fullmatch("[0-9a-f]{64}", pinned["serverHash"])
  assert coordinates(pinned) == (0, 0)
  first = draw(server, client_seed).json()
  assert first["serverHash"] == pinned["serverHash"]
  assert coordinates(first) == coordinates(pinned)


def test_asking_for_the_seed_changes_nothing(server, client_seed):
  assert server.seed(client_seed) == server.seed(client_seed)
  draw(server, client_seed)
  assert server.seed(client_seed) == server.seed(client_seed)
  assert server.nonce(client_seed) == 1


def test_default_client_seed(server):
  assert server.get("/api/seed").json()["clientSeed"] == "test"


@pytest.mark.parametrize("endpoint", DRAWS)
def test_a_draw_uses_one_nonce_whatever_it_draws(server, client_seed, endpoint):
  for expected in range(3):
    assert server.nonce(client_seed) == expected
    assert server.draw(endpoint, {"clientSeed": client_seed}).json()["nonce"] == expected


def test_anonymous_callers_share_a_chain_and_so_do_the_live_keys_of_an_account(server, client_seed, account, live_key):
  sibling = server.key(account)
  stranger = server.key()
  hashes = {server.seed(client_seed, key)["serverHash"] for key in (None, live_key, sibling, stranger)}
  assert len(hashes) == 3
  draw(server, client_seed, live_key)
  assert [server.nonce(client_seed, key) for key in (None, live_key, sibling, stranger)] == [0, 1, 1, 0]


def test_chains_outlive_a_restart(serve):
  server = serve()
  key = server.key()
  first = [draw(server, "kept", k).json() for k in (None, key)]
  server.restart()
  for k, before in zip((None, key), first):
    after = draw(server, "kept", k).json()
    assert after["serverHash"] == before["serverHash"]
    assert coordinates(after) == (0, 1)


def test_simultaneous_draws_use_every_nonce_once(server, client_seed):
  def work(_):
    with server.connect() as connection:
      return [connection.get("/api/ints", {"clientSeed": client_seed}).json()["nonce"] for _ in range(25)]
  nonces = sorted(nonce for some in together(32, work) for nonce in some)
  assert nonces == list(range(32 * 25))


def test_simultaneous_first_requests_make_one_chain(server, client_seed):
  answers = together(32, lambda i: server.seed(client_seed) if i % 2 else draw(server, client_seed).json())
  assert len({answer["serverHash"] for answer in answers}) == 1


# incrementCursor


def test_increment_cursor(server, client_seed):
  draw(server, client_seed)
  before = server.seed(client_seed)
  response = server.get("/api/incrementCursor", {"clientSeed": client_seed})
  assert response.status == 200, response
  moved = response.json()
  assert set(moved) == {"clientSeed", "cursor", "nonce", "serverHash", "created"}
  assert {name: moved[name] for name in before} == {**before, "cursor": 1}
  after = draw(server, client_seed).json()
  assert coordinates(after) == (1, 1)
  assert after["serverHash"] == before["serverHash"]
  # The time at which the cursor moved: later each time, though the chain stays the same.
  wait_until(lambda: server.get("/api/incrementCursor", {"clientSeed": client_seed}).json()["created"] > moved["created"], "time has passed")


def test_increment_cursor_of_a_pinned_chain_without_a_draw(server, client_seed):
  server.seed(client_seed)
  assert coordinates(server.get("/api/incrementCursor", {"clientSeed": client_seed}).json()) == (1, 0)


def test_increment_cursor_without_a_chain(server, client_seed, unchanged):
  response = server.get("/api/incrementCursor", {"clientSeed": client_seed})
  assert response.status == 400 and "clientSeed" in response.error


def test_increment_cursor_moves_only_the_callers_chain(server, client_seed, live_key):
  server.seed(client_seed)
  server.seed(client_seed, live_key)
  server.get("/api/incrementCursor", {"clientSeed": client_seed}, key=live_key)
  assert (server.seed(client_seed)["cursor"], server.seed(client_seed, live_key)["cursor"]) == (0, 1)


def test_simultaneous_increments_all_count(server, client_seed):
  server.seed(client_seed)
  cursors = together(32, lambda _: server.get("/api/incrementCursor", {"clientSeed": client_seed}).json()["cursor"])
  assert sorted(cursors) == list(range(1, 33))


# listOutcomes


@pytest.fixture
def history(server, client_seed):
  """Seven outcomes as they were answered, newest first; the cursor moved after the third."""
  answers = []
  for index, endpoint in enumerate(DRAWS):
    if index == 3:
      server.get("/api/incrementCursor", {"clientSeed": client_seed})
    answers.insert(0, server.draw(endpoint, {"clientSeed": client_seed}))
  return answers


def listed(server, client_seed, key=None, **parameters):
  response = server.get("/api/listOutcomes", {"clientSeed": client_seed, **parameters}, key=key)
  assert response.status == 200, response
  return response.json()


def test_list_outcomes_as_they_were_answered_newest_first(server, client_seed, history):
  assert listed(server, client_seed) == [answer.json() for answer in history]
  body = server.get("/api/listOutcomes", {"clientSeed": client_seed}).body
  assert body == b"[" + b",".join(answer.body for answer in history) + b"]"


def test_list_limit(server, client_seed, history):
  assert listed(server, client_seed, limit=1) == [history[0].json()]
  assert listed(server, client_seed, limit=1000) == [answer.json() for answer in history]


@pytest.mark.parametrize("page", [1, 2, 3, 7, 8])
def test_list_pages(server, client_seed, history, page):
  found, before = [], {}
  while some := listed(server, client_seed, limit=page, **before):
    assert len(some) <= page
    found += some
    before = {"before": "{}:{}".format(*coordinates(some[-1]))}
  assert found == [answer.json() for answer in history]


def test_list_before_the_first(server, client_seed, history):
  assert listed(server, client_seed, before="0:0") == []


def test_list_is_of_the_callers_own(server, client_seed, account, live_key):
  stranger = server.key()
  own = draw(server, client_seed, live_key).json()
  shared = draw(server, client_seed).json()
  assert listed(server, client_seed, live_key) == [own]
  assert listed(server, client_seed) == [shared]
  assert listed(server, client_seed, stranger) == []


def test_list_of_nothing(server, client_seed, unchanged):
  assert listed(server, client_seed) == []


def test_list_of_more_than_a_thousand(server, client_seed):
  batch = {"draws": [{"endpoint": "floats", "params": {"clientSeed": client_seed}}] * 50}
  for _ in range(21):
    assert server.post("/api/batch", batch).status == 200
  assert [outcome["nonce"] for outcome in listed(server, client_seed)] == list(range(1049, 49, -1))
  assert [outcome["nonce"] for outcome in listed(server, client_seed, before="0:50")] == list(range(49, -1, -1))


# outcome


def test_outcome_as_it_was_answered(server, client_seed, history):
  for answer in history:
    cursor, nonce = coordinates(answer.json())
    found = server.get("/api/outcome", {"clientSeed": client_seed, "cursor": cursor, "nonce": nonce})
    assert (found.status, found.body) == (200, answer.body)


@pytest.mark.parametrize("cursor, nonce", [(0, 7), (1, 0), (0, 3), (2, 6), (0, 2**53 - 1)])
def test_outcome_there_is_not(server, client_seed, history, unchanged, cursor, nonce):
  response = server.get("/api/outcome", {"clientSeed": client_seed, "cursor": cursor, "nonce": nonce})
  assert response.status == 400 and response.error


def test_outcome_of_somebody_else(server, client_seed, live_key):
  draw(server, client_seed, live_key)
  asked = {"clientSeed": client_seed, "cursor": 0, "nonce": 0}
  assert server.get("/api/outcome", asked, key=live_key).status == 200
  assert server.get("/api/outcome", asked).status == 400
  assert server.get("/api/outcome", asked, key=server.key()).status == 400


def test_lookups_are_the_same_after_a_restart(serve):
  server = serve(FAIRDRAW_PUBLIC_URL="https://fair.example")
  answers = [server.draw(endpoint, {"clientSeed": "kept"}) for endpoint in DRAWS]
  server.restart()
  assert listed(server, "kept") == [answer.json() for answer in reversed(answers)]
