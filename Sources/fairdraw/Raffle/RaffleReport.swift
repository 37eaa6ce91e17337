import Foundation
import JSON
import Ledger
import Website

/// A raffle's report: one HTML file that needs nothing else, and runs nothing.
struct RaffleReport {
  private let list: RaffleList
  private let state: RaffleState
  private let shown: RaffleCommand.Shown
  private let outcome: JSONValue
  /// The numbers of the entries, in the order drawn.
  let drawn: [Int]

  /// The longest list that is part of the report, in bytes.
  private static let longestList = 4 << 20
  /// The most entries that are named one by one.
  private static let mostNamed = 10_000

  /// - Throws: ``CommandFailure`` if the raffle is not drawn.
  init(list: RaffleList, state: RaffleState, shown: RaffleCommand.Shown) throws(CommandFailure) {
    (self.list, self.state, self.shown) = (list, state, shown)
    guard let text = state.outcome, let outcome = (try? JSONText(Array(text.utf8)))?.root,
      let drawn = outcome["outcome"]?.elements()?.compactMap(\.integer), drawn.count == state.drawn,
      drawn.allSatisfy({ (1...list.entries.count).contains($0) })
    else { throw CommandFailure("the raffle's draw cannot be read") }
    (self.outcome, self.drawn) = (outcome, drawn)
  }

  var permalink: String { outcome["permalink"]?.text ?? "" }

