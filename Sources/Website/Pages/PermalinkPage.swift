import Fairness
import Foundation
import JSON
import Ledger

/// `/o/{shortId}`: one outcome, drawn for its kind, with all that it takes to check it.
struct PermalinkPage {
  let layout: Layout
  let renderer: OutcomeRenderer
  /// Where people reach the server, without a slash at its end.
  let publicURL: String

  /// The longest JSON that is shown in the page itself.
  private static let shownJSON = 3_000

  /// - Parameter start: the place, from 0, that the list of a long outcome begins with.
  func html(_ outcome: Outcome, _ verdict: Verdict, _ logged: LoggedOutcome?, from start: Int) -> String {
    var json: [UInt8] = []
    let shortID = String(decoding: renderer.append(outcome, to: &json), as: UTF8.self)
    let drawing = OutcomeDrawing(outcome, from: start, address: "\(layout.assets.base)/o/\(shortID)")
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
      "isTest": outcome.mode == .test, "isImported": outcome.origin != nil,
      "isInTree": outcome.mode == .live && outcome.origin == nil,
      "canBeVerified": outcome.mode == .live && outcome.origin == nil || verdict.serverSeed != nil,
    ]
    if let origin = outcome.origin {
      values["origin"] =
        [
          "place": HTML.shown(origin.permalink ?? "another service"),
          "imported": Date(milliseconds: origin.imported).readable,
        ] as [String: Any]
    }
    if let seed = verdict.serverSeed.map({ String(decoding: $0.ascii, as: UTF8.self) }) {
      values["revealed"] = ["serverSeed": seed, "copy": HTML.copyButton(seed, label: "server seed")]
    }
    if let logged {
      values["log"] =
        [
          "text": logged.sentence, "isMissing": logged == .missing, "isLogged": logged.isLogged, "shortId": shortID,
        ] as [String: Any]
    }
    values["proof"] = Self.proof(outcome, verdict)
    if let proof = verdict.seedProof {
      let key = proof.publicKey.description
      values["seedProof"] =
        [
          "scope": proof.scope.description, "era": proof.era, "epoch": proof.epoch, "publicKey": key,
          "copy": HTML.copyButton(key, label: "public key"),
        ] as [String: Any]
    }
    if let next = verdict.next {
      let hash = hex(next.serverHash.bytes)
      values["next"] =
        [
          "nonce": next.nonce, "cursor": next.cursor, "serverHash": hash,
          "copy": HTML.copyButton(hash, label: "next server hash"),
          "draws": "/seed?serverHash=\(serverHash)&clientSeed=\(percentEncoded(outcome.clientSeed.bytes))",
        ] as [String: Any]
    }
    if json.count <= Self.shownJSON { values["json"] = HTML.shown(json: json) }
    return layout.html(
      .init(
        title: "\(outcome.endpoint.kind.outcomeTitle) \(shortID) – Fairdraw",
        description:
          "\(plain(drawing.summary)). Client seed \(plain(clientSeed).shortened(to: 60)). \(Self.title(verdict)).",
        body: layout.templates.render("outcome", values), script: "outcome.js",
        previewURL: "\(publicURL)/o/\(shortID)"))
  }

  /// What follows from what is known of an outcome now, and what does not.
  private static func proof(_ outcome: Outcome, _ verdict: Verdict) -> [String: Any] {
    let noted = "That you knew this server hash before the draw: only you can tell. Note the next hash."
    let ownSeed =
      "That nobody knew the values in advance: anyone with the server’s secret key and the client seed could compute them."
    let elsewhere =
      "That the record is what was drawn, and when: another service drew it, and it is in no log of this server."
    var (shown, open): ([String], [String])
    switch verdict.code {
    case .notRevealed:
      shown = ["The server is committed to its seed: no other seed has this server hash."]
      open = ["That the values follow from the seed. Anyone can check that once the chain is rotated.", noted, ownSeed]
    case .revealed where outcome.origin != nil:
      shown = ["The values follow from both seeds, to the last bit."]
      open = [elsewhere, noted]
    case .seedUnknown, .notRecomputable:
      shown = []
      open = ["That the values follow from the seeds: not all of them are known here.", elsewhere, noted]
    case .revealed where verdict.seedProof != nil:
      shown = [
        "The values follow from both seeds, to the last bit.",
        "The server seed is the only one that this chain could have had, for the server’s public key.",
      ]
      open = [
        "That the public key was the same before the draw: compare it with the key that you noted.", noted, ownSeed,
      ]
    case .revealed:
      shown = [
        "The values follow from both seeds, to the last bit.",
        "The server fixed its seed, by the hash, before it got the client seed.",
      ]
      open = ["That the server made no other commitment whose outcome it hid.", noted]
    case .rehearsal:
      shown = []
      open = ["Anything: test keys are only for trying things out, and their seeds stay secret."]
    case .hashMismatch, .outcomeMismatch, .badParameters:
      shown = ["The record was changed: it does not match its own proof."]
      open = ["That the values were drawn fairly. Ask the operator of this server."]
    }
    if outcome.mode == .live, verdict.isVerified, verdict.next != nil {
      open.append("That no draw was left out: check that the nonces of this client seed run 0, 1, 2 and so on.")
    }
    func list(_ texts: [String]) -> [[String: String]] { texts.map { ["text": HTML.escape($0)] } }
    return ["hasShown": !shown.isEmpty, "shown": list(shown), "open": list(open)]
  }

  /// The class that colours it.
  private static func state(_ verdict: Verdict) -> String {
    switch verdict.code {
    case .revealed: "good"
    case .notRevealed, .rehearsal, .seedUnknown, .notRecomputable: "open"
    case .hashMismatch, .outcomeMismatch, .badParameters: "bad"
    }
  }

  private static func title(_ verdict: Verdict) -> String {
    switch verdict.code {
    case .revealed: "Verified"
    case .notRevealed: "Committed, not revealed yet"
    case .rehearsal: "A test draw, made with a test key"
    case .seedUnknown: "Imported, server seed not known"
    case .notRecomputable: "Imported, cannot be recomputed"
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
