/// Writing JSON straight into the one buffer that is sent and stored.
extension [UInt8] {
  /// Appends text that is JSON already.
  @inlinable
  public mutating func append(json text: StaticString) {
    text.withUTF8Buffer { append(contentsOf: $0) }
  }

  /// Appends text as it is, unquoted.
  public mutating func append(text: String) {
    append(contentsOf: text.utf8)
  }

  /// Appends a quoted string. `utf8` must be well-formed UTF-8; quotes, backslashes and control characters are escaped.
  public mutating func append(jsonString utf8: some Sequence<UInt8>) {
    // Callers are in other modules, where a generic function is not specialised: the bytes are reached through a pointer.
    if utf8.withContiguousStorageIfAvailable({ append(escaping: $0) }) == nil { append(jsonString: Array(utf8)) }
  }

  private mutating func append(escaping utf8: UnsafeBufferPointer<UInt8>) {
    append(UInt8(ascii: "\""))
    var plain = 0  // where the bytes begin that need no escape and are not yet appended
    for (index, byte) in utf8.enumerated()
    where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
      append(contentsOf: utf8[plain..<index])
      plain = index + 1
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        append(UInt8(ascii: "\\"))
        append(byte)
      case 0x0A: append(json: "\\n")
      case 0x0D: append(json: "\\r")
      case 0x09: append(json: "\\t")
      default:
        append(json: "\\u00")
        append(hex: [byte])
      }
    }
    append(contentsOf: utf8[plain...])
    append(UInt8(ascii: "\""))
  }

  public mutating func append(jsonString text: String) { append(jsonString: text.utf8) }

  /// Appends a whole number in decimal.
  @inlinable
  public mutating func append(integer: some FixedWidthInteger) {
    append(negative: integer < 0, magnitude: UInt64(integer.magnitude))
  }

  @usableFromInline
  mutating func append(negative: Bool, magnitude: UInt64) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 21) { buffer in
      var start = buffer.count
      var rest = magnitude
      repeat {
        let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
        start -= 1
        buffer[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
        rest = quotient
      } while rest > 0
      if negative {
        start -= 1
        buffer[start] = UInt8(ascii: "-")
      }
      append(contentsOf: buffer[start...])
    }
  }

  /// Appends bytes as lowercase hex digits.
  public mutating func append(hex bytes: [UInt8]) {
    let digits = hexDigits.utf8Start
    var place = count
    append(contentsOf: repeatElement(0, count: 2 * bytes.count))
    withUnsafeMutableBufferPointer { text in
      for byte in bytes {
        text[place] = digits[Int(byte >> 4)]
        text[place + 1] = digits[Int(byte & 15)]
        place += 2
      }
    }
  }

  /// Appends bytes in base64, padded (RFC 4648 § 4).
  public mutating func append(base64 bytes: [UInt8]) {
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<Swift.min(start + 3, bytes.count)]
      let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
      for place in 0..<4 {
        append(place <= group.count ? base64Table[bits >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
      }
    }
  }

  /// Appends a finite number in the shortest decimal form that reads back to the same double, laid out as
  /// ECMAScript's `Number::toString` does (ECMA-262 § 6.1.6.1.20), so that a browser's `JSON.stringify` writes the
  /// same text. The one difference is that negative zero keeps its sign.
  public mutating func append(double: Double) {
    precondition(double.isFinite, "JSON has no infinities")
    if double.sign == .minus { append(UInt8(ascii: "-")) }
    if double == 0 {
      append(UInt8(ascii: "0"))
      return
    }
    // Swift's description has the shortest digits; only the place of the point and the exponent is laid out anew.
    var digits: [UInt8] = []
    var point = 0  // how many digits stand before the decimal point
    var sawPoint = false
    var exponent = 0
    var description = double.magnitude.description[...].utf8
    while let byte = description.popFirst() {
      switch byte {
      case UInt8(ascii: "."): sawPoint = true
      case UInt8(ascii: "e"): exponent = Int(String(Substring(description))) ?? 0
      default:
        digits.append(byte)
        if !sawPoint { point += 1 }
      }
      if byte == UInt8(ascii: "e") { break }
    }
    point += exponent
    let leading = digits.prefix { $0 == UInt8(ascii: "0") }.count
    digits.removeFirst(leading)
    point -= leading
    while digits.last == UInt8(ascii: "0") { digits.removeLast() }

    switch point {
    case digits.count...21:  // at most 17 digits ever stand here
      append(contentsOf: digits)
      append(contentsOf: repeatElement(UInt8(ascii: "0"), count: point - digits.count))
    case 1...21:
      append(contentsOf: digits[..<point])
      append(UInt8(ascii: "."))
      append(contentsOf: digits[point...])
    case -5...0:
      append(json: "0.")
      append(contentsOf: repeatElement(UInt8(ascii: "0"), count: -point))
      append(contentsOf: digits)
    default:
      append(digits[0])
      if digits.count > 1 {
        append(UInt8(ascii: "."))
        append(contentsOf: digits[1...])
      }
      append(UInt8(ascii: "e"))
      append(point > 0 ? UInt8(ascii: "+") : UInt8(ascii: "-"))
      append(integer: abs(point - 1))
    }
  }

}

private let base64Table = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
private let hexDigits: StaticString = "0123456789abcdef"
