"""Pictures of every page, at both widths, light and dark: screenshots.py FOLDER."""

import pathlib
import re
import sys
import tempfile

from browser import Browser
from harness import Server, wait_until
from test_dashboard import PASSWORD, Person, shown

DRAWS = {
  "dice": {"notation": "5d6+2"},
  "dice-d20": {"notation": "4d20-1"},
  "dice-many": {"notation": "40d6"},
  "ints": {"count": 12, "min": 1, "max": 500},
  "ints-one": {"min": 1, "max": 5000},
  "shuffle": {"items": ["Ada Lovelace", "Béla Bartók", "陈省身", "دورا", {"id": 5, "name": "Emre"}, "Frida", "Grace", "Heinz"]},
  "pick": {"items": ["common", "rare", "epic", "legendary"], "weights": [70, 20, 8, 2]},
  "pick-even": {"items": ["red", "green", "blue"]},
  "floats": {"count": 10},
  "gaussian": {"count": 60, "mean": 100, "stddev": 15},
  "gaussian-exponential": {"count": 20, "distribution": "exponential", "lambda": 0.5},
  "gaussian-poisson": {"count": 30, "distribution": "poisson", "lambda": 4},
  "sample": {"count": 5, "min": 1, "max": 5000},
  "bytes": {"count": 64},
  "bytes-base64": {"count": 48, "encoding": "base64"},
}

PAGES = {
  "home": "/", "verify": "/verify", "transparency": "/transparency", "api-docs": "/api-docs", "docs": "/docs",
  "docs-verifying": "/docs/verifying", "docs-idempotency": "/docs/idempotency", "docs-derivation": "/docs/derivation",
  "docs-search": "/docs/search?q=seed", "docs-operations": "/docs/operations", "not-found": "/o/0000000000",
}


def furnish(server):
  """An account with some of everything: its owner, and the pages to look at."""
  owner = Person(server).sign_up("Dice & Daggers")
  pages = {"overview-new": "/dashboard", "keys-none": "/dashboard/keys", "usage-none": "/dashboard/usage",
           "outcomes-none": "/dashboard/outcomes", "webhooks-none": "/dashboard/webhooks"}
  return owner, pages


def fill(server, owner):
  """Uses the account, as if for two months."""
  live = owner.make_key(name="Raffle page", networks="203.0.113.0/24\n127.0.0.0/8")
  rehearsal = owner.make_key(mode="test", name="Rehearsals")
  old = owner.make_key(name="Before March")
  key_id = owner.key_id()
  for number in range(3):
    server.draw("ints", {"clientSeed": f"raffle-{number}", "min": 1, "max": 5000, "count": 3}, key=live)
  for number in range(28):
    server.draw(("ints", "dice", "floats", "shuffle", "gaussian", "pick", "bytes", "sample")[number % 8], {"clientSeed": "raffle-7"}, key=live)
  server.draw("dice", {"clientSeed": "hello"}, key=rehearsal)
  server.draw("shuffle", {"clientSeed": "raffle-8", "items": ["Béla", "陈", {"id": 5}]}, key=live, headers={"Idempotency-Key": "pictures"})
  server.draw("ints", {"clientSeed": "hello"}, key=live, headers={"X-Forwarded-For": "198.51.100.7"})
  owner.post(f"/dashboard/keys/{key_id}/revoke", {"token": owner.token})
  wait_until(lambda: server.draw("ints", {"clientSeed": "x"}, key=old).status == 401, "the old key is turned away")
  good, _ = owner.make_webhook(f"http://{server.host}:{server.port}/api/health")
  bad, _ = owner.make_webhook("http://127.0.0.1:9/hooks/draws")
  for hook in (good, bad):
    owner.post(f"/dashboard/webhooks/{hook}/test", {"token": owner.token})
    wait_until(lambda: "1 attempt" in shown(owner.get(f"/dashboard/webhooks/{hook}")), "the test event is attempted")
  owner.make_webhook("https://game.example.com/hooks/draws")
  owner.post(f"/dashboard/webhooks/{bad + 1}/disable", {"token": owner.token})
  wait_until(lambda: "Never" not in shown(owner.get("/dashboard/keys")).split("Revoked")[0], "keys are told to have been used")
  server.stop()
  # Two months that rise and fall with the week.
  for back in range(1, 60):
    for endpoint, share in ((2, 60), (6, 25), (1, 15), (3, 9), (4, 12), (7, 5)):
      count = share * ((back * 37 % 11) + 4) * (3 if back % 7 < 2 else 5) // (20 + back // 3) if endpoint != 7 or back < 25 else 0
      if count and back % 23:
        server.alter(SPEND, owner.name, back, endpoint, count)
  server.start()
  live_id = min(int(number) for number in re.findall(r"/keys/(\d+)/revoke", owner.get("/dashboard/keys").body.decode()))
  chain = f"key={live_id}&clientSeed=raffle-7"
  return {
    "overview": "/dashboard", "keys": "/dashboard/keys", "keys-done": "/dashboard/keys?done=revoked", "key-new": "/dashboard/keys/new",
    "key-revoke": f"/dashboard/keys/{live_id}/revoke", "usage": "/dashboard/usage", "usage-by-generator": "/dashboard/usage?by=generator",
    "request": "/dashboard/requests?key=pictures", "outcomes": "/dashboard/outcomes?clientSeed=raffle",
    "chain": f"/dashboard/outcomes/chain?{chain}", "rotate": f"/dashboard/outcomes/rotate?{chain}", "webhooks": "/dashboard/webhooks",
    "webhook": f"/dashboard/webhooks/{good}", "webhook-new": "/dashboard/webhooks/new", "webhook-secret": f"/dashboard/webhooks/{good}/secret",
    "webhook-delete": f"/dashboard/webhooks/{good}/delete", "deliveries": "/dashboard/deliveries", "account": "/dashboard/account",
    "account-delete": "/dashboard/account/delete",
  }


