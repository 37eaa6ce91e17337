import Foundation
import JSON
import Testing

/// What is JSON by RFC 8259, and what is not.
@Suite struct StrictnessTests {
  static let good = [
    "null", "true", "false", "0", "-0", "7", "-7", "10", "0.5", "-0.25", "1e3", "1E3", "1e+3", "1e-3", "1.5e10",
    "123456789012345678901234567890", "0.10", "1e999", "0e0", "0E+00", "\"\"", "\"a\"", " \t\r\n1 \t\r\n", "[]", "[ ]",
    "[1]", "[1,2]", "[ 1 , 2 ]", "[[]]", "[[],{}]", "{}", "{ }", "{\"a\":1}", "{ \"a\" : 1 , \"b\" : [ ] }",
    "{\"a\":1,\"a\":2}", "{\"\":0}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u0041\"", "\"\\uAbCd\"", "\"\\u0000\"",
    "\"\\ud83d\\ude00\"", "\"\\ud800\"", "\"é\"", "\"\u{7F}\"", "\"\u{2028}\u{2029}\"", "\"😀\"", "\"\u{10FFFF}\"",
    "\"/\"",
  ]

  @Test(arguments: good) func accepts(_ source: String) throws {
    let value = try parse(source)
    #expect(text(value.raw) == source.trimmingCharacters(in: .whitespacesAndNewlines))
  }

  static let bad: [(source: String, offset: Int)] = [
    ("", 0), (" ", 1), ("\n", 1), ("nul", 3), ("nulll", 4), ("Null", 0), ("True", 0), ("tru", 3), ("trux", 3),
    ("undefined", 0), ("NaN", 0), ("Infinity", 0), ("-Infinity", 1), ("-", 1), ("+1", 0), ("01", 1), ("-01", 2),
    ("00", 1), (".5", 0), ("1.", 2), ("1.e3", 2), ("-.5", 1), ("1e", 2), ("1e+", 3), ("1e5.5", 3), ("0x10", 1),
    ("1_000", 1), ("1,2", 1), ("1 2", 2), ("١", 0), ("'a'", 0), ("\"", 1), ("\"a", 2), ("\"a\"b", 3), ("\"\\\"", 3),
    ("\"\\", 2), ("\"\\a\"", 2), ("\"\\x41\"", 2), ("\"\\u\"", 3), ("\"\\u12\"", 5), ("\"\\u123g\"", 6),
    ("\"\\U0041\"", 2), ("\"\\0\"", 2), ("\"\n\"", 1), ("\"\t\"", 1), ("\"\u{0}\"", 1), ("\"\u{1F}\"", 1), ("[", 1),
    ("]", 0), ("[1", 2), ("[1,", 3), ("[,", 1), ("[,1]", 1), ("[1,]", 3), ("[1 2]", 3), ("[1}", 2), ("[1]]", 3),
    ("[\"a\":1]", 4), ("{", 1), ("}", 0), ("{]", 1), ("{1:2}", 1), ("{a:1}", 1), ("{\"a\"}", 4), ("{\"a\" 1}", 5),
    ("{\"a\":}", 5), ("{\"a\":1", 6), ("{\"a\":1,}", 7), ("{,}", 1), ("{\"a\":1,,}", 7), ("{\"a\"::1}", 5),
    ("{\"a\":1]", 6), ("{'a':1}", 1), ("// no\n1", 0), ("/**/1", 0), ("1 // no", 2), ("[1]\u{0}", 3), ("\u{FEFF}1", 0),
    ("\u{A0}1", 0), ("\u{B}1", 0), ("\u{C}1", 0), ("1\u{C}", 1),
  ]

  @Test(arguments: bad) func refuses(_ source: String, at offset: Int) {
    let error = #expect(throws: JSONSyntaxError.self) { try parse(source) }
    #expect(error?.offset == offset)
    #expect(error?.reason.isEmpty == false)
  }

