import Fairness
import Foundation
import JSON
import Ledger

/// `/transparency`: the published roots, and what it takes to check that a draw is under one of them.
struct TransparencyPage {
  let layout: Layout

  /// Older ones are in the API.
  static let mostDays = 30

  func html(_ days: [PublishedDay]) -> String {
    var values: [String: Any] = ["days": days.map(Self.values), "isEmpty": days.isEmpty]
    if days.count == Self.mostDays, let oldest = days.last { values["older"] = ["before": oldest.day.description] }
    return layout.html(
      .init(
        title: "Transparency – Fairdraw",
        description: "The published root of each day's draws, and proofs that a draw is among them.",
        body: layout.templates.render("transparency", values), script: "transparency.js", section: "/transparency"))
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
