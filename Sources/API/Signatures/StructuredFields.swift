/// Reads a structured field (RFC 9651) that is a dictionary of inner lists of strings, as `Accept-Signature` is.
package struct StructuredFields {
  package enum Item: Equatable {
    case string(String)
    case integer(Int)
    case token(String)
    case boolean(Bool)
  }

  package typealias Parameters = [(name: String, value: Item)]

  package struct InnerList {
    package var items: [(text: String, parameters: Parameters)]
    package var parameters: Parameters
  }

  private struct Malformed: Error {}

  private var rest: ArraySlice<UInt8>

  /// The members in order; nil if the field is not such a dictionary.
  package static func dictionary(_ field: String) -> [(key: String, list: InnerList)]? {
    var reader = StructuredFields(rest: Array(field.utf8)[...])
    return try? reader.dictionary()
  }

  private mutating func dictionary() throws(Malformed) -> [(key: String, list: InnerList)] {
    var members: [(key: String, list: InnerList)] = []
    skip(" ")
    while !rest.isEmpty {
      let key = try key()
      try expect("=")
      let list = try innerList()
      members.removeAll { $0.key == key }
      members.append((key, list))
      skip(" \t")
      guard !rest.isEmpty else { break }
      try expect(",")
      skip(" \t")
      guard !rest.isEmpty else { throw Malformed() }
    }
    return members
  }

  private mutating func innerList() throws(Malformed) -> InnerList {
    try expect("(")
    var items: [(text: String, parameters: Parameters)] = []
    skip(" ")
    while !take(")") {
      guard case .string(let text) = try item() else { throw Malformed() }
      items.append((text, try parameters()))
      guard rest.first == UInt8(ascii: " ") || rest.first == UInt8(ascii: ")") else { throw Malformed() }
      skip(" ")
    }
    return InnerList(items: items, parameters: try parameters())
  }

  private mutating func parameters() throws(Malformed) -> Parameters {
    var parameters: Parameters = []
    while take(";") {
      skip(" ")
      let name = try key()
      let value = take("=") ? try item() : .boolean(true)
      parameters.removeAll { $0.name == name }
      parameters.append((name, value))
    }
    return parameters
  }

  private mutating func item() throws(Malformed) -> Item {
    if take("\"") { return .string(try restOfString()) }
    if take("?") {
      if take("1") { return .boolean(true) }
      try expect("0")
      return .boolean(false)
    }
    let word = takeWhile { Self.isAlphanumeric($0) || "!#$%&'*+-.^_`|~:/".utf8.contains($0) }
    guard let first = word.utf8.first else { throw Malformed() }
    if first == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) {
      guard word.utf8.drop(while: { $0 == UInt8(ascii: "-") }).count <= 15, let number = Int(word) else {
        throw Malformed()
      }
      return .integer(number)
    }
    guard first == UInt8(ascii: "*") || Self.isLetter(first) else { throw Malformed() }
    return .token(word)
  }

  private mutating func restOfString() throws(Malformed) -> String {
    var text: [UInt8] = []
    while var byte = rest.popFirst() {
      if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
      if byte == UInt8(ascii: "\\") {
        guard let escaped = rest.popFirst(), "\"\\".utf8.contains(escaped) else { throw Malformed() }
        byte = escaped
      }
      guard (0x20...0x7E).contains(byte) else { throw Malformed() }
      text.append(byte)
    }
    throw Malformed()
  }

  private mutating func key() throws(Malformed) -> String {
    let key = takeWhile {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        || "_-.*".utf8.contains($0)
    }
    guard let first = key.utf8.first, first == UInt8(ascii: "*") || Self.isLetter(first) else { throw Malformed() }
    return key
  }

  // MARK: Bytes

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private mutating func takeWhile(_ belongs: (UInt8) -> Bool) -> String {
    let word = rest.prefix(while: belongs)
    rest = rest.dropFirst(word.count)
    return String(decoding: word, as: UTF8.self)
  }

  private mutating func skip(_ blanks: String) {
    rest = rest.drop { blanks.utf8.contains($0) }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(Malformed) {
    guard take(character) else { throw Malformed() }
  }
}
