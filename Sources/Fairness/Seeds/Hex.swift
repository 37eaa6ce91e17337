/// Base 16 over ASCII bytes.
enum Hex {
  /// Two lowercase digits for each byte of whole words of four, as all keys, hashes and proofs are.
  static func encode(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: bytes.count * 2) { buffer, count in
      bytes.withUnsafeBytes { write($0, to: UnsafeMutableRawBufferPointer(buffer)) }
      count = bytes.count * 2
    }
  }

  /// Writes two lowercase digits for each byte.
  ///
  /// - Precondition: the bytes are whole words of four, and `text` has room for the digits.
  static func write(_ bytes: UnsafeRawBufferPointer, to text: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count % 4 == 0 && text.count >= 2 * bytes.count)
    for place in stride(from: 0, to: bytes.count, by: 4) {
      let four = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
      text.storeBytes(of: digits(of: four).littleEndian, toByteOffset: 2 * place, as: UInt64.self)
    }
  }

  /// The digits of four bytes, side by side in one word: the first of each is the lowest.
  private static func digits(of four: UInt32) -> UInt64 {
    var word = UInt64(four)
    word = (word | word << 16) & 0x0000_ffff_0000_ffff
    word = (word | word << 8) & 0x00ff_00ff_00ff_00ff
    let halves = word >> 4 & 0x000f_000f_000f_000f | (word & 0x000f_000f_000f_000f) << 8
    // 6 more than 10 or a greater number sets the fifth bit; "a" is 39 behind the character that follows "9".
    let letters = (halves &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
    return halves &+ 0x3030_3030_3030_3030 &+ letters &* 39
  }

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
