import Fairness
import JSON
import Ledger

/// An outcome as its kind wants to be seen: dice as dice, a shuffle as a list of moves, samples on their range.
///
/// It draws a bounded amount, however large the outcome: the rest of a long list is behind a link.
package struct OutcomeDrawing {
  /// The drawing, as HTML.
  package let html: String
  /// The outcome in a few words, for a title or a preview.
  package let summary: String

  /// About how many bytes a list of items may take.
  private static let budget = 9_000

  /// - Parameters:
  ///   - start: the place, from 0, that a list begins with.
  ///   - address: of the outcome's page, for links to the rest of the list; nil for no links.
  package init(_ outcome: Outcome, from start: Int = 0, address: String? = nil) {
    let value = Self.parse(outcome.value)
    let fields = Fields(outcome.fields)
    let part = Part(start: start, address: address)
    switch outcome.endpoint.kind.shape {
    case .numbers: (html, summary) = Self.numbers(value, of: outcome, part)
    case .permutation: (html, summary) = Self.shuffle(value, items: Self.items(of: outcome), part)
    case .index: (html, summary) = Self.pick(value, fields, items: Self.items(of: outcome), part)
    case .bytes: (html, summary) = Self.bytes(value, encoding: fields.text("encoding") ?? "hex")
    case .rolls: (html, summary) = Self.dice(value, sides: fields.integer("sides") ?? 0)
    }
  }

  /// Which part of a long list is shown.
  private struct Part {
    let start: Int
    let address: String?

    /// What stands below the list: where the rest is.
    func links(shown: Int, of count: Int) -> String {
      let next = start + shown
      var out: [String] = []
      if next < count {
        let more = "\(count - next) more"
        out.append("… and " + (address.map { "<a href=\"\(HTML.escape($0))?from=\(next)\">\(more)</a>" } ?? more) + ".")
      }
      if start > 0, let address { out.append("<a href=\"\(HTML.escape(address))\">From the first</a>.") }
      return out.isEmpty ? "" : "<p class=\"quiet small\">\(out.joined(separator: " "))</p>"
    }
  }

  /// Stored JSON was checked when it was accepted; what could not be read all the same is drawn as nothing.
  private static func parse(_ bytes: [UInt8]) -> JSONValue? { try? JSONText(bytes).root }

  private static func items(of outcome: Outcome) -> [JSONValue] {
    guard let items = outcome.items else { return [] }
    return parse([UInt8(ascii: "[")] + items + [UInt8(ascii: "]")])?.elements() ?? []
  }

  // MARK: Numbers

  /// The most numbers that are shown.
  private static let mostNumbers = 100

  private static func numbers(_ value: JSONValue?, from start: Int) -> [(text: String, number: Double)] {
    (value?.elements(limit: start + mostNumbers) ?? []).dropFirst(start).compactMap { element in
      element.number.flatMap { text in Double(text).map { (text, $0) } }
    }
  }

  /// Few digits in large type above their plot; more of them as a list below it.
  private static func list(_ numbers: [(text: String, number: Double)], _ plot: String, _ label: String) -> String {
    let caption = "<p class=\"quiet small\">\(HTML.escape(label)).</p>"
    let joined = numbers.map(\.text).joined(separator: ", ")
    if numbers.count == 1 || joined.utf8.count <= 24 {
      return "<p class=\"big\(joined.utf8.count > 12 ? " long" : "")\">\(HTML.escape(joined))</p>" + plot + caption
    }
    return plot + caption + "<ol class=\"values\(numbers.count > 12 ? " many" : "")\">"
      + numbers.map { "<li>\(HTML.escape($0.text))</li>" }.joined() + "</ol>"
  }

  private static func summary(_ numbers: [(text: String, number: Double)]) -> String {
    let shown = numbers.prefix(8).map(\.text).joined(separator: ", ")
    return numbers.count > 8 ? shown + ", …" : shown
  }

  private static func numbers(_ value: JSONValue?, of outcome: Outcome, _ part: Part) -> (String, String) {
    let drawn = numbers(value, from: part.start)
    guard let kind = try? DrawRequest(recorded: outcome).generator.kind else {
      return (list(drawn, "", "Its parameters cannot be read"), summary(drawn))
    }
    let marks = drawn.map(\.number)
    let plot =
      switch kind.scale {
      case .range(let low, let high): Plot(low: low, high: high, marks: marks, label: kind.caption)
      case .distribution(let distribution): Plot(distribution, samples: marks, label: kind.caption)
      case nil: nil as Plot?
      }
    let count = Int(Fields(outcome.fields).integer("count") ?? 0)
    let html = list(drawn, plot?.html ?? "", kind.caption) + part.links(shown: drawn.count, of: count)
    return (html, summary(drawn))
  }

  // MARK: Dice

  private static func dice(_ value: JSONValue?, sides: Int64) -> (String, String) {
    let members = value?.members ?? []
    func member(_ name: String) -> JSONValue? { members.first { $0.name.elementsEqual(name.utf8) }?.value }
    let rolls = (member("rolls")?.elements() ?? []).compactMap { $0.number.flatMap(Int.init) }
    let modifier = member("modifier")?.number ?? "0"
    let total = member("total")?.number ?? ""
    let notation = member("notation")?.string.map { String(decoding: $0, as: UTF8.self) } ?? ""
    let isShared = sides == 6 && rolls.count > 6
    let faces = rolls.map { "<li>\(Die(sides: Int(sides), shows: $0).svg(refersToFace: isShared))</li>" }.joined()
    // The modifier stands apart: it was not rolled.
    let sum = rolls.count <= 30 ? rolls.map(String.init).joined(separator: " + ") : "\(rolls.reduce(0, +))"
    let plus = modifier == "0" ? "" : modifier.hasPrefix("-") ? ", −\(modifier.dropFirst())" : ", +\(modifier)"
    let isSum = rolls.count > 1 || modifier != "0"
    let formula =
      isSum && (rolls.count <= 30 || !plus.isEmpty) ? "<p class=\"quiet small\">\(sum)\(plus) = \(total)</p>" : ""
    let html =
      (isSum ? "<p class=\"big\">\(HTML.escape(total))</p>" : "")
      + (isShared ? Die.faces(of: rolls) : "") + "<ul class=\"dice\(rolls.count > 12 ? " many" : "")\">\(faces)</ul>"
      + formula
    return (html, isSum && rolls.count <= 8 ? "\(notation): \(sum)\(plus) = \(total)" : "\(notation): \(total)")
  }

  // MARK: Items

  /// A string item as its text, any other as its JSON.
  private static func text(_ item: JSONValue) -> String {
    if let string = item.string { return String(decoding: string, as: UTF8.self) }
    var bytes: [UInt8] = []
    item.appendCompact(to: &bytes)
    return HTML.readable(json: bytes)
  }

  private static func shown(_ item: JSONValue) -> String { HTML.shown(text(item).shortened(to: 160)) }

  private static func shuffle(_ value: JSONValue?, items: [JSONValue], _ part: Part) -> (String, String) {
    let order = value?.elements() ?? []
    // Equal items cannot be told apart: the first place is as good as any.
    var places: [ArraySlice<UInt8>: [Int]] = [:]
    for (place, item) in items.enumerated().reversed() { places[item.raw, default: []].append(place) }
    var rows = ""
    var shownCount = 0
    for (place, item) in order.enumerated() {
      guard rows.utf8.count < budget else { break }
      let from = places[item.raw]?.popLast()
      guard place >= part.start else { continue }
      let moved = from.map { $0 == place ? "stayed" : "from \($0 + 1)" } ?? ""
      rows +=
        "<li><span class=\"place\">\(place + 1)</span><span class=\"name\">\(shown(item))</span><span class=\"from\">\(moved)</span></li>"
      shownCount += 1
    }
    let names = order.prefix(5).map { text($0).shortened(to: 40) }.joined(separator: ", ")
    let html =
      "<p class=\"quiet small\">\(order.count) item\(order.count == 1 ? "" : "s") in their new order, and where each stood before.</p>"
      + "<ol class=\"order\">\(rows)</ol>" + part.links(shown: shownCount, of: order.count)
    return (html, order.count > 5 ? names + ", …" : names)
  }

  private static func pick(
    _ value: JSONValue?, _ fields: Fields, items: [JSONValue], _ part: Part
  ) -> (String, String) {
    guard let value else { return ("", "") }
    let index = Int(fields.integer("index") ?? -1)
    let weights = fields.value("weights")?.elements()?.compactMap { $0.number } ?? []
    let total = weights.reduce(0) { $0 + (Double($1) ?? 0) }
    func row(_ place: Int) -> String {
      let isPicked = place == index
      var share = ""
      var bar = ""
      if weights.count == items.count, let weight = Double(weights[place]), total > 0, total.isFinite {
        let part = weight / total
        share = "weight \(weights[place]), \(percent(part))"
        bar =
          "<svg viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"bar\" width=\"\(Plot.round(part * 100))\" height=\"4\"/></svg>"
      }
      if isPicked { share = "picked" + (share.isEmpty ? "" : ", ") + share }
      return
        "<li\(isPicked ? " class=\"picked\"" : "")><span class=\"name\">\(shown(items[place]))</span><span class=\"share\">\(share)</span>\(bar)</li>"
    }
    var rows = ""
    var shownCount = 0
    for place in items.indices.dropFirst(part.start) {
      guard rows.utf8.count < budget else { break }
      rows += row(place)
      shownCount += 1
    }
    // The picked one is among what is shown first, wherever it stands.
    if part.start == 0, index >= shownCount, items.indices.contains(index) { rows += row(index) }
    let picked = text(value)
    let html =
      "<p class=\"big\(picked.count > 18 ? " long" : "")\">\(HTML.shown(picked.shortened(to: 300)))</p>"
      + "<p class=\"quiet small\">One of \(items.count) item\(items.count == 1 ? "" : "s")\(weights.isEmpty ? ", each equally likely" : "").</p>"
      + "<ul class=\"choices\">\(rows)</ul>" + part.links(shown: shownCount, of: items.count)
    return (html, picked.shortened(to: 80))
  }

  private static func percent(_ share: Double) -> String {
    let tenths = (share * 1000).rounded()
    return tenths == 0 && share > 0 ? "under 0.1 %" : "\(Plot.round(tenths / 10)) %"
  }

  // MARK: Bytes

  private static func bytes(_ value: JSONValue?, encoding: String) -> (String, String) {
    let text = value?.string.map { String(decoding: $0, as: UTF8.self) } ?? ""
    guard encoding == "hex" else {
      return ("<p class=\"bytes\"><span>\(HTML.escape(text))</span></p>", text.shortened(to: 48))
    }
    var groups = ""
    var rest = text[...]
    while !rest.isEmpty {
      groups += "<li>\(HTML.escape(rest.prefix(8)))</li>"
      rest = rest.dropFirst(8)
    }
    return ("<ol class=\"bytes\">\(groups)</ol>", text.shortened(to: 48))
  }
}

