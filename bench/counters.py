"""Where processor time goes: the threads of some processes, wrk, and the share of the cores that nobody used."""

import os
import re
import resource
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
# What libraries call their threads, and what those do. A thread without a name has that of the thread that made it.
ROLES = [
  (re.compile(r"^NIO-"), "event loops"),
  (re.compile(r"^TP-#"), "thread pool"),
  (re.compile(r"qos"), "dispatch"),
  (re.compile(r"^ngx|^nginx"), "nginx"),
]


def role(name):
  """The group that a thread is shown in: what its name means, or the name without its number."""
  for pattern, group in ROLES:
    if pattern.search(name):
      return group
  return re.sub(r"[-_ #:]*\d+$", "", name) or name


def fields(path):
  """A stat file's fields from the third on; the second, a name in parentheses, may contain anything."""
  return path.read_text().rsplit(") ", 1)[1].split()


def thread_times(processes):
  """(process, thread) → its name and seconds of processor time, of all threads that exist now."""
  found = {}
  for pid in processes:
    for task in Path(f"/proc/{pid}/task").glob("*"):
      try:
        found[pid, task.name] = (task / "comm").read_text().strip(), sum(map(int, fields(task / "stat")[11:13])) / TICK
      except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended meanwhile
  return found


def core_times():
  """Of all cores together: ticks that they idled, and all ticks."""
  times = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
  return times[3] + times[4], sum(times)


def wrk_time():
  used = resource.getrusage(resource.RUSAGE_CHILDREN)
  return used.ru_utime + used.ru_stime


class Counters:
  """The counters at this moment, to be compared with later ones."""

  def __init__(self, processes):
    self.processes = processes
    self.threads, self.cores, self.wrk = thread_times(processes), core_times(), wrk_time()

  def since(self):
    """`threads`: group → seconds of all its threads and of the busiest; `wrk`: seconds; `idle`: a share of all cores.

    Children that ended in between count as wrk."""
    groups = {}
    for thread, (name, seconds) in thread_times(self.processes).items():
      used = seconds - self.threads.get(thread, (name, 0))[1]
      total, most = groups.get(role(name), (0, 0))
      groups[role(name)] = round(total + used, 2), round(max(most, used), 2)
    idle, all_ticks = (now - then for now, then in zip(core_times(), self.cores))
    return {"threads": groups, "wrk": round(wrk_time() - self.wrk, 2), "idle": idle / max(1, all_ticks)}


def means(runs):
  """group → mean seconds of a run: all its threads, and the busiest."""
  groups = {group for run in runs for group in run["threads"]}
  return {
    group: [sum(run["threads"].get(group, (0, 0))[part] for run in runs) / len(runs) for part in (0, 1)] for group in groups}


def describe(runs):
  """One line about the runs of a row: what was idle; then the groups, the busiest first."""
  parts = []
  for group, (total, most) in sorted(means(runs).items(), key=lambda item: -item[1][0]):
    if total >= 0.005:
      parts.append(f"{group} {total:.2f}" + (f" (busiest {most:.2f})" if most < 0.95 * total else ""))
  idle, wrk = (sum(run[what] for run in runs) / len(runs) for what in ("idle", "wrk"))
  return f"{idle:>4.0%} idle; {', '.join([*parts, f'wrk {wrk:.2f}'])}"
