import Foundation
import Ledger

/// Writing for a person at a terminal.
enum Terminal {
  /// Standard error as a place to print to. It has no state, so anyone may use it at any time.
  struct StandardError: TextOutputStream {
    mutating func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
  }

  static var error: StandardError {
    get { StandardError() }
    set {}
  }

  /// Columns as wide as they need to be, with two spaces between them.
  static func table(_ head: [String], _ rows: [[String]]) {
    let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
    for row in [head] + rows {
      let cells = zip(row, widths).map { $0.padding(toLength: max($1, $0.count), withPad: " ", startingAt: 0) }
      print(String(cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed()))
    }
  }

  /// `2026-11-21 20:06 UTC`
  static func time(_ moment: Milliseconds) -> String {
    let text = Date(timeIntervalSince1970: Double(moment) / 1000).formatted(.iso8601)
    return "\(text.prefix(10)) \(text.dropFirst(11).prefix(5)) UTC"
  }

  /// A word as a shell reads it.
  static func quoted(_ word: String) -> String {
    word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
      ? word : "'" + word.replacing("'", with: "'\\''") + "'"
  }

  /// A line on standard error that says how far something has come; nothing unless that is a terminal.
  static func progress(_ what: String, _ done: Int, of total: Int) {
    guard isatty(STDERR_FILENO) == 1 else { return }
    let width = 30
    let filled = total == 0 ? width : min(width, done * width / total)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
    error.write("\r[\(bar)] \(total == 0 ? 100 : done * 100 / total) %  \(what)\u{1B}[K")
  }

  /// Takes the line away.
  static func endProgress() {
    if isatty(STDERR_FILENO) == 1 { error.write("\r\u{1B}[K") }
  }
}
