"""dieharder, Debian's, on the stream of `fairdraw bytes`."""

import re
import subprocess

# (number, ntuples) as `dieharder -a` runs them, without those that dieharder itself marks "Suspect" (5, 6, 7) or "Do not
# use" (14): they reject good generators.
TESTS = [(number, (0,)) for number in (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 17, 100, 101, 102)] + [
  (200, tuple(range(1, 13))), (201, tuple(range(2, 6))), (202, tuple(range(2, 6))), (203, tuple(range(33))),
  (204, (0,)), (205, (0,)), (206, (256,)), (207, (32,)), (208, (0, 1)), (209, (12,)),
]
# Some seconds each.
QUICK = [(0, (0,)), (8, (0,)), (15, (0,)), (100, (0,)), (101, (0,))]

LINE = re.compile(r"^\s*(\S+)\|\s*(\d+)\|\s*(\d+)\|\s*(\d+)\|\s*([0-9.]+)\|\s*(?:PASSED|WEAK|FAILED)", re.MULTILINE)


def run(stream, number, ntuple):
  """The p-values of one test: [(name, p)]. `stream` starts `fairdraw bytes --endless`."""
  with stream() as source:
    done = subprocess.run(
      ["dieharder", "-d", str(number), "-n", str(ntuple), "-g", "200"], stdin=source.stdout, capture_output=True, text=True)
    source.stdout.close()
    if source.wait() != 0:
      raise RuntimeError(f"fairdraw bytes ended with {source.returncode}")
  found = LINE.findall(done.stdout)
  if done.returncode != 0 or not found:
    raise RuntimeError(f"dieharder -d {number} gave no p-value:\n{done.stdout}{done.stderr}")
  # It prints eight digits, and its p-values are of both tails: near 1 is as suspicious as near 0.
  results = []
  for index, (name, tuple_, _, _, p) in enumerate(found):
    p = min(max(float(p), 1e-8), 1 - 1e-8)
    results.append((f"{name} {tuple_}" + (f" ({index + 1})" if len(found) > 1 else ""), min(1.0, 2 * min(p, 1 - p))))
  return results
