/// A JSON text that has been checked once, whole, against RFC 8259, and can then be walked without copying.
///
/// Values keep the bytes they were written with, so that what a client sent (numbers digit for digit, strings
/// escape for escape) can be handed back as it was.
///
/// ```swift
/// let text = try JSONText(Array(#"{"count": 3}"#.utf8))
/// text.root.members?.first?.value.number   // "3"
/// ```
public struct JSONText: Sendable {
  let bytes: [UInt8]
  let start: Int
  let end: Int

  /// Nesting beyond this is refused, so that no walk over a text can exhaust the stack.
  public static let maximumDepth = 64

  /// Checks `bytes`: one JSON value, in UTF-8, with nothing but white space around it.
  ///
  /// - Throws: ``JSONSyntaxError`` with the offset of the first byte that does not fit.
  public init(_ bytes: [UInt8]) throws(JSONSyntaxError) {
    var scanner = Scanner(bytes: bytes)
    scanner.skipSpace()
    start = scanner.at
    try scanner.value(depth: 0)
    end = scanner.at
    scanner.skipSpace()
    guard scanner.at == bytes.count else { throw scanner.error("unexpected text after the value") }
    self.bytes = bytes
  }

  /// The text's one value.
  public var root: JSONValue { JSONValue(text: self, start: start, end: end) }
}

/// Where and why a text is not JSON.
public struct JSONSyntaxError: Error, Equatable, Sendable {
  /// What is wrong, as a fragment of a sentence.
  public let reason: String
  /// The offset of the first offending byte, from 0.
  public let offset: Int
}

/// One value of a ``JSONText``.
public struct JSONValue: Sendable {
  public enum Kind: Sendable { case null, bool, number, string, array, object }

  let text: JSONText
  let start: Int
  let end: Int

  public var kind: Kind {
    switch text.bytes[start] {
    case UInt8(ascii: "{"): .object
    case UInt8(ascii: "["): .array
    case UInt8(ascii: "\""): .string
    case UInt8(ascii: "n"): .null
    case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
    default: .number
    }
  }

  /// Whether it is `true`.
  public var isTrue: Bool { raw.elementsEqual("true".utf8) }

  /// The value as it was written, with its inner white space.
  public var raw: ArraySlice<UInt8> { text.bytes[start..<end] }

  /// The number's text, or nil for any other kind.
  public var number: String? {
    kind == .number ? String(decoding: raw, as: UTF8.self) : nil
  }

  /// The string's UTF-8 with its escapes resolved; nil for any other kind, and for a string with an unpaired
  /// surrogate escape, which no UTF-8 can express.
  public var string: [UInt8]? { stringSlice.map { Array($0) } }

  /// The same, where it stands if it has no escapes.
  public var stringSlice: ArraySlice<UInt8>? {
    guard kind == .string else { return nil }
    let inner = text.bytes[(start + 1)..<(end - 1)]
    return inner.contains(UInt8(ascii: "\\")) ? unescape(inner)?[...] : inner
  }

  /// The array's elements in order, at most `limit` of them; nil for any other kind.
  public func elements(limit: Int = .max) -> [JSONValue]? {
    guard kind == .array else { return nil }
    var walker = Scanner(bytes: text.bytes, at: start + 1)
    var found: [JSONValue] = []
    while found.count < limit, let place = walker.nextValue(closing: UInt8(ascii: "]")) {
      found.append(JSONValue(text: text, start: place.lowerBound, end: place.upperBound))
    }
    return found
  }

  /// The object's members in order, repeated names included; nil for any other kind. A name that has an unpaired
  /// surrogate escape is given as it was written, with its escapes.
  public var members: [(name: ArraySlice<UInt8>, value: JSONValue)]? {
    places?.map { (name(of: $0), value(of: $0)) }
  }

