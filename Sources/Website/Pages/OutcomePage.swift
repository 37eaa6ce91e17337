import Fairness
import Foundation
import JSON
import Ledger

/// `/o/{shortId}`: one outcome, drawn for its kind, with all that it takes to check it.
struct OutcomePage {
  let layout: Layout
  let renderer: OutcomeRenderer
  /// Where people reach the server, without a slash at its end.
  let publicURL: String

  /// The longest JSON that is shown in the page itself.
  private static let shownJSON = 3_000

  func html(_ outcome: Outcome, _ verdict: Verdict) -> String {
    let drawing = OutcomeDrawing(outcome)
    var json: [UInt8] = []
    let shortID = String(decoding: renderer.append(outcome, to: &json), as: UTF8.self)
    let clientSeed = outcome.clientSeed.description
    let serverHash = hex(outcome.serverHash.bytes)
    let created = Date(milliseconds: outcome.created)
    var values: [String: Any] = [
      "kind": outcome.endpoint.kind.outcomeTitle, "drawing": drawing.html,
      "state": Self.state(verdict), "verdict": Self.title(verdict), "reason": verdict.reason,
      "shortId": shortID, "clientSeed": HTML.shown(clientSeed),
      "copyClientSeed": HTML.copyButton(clientSeed, label: "client seed"),
      "serverHash": serverHash, "copyServerHash": HTML.copyButton(serverHash, label: "server hash"),
      "nonce": outcome.nonce, "cursor": outcome.cursor, "endpoint": outcome.endpoint.name,
      "parameters": Fields(outcome.fields).simple.map { ["name": $0.name, "value": $0.text] },
      "created": created.ISO8601Format(), "createdText": created.readable, "day": Day(of: outcome.created).description,
      "isTest": outcome.mode == .test,
      "canBeVerified": outcome.mode == .live || verdict.serverSeed != nil,
    ]
    if let seed = verdict.serverSeed.map({ String(decoding: $0.ascii, as: UTF8.self) }) {
      values["revealed"] = ["serverSeed": seed, "copy": HTML.copyButton(seed, label: "server seed")]
    }
    if json.count <= Self.shownJSON { values["json"] = HTML.shown(String(decoding: json, as: UTF8.self)) }
    return layout.html(
      .init(
        title: "\(outcome.endpoint.kind.outcomeTitle) \(shortID) – Fairdraw",
        description:
          "\(plain(drawing.summary)). Client seed \(plain(clientSeed).shortened(to: 60)). \(Self.title(verdict)).",
        body: layout.templates.render("outcome", values), script: "outcome.js",
        previewURL: "\(publicURL)/o/\(shortID)"))
  }

  /// The class that colours it.
  private static func state(_ verdict: Verdict) -> String {
    switch verdict.code {
    case .revealed: "good"
    case .notRevealed, .rehearsal: "open"
    case .hashMismatch, .outcomeMismatch, .badParameters: "bad"
    }
  }

  private static func title(_ verdict: Verdict) -> String {
    switch verdict.code {
    case .revealed: "Verified"
    case .notRevealed: "Committed, not revealed yet"
    case .rehearsal: "A rehearsal, drawn with a test key"
    case .hashMismatch, .outcomeMismatch, .badParameters: "Not verified"
    }
  }
}

/// Lowercase hex digits.
func hex(_ bytes: some Sequence<UInt8>) -> String {
  var out: [UInt8] = []
  out.append(hex: Array(bytes))
  return String(decoding: out, as: UTF8.self)
}

/// Text for a place where no markup can name what is invisible, such as a title: there it becomes a stand-in.
func plain(_ text: String) -> String {
  String(String.UnicodeScalarView(text.unicodeScalars.map { HTML.isInvisible($0) ? "\u{FFFD}" : $0 }))
}
