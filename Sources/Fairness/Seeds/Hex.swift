/// Base 16 over ASCII bytes.
enum Hex {
  private static let digits: StaticString = "0123456789abcdef"

  /// Two lowercase digits for each byte.
  static func encode(_ bytes: [UInt8]) -> [UInt8] {
    let digits = digits.utf8Start
    return [UInt8](unsafeUninitializedCapacity: bytes.count * 2) { buffer, count in
      for byte in bytes {
        buffer.initializeElement(at: count, to: digits[Int(byte >> 4)])
        buffer.initializeElement(at: count + 1, to: digits[Int(byte & 15)])
        count += 2
      }
    }
  }

  /// The lowercase digit of a number below 16.
  static func digit(_ value: UInt8) -> UInt8 { digits.utf8Start[Int(value)] }

  /// The same as ``decode(_:)`` for what ``encode(_:)`` writes, and `nil` for capitals.
  static func decodeLowercase(_ ascii: some Collection<UInt8>) -> [UInt8]? {
    ascii.contains { $0 < UInt8(ascii: "a") && $0 > UInt8(ascii: "9") } ? nil : decode(ascii)
  }

  /// The bytes that an even number of digits of either case stand for, else `nil`.
  static func decode(_ ascii: some Collection<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(ascii.count / 2)
    var high: UInt8?
    for character in ascii {
      guard let digit = value(of: character) else { return nil }
      if let first = high {
        bytes.append(first << 4 | digit)
        high = nil
      } else {
        high = digit
      }
    }
    return high == nil ? bytes : nil
  }

  private static func value(of character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