  /// Where the members stand, for whoever looks for a few of them; nil for any other kind.
  public var places: [MemberPlace]? {
    guard kind == .object else { return nil }
    var walker = Scanner(bytes: text.bytes, at: start + 1)
    var found: [MemberPlace] = []
    found.reserveCapacity(4)
    while let name = walker.nextValue(closing: UInt8(ascii: "}")) {
      walker.skipSpace()
      walker.at += 1  // the colon: the text has been checked
      walker.skipSpace()
      let from = walker.at
      walker.skipCheckedValue()
      found.append(MemberPlace(name: name, value: from..<walker.at))
    }
    return found
  }

  /// Where a member of an object stands.
  public struct MemberPlace: Sendable {
    let name, value: Range<Int>
  }

  /// The name of one of ``places``, as in ``members``.
  public func name(of place: MemberPlace) -> ArraySlice<UInt8> {
    let name = JSONValue(text: text, start: place.name.lowerBound, end: place.name.upperBound)
    return name.stringSlice ?? text.bytes[(name.start + 1)..<(name.end - 1)]
  }

  /// Whether the name of one of ``places`` is this one, however it is written.
  public func isNamed(_ sought: StaticString, at place: MemberPlace) -> Bool {
    let name = (place.name.lowerBound + 1)..<(place.name.upperBound - 1)
    // Escapes only make it longer.
    guard name.count >= sought.utf8CodeUnitCount else { return false }
    return text.bytes.withUnsafeBufferPointer { bytes in
      sought.withUTF8Buffer { sought in
        if bytes[name].elementsEqual(sought) { return true }
        return bytes[name].contains(UInt8(ascii: "\\")) && self.name(of: place).elementsEqual(sought)
      }
    }
  }

  /// The value of one of ``places``.
  public func value(of place: MemberPlace) -> JSONValue {
    JSONValue(text: text, start: place.value.lowerBound, end: place.value.upperBound)
  }

  /// A member of an object, the first of that name; nil for a name it does not have, and for any other kind.
  public subscript(_ name: String) -> JSONValue? { members?.first { $0.name.elementsEqual(name.utf8) }?.value }

  /// Appends the value without the white space between its tokens; strings and numbers stay byte for byte.
  public func appendCompact(to output: inout [UInt8]) {
    var inString = false
    var at = start
    while at < end {
      let byte = text.bytes[at]
      if inString {
        output.append(byte)
        if byte == UInt8(ascii: "\\") {
          at += 1
          output.append(text.bytes[at])
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
      } else if !Scanner.isSpace(byte) {
        output.append(byte)
        inString = byte == UInt8(ascii: "\"")
      }
      at += 1
    }
  }

  private func unescape(_ inner: ArraySlice<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(inner.count)
    var at = inner.startIndex
    func hex4(_ from: Int) -> UInt32 {
      inner[from..<(from + 4)].reduce(0) { $0 << 4 | UInt32(Scanner.hexDigit($1) ?? 0) }
    }
    while at < inner.endIndex {
      let byte = inner[at]
      at += 1
      guard byte == UInt8(ascii: "\\") else {
        out.append(byte)
        continue
      }
      let escape = inner[at]
      at += 1
      switch escape {
      case UInt8(ascii: "b"): out.append(0x08)
      case UInt8(ascii: "f"): out.append(0x0C)
      case UInt8(ascii: "n"): out.append(0x0A)
      case UInt8(ascii: "r"): out.append(0x0D)
      case UInt8(ascii: "t"): out.append(0x09)
      case UInt8(ascii: "u"):
        var code = hex4(at)
        at += 4
        if (0xD800..<0xDC00).contains(code) {
          guard at + 6 <= inner.endIndex, inner[at] == UInt8(ascii: "\\"), inner[at + 1] == UInt8(ascii: "u") else {
            return nil
          }
          let low = hex4(at + 2)
          guard (0xDC00..<0xE000).contains(low) else { return nil }
          at += 6
          code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { return nil }
        out.append(contentsOf: Array(String(Character(scalar)).utf8))
      default: out.append(escape)  // the quote, the backslash, the slash
      }
    }
    return out
  }
}
