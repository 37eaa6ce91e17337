/// A request's target, taken apart once: `/path?query`.
package struct Target: Sendable {
  /// In one form for all that mean the same: `/api/ints` for `//api/ints`, `/api/ints/` and `/api/%69nts`. What must stay
  /// percent-encoded stays so, and so does a path that is encoded wrongly.
  package let path: String
  /// As it was sent, without a fragment.
  package let bytes: [UInt8]
  /// Where the path ends in ``bytes``, without the question mark.
  private let pathEnd: Int

  static let root = Target("/")

  /// - Parameter text: a target that begins with a slash, or an asterisk.
  package init(_ text: String) {
    bytes = Array(text.utf8.prefix { $0 != UInt8(ascii: "#") })
    var end = bytes.count
    var isNormal = true
    var previous: UInt8 = 0
    for (index, byte) in bytes.enumerated() {
      if byte == UInt8(ascii: "?") {
        end = index
        break
      }
      if byte == UInt8(ascii: "%") || byte == UInt8(ascii: "/") && previous == byte { isNormal = false }
      previous = byte
    }
    if end > 1 && previous == UInt8(ascii: "/") { isNormal = false }
    pathEnd = end
    let normal = isNormal ? nil : Self.normalized(bytes[..<end])
    path = String(decoding: normal?[...] ?? bytes[..<end], as: UTF8.self)
  }

  /// The path as it was sent.
  var rawPath: ArraySlice<UInt8> { bytes[..<pathEnd] }

  /// As it was sent: not decoded.
  package var query: ArraySlice<UInt8> { bytes[pathEnd...].dropFirst() }

  /// Whether it is the API's, which speaks JSON to everyone and may be called from any origin.
  var isAPI: Bool {
    // By bytes: a combining mark after a slash would make one character with it.
    path == "/api" || path == "/openapi.json" || ["/api/", "/log/"].contains { path.utf8.starts(with: $0.utf8) }
  }

  /// Decodes what need not be encoded (RFC 3986, section 6.2.2.2), writes other percent-encoded bytes with capital letters,
  /// and drops empty segments. Nil for a path with a `%` that encodes nothing: what stands behind it might come to.
  private static func normalized(_ path: ArraySlice<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(path.count)
    var rest = path
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "/"), out.last == byte { continue }
      guard byte == UInt8(ascii: "%") else {
        out.append(byte)
        continue
      }
      guard let encoded = encodedByte(rest.prefix(2)) else { return nil }
      rest = rest.dropFirst(2)
      if isUnreserved(encoded) { out.append(encoded) } else { out.append(percentEncoded: encoded) }
    }
    if out.count > 1, out.last == UInt8(ascii: "/") { out.removeLast() }
    return out
  }

  private static func encodedByte(_ digits: ArraySlice<UInt8>) -> UInt8? {
    guard digits.count == 2, digits.allSatisfy({ $0.isHexDigit }) else { return nil }
    return UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
  }

  private static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
      true
    default: false
    }
  }

  /// The path and query of a target in absolute form, `http://host/path?query`; nil for every other.
  package static func originForm(_ target: String) -> String? {
    let text = target.utf8
    guard text.first != UInt8(ascii: "/"), let mark = text.firstIndex(of: UInt8(ascii: ":")),
      ["http", "https"].contains(target[..<mark].lowercased()), text[mark...].starts(with: "://".utf8)
    else { return nil }
    let path = text[mark...].dropFirst(3).drop { !"/?#".utf8.contains($0) }
    return (path.first == UInt8(ascii: "/") ? "" : "/") + String(decoding: path, as: UTF8.self)
  }
}

extension [UInt8] {
  /// Appends a byte as it stands in a URL when it must not stand for itself: `%C3`.
  mutating func append(percentEncoded byte: UInt8) {
    append(UInt8(ascii: "%"))
    for digit in [byte >> 4, byte & 0xF] {
      append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "A") + digit - 10)
    }
  }
}

extension UInt8 {
  fileprivate var isHexDigit: Bool {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
      UInt8(ascii: "A")...UInt8(ascii: "F"):
      true
    default: false
    }
  }
}
