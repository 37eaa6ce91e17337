import API
import Fairness
import Foundation
import JSON
import Ledger

/// `/transparency`: how the log is now, the public keys, the published roots, and what it takes to check that a draw is
/// under one of them.
struct TransparencyPage {
  let layout: Layout
  let log: LogParts
  let seedKey: SeedPublicKey
  /// Of the Ed25519 key that signs daily roots, 32 bytes.
  let rootKey: [UInt8]

  /// Older ones are in the API.
  static let mostDays = 30

  func html(_ days: [PublishedDay], _ content: LogOverview.Content, now: Milliseconds) throws -> String {
    var values: [String: Any] = ["days": days.map(Self.values), "isEmpty": days.isEmpty, "keys": keys]
    if let checkpoint = content.checkpoint { values["log"] = try self.values(checkpoint, content, now: now) }
    if days.count == Self.mostDays, let oldest = days.last { values["older"] = ["before": oldest.day.description] }
    return layout.html(
      .init(
        title: "Transparency – Fairdraw",
        description: "The public log of all draws, the root of each day's draws, and proofs that a draw is among them.",
        body: layout.templates.render("transparency", values), script: "transparency.js", section: "/transparency"))
  }

  private func values(
    _ checkpoint: LogCheckpoint, _ content: LogOverview.Content, now: Milliseconds
  ) throws -> [String: Any] {
    let root = try Checkpoint(text: SignedNote(checkpoint.text).text).rootText
    var values: [String: Any] = [
      "size": checkpoint.size, "root": root, "copy": HTML.copyButton(root, label: "root"), "era": log.era,
      "plot": Plot(minutesUntil: now / 60_000, content.growth).html, "isAsking": !log.witnesses.isEmpty,
    ]
    if let last = content.growth.last { values["last"] = Date(milliseconds: last.last).readable }
    if let cosigned = content.cosigned {
      let witnesses = try cosigned.witnesses
      values["cosigned"] =
        [
          "size": cosigned.size, "isNewest": cosigned.size == checkpoint.size, "era": log.era,
          "witnesses": witnesses.map { ["name": HTML.shown($0)] },
        ] as [String: Any]
    }
    return values
  }

  private var keys: [[String: String]] {
    var daily: [UInt8] = []
    daily.append(base64: rootKey)
    let named = [
      ("Log", log.key.description), ("Daily roots", String(decoding: daily, as: UTF8.self)),
      ("Seed proofs", seedKey.description),
    ]
    return (named + log.witnesses.map { ("Witness", $0.description) }).map { name, key in
      ["name": name, "key": HTML.shown(key), "copy": HTML.copyButton(key, label: "key")]
    }
  }

  private static func values(_ day: PublishedDay) -> [String: Any] {
    var signature: [UInt8] = []
    signature.append(base64: day.signature)
    let root = day.root.map { hex($0.bytes) } ?? ""
    let previous = day.previousRoot.map { hex($0.bytes) } ?? ""
    return [
      "date": day.day.description, "root": root, "hasRoot": !root.isEmpty, "previousRoot": previous,
      "hasPrevious": !previous.isEmpty, "leafCount": day.leafCount, "isOne": day.leafCount == 1,
      "treeHeight": day.shape.height, "signature": String(decoding: signature, as: UTF8.self),
      "published": Date(milliseconds: day.publishedAt).readable,
      "copy": HTML.copyButton(root, label: "root"),
    ]
  }
}

extension Date {
  init(milliseconds: Milliseconds) { self.init(timeIntervalSince1970: Double(milliseconds) / 1000) }

  /// `2026-05-24 08:15:00 UTC`
  var readable: String { ISO8601Format().replacing("T", with: " ").replacing("Z", with: " UTC") }
}
