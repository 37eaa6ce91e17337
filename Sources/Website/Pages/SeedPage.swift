import Fairness
import Foundation
import Ledger

/// `/seed`: all draws from one server seed, for whoever holds its hash and the client seed; missing nonces are marked.
struct SeedPage {
  let layout: Layout
  let renderer: OutcomeRenderer

  static let pageSize = 100

  /// What was asked for, as far as it makes sense.
  struct Search {
    let clientSeed: ClientSeed
    let serverHash: ServerHash
    /// Draws from this nonce on are left out.
    let before: Int64?
  }

  /// - Parameters:
  ///   - problem: a sentence about what was given, if it names no seed.
  ///   - page: what was found for the search; nil if there was none.
  func html(clientSeed: String, serverHash: String, problem: String?, found: (search: Search, page: OutcomePage)?)
    -> String
  {
    var values: [String: Any] = ["clientSeed": clientSeed, "serverHash": serverHash]
    if let problem { values["problem"] = ["sentence": problem] }
    if let found { values["list"] = list(found.search, found.page) }
    return layout.html(
      .init(
        title: "Draws from one seed – Fairdraw",
        description: "Every draw made from one client seed and one server seed, with the missing nonces.",
        body: layout.templates.render("seed", values)))
  }

  private func list(_ search: Search, _ page: OutcomePage) -> [String: Any] {
    var after = search.before
    let rows = page.outcomes.map { outcome -> [String: Any] in
      var row: [String: Any] = [
        "shortId": String(decoding: renderer.shortIDs.encode(outcome.id), as: UTF8.self),
        "nonce": outcome.nonce, "kind": outcome.endpoint.kind.outcomeTitle,
        "summary": HTML.shown(OutcomeDrawing(outcome).summary.shortened(to: 120)),
        "iso": Date(milliseconds: outcome.created).ISO8601Format(),
        "created": Date(milliseconds: outcome.created).readable,
      ]
      if let after, after - outcome.nonce > 1 {
        let (first, last) = (outcome.nonce + 1, after - 1)
        row["gap"] = ["text": first == last ? "Nonce \(first) is missing" : "Nonces \(first) to \(last) are missing"]
      }
      after = outcome.nonce
      return row
    }
    var values: [String: Any] = ["rows": rows, "isEmpty": rows.isEmpty, "isFirst": search.before == nil]
    if page.hasMore, let last = page.outcomes.last {
      let seed = percentEncoded(search.clientSeed.bytes)
      values["next"] = [
        "address": "/seed?serverHash=\(hex(search.serverHash.bytes))&clientSeed=\(seed)&before=\(last.nonce)"
      ]
    }
    return values
  }
}
