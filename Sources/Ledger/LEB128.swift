/// Numbers as short as they can be: seven bits in a byte, the least significant first; all bytes but the last have their
/// highest bit set.
extension [UInt8] {
  mutating func append(leb128 number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(rest))
  }

  /// So that small negative numbers are short, too.
  mutating func append(zigzag number: Int64) { append(leb128: UInt64(bitPattern: number << 1 ^ number >> 63)) }
}

extension ArraySlice<UInt8> {
  /// Nil if no number stands at the beginning.
  mutating func takeLEB128() -> UInt64? {
    var number: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = popFirst() else { return nil }
      number |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return number }
    }
    return nil
  }

  mutating func takeZigzag() -> Int64? {
    takeLEB128().map { Int64(bitPattern: $0 >> 1) ^ -Int64(bitPattern: $0 & 1) }
  }
}
