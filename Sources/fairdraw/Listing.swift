import ArgumentParser
import Foundation
import JSON
import Ledger

/// How a list is printed.
struct ListFormat: ParsableArguments {
  @Flag(help: "Print one JSON object a line instead of a table.")
  var json = false

  /// - Parameter head: the titles of the columns. `LAST USED` is the member `lastUsed`.
  func list(_ head: [String]) -> Listing { Listing(head, isJSON: json) }
}

/// A list that is printed as its rows are read: a table, or lines of JSON.
///
/// In a table the first rows settle how wide the columns are. On a terminal the widest columns are shortened until a row
/// fits on a line.
struct Listing {
  enum Cell {
    case text(String)
    case integer(Int64)
    case time(Milliseconds)
    /// Words, with something between them in a table.
    case words([String], String)
    case nothing
    /// What a table says, and what JSON has in its place.
    indirect case told(String, Cell)

    fileprivate var shown: String {
      switch self {
      case .text(let text): Terminal.printable(text)
      case .integer(let number): String(number)
      case .time(let moment): Terminal.time(moment)
      case .words(let words, let between): Terminal.printable(words.joined(separator: between))
      case .nothing: ""
      case .told(let text, _): text
      }
    }
  }

  private let head: [String]
  private let isJSON: Bool
  private var widths: [Int]?

  fileprivate init(_ head: [String], isJSON: Bool) { (self.head, self.isJSON) = (head, isJSON) }

  mutating func print(_ rows: [[Cell]]) throws {
    var out: [UInt8] = []
    if isJSON {
      for row in rows { append(row, to: &out) }
    } else {
      let cells = rows.map { $0.map(\.shown) }
      if widths == nil {
        let widths = fit(head.indices.map { column in ([head] + cells).map { $0[column].count }.max() ?? 0 })
        self.widths = widths
        let line = line(head, widths)
        out.append(text: (Terminal.hasColours ? "\u{1B}[1m\(line)\u{1B}[0m" : line) + "\n")
      }
      for row in cells { out.append(text: line(row, widths ?? []) + "\n") }
    }
    try StandardOutput.write(out)
  }

  // MARK: JSON

  private func append(_ row: [Cell], to out: inout [UInt8]) {
    out.append(UInt8(ascii: "{"))
    for (number, (title, cell)) in zip(head, row).enumerated() {
      if number > 0 { out.append(UInt8(ascii: ",")) }
      out.append(jsonString: Self.member(title))
      out.append(UInt8(ascii: ":"))
      append(cell, to: &out)
    }
    out.append(json: "}\n")
  }

  private func append(_ cell: Cell, to out: inout [UInt8]) {
    switch cell {
    case .text(let text): out.append(jsonString: text)
    case .integer(let number): out.append(integer: number)
    case .time(let moment): out.append(integer: moment)
    case .nothing: out.append(json: "null")
    case .told(_, let cell): append(cell, to: &out)
    case .words(let words, _):
      out.append(UInt8(ascii: "["))
      for (number, word) in words.enumerated() {
        if number > 0 { out.append(UInt8(ascii: ",")) }
        out.append(jsonString: word)
      }
      out.append(UInt8(ascii: "]"))
    }
  }

  private static func member(_ title: String) -> String {
    let words = title.lowercased().split(separator: " ")
    return words.prefix(1).joined() + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }

  // MARK: Tables

  private func line(_ cells: [String], _ widths: [Int]) -> String {
    let padded = zip(cells, widths).map { cell, width in
      // Only on a terminal is a column narrower than what is in it at the beginning; later rows may be wider there too.
      let text = Terminal.width != nil && cell.count > width ? cell.prefix(max(width - 1, 0)) + "…" : cell
      return text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
    }
    return String(padded.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
  }

  /// Takes from the widest columns what the terminal has no room for, and leaves each 8 characters.
  private func fit(_ needed: [Int]) -> [Int] {
    guard let width = Terminal.width else { return needed }
    var widths = needed
    while widths.reduce(2 * (widths.count - 1), +) > width,
      let widest = widths.indices.max(by: { widths[$0] < widths[$1] }), widths[widest] > 8
    {
      widths[widest] -= 1
    }
    return widths
  }
}
