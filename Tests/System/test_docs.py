"""The documentation against the program: what README shows is what happens, examples run, links lead somewhere."""

import json
import os
import re
import subprocess
import sys

import pytest

from harness import BINARY, REPOSITORY, TIMEOUT, cli, environment, node

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
README = (REPOSITORY / "README.md").read_text()


def blocks(text, language):
  """The fenced blocks of one language."""
  return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def examples(text):
  """Every `sh` block with a `text` block after it: commands, and what they are shown to print."""
  body = r"((?:(?!```).*\n)*)"
  return re.findall(rf"^```sh\n{body}```\n+```text\n{body}```", text, re.MULTILINE)


def alike(text):
  """The text with everything that may differ from run to run (hashes, ids, numbers) made the same."""
  for pattern, stand_in in [
    (r"pk_live_[\w-]{8}", "KEY"), (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"), (r"\b[0-9a-f]{64}\b", "HASH"), (r"\b[0-9a-f]{160}\b", "PROOF"), (r'("shortId": ?")\w{10}"', r'\1ID"'), (r"/o/\w{10}", "/o/ID"),
    (r"\b\d+\b", "N"),
  ]:
    text = re.sub(pattern, stand_in, text)
  return text


def shell(script, server, **settings):
  """Runs a script from the docs: in the repository, with the built program and the server's own port."""
  script = re.sub(r"(?<![\w./])bin/fairdraw\b", lambda _: BINARY, script)
  script = script.replace("127.0.0.1:8080", f"{server.host}:{server.port}")
  done = subprocess.run(
    ["bash", "-euo", "pipefail", "-c", script], cwd=REPOSITORY, env=environment(FAIRDRAW_DATA=server.data, **settings),
    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)
  assert done.returncode == 0, done.stdout
  return done.stdout.replace("\r\n", "\n")


def test_the_readmes_picture_is_small():
  """It is made by bin/screenshots."""
  pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
  assert pictures == ["docs/outcome.png"]
  picture = (REPOSITORY / pictures[0]).read_bytes()
  assert picture.startswith(b"\x89PNG") and len(picture) < 150_000


def test_the_readmes_commands_print_what_it_shows(serve):
  server = serve(folder="tour")
  scripts, printed = zip(*examples(README))
  assert len(scripts) >= 6
  # One shell for all, since later blocks use what earlier ones set; curl leaves its last line open.
  output = shell("echo\n".join(scripts), server)
  assert [line for line in alike(output).splitlines() if line] == alike("".join(printed)).splitlines()


@pytest.mark.parametrize("page", ["api.md", "batches.md", "idempotency.md"])
def test_the_pages_examples_run(serve, tmp_path, page):
  server = serve(folder="examples")
  key = server.key()
  text = (REPOSITORY / "docs" / page).read_text()
  ran = 0
  for script in blocks(text, "sh"):
    shell(script, server, KEY=key)
    ran += 1
  for language, name, command in [("js", "example.mjs", node()), ("python", "example.py", [sys.executable])]:
    for program in blocks(text, language):
      file = tmp_path / name
      file.write_text(program)
      settings = environment(FAIRDRAW_URL=f"http://{server.host}:{server.port}", FAIRDRAW_KEY=key)
      done = subprocess.run(
        [*command, str(file)], env=settings, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT)
      assert done.returncode == 0 and done.stdout, done.stdout + done.stderr
      ran += 1
  assert ran
  for answer in blocks(text, "json"):
    json.loads(answer)


def test_log_and_exp_as_documented_are_the_verifiers(verifier, rng):
  [program] = [
    program for program in blocks((REPOSITORY / "docs" / "derivation.md").read_text(), "python") if "def log(" in program]
  documented = {}
  exec(program, documented)
  for _ in range(100_000):
    x = rng.choice([rng.random(), 2.0 ** rng.uniform(-104, 0), 1 - 2.0 ** rng.uniform(-53, 0)]) or 1.0
    assert documented["log"](x) == verifier.log(x), x
    x = -rng.choice([rng.uniform(0, 100), 10.0 ** rng.uniform(-300, 2)])
    assert documented["exp"](x) == verifier.exp(x), x


def anchors(page):
  """The names a page's headings can be linked by, as GitHub makes them."""
  headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
  return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page):
  text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
  for link in re.findall(r"\]\(([^)\s]+)\)", text):
    if re.match(r"https?:", link):
      continue
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists(), f"{link} leads nowhere"
    assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


def test_every_option_is_in_the_configuration_table():
  options = set(re.findall(r"^  --([a-z-]+)", cli("serve", "--help", check=True).stdout, re.MULTILINE)) - {"version", "help"}
  assert len(options) >= 10
  rows = set(re.findall(r"^\| `--([a-z-]+)` \| `(FAIRDRAW_[A-Z_]+)` \|", (REPOSITORY / "docs" / "operations.md").read_text(), re.MULTILINE))
  assert rows == {(option, "FAIRDRAW_" + option.upper().replace("-", "_")) for option in options}


def test_prose_is_wrapped():
  for page in PAGES:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    long = [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert not long, (page.name, long)
