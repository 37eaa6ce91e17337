"""docs/monitoring: the alerts and the dashboard against a real Prometheus that reads a real server's metrics."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from harness import REPOSITORY, TIMEOUT, Server, environment, wait_until
from ports import free_port
from test_log_proofs import WITNESS_VKEYS
from test_metrics import scrape

FILES = REPOSITORY / "docs" / "monitoring"
ALERTS = FILES / "alerts.yml"
ALERT_TESTS = REPOSITORY / "Tests" / "System" / "alerts_test.yml"
DASHBOARD = json.loads((FILES / "grafana.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]

SERIES = re.compile(r"\b(fairdraw_[a-z_]+)(?:\{([^}]*)\})?")


def promtool(*arguments, **more):
  done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT, **more)
  assert done.returncode == 0, done.stdout + done.stderr
  return done.stdout + done.stderr


class Prometheus:
  """Debian's, with the alerts, reading the metrics of a server every second."""

  def __init__(self, folder, target):
    self.folder = folder
    self.port = free_port()
    shutil.copy(ALERTS, folder / "alerts.yml")
    (folder / "prometheus.yml").write_text(
      "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yml]\n"
      f"scrape_configs:\n  - job_name: fairdraw\n    static_configs: [{{targets: ['{target}']}}]\n")

  def __enter__(self):
    with open(self.folder / "log", "wb") as log:
      self.process = subprocess.Popen(
        ["prometheus", f"--web.listen-address=127.0.0.1:{self.port}", f"--storage.tsdb.path={self.folder}/data",
         "--config.file=prometheus.yml"], cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return self

  def __exit__(self, *_):
    self.process.kill()
    self.process.wait()

  def ask(self, path, **parameters):
    assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
    try:
      with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=TIMEOUT) as answer:
        return json.load(answer)["data"]
    except urllib.error.HTTPError as refusal:
      if refusal.code == 503:
        return None  # not yet ready
      raise AssertionError(refusal.read().decode()) from refusal
    except OSError:
      return None  # not yet up

  def query(self, expression):
    found = self.ask("query", query=expression)
    return found and found["result"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
  """A server that has been used in every way that its metrics tell of, and a Prometheus that has seen it twice."""
  folder = tmp_path_factory.mktemp("monitoring")
  port = free_port()
  with Server(
    folder / "data", FAIRDRAW_METRICS_PORT=port, FAIRDRAW_WITNESS=f"http://127.0.0.1:1={WITNESS_VKEYS[0]}") as server:
    server.metrics_port = port
    account = server.account()
    key = server.key(account)
    server.cli("webhook", "create", "--account", account, "--url", "http://127.0.0.1/", check=True)
    with Prometheus(folder, f"127.0.0.1:{port}") as prometheus:
      wait_until(lambda: prometheus.query("up == 1"), "Prometheus has read the metrics")
      for _ in range(3):
        assert server.draw("ints", key=key).status == 200
      assert server.get("/api/ints", {"count": "no"}).status == 400
      twice = 'count_over_time(fairdraw_http_requests_total{endpoint="/api/ints",status="400"}[1m]) >= 2'
      wait_until(lambda: prometheus.query(twice), "it has seen the draws twice")
      yield server, prometheus


def test_the_metrics_are_as_prometheus_wants_them(watched):
  server, _ = watched
  assert promtool("check", "metrics", input=scrape(server)[2]) == ""


def test_the_alerts_are_valid():
  assert "SUCCESS" in promtool("check", "rules", ALERTS)


def test_every_alert_fires_when_it_should_and_only_then():
  assert "SUCCESS" in promtool("test", "rules", ALERT_TESTS)
  alerts = set(re.findall(r"- alert: (\w+)", ALERTS.read_text()))
  text = ALERT_TESTS.read_text()
  silent = set(re.findall(r"alertname: (\w+), exp_alerts: \[\]", text))
  firing = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n\s+- exp_labels", text))
  assert len(alerts) >= 16 and silent == firing == alerts
  assert set(re.findall(r"`(Fairdraw[A-Z]\w+)`", (REPOSITORY / "docs" / "operations.md").read_text())) == alerts


def used_series():
  texts = [("alerts.yml", ALERTS.read_text()), *EXPRESSIONS]
  variables = [variable["query"]["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]
  for where, text in [*texts, *[("variables", text) for text in variables]]:
    for name, matchers in SERIES.findall(re.sub(r"(?m)^ *(#|summary|description).*", "", text)):
      yield where, name, set(re.findall(r"(\w+)=", matchers)) - {"job", "instance"}


def test_what_they_name_is_in_a_servers_metrics(watched):
  """Each metric, with each label that they select or group by."""
  server, prometheus = watched
  labels = {}
  for name, found in re.findall(r"^(fairdraw_[a-z_]+)(?:\{(.*)\})? ", scrape(server)[2], re.MULTILINE):
    labels.setdefault(name, set()).update(re.findall(r'(\w+)="', found))
  seen = 0
  for where, name, wanted in used_series():
    assert name in labels, f"{where} names {name}, which no server has"
    assert wanted <= labels[name], (where, name, wanted)
    seen += 1
  assert seen > 60
  # And the other way round: the dashboard shows every metric.
  families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in labels}
  shown = {re.sub(r"_(bucket|sum|count)$", "", name) for _, name, _ in used_series()}
  assert families == shown


def test_prometheus_takes_the_alerts_and_none_fires(watched):
  _, prometheus = watched

  def rules():
    found = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    return found if all(rule["health"] != "unknown" for rule in found) else None

  found = wait_until(rules, "all alerts have been evaluated")
  assert len(found) >= 16
  assert {(rule["name"], rule["health"], rule.get("lastError")) for rule in found} == {(rule["name"], "ok", None) for rule in found}
  # It may be pending: there is one witness, and nobody is there.
  assert {rule["name"] for rule in found if rule["state"] == "firing"} == set()


def test_every_panel_shows_something(watched):
  _, prometheus = watched
  for title, expression in EXPRESSIONS:
    expression = expression.replace("$job", "fairdraw").replace("$instance", ".*").replace("$__rate_interval", "1m")
    assert "$" not in expression
    result = wait_until(lambda: prometheus.query(expression), f"{title} shows something")
    by = re.match(r"(?:sum|max) by \(([a-z, ]+)\)", expression)
    assert not by or all(set(by[1].split(", ")) == set(series["metric"]) for series in result), result


def test_the_dashboard_can_be_imported():
  """What Grafana needs of it: a title, ids and places that do not collide, and no data source of ours."""
  panels = DASHBOARD["panels"]
  assert DASHBOARD["title"] and DASHBOARD["schemaVersion"] >= 36 and "id" not in DASHBOARD
  assert len({panel["id"] for panel in panels}) == len(panels)
  cells = [
    (x, y) for panel in panels for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
    for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])]
  assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
  assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job", "instance"}
  for panel in PANELS:
    assert panel["datasource"]["uid"] == "${datasource}" and panel["title"]
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