  func html() -> [UInt8] {
    let title = HTML.escape(state.title)
    let page = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
      <meta name="referrer" content="no-referrer">
      <title>\(title) – raffle report</title>
      <style>
      \(Self.style)
      </style>
      </head>
      <body>
      <main>
      \(head)
      \(winnersList)
      \(proofSection)
      \(checkSection)
      \(meaning)
      \(allEntries)
      </main>
      </body>
      </html>

      """
    return Array(page.utf8)
  }

  // MARK: Who won

  private var head: String {
    let moment = outcome["created"]?.integer.map { Terminal.time(Int64($0)) } ?? ""
    let what =
      Self.count(state.winners, "winner") + (state.reserves > 0 ? ", " + Self.count(state.reserves, "reserve") : "")
    let rehearsal =
      state.isRehearsal
      ? "<p class=\"warning\"><strong>A rehearsal.</strong> It was drawn with a test key. Nobody has won anything.</p>"
      : ""
    return """
      <h1>\(HTML.shown(state.title))</h1>
      <p class="lead">\(what) of \(Self.count(state.entries, "entry")), drawn on \(moment).
      <a href="\(HTML.escape(permalink))">The draw's page</a></p>
      \(rehearsal)
      """
  }

  private var winnersList: String {
    func items(_ places: Range<Int>) -> String {
      places.map { "<li>\(line(drawn[$0]))</li>" }.joined(separator: "\n")
    }
    var html = """
      <section>
      <h2>\(state.winners == 1 ? "The winner" : "Winners")</h2>
      <ol class="drawn">
      \(items(0..<state.winners))
      </ol>
      """
    if state.reserves > 0 {
      html += """

        <h2>Reserves</h2>
        <p>The first of them takes the place of a winner who is not eligible or cannot be reached, then the next.</p>
        <ol class="drawn reserves">
        \(items(state.winners..<drawn.count))
        </ol>
        """
    }
    return html + "\n</section>"
  }

  private func line(_ number: Int) -> String {
    let entry = list.entries[number - 1]
    let name =
      switch shown {
      case .names: HTML.shown(entry.text)
      case .initials: HTML.shown(Self.initials(entry.text))
      case .numbers: ""
      }
    return name.isEmpty
      ? "<span class=\"name\">Entry \(number)</span>"
      : "<span class=\"name\">\(name)</span> <span class=\"number\">entry \(number)</span>"
  }

  /// The first letters of up to three words.
  private static func initials(_ text: String) -> String {
    text.split { !$0.isLetter && !$0.isNumber }.prefix(3).map { "\($0.prefix(1))." }.joined(separator: " ")
  }

  // MARK: The proof

  private var proofSection: String {
    let commitment = state.commitment
    var rows: [(String, String)] = [
      ("List", "\(HTML.shown(list.name)), \(Self.count(state.entries, "entry"))"),
      ("SHA-256 of the list", code(state.listHash)), ("Numbering", HTML.escape(state.rule)),
      (
        "Server seed's hash",
        "\(code(commitment.serverHash))<br>committed to by \(Terminal.time(Int64(commitment.received))), before the server knew the client seed"
      ),
    ]
    if let announced = state.announced {
      rows.append(("Announced value", HTML.shown(announced)))
      rows.append(("It turned out to be", HTML.shown(state.value ?? "")))
    }
    rows += [
      ("Client seed", code(state.clientSeed)), ("Server seed", code(outcome["serverSeed"]?.text ?? "")),
      ("Commitment", code(commitment.commitId)), ("Server", HTML.shown(state.server)),
    ]
    if !state.expired.isEmpty {
      let hashes = state.expired.map { code($0.serverHash) }.joined(separator: "<br>")
      rows.append(("Commitments that expired before a draw", hashes))
    }
    return """
      <section>
      <h2>Proof</h2>
      <dl>
      \(rows.map { "<dt>\($0.0)</dt><dd>\($0.1)</dd>" }.joined(separator: "\n"))
      </dl>
      <details><summary>The draw, as the server answered it</summary>
      <pre>\(HTML.escape(state.outcome ?? ""))</pre></details>
      </section>
      """
  }

  private var checkSection: String {
    let file = Terminal.quoted(list.name)
    var steps = [
      "The list is the one that was drawn from: this prints its SHA-256.\(pre("sha256sum \(file)"))"
        + (isListIncluded
          ? link("Save the list", list.name, list.bytes)
          : "The list is not in this report. Ask the organiser for the file, or for its line with your own entry."),
      """
      The winners follow from both seeds, and the seed is the one that the server had committed to. \
      \(link("Save outcome.json", "outcome.json", Array((state.outcome ?? "").utf8))) Then run one of these:\
      \(pre("fairdraw verify outcome.json\npython3 fairdraw_verify.py outcome.json\nnode fairdraw-verify.mjs outcome.json"))\
      They need no server. The two small programs are at \
      <a href="\(HTML.escape(state.server))/docs/verifiers">\(HTML.escape(state.server))/docs/verifiers</a>, and in Fairdraw's sources.
      """,
      "Compare the <code>clientSeed</code> and the <code>serverHash</code> with what was announced before the draw, and <code>max</code> with the number of entries.",
      "The numbers in <code>outcome</code> are the entries, winners first. \(HTML.escape(state.rule))",
    ]
    if let proof = state.proof, let key = state.logKey {
      steps.append(
        """
        The draw stands in the server's public log. \(link("Save draw.tlog-proof", "draw.tlog-proof", Array(proof.utf8)))\
        \(pre("fairdraw verify outcome.json --proof draw.tlog-proof --key \(Terminal.quoted(key))"))
        """)
    }
    return """
      <section>
      <h2>How to check</h2>
      <ol class="steps">
      \(steps.map { "<li>\($0)</li>" }.joined(separator: "\n"))
      </ol>
      </section>
      """
  }

  private var meaning: String {
    let unknown =
      state.announced == nil
      ? """
      It does not show that this was the only draw. The organiser could have drawn from several versions of the list and \
      shown one, unless the hash of the list was published before. If the organiser runs the server as well, only a \
      value that nobody can choose rules out a choice.
      """
      : """
      If the list's hash, the server seed's hash and the announcement were published before the value was known, nobody \
      could choose the result: neither the organiser nor the operator of the server. It does not show that the list is \
      complete.
      """
    return """
      <section>
      <h2>What this shows</h2>
      <p>The server had fixed its seed before it knew the client seed, which names the list. The winners follow from both.
      Nobody can change the list, the seeds or the winners afterwards without being noticed.</p>
      <p>\(unknown)</p>
      </section>
      """
  }

  private var isListIncluded: Bool { shown == .names && list.bytes.count <= Self.longestList }

  private var allEntries: String {
    guard shown != .numbers, list.entries.count <= Self.mostNamed else { return "" }
    return """
      <details class="all"><summary>All entries, numbered</summary>
      <ol>
      \(list.entries.indices.map { "<li>\(line($0 + 1))</li>" }.joined(separator: "\n"))
      </ol></details>
      """
  }

  // MARK: Pieces

  private static func count(_ count: Int, _ noun: String) -> String {
    let many = noun.hasSuffix("y") ? noun.dropLast() + "ies" : noun + "s"
    return "\(count) \(count == 1 ? noun : String(many))"
  }

  private func code(_ text: String) -> String { "<code>\(HTML.shown(text))</code>" }
  private func pre(_ text: String) -> String { "<pre>\(HTML.escape(text))</pre>" }

  /// A file that is part of the page.
  private func link(_ text: String, _ name: String, _ bytes: [UInt8]) -> String {
    var base64: [UInt8] = []
    base64.append(base64: bytes)
    return """
      <a download="\(HTML.escape(name))" href="data:application/octet-stream;base64,\(String(decoding: base64, as: UTF8.self))">\(HTML.escape(text))</a>.
      """
  }

  private static let style = """
    :root { color-scheme: light dark; --ink: #1e1f1b; --quiet: #5f6058; --paper: #fbfaf6; --sheet: #fff; --line: #dfddd3;
      --accent: #14603f; --wrong: #a3281f; }
    @media (prefers-color-scheme: dark) { :root { --ink: #e9e7df; --quiet: #a5a598; --paper: #151614; --sheet: #1d1f1c;
      --line: #363932; --accent: #7fd0a5; --wrong: #f19a8e; } }
    * { box-sizing: border-box; }
    html { font: 100%/1.6 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; background: var(--paper); color: var(--ink); }
    body { margin: 0; }
    main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 4rem; overflow-wrap: anywhere; }
    h1, h2 { font-family: Palatino, Georgia, "DejaVu Serif", serif; line-height: 1.2; }
    h1 { font-size: clamp(1.8rem, 1.4rem + 2.4vw, 2.6rem); margin: 0 0 .5rem; }
    h2 { margin: 2.5rem 0 .75rem; }
    a { color: var(--accent); }
    .lead, .number, dt { color: var(--quiet); }
    .number { font-size: .875rem; white-space: nowrap; }
    .warning { border: 2px solid var(--wrong); border-radius: .5rem; padding: .6rem 1rem; }
    .drawn { list-style: none; counter-reset: place; padding: 0; margin: 0; }
    .drawn li { counter-increment: place; display: grid; grid-template-columns: 2.5rem 1fr auto; gap: .75rem; align-items: baseline;
      padding: .5rem .25rem; border-bottom: 1px solid var(--line); break-inside: avoid; }
    .drawn li::before { content: counter(place); color: var(--accent); font-weight: 600; text-align: end; }
    .drawn .name { font-size: 1.15rem; }
    .reserves .name { font-size: 1rem; }
    dl { display: grid; grid-template-columns: minmax(8rem, auto) 1fr; gap: .4rem 1.25rem; margin: 0; }
    dd { margin: 0; min-width: 0; }
    code, pre { font: .875em/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
    pre { background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; white-space: pre-wrap; }
    .steps li { margin-bottom: 1rem; }
    .ctl { border: 1px solid var(--line); border-radius: .2rem; padding: 0 .2em; font-size: .75em; color: var(--quiet); }
    details { margin: 1rem 0; }
    summary { cursor: pointer; }
    .all ol { columns: 16rem; padding-inline-start: 3.5rem; }
    @media (max-width: 40rem) { dl { display: block; } dt { margin-top: .6rem; } .drawn li { grid-template-columns: 1.75rem 1fr; }
      .drawn .number { grid-column: 2; } }
    @media print { :root { color-scheme: light; --ink: #000; --quiet: #444; --paper: #fff; --sheet: #fff; --line: #bbb; --accent: #000; }
      main { max-width: none; padding: 0; } details:not([open]) { display: none; } }
    """
}
