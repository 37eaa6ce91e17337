"""The report: one HTML file without anything from elsewhere, for narrow and wide screens, light and dark."""

import html
import math

import numpy as np
from scipy import stats

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5a626b; --paper: #fff; --line: #d8dde2; --mark: #2563a8;
  --band: #2563a822; --bad: #b3261e; --good: #1f7a44; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a0a9b2; --paper: #15181b; --line: #3a4047;
  --mark: #7db4f0; --band: #7db4f033; --bad: #ff8a80; --good: #7ed09a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { margin-top: 2.2rem; font-size: 1.25rem; }
.verdict { border-left: 0.4rem solid; padding: 0.4rem 1rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
.soft, figcaption { color: var(--soft); font-size: 0.9rem; }
code { font: 0.85em ui-monospace, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: 0.3rem 1rem; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1rem; }
figure { margin: 0; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.8rem 0.3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; } summary { cursor: pointer; padding: 0.3rem 0; }
"""

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 200, 34, 26, 8


def number(value):
  """1 234 567 with thin spaces."""
  return f"{value:,}".replace(",", "\u202f")


def probability(p):
  if p >= 0.0001:
    return f"{p:.4f}"
  exponent = math.floor(math.log10(p)) if p > 0 else -300
  return f"{p / 10 ** exponent:.1f}·10<sup>{exponent}</sup>"


def plot(body, label, xs, ys):
  """`xs` and `ys`: (place in pixels, text) of the marks at the axes."""
  marks = "".join(f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{text}</text>' for x, text in xs)
  marks += "".join(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{text}</text>' for y, text in ys)
  frame = f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - 6}" fill="none" stroke="var(--line)"/>'
  return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}">{frame}{body}{marks}</svg>'


def across(share):
  return LEFT + share * (WIDTH - 6 - LEFT)


def up(share):
  return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def histogram(ps, title):
  bins = 20 if len(ps) >= 60 else 10
  counts = np.histogram(ps, bins, (0, 1))[0]
  expected = len(ps) / bins
  band = stats.binom.interval(0.95, len(ps), 1 / bins)
  highest = max(counts.max(), band[1]) * 1.08
  width = across(1 / bins) - across(0)
  body = (
    f'<rect x="{LEFT}" width="{across(1) - LEFT:.1f}" y="{up(band[1] / highest):.1f}" '
    f'height="{up(band[0] / highest) - up(band[1] / highest):.1f}" fill="var(--band)"/>')
  for index, count in enumerate(counts):
    body += (
      f'<rect x="{across(index / bins) + 1:.1f}" y="{up(count / highest):.1f}" width="{width - 2:.1f}" '
      f'height="{up(0) - up(count / highest):.1f}" fill="var(--mark)" fill-opacity="0.75"><title>{count} p-values from '
      f'{index / bins:.2f} to {(index + 1) / bins:.2f}</title></rect>')
  body += (
    f'<path d="M{LEFT} {up(expected / highest):.1f}H{WIDTH - 6}" stroke="var(--ink)" stroke-dasharray="4 3"/>')
  xs = [(across(share), f"{share:g}") for share in (0, 0.5, 1)]
  ys = [(up(0), "0"), (up(expected / highest), f"{expected:.3g}")]
  return figure(
    plot(body, f"Histogram of {len(ps)} p-values: {title}", xs, ys), f"{title}: {len(ps)} p-values. Dashed: as many as "
    "expected in each bar. Shaded: where 95 % of the bars lie if the outcomes are fair.")


def quantiles(ps, title):
  """−log10 of the p-values against what as many uniform numbers have: the small ones, which matter, lie far out."""
  ps = np.sort(ps)
  n = len(ps)
  ranks = np.arange(1, n + 1)
  expected = -np.log10(ranks / (n + 1))
  found = -np.log10(np.maximum(ps, 1e-300))
  low, high = (-np.log10(stats.beta.ppf(q, ranks, n + 1 - ranks)) for q in (0.975, 0.025))
  right, top = expected[0] * 1.05, max(found[0], high[0]) * 1.05
  points = lambda ys: [(across(x / right), up(y / top)) for x, y in zip(expected, ys)]
  path = lambda pairs: "L".join(f"{x:.1f} {y:.1f}" for x, y in pairs)
  edge = min(right, top)
  body = f'<path d="M{path(points(low))}L{path(points(high)[::-1])}Z" fill="var(--band)"/>'
  body += (
    f'<path d="M{across(0)} {up(0)}L{across(edge / right):.1f} {up(edge / top):.1f}" stroke="var(--ink)" '
    'stroke-dasharray="4 3"/>')
  body += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="var(--mark)"/>' for x, y in points(found))
  step = max(1, math.ceil(top / 5))
  ys = [(up(value / top), f"{value}") for value in range(0, math.floor(top) + 1, step)]
  xs = [(across(value / right), f"{value}") for value in range(math.floor(right) + 1)]
  return figure(
    plot(body, f"Quantile plot of {n} p-values: {title}", xs, ys), f"{title}: each p-value as −log<sub>10</sub> (upwards) "
    "against its expected value (to the right). Fair outcomes lie along the dashed line; shaded: 95 % of each point.")


def figure(svg, caption):
  return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def table(head, rows):
  """Columns whose head begins with # are numbers."""
  kinds = [' class="n"' if text.startswith("#") else "" for text in head]
  cells = lambda tag, row: "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, row))
  body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
  return (
    f'<div class="wide" tabindex="0"><table><thead><tr>{cells("th", [text.lstrip("#") for text in head])}</tr></thead>'
    f"<tbody>{body}</tbody></table></div>")


def results_table(results):
  return table(["Test", "#p", "#corrected", ""], [
    (
      html.escape(result.test), probability(result.p), probability(result.adjusted),
      '<span class="bad">failed</span>' if result.rejected else "passed")
    for result in results])


def one_in(bias):
  """A bias is rounded up: the report does not promise more than is so."""
  return f"one in {number(int(1 / bias))}"


def render(results, rows, found, facts, options):
  failures = [result for result in results if result.rejected]
  verdict = (
    f'<p class="verdict bad">{len(failures)} of {len(results)} tests failed.</p>' if failures
    else f'<p class="verdict good">All {len(results)} tests passed.</p>')
  if options.filter:
    verdict += '<p class="bad">The draws went through a filter: this report is not about the program alone.</p>'
  if failures:
    verdict += table(["Draws", "Test", "#p", "#corrected"], [
      (html.escape(result.group), html.escape(result.test), probability(result.p), probability(result.adjusted))
      for result in failures])
  scaled = [result.p for result in results if result.group != "dieharder"]
  stream = [result.p for result in results if result.group == "dieharder"]
  plots = "".join(
    histogram(ps, title) + quantiles(ps, title)
    for ps, title in ((scaled, "Draws"), (stream, "The stream, dieharder")) if ps)
  overview = table(["Draws", "What for", "#draws", "#outcomes tested", "#finds a bias of", "#smallest p"], [
    (
      html.escape(source.name), html.escape(source.title), number(lines), number(outcomes), one_in(found[source.name]),
      probability(min(result.p for result in own)))
    for source, lines, outcomes, own in rows]) if rows else ""
  details = "".join(
    f"<details><summary>{html.escape(source.name)} <code>{html.escape(' '.join(source.command())[:200])}</code></summary>"
    f"{results_table(own)}</details>" for source, _, _, own in rows)
  if stream:
    details += "<details><summary>dieharder</summary>" + results_table(
      [result for result in results if result.group == "dieharder"]) + "</details>"
  described = "".join(f"<dt>{name}</dt><dd><code>{html.escape(value)}</code></dd>" for name, value in facts.items())
  return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fairdraw: statistical evidence</title><style>{STYLE}</style></head><body>
<h1>Statistical evidence for Fairdraw’s draws</h1>
{verdict}
<p>The program drew with <code>fairdraw bytes</code>, whose draws go through the same code as a server’s. Each test gives a
p-value: the chance that fair outcomes look at least this unusual. Of many tests some p-values are small by chance, so they
are corrected together (Holm’s method), which bounds the chance that any test of a fair program fails to
{100 * options.level:g} %, however the tests depend on each other.</p>
<h2>The build</h2><dl>{described}</dl>
<h2>The p-values</h2><div class="plots">{plots}</div>
<h2>What was drawn</h2>
<p class="soft">“Finds a bias of one in 10 000” means: if one outcome in 10 000 were replaced by the same outcome, whichever
that is, the test of the largest cell would fail in at least 999 of 1000 such reports.</p>
{overview}
<h2>Every test</h2>{details}
<p class="soft">A report shows that no test found a fault in these draws. It cannot show that there is none, and it says
nothing about whether an operator knows a seed: for that, see the proofs of seeds and the log.</p>
</body></html>
"""
