/// The bytes that one draw's values are made of.
///
/// Block *r* is HMAC-SHA256 under the server seed's 64 characters of the message
/// `clientSeed:nonce:r`, 32 bytes. The stream starts at byte `cursor mod 32` of block
/// `cursor div 32` and runs on through the blocks that follow; it never ends in practice.
///
/// A stream is consumed, never rewound, and cannot be copied: no byte goes into two values.
public struct ByteStream: ~Copyable {
  private let key: StreamKey
  private let clientSeed: ClientSeed
  private let nonce: UInt64
  /// The current block as eight big-endian words, held inline.
  private var block: SIMD8<UInt32>
  private var round: UInt64
  /// The next byte's place in `block`; 32 when the block is used up.
  private var position: Int

  public init(key: StreamKey, clientSeed: ClientSeed, cursor: UInt64, nonce: UInt64) {
    self.key = key
    self.clientSeed = clientSeed
    self.nonce = nonce
    round = cursor / 32
    position = Int(cursor % 32)
    block = Self.block(round, key: key, clientSeed: clientSeed, nonce: nonce)
  }

  // Most draws end within their first block. Absorbing the whole message anew for each block costs those
  // that do not a few nanoseconds a block.
  private static func block(
    _ round: UInt64, key: StreamKey, clientSeed: ClientSeed, nonce: UInt64
  ) -> SIMD8<UInt32> {
    var message = key.inner
    clientSeed.bytes.withUnsafeBytes { message.update($0) }
    // Two colons and two numbers of at most 20 digits.
    withUnsafeTemporaryAllocation(byteCount: 42, alignment: 1) { buffer in
      var start = buffer.count
      prepend(round, to: buffer, at: &start)
      prepend(nonce, to: buffer, at: &start)
      message.update(UnsafeRawBufferPointer(rebasing: buffer[start...]))
    }
    return key.finish(message).withBytes { bytes in
      var words = SIMD8<UInt32>()
      for index in 0..<8 {
        words[index] = UInt32(
          bigEndian: bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self))
      }
      return words
    }
  }

  /// Writes a colon and `value` in decimal so that they end where `start` is, and moves `start` to the colon.
  private static func prepend(
    _ value: UInt64, to buffer: UnsafeMutableRawBufferPointer, at start: inout Int
  ) {
    var rest = value
    repeat {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      start -= 1
      buffer[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
      rest = quotient
    } while rest > 0
    start -= 1
    buffer[start] = UInt8(ascii: ":")
  }

  @inline(never)
  private mutating func advance() {
    // From the last cursor there is to the last round there is, 2^64 − 2^59 blocks follow.
    round += 1
    block = Self.block(round, key: key, clientSeed: clientSeed, nonce: nonce)
    position = 0
  }

  /// The next byte.
  public mutating func nextByte() -> UInt8 {
    if position == 32 { advance() }
    let shift = 24 - 8 * UInt32(truncatingIfNeeded: position & 3)
    let byte = UInt8(truncatingIfNeeded: block[position >> 2] >> shift)
    position += 1
    return byte
  }

  /// The next `count` bytes.
  public mutating func bytes(count: Int) -> [UInt8] {
    precondition(count >= 0)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    for _ in 0..<count { bytes.append(nextByte()) }
    return bytes
  }

  /// The next 4 bytes, big-endian.
  public mutating func word() -> UInt32 {
    if position == 32 { advance() }
    if position & 3 == 0 {
      let word = block[position >> 2]
      position += 4
      return word
    }
    // A cursor that is no multiple of 4: words lie across the block's own.
    var word: UInt32 = 0
    for _ in 0..<4 { word = word << 8 | UInt32(nextByte()) }
    return word
  }

  /// The next ``word()`` ÷ 2^32: a multiple of 2^−32 in 0 ..< 1.
  public mutating func float32() -> Double {
    Double(word()) * 0x1p-32
  }

  /// The top 53 of the next 64 bits ÷ 2^53: a multiple of 2^−53 in 0 ..< 1.
  public mutating func float53() -> Double {
    let high = UInt64(word())
    let low = UInt64(word())
    return Double((high << 32 | low) >> 11) * 0x1p-53
  }

  /// A whole number in 0 ..< `n`, each as likely as any other.
  ///
  /// Lemire's multiplication with rejection ("Fast Random Integer Generation in an Interval", 2019):
  /// words are taken until (word × n) mod 2^32 ≥ 2^32 mod n; the answer is (word × n) div 2^32. For
  /// n = 2^32 that is the word itself.
  ///
  /// - Parameter n: 1 to 2^32.
  public mutating func below(_ n: UInt64) -> UInt32 {
    precondition(1 <= n && n <= 1 << 32)
    while true {
      let product = UInt64(word()) * n
      let low = product & 0xffff_ffff
      // 2^32 mod n is less than n: most words are accepted without the division.
      if low >= n || low >= (1 << 32) % n {
        return UInt32(truncatingIfNeeded: product >> 32)
      }
    }
  }
}
