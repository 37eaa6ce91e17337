"""Pictures of every page, at both widths, light and dark: screenshots.py FOLDER."""

import pathlib
import sys
import tempfile

from browser import Browser
from harness import Server, wait_until

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
  "bytes": {"count": 64},
  "bytes-base64": {"count": 48, "encoding": "base64"},
}

PAGES = {
  "home": "/", "verify": "/verify", "transparency": "/transparency", "api-docs": "/api-docs", "docs": "/docs",
  "docs-verifying": "/docs/verifying", "docs-idempotency": "/docs/idempotency", "docs-derivation": "/docs/derivation",
  "not-found": "/o/0000000000",
}


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
    finally:
      browser.close()
  print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


if __name__ == "__main__":
  if len(sys.argv) != 2:
    sys.exit(__doc__)
  main(pathlib.Path(sys.argv[1]))
