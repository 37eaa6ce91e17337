"""The form of errors, and the page that explains their codes."""

import re

import pytest

from harness import REPOSITORY

PROBLEM = "application/problem+json"
CODES = set(re.findall(r"^### `(\w+)`$", (REPOSITORY / "docs" / "errors.md").read_text(), re.MULTILINE))

# What is answered on its connection, by the rest of the server, by pages, and before there is a request.
WRONG = [
  ("GET", "/api/ints?count=3.5", 400, "invalid_parameter"), ("GET", "/api/ints?%zz=1", 400, "invalid_request"),
  ("POST", "/api/batch", 400, "invalid_parameter"), ("GET", "/api/verifyShortId?shortId=0000000000", 404, "not_found"),
  ("GET", "/api/listOutcomes?limit=0", 400, "invalid_parameter"), ("GET", "/api/nothing", 404, "not_found"), ("GET", "/nothing", 404, "not_found"),
  ("DELETE", "/api/ints", 405, "method_not_allowed"), ("BREW", "/api/ints", 501, "not_implemented"), ("GET", "/api/stream?endpoint=coin", 400, "unknown_endpoint"),
  ("GET", "/api/ints?" + "x" * 70_000, 414, "target_too_long"), ("GET", "/api/merkle/2026-01-32", 400, "invalid_parameter"),
  ("GET", "/api/idempotency/none", 401, "invalid_api_key"), ("GET", "/api/merkle/2020-01-01", 404, "not_published"), ("POST", "/api/rotate?clientSeed=never", 404, "nothing_to_rotate"),
]


def is_problem(response, status, code):
  assert response.status == status, response
  assert response.header("Content-Type") == PROBLEM
  problem = response.json()
  assert set(problem) >= {"type", "title", "status", "detail", "error", "code"}
  assert (problem["status"], problem["code"], problem["detail"]) == (status, code, problem["error"])
  assert problem["type"].endswith("/docs/errors#" + code)
  assert re.fullmatch(r"[A-Z][\w ]+", problem["title"]) and "_" not in problem["title"]
  return problem


@pytest.mark.parametrize("method, path, status, code", WRONG, ids=lambda value: str(value)[:40])
def test_a_client_that_asks_for_problems_gets_them(server, method, path, status, code):
  problem = is_problem(server.request(method, path, headers={"Accept": PROBLEM}), status, code)
  usual = server.request(method, path)
  assert usual.header("Content-Type") == "application/json" and usual.status == status
  assert usual.json() == {name: value for name, value in problem.items() if name not in ("type", "title", "status", "detail", "requestId")
                          } | {name: value for name, value in usual.json().items() if name == "requestId"}
  assert usual.code == code in CODES


@pytest.mark.parametrize("accept, asks", [
  ("application/json, application/problem+json", True), ("Application/Problem+JSON;q=0.5", True), ("text/html , application/problem+json ; q=1", True),
  ("*/*", False), ("application/*", False), ("application/json", False), ("application/problem+json;q=0", False),
  ("application/problem+json; q=0.0", False), ("application/problem+jsonx", False), ("", False),
])
def test_only_a_client_that_names_the_type_asks_for_it(server, accept, asks):
  for path in ("/api/ints?count=0", "/api/verifyShortId"):
    response = server.get(path, headers={"Accept": accept})
    assert (response.header("Content-Type") == PROBLEM) == asks, response


def test_what_is_no_error_stays_as_it_is(server, client_seed):
  response = server.get("/api/ints", {"clientSeed": client_seed}, headers={"Accept": PROBLEM})
  assert response.status == 200 and response.header("Content-Type") == "application/json" and "type" not in response.json()


def test_a_replay_is_the_same_problem_byte_for_byte(server, live_key, idempotency):
  ask = lambda **headers: server.get("/api/ints", {"count": 0}, key=live_key, idempotency=idempotency, headers=headers)
  answers = [ask(Accept=PROBLEM) for _ in range(3)]
  is_problem(answers[0], 400, "invalid_parameter")
  assert {answer.body for answer in answers} == {answers[0].body} and [answer.replayed for answer in answers] == [False, True, True]
  assert "type" not in ask().json()


def test_what_waiting_helps_says_how_long(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=1)
  answers = [server.get(path, headers={"Accept": PROBLEM}) for path in ("/api/ints", "/api/ints", "/api/listOutcomes")]
  for answer in answers[1:]:
    problem = is_problem(answer, 429, "rate_limited")
    assert answer.header("Retry-After") == str(problem["retryAfter"])


def test_what_is_refused_before_its_body_is_read(server):
  for path in ("/api/ints", "/api/verifyShortId"):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {PROBLEM}\r\nContent-Length: 3000000\r\n\r\n"
    is_problem(server.raw(head.encode(), "POST"), 413, "body_too_long")


def test_head_has_the_type_and_no_body(server):
  response = server.request("HEAD", "/api/verifyShortId", headers={"Accept": PROBLEM})
  assert (response.status, response.header("Content-Type"), response.body) == (400, PROBLEM, b"")


def test_the_type_is_the_address_of_its_section(server):
  address = server.get("/api/ints", {"count": 0}, headers={"Accept": PROBLEM}).json()["type"]
  path, _, section = address.removeprefix(f"http://{server.host}:{server.port}").partition("#")
  page = server.get(path)
  assert page.status == 200 and page.header("Content-Type").startswith("text/html")
  text = page.body.decode()
  for code in CODES:
    assert f'id="{code}"' in text, code
  assert section in CODES
