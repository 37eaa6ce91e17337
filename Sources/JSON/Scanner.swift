/// The one pass that decides whether bytes are JSON, and the cheaper skipping over bytes that are known to be.
struct Scanner {
  let bytes: [UInt8]
  var at = 0

  static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

  static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  func error(_ reason: String) -> JSONSyntaxError { JSONSyntaxError(reason: reason, offset: at) }

  var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

  mutating func skipSpace() {
    while at < bytes.count, Self.isSpace(bytes[at]) { at += 1 }
  }

  // MARK: Checking

  mutating func value(depth: Int) throws(JSONSyntaxError) {
    guard let first = peek else { throw error("the text ends where a value is expected") }
    switch first {
    case UInt8(ascii: "{"): try object(depth: depth + 1)
    case UInt8(ascii: "["): try array(depth: depth + 1)
    case UInt8(ascii: "\""): try string()
    case UInt8(ascii: "t"): try word("true")
    case UInt8(ascii: "f"): try word("false")
    case UInt8(ascii: "n"): try word("null")
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
    default: throw error("unexpected character")
    }
  }

  private mutating func object(depth: Int) throws(JSONSyntaxError) {
    guard depth <= JSONText.maximumDepth else { throw error("nested deeper than \(JSONText.maximumDepth) levels") }
    at += 1
    skipSpace()
    if peek == UInt8(ascii: "}") {
      at += 1
      return
    }
    while true {
      guard peek == UInt8(ascii: "\"") else { throw error("a member's name is expected") }
      try string()
      skipSpace()
      guard peek == UInt8(ascii: ":") else { throw error("a colon is expected") }
      at += 1
      skipSpace()
      try value(depth: depth)
      if try closes(UInt8(ascii: "}")) { return }
    }
  }

  private mutating func array(depth: Int) throws(JSONSyntaxError) {
    guard depth <= JSONText.maximumDepth else { throw error("nested deeper than \(JSONText.maximumDepth) levels") }
    at += 1
    skipSpace()
    if peek == UInt8(ascii: "]") {
      at += 1
      return
    }
    while true {
      try value(depth: depth)
      if try closes(UInt8(ascii: "]")) { return }
    }
  }

  /// Steps over what follows an element: true at the closing bracket, false at a comma.
  private mutating func closes(_ bracket: UInt8) throws(JSONSyntaxError) -> Bool {
    skipSpace()
    switch peek {
    case bracket:
      at += 1
      return true
    case UInt8(ascii: ","):
      at += 1
      skipSpace()
      return false
    default: throw error("a comma or a closing bracket is expected")
    }
  }

  private mutating func word(_ word: StaticString) throws(JSONSyntaxError) {
    for offset in 0..<word.utf8CodeUnitCount {
      guard peek == word.utf8Start[offset] else { throw error("unexpected character") }
      at += 1
    }
  }

  private mutating func number() throws(JSONSyntaxError) {
    if peek == UInt8(ascii: "-") { at += 1 }
    if peek == UInt8(ascii: "0") { at += 1 } else { try digits() }
    if peek == UInt8(ascii: ".") {
      at += 1
      try digits()
    }
    if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
      at += 1
      if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { at += 1 }
      try digits()
    }
  }

  private mutating func digits() throws(JSONSyntaxError) {
    let from = at
    while let byte = peek, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { at += 1 }
    guard at > from else { throw error("a digit is expected") }
  }

  private mutating func string() throws(JSONSyntaxError) {
    at += 1
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        at += 1
        return
      case UInt8(ascii: "\\"): try escape()
      case 0..<0x20: throw error("a control character stands unescaped in a string")
      case 0x20..<0x80: at += 1
      default:
        guard let length = UTF8Check.sequenceLength(in: bytes, at: at) else { throw error("invalid UTF-8") }
        at += length
      }
    }
    throw error("the text ends inside a string")
  }

  private mutating func escape() throws(JSONSyntaxError) {
    at += 1
    switch peek {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      at += 1
    case UInt8(ascii: "u"):
      at += 1
      for _ in 0..<4 {
        guard let byte = peek, Self.hexDigit(byte) != nil else { throw error("four hex digits are expected") }
        at += 1
      }
    default: throw error("unknown escape")
    }
  }

  // MARK: Walking a text that has been checked

  /// Where the next element (or member name) stands before `bracket`, stepping over the comma before it; nil at the
  /// bracket.
  mutating func nextValue(closing bracket: UInt8) -> Range<Int>? {
    skipSpace()
    if bytes[at] == bracket { return nil }
    if bytes[at] == UInt8(ascii: ",") {
      at += 1
      skipSpace()
    }
    let from = at
    skipCheckedValue()
    return from..<at
  }

  mutating func skipCheckedValue() {
    var depth = 0
    repeat {
      switch bytes[at] {
      case UInt8(ascii: "\""): skipCheckedString()
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        at += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        at += 1
      case UInt8(ascii: ","), UInt8(ascii: ":"), 0x20, 0x0A, 0x0D, 0x09: at += 1
      default: skipCheckedScalar()
      }
    } while depth > 0
  }

  private mutating func skipCheckedString() {
    at += 1
    while bytes[at] != UInt8(ascii: "\"") { at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1 }
    at += 1
  }

  private mutating func skipCheckedScalar() {
    while let byte = peek {
      switch byte {
      case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), 0x20, 0x0A, 0x0D, 0x09: return
      default: at += 1
      }
    }
  }
}