def photograph_the_dashboard(folder, scratch, browser):
  with Server(scratch / "account", FAIRDRAW_SIGN_UP="true", FAIRDRAW_TRUSTED_PROXIES="127.0.0.1",
              FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true") as server:
    owner, pages = furnish(server)

    def every_look(pages, then=lambda look: None):
      for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for width in (Browser.PHONE, Browser.DESKTOP):
          browser.resize(width)
          for name, path in pages.items():
            browser.open(path)
            browser.screenshot(folder / f"dashboard-{name}-{width}-{scheme}.png")
          then(f"{width}-{scheme}")

    def enter():
      browser.base = f"http://{server.host}:{server.port}"
      browser.open("/robots.txt")
      browser.driver.delete_all_cookies()
      browser.open("/sign-in")
      browser.fill("#email", owner.email)
      browser.fill("#password", PASSWORD)
      browser.click(".door button")
      browser.wait(".who")

    browser.base = f"http://{server.host}:{server.port}"

    def turned_away(look):
      browser.open("/sign-in")
      browser.fill("#email", f"{look}@example.com")
      browser.fill("#password", "x" * 512)
      browser.run("document.querySelector('#password').value = 'x'")
      browser.click(".door button")
      browser.wait(".verdict")
      browser.screenshot(folder / f"dashboard-sign-in-wrong-{look}.png")

    every_look({"sign-in": "/sign-in", "sign-up": "/sign-up"}, turned_away)
    enter()
    every_look(pages)
    pages = fill(server, owner)
    enter()

    def made(look):
      browser.open("/dashboard/keys/new")
      browser.fill("#name", look)
      browser.click("form.panel button")
      browser.wait("#key")
      browser.screenshot(folder / f"dashboard-key-made-{look}.png")
      browser.open("/dashboard/keys/new")
      browser.click("form.panel summary")
      browser.fill("#networks", "10.0.0.0/99")
      browser.click("form.panel button")
      browser.wait(".verdict")
      browser.screenshot(folder / f"dashboard-key-wrong-{look}.png")
      browser.open(pages["webhook"])
      if browser.all(".items summary"):
        browser.click(".items summary")
      browser.screenshot(folder / f"dashboard-webhook-attempts-{look}.png")
      browser.open(pages["webhook-secret"])
      browser.click("form.row button")
      browser.wait("#secret")
      browser.screenshot(folder / f"dashboard-webhook-replaced-{look}.png")
      browser.open(pages["rotate"])
      browser.click("form.row button")
      browser.wait("#revealed")
      browser.screenshot(folder / f"dashboard-rotated-{look}.png")

    every_look(pages, made)


# What an account drew on a day that many days ago.
SPEND = """
  INSERT INTO usage (account_id, day, endpoint, count)
  SELECT id, CAST(unixepoch() / 86400 AS INTEGER) - ?2, ?3, ?4 FROM accounts WHERE name = ?1
"""


def photograph_for_the_readme(folder, server, browser):
  """A raffle that can be verified: docs/outcome.png."""
  raffle = {"clientSeed": "summer raffle 2026"}
  drawn = server.post("/api/sample", {**raffle, "count": 5, "min": 1, "max": 5000}).json()["shortId"]
  wait_until(lambda: server.get(f"/api/proof/{drawn}").status == 200, "the draw is in the log")
  assert server.post("/api/rotate", raffle).status == 200
  browser.scheme("light")
  browser.resize(900)
  browser.open(f"/o/{drawn}")
  browser.screenshot(folder / "outcome.png", until="//h2[contains(., 'drawn from')]")


def main(folder):
  folder.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory() as scratch, Server(pathlib.Path(scratch) / "data") as server:
    # A day that has ended, so that there is a root.
    logged = [server.post("/api/floats", {"clientSeed": f"yesterday:{number}"}).json()["shortId"] for number in range(11)]
    server.stop()
    server.alter("UPDATE outcomes SET created = created - 86400000")
    server.start()
    wait_until(lambda: server.get("/api/merkle").json()["roots"], "a root is published")
    pages = dict(PAGES)
    for name, parameters in DRAWS.items():
      answer = server.post(f"/api/{name.split('-')[0]}", {"clientSeed": f"demo:{name}", **parameters})
      assert answer.status == 200, answer
      short_id = answer.json()["shortId"]
      pages[f"o-{name}"] = f"/o/{short_id}"
      (folder / f"og-{name}.png").write_bytes(server.get(f"/o/{short_id}/og.png").body)
    hostile = server.post("/api/ints", {"clientSeed": "<b>\"bold\"</b> & \u202etxt.exe\u202c \t" + "ß" * 100}).json()["shortId"]
    pages["o-hostile-seed"] = f"/o/{hostile}"
    revealed = server.post("/api/ints", {"clientSeed": "demo:revealed", "count": 3}).json()["shortId"]
    if server.post("/api/rotate", {"clientSeed": "demo:revealed"}).status == 200:
      pages["o-revealed"] = f"/o/{revealed}"
      pages["verify-result"] = f"/verify?shortId={revealed}"

    browser = Browser(pathlib.Path(scratch) / "profile")
    try:
      browser.base = f"http://{server.host}:{server.port}"
      for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for width in (Browser.PHONE, Browser.DESKTOP):
          browser.resize(width)
          for name, path in pages.items():
            browser.open(path)
            if name == "verify-result":
              browser.wait("#result .verdict")
            browser.screenshot(folder / f"{name}-{width}-{scheme}.png")
          browser.open("/")
          browser.click("#draw button")
          browser.wait("#result .steps")
          browser.screenshot(folder / f"home-drawn-{width}-{scheme}.png")
          browser.open(f"/transparency?shortId={logged[4]}")
          browser.click("details.day summary")
          browser.wait(".checked", "signature")
          browser.click("#by-draw button")
          browser.wait("#result .verdict")
          browser.screenshot(folder / f"transparency-checked-{width}-{scheme}.png")
          browser.open("/verify")
          browser.click("input[value=by-seeds]")
          browser.fill("#serverSeed", "c790304acfb23bdf99d11f01d548d43fc8d8d6b5d89ee87dead53eec523b85a1")
          browser.fill("#serverHash", "0" * 64)
          browser.fill("#clientSeed", "raffle-7")
          browser.click("#by-seeds button")
          browser.wait("#result .verdict")
          browser.screenshot(folder / f"verify-failed-{width}-{scheme}.png")
      photograph_for_the_readme(folder, server, browser)
      photograph_the_dashboard(folder, pathlib.Path(scratch), browser)
    finally:
      browser.close()
  print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


if __name__ == "__main__":
  if len(sys.argv) != 2:
    sys.exit(__doc__)
  main(pathlib.Path(sys.argv[1]))