  /// Each stands inside a string, and as the whole text.
  static let malformedUTF8: [[UInt8]] = [
    [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x20], [0xC3, 0xC3], [0xE0, 0x80, 0x80],
    [0xE0, 0x9F, 0xBF], [0xE2, 0x82], [0xE2, 0x28, 0xA1], [0xE2, 0x82, 0x28], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
    [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98],
    [0xF0, 0x28, 0x8C, 0xBC], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80],
    [0xFC, 0x84, 0x80, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xFF, 0xFE],
  ]

  @Test(arguments: malformedUTF8) func refusesMalformedUTF8(_ sequence: [UInt8]) {
    let quoted = bytes("\"ab") + sequence + bytes("\"")
    let error = #expect(throws: JSONSyntaxError.self) { try JSONText(quoted) }
    #expect(error?.offset == 3)
    #expect(throws: JSONSyntaxError.self) { try JSONText(sequence) }
    #expect(throws: JSONSyntaxError.self) { try JSONText(bytes("\"") + sequence) }
    #expect(!UTF8Check.isValid(sequence))
    #expect(!UTF8Check.isValid(bytes("ab") + sequence))
  }

  /// The standard library decides, for every sequence of up to two bytes and many longer ones.
  @Test func checksUTF8AsTheStandardLibraryDoes() {
    func agree(_ sequence: [UInt8]) -> Bool {
      UTF8Check.isValid(sequence) == (String(validating: sequence, as: UTF8.self) != nil)
    }
    var disagreements: [[UInt8]] = []
    let edges: [UInt8] = [
      0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
      0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
    ]
    for first in UInt8.min ... .max {
      if !agree([first]) { disagreements.append([first]) }
      for second in UInt8.min ... .max where !agree([first, second]) { disagreements.append([first, second]) }
    }
    for first in edges {
      for second in edges {
        for third in edges {
          if !agree([first, second, third]) { disagreements.append([first, second, third]) }
          for fourth in edges where !agree([first, second, third, fourth]) {
            disagreements.append([first, second, third, fourth])
          }
        }
      }
    }
    #expect(disagreements == [])
    #expect(UTF8Check.isValid([]))
  }

  @Test func everyControlCharacterMustBeEscaped() throws {
    for code in UInt8(0)..<0x20 {
      #expect(throws: JSONSyntaxError.self) { try JSONText([0x22, code, 0x22]) }
      let escape = "\"\\u00" + (code < 16 ? "0" : "") + String(code, radix: 16) + "\""
      #expect(try parse(escape).string == [code])
    }
  }

  // MARK: Depth

  static let nestings: [(open: String, close: String)] = [("[", "]"), ("{\"a\":", "}")]

  @Test(arguments: nestings) func nestsAsDeepAsAllowed(_ open: String, _ close: String) throws {
    func nested(_ depth: Int) -> String {
      String(repeating: open, count: depth) + "0" + String(repeating: close, count: depth)
    }
    let source = nested(JSONText.maximumDepth)
    #expect(JSONText.maximumDepth == 64)
    #expect(text(try parse(source).raw) == source)
    let error = #expect(throws: JSONSyntaxError.self) { try parse(nested(JSONText.maximumDepth + 1)) }
    #expect(error?.offset == open.utf8.count * JSONText.maximumDepth)
    // Siblings are no depth.
    let siblings = "[" + Array(repeating: nested(JSONText.maximumDepth - 1), count: 3).joined(separator: ",") + "]"
    #expect(try parse(siblings).elements()?.count == 3)
  }

  @Test(arguments: nestings) func refusesAbsurdNestingQuickly(_ open: String, _ close: String) {
    #expect(throws: JSONSyntaxError.self) { try parse(String(repeating: open, count: 1_000_000)) }
    #expect(throws: JSONSyntaxError.self) {
      try parse(String(repeating: open, count: 1_000_000) + "0" + String(repeating: close, count: 1_000_000))
    }
  }

  /// Random edits of a good text are refused, or can be walked; and what is accepted, Foundation's parser accepts too.
  @Test func survivesAnyBytes() {
    var random = SplitMix64(state: 8259)
    let seed = bytes(#"{"draws":[{"endpoint":"ints","params":{"count":1.5e3,"x":[true,false,null,"é\u0041\n"]}}]}"#)
    let splices = bytes("{}[]\",:\\u0e+-. \ntfn\u{0}") + [0xC3, 0xA9, 0xED, 0xFF]
    for _ in 0..<50_000 {
      var mutated = seed
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let at = Int.random(in: 0..<mutated.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: mutated.remove(at: at)
        case 1: mutated.insert(splices.randomElement(using: &random)!, at: at)
        default: mutated[at] = splices.randomElement(using: &random)!
        }
      }
      guard let accepted = try? JSONText(mutated) else { continue }
      // What is accepted can be walked to its last leaf, and is the same after a round through its compact form.
      let leaves = walk(accepted.root)
      var compact: [UInt8] = []
      accepted.root.appendCompact(to: &compact)
      let again = try? JSONText(compact)
      #expect(again.map { walk($0.root) } == leaves)
      #expect(throws: Never.self) {
        try JSONSerialization.jsonObject(with: Data(mutated), options: .fragmentsAllowed)
      }
    }
  }

  /// Every scalar and every name, in order.
  private func walk(_ value: JSONValue) -> [[UInt8]] {
    switch value.kind {
    case .array: value.elements()!.flatMap(walk)
    case .object: value.members!.flatMap { [Array($0.name)] + walk($0.value) }
    default: [Array(value.raw)]
    }
  }
}
