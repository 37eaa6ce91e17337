import JSON

/// JSON: what was read and written is the same value, and is written the same way again.
struct JSONSubject: Subject {
  let name = "json"
  let tokens = [
    "null", "true", "false", "-0", "1e400", "1E-9", "0.1", "\"\\u00e9\"", "\\ud83d\\ude00", "\\ud800", "{}", "[]",
    "\"a\":", ",", "[[[[",
  ]

  func check(_ input: [UInt8]) throws -> Bool {
    let root: JSONValue
    do throws(JSONSyntaxError) {
      root = try JSONText(input).root
    } catch {
      try expect((0...input.count).contains(error.offset), "an error at byte \(error.offset) of \(input.count)")
      return false
    }
    var compact: [UInt8] = []
    root.appendCompact(to: &compact)
    guard let again = try? JSONText(compact).root else { throw Finding("what is written is not JSON") }
    var twice: [UInt8] = []
    again.appendCompact(to: &twice)
    try expect(twice == compact, "what is written is written in another way the next time")
    try expect(again.isSame(as: root) && root.isSame(as: again), "what is written is another value")
    if let first = compact.first, [UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\"")].contains(first) {
      for length in 0..<min(compact.count, 200) {
        try expect((try? JSONText(Array(compact[..<length]))) == nil, "the first \(length) bytes are JSON too")
      }
    }
    try check(root, depth: 0)
    return true
  }

  private func check(_ value: JSONValue, depth: Int) throws {
    try expect(depth <= JSONText.maximumDepth, "it is nested \(depth) deep")
    switch value.kind {
    case .string:
      guard let string = value.string else {
        let raw = String(decoding: value.raw, as: UTF8.self).lowercased()
        return try expect(raw.contains("\\ud"), "a string without an unpaired surrogate has no text")
      }
      try expect(UTF8Check.isValid(string), "a string is not UTF-8")
      var quoted: [UInt8] = []
      quoted.append(jsonString: string)
      try expect((try? JSONText(quoted).root.string) == string, "a string is another one when it was written")
    case .number:
      guard let number = value.number else { throw Finding("a number has no digits") }
      guard let double = Double(number) else { throw Finding("the number \(number) is none") }
      if double.isFinite {
        var written: [UInt8] = []
        written.append(double: double)
        try expect(
          Double(String(decoding: written, as: UTF8.self)) == double, "\(number) is another number when it was written")
      }
    case .array: for element in value.elements() ?? [] { try check(element, depth: depth + 1) }
    case .object: for member in value.members ?? [] { try check(member.value, depth: depth + 1) }
    case .null, .bool: break
    }
  }
}
