import JSON
import Ledger

/// One decoded pair of a query.
package struct QueryPair {
  package let name: ArraySlice<UInt8>
  package let value: ArraySlice<UInt8>
}

/// A query's pairs, read strictly: what is malformed is refused, not guessed at.
package enum QueryString {
  /// Decodes `application/x-www-form-urlencoded` pairs (the URL Standard's, where `+` is a space).
  ///
  /// - Throws: a 400 for a `%` without two hex digits, bytes that are not UTF-8, or NUL.
  package static func pairs(in query: ArraySlice<UInt8>) throws(Refusal) -> [QueryPair] {
    var pairs: [QueryPair] = []
    var start = query.startIndex
    while start < query.endIndex {
      let end = query[start...].firstIndex(of: UInt8(ascii: "&")) ?? query.endIndex
      let pair = query[start..<end]
      start = end + 1
      if pair.isEmpty { continue }
      let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
      let name = try decode(pair[..<equals], of: nil)
      pairs.append(QueryPair(name: name, value: try decode(pair[equals...].dropFirst(), of: name)))
    }
    return pairs
  }

  /// Decodes a segment of a path, where `+` is a plus sign.
  ///
  /// - Throws: the same, with `name` for what is at fault.
  static func segment(_ text: Substring, called name: String) throws(Refusal) -> ArraySlice<UInt8> {
    try decode(Array(text.utf8)[...], of: Array(name.utf8)[...], plusIsSpace: false)
  }

  private static func decode(
    _ text: ArraySlice<UInt8>, of name: ArraySlice<UInt8>?, plusIsSpace: Bool = true
  ) throws(Refusal) -> ArraySlice<UInt8> {
    // Most names and values are written as they are, and are used where they stand.
    let isPlain = text.allSatisfy { $0 < 0x80 && $0 != UInt8(ascii: "%") && $0 != UInt8(ascii: "+") && $0 != 0 }
    if isPlain { return text }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var rest = text
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
          throw invalid(name, "has a % that is not followed by two hexadecimal digits")
        }
        bytes.append(high << 4 | low)
      default: bytes.append(byte)
      }
    }
    guard !bytes.contains(0) else { throw invalid(name, "must not contain NUL") }
    guard UTF8Check.isValid(bytes) else {
      throw invalid(name, "is not valid UTF-8")
    }
    return bytes[...]
  }

  private static func invalid(_ name: ArraySlice<UInt8>?, _ reason: String) -> Refusal {
    guard let name, !name.isEmpty else { return .badRequest("the query \(reason)") }
    return .invalid(String(decoding: name.prefix(64), as: UTF8.self), reason)
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
