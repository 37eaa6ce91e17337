"""GET /api/usage, and the RateLimit headers of answers to what is limited."""

import datetime

import pytest

from harness import wait_until

DAY = 24 * 3600


def usage(server, key, **query):
  response = server.get("/api/usage", query, key=key)
  assert response.status == 200, response
  return response


def test_usage_is_of_the_account(server):
  account = server.account("--daily-quota", 10)
  key, other, test = server.key(account), server.key(account), server.key(account, "test")
  assert usage(server, key).json()["days"] == []
  for endpoint, caller in (("ints", key), ("ints", other), ("floats", key), ("ints", test)):
    assert server.draw(endpoint, key=caller).status == 200
  assert server.post("/api/batch", {"draws": [{"endpoint": "dice", "params": {"notation": "d6"}}, {"endpoint": "pick"}]}, key=key).status == 200
  answers = [usage(server, caller) for caller in (key, other, test)]
  assert len({answer.body for answer in answers}) == 1
  told = answers[0].json()
  assert (told["quota"], told["used"], told["remaining"]) == (10, 4, 6)
  assert told["days"] == [{"date": told["date"], "total": 4, "endpoints": {"ints": 2, "floats": 1, "dice": 1}}]
  midnight = datetime.datetime.fromisoformat(told["date"]) + datetime.timedelta(days=1)
  assert told["resetsAt"] == f"{midnight:%Y-%m-%d}T00:00:00Z"
  assert answers[0].header("RateLimit-Policy") == f'"daily";q=10;w={DAY}'
  assert answers[0].header("RateLimit").startswith('"daily";r=6;t=')
  assert usage(server, server.key()).json()["used"] == 0


def test_usage_by_day(serve):
  server = serve(FAIRDRAW_DAILY_QUOTA=7)
  account = server.account()
  key = server.key(account)
  assert server.draw("ints", key=key).status == 200
  server.stop()
  server.alter("INSERT INTO usage SELECT account_id, day - 6, endpoint, 3 FROM usage")
  server.alter("INSERT INTO usage SELECT account_id, day - 90, endpoint, 5 FROM usage WHERE count = 1")
  server.start()
  totals = lambda **query: [day["total"] for day in usage(server, key, **query).json()["days"]]
  assert totals() == [1, 3] and totals(days=90) == [1, 3] and totals(days=7) == [1, 3] and totals(days=6) == [1] and totals(days=1) == [1]
  assert usage(server, key).json()["remaining"] == 6


@pytest.mark.parametrize("days", ["0", "91", "x", "1.5", ""])
def test_days_out_of_range(server, live_key, days):
  response = server.get("/api/usage", {"days": days}, key=live_key)
  assert response.status == 400 and response.json()["parameter"] == "days"


def test_usage_needs_a_key(server):
  response = server.get("/api/usage")
  assert (response.status, response.code) == (401, "invalid_api_key")


def test_answers_to_what_is_limited_name_the_limit(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=2)
  key = server.key(server.account("--daily-quota", 1))
  assert server.draw("ints", key=key).header("RateLimit") == '"daily";r=0'
  spent = server.draw("ints", key=key)
  assert spent.status == 429 and spent.header("RateLimit-Policy") == f'"daily";q=1;w={DAY}'
  assert spent.header("RateLimit") == f'"daily";r=0;t={spent.json()["retryAfter"]}'
  for path in ("/api/ints", "/api/listOutcomes"):
    limited = wait_until(lambda: (it := server.get(path)).status == 429 and it, "the address has no slot left")
    assert limited.header("RateLimit-Policy") == '"address";q=2;w=60'
    assert limited.header("RateLimit") == f'"address";r=0;t={limited.json()["retryAfter"]}'
