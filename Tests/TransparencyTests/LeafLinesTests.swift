import Fairness
import Testing
import Transparency

@Suite struct LeafLinesTests {
  private static let hex = [String](repeating: "0", count: 3).enumerated().map {
    String(repeating: "\($0.offset)a", count: 32)
  }

  /// What is read of a text that comes in pieces of so many bytes.
  private func read(_ text: String, _ size: Int) throws -> [String] {
    var lines = LeafLines()
    var hashes: [String] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      try lines.read(rest.prefix(size)) { hashes.append($0.description) }
      rest = rest.dropFirst(size)
    }
    try lines.finish { hashes.append($0.description) }
    return hashes
  }

  @Test(arguments: ["", "\u{FEFF}"], ["\n", "\r\n"])
  func whatEditorsAddDoesNotMatter(_ mark: String, _ end: String) throws {
    for size in [1, 2, 7, 1000] {
      #expect(try read(mark + Self.hex.joined(separator: end), size) == Self.hex)
      #expect(try read(mark + Self.hex.joined(separator: end) + end, size) == Self.hex)
    }
  }

  @Test func whatIsNoHashIsNamedByItsLine() {
    let (one, two) = (Self.hex[0], Self.hex[1])
    for (text, line) in [
      ("\n", 1), ("\(one)\n\n\(two)", 2), ("\(one)\n\(two)0", 2), ("\(one)\n\(two.dropLast())\n", 2),
      ("\(one)\r\r\n", 1),
      ("\(one)\n\u{FEFF}\(two)", 2), ("\u{FEFF}\u{FEFF}\(one)", 1), (" \(one)", 1),
      (String(repeating: "x", count: 100_000), 1),
    ] {
      #expect(throws: LeafLines.Unreadable(line: line)) { try read(text, 1000) }
    }
  }
}
