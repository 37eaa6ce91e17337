"""What bin/package writes rather than copies, on standard output:

documents.py settings HELP                 the settings file, from `fairdraw --experimental-dump-help`
documents.py copyright REPOSITORY          the licences of everything in the program
documents.py sbom REPOSITORY VERSION EPOCH [PACKAGE…]
                                           SPDX 2.3 JSON: what is compiled in, and Debian's packages that it loads
"""

import datetime
import json
import pathlib
import re
import subprocess
import sys
import textwrap

# What the package sets, since its server is a service of the system.
PACKAGED = {"data": "/var/lib/fairdraw"}

SETTINGS = """\
The settings of Fairdraw. The server and all other commands read this file. After a change, restart the server: \
systemctl restart fairdraw. `fairdraw doctor` checks the settings.

A line is `option = value`. An option on the command line takes precedence, and so does a variable in the environment, \
such as FAIRDRAW_PORT. Set public-url before the first draw: stored responses keep the permalink that they were first \
returned with."""


def comment(text):
  lines = [line for part in text.splitlines() for line in textwrap.wrap(part, 98, break_long_words=False) or [""]]
  return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def settings(path):
  """Every option of `serve` with its help. One that is not set shows its default, or what its value is."""
  top = json.loads(pathlib.Path(path).read_text())["command"]
  serve = next(command for command in top["subcommands"] if command["commandName"] == "serve")
  parts = [comment(SETTINGS)]
  for option in serve["arguments"]:
    name = option["preferredName"]["name"]
    if name in ("help", "version"):
      continue
    default = re.search(r"\(default: (\S+)\)$", option["abstract"])
    if name in PACKAGED:
      line = f"{name} = {PACKAGED[name]}"
    elif option["kind"] == "flag":
      line = f"#{name} = true"
    elif default and default[1] not in ("none", "http://HOST:PORT"):
      line = f"#{name} = {default[1]}"
    else:
      line = f"#{name} = <{option['valueName']}>"
    parts.append(comment("\n".join(filter(None, [option["abstract"], option.get("discussion")]))) + line + "\n")
  return "\n".join(parts)


def pins(repository):
  return sorted(json.loads((repository / "Package.resolved").read_text())["pins"], key=lambda pin: pin["identity"])


def copyright(repository):
  """The licence, and the licence and notice of each library, with equal texts once."""
  texts = {}
  for pin in pins(repository):
    folder = repository / ".build" / "checkouts" / pathlib.PurePath(pin["location"]).name.removesuffix(".git")
    for file in sorted(path for path in folder.iterdir() if re.match(r"(LICENSE|NOTICE)", path.name)):
      texts.setdefault(file.read_text(errors="replace").strip(), []).append(f"{folder.name} ({file.name})")
  parts = ["Fairdraw is under the Apache License 2.0: see /usr/share/common-licenses/Apache-2.0.\n\n"
           "The program contains the Swift runtime and Foundation (Apache License 2.0 with Runtime Library Exception), ICU\n"
           "(Unicode License v3), and the libraries below."]
  parts += [f"{'-' * 78}\n{', '.join(files)}\n\n{text}" for text, files in texts.items()]
  return "\n\n".join(parts) + "\n"


def entry(name, version, **more):
  return {
    "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": version,
    "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
    "copyrightText": "NOASSERTION", **more,
  }


def purl(locator):
  return {"externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator}]}


def sbom(repository, version, epoch, *debian):
  product = entry("fairdraw", version, licenseConcluded="Apache-2.0", licenseDeclared="Apache-2.0")
  toolchain = subprocess.run(["swift", "--version"], capture_output=True, text=True, check=True).stdout
  contained = [entry("swift", re.search(r"Swift version (\S+)", toolchain)[1], supplier="Organization: Apple Inc. and the Swift project authors")]
  for pin in pins(repository):
    state, source = pin["state"], pin["location"].removesuffix(".git")
    release = state.get("version", state["revision"])
    contained.append(entry(
      pin["identity"], release, downloadLocation=f"git+{source}.git@{state['revision']}",
      **purl(f"pkg:swift/{source.removeprefix('https://')}@{release}")))
  loaded = []
  for package in debian:
    name, release, architecture = subprocess.run(
      ["dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}", package], capture_output=True, text=True, check=True).stdout.split()
    loaded.append(entry(name, release, supplier="Organization: Debian", **purl(f"pkg:deb/debian/{name}@{release}?arch={architecture}")))

  def relation(a, kind, b):
    return {"spdxElementId": a["SPDXID"], "relationshipType": kind, "relatedSpdxElement": b["SPDXID"]}

  document = {"SPDXID": "SPDXRef-DOCUMENT"}
  return json.dumps({
    "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", **document, "name": f"fairdraw-{version}",
    "documentNamespace": f"https://fairdraw.invalid/spdx/fairdraw-{version}",
    "creationInfo": {
      "created": datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: bin/package"]},
    "packages": [product, *contained, *loaded],
    "relationships": [
      relation(document, "DESCRIBES", product), *(relation(product, "CONTAINS", one) for one in contained),
      *(relation(product, "DEPENDS_ON", one) for one in loaded)],
  }, indent=2) + "\n"


if __name__ == "__main__":
  what, *arguments = sys.argv[1:]
  if what != "settings":
    arguments[0] = pathlib.Path(arguments[0])
  sys.stdout.write({"settings": settings, "copyright": copyright, "sbom": sbom}[what](*arguments))