/// The response fields of an outcome's endpoint.
struct Fields {
  private let members: [(name: ArraySlice<UInt8>, value: JSONValue)]

  /// - Parameter fields: JSON members without braces.
  init(_ fields: [UInt8]) {
    members = (try? JSONText([UInt8(ascii: "{")] + fields + [UInt8(ascii: "}")]).root.members) ?? []
  }

  func value(_ name: String) -> JSONValue? { members.first { $0.name.elementsEqual(name.utf8) }?.value }
  /// The value as it is written; empty if there is none.
  func raw(_ name: String) -> String { value(name).map { String(decoding: $0.raw, as: UTF8.self) } ?? "" }
  func number(_ name: String) -> Double? { value(name)?.number.flatMap { Double($0) } }
  func integer(_ name: String) -> Int64? { value(name)?.number.flatMap { Int64($0) } }
  func text(_ name: String) -> String? { value(name)?.string.map { String(decoding: $0, as: UTF8.self) } }

  /// Each simple field by its name, as it is written.
  var simple: [(name: String, text: String)] {
    members.compactMap { name, value in
      switch value.kind {
      case .number, .bool: (String(decoding: name, as: UTF8.self), String(decoding: value.raw, as: UTF8.self))
      case .string: value.string.map { (String(decoding: name, as: UTF8.self), String(decoding: $0, as: UTF8.self)) }
      default: nil
      }
    }
  }
}
