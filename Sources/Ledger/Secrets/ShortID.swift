import Crypto

/// An outcome's public name: ten characters of `[0-9A-Za-z]`, unguessable, and no two alike.
///
/// It is the outcome's row number under a keyed permutation, so that it needs no index of its own and looking one up
/// is a primary-key read.
public struct ShortIDs: Sendable {
  /// How many row numbers there are: 62¹⁰, numbered from 0.
  public static let capacity: UInt64 = 839_299_365_868_340_224

  /// What a row number can be.
  public static let numbers: Range<Int64> = 0..<Int64(capacity)

  /// The first of `count` numbers after `last`, for rows or for chains.
  ///
  /// - Throws: a ``StoreFailure`` if there are not as many: then nothing new can be recorded.
  public static func first(of count: Int, after last: Int64) throws(StoreFailure) -> Int64 {
    guard numbers.contains(last), Int64(count) < numbers.upperBound - last else {
      throw StoreFailure("the database has no numbers left: \(last) is in use", kind: .permanent)
    }
    return last + 1
  }

  private static let half: UInt64 = 916_132_832  // 62⁵
  private static let rounds: UInt64 = 10
  private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

  private let prf: SipHash

  public init(masterKey: MasterKey) {
    prf = masterKey.subkey("short-id", size: 16).withUnsafeBytes { bytes in
      SipHash(
        k0: UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)),
        k1: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
  }

  /// The short id of row `number`. A generalised Feistel network over pairs of residues modulo 62⁵ (Black and Rogaway,
  /// "Ciphers with Arbitrary Finite Domains", 2002), with SipHash-2-4 as its round function.
  ///
  /// - Precondition: 0 ≤ number < ``capacity``.
  public func encode(_ number: Int64) -> [UInt8] {
    precondition(number >= 0 && UInt64(number) < Self.capacity)
    var left = UInt64(number) / Self.half
    var right = UInt64(number) % Self.half
    for round in 0..<Self.rounds {
      (left, right) = (right, (left + mix(round, right)) % Self.half)
    }
    return [UInt8](unsafeUninitializedCapacity: 10) { buffer, count in
      for (value, offset) in [(left, 0), (right, 5)] {
        var rest = value
        for index in stride(from: offset + 4, through: offset, by: -1) {
          buffer[index] = Self.alphabet[Int(rest % 62)]
          rest /= 62
        }
      }
      count = 10
    }
  }

  /// The row number a short id stands for, or nil if it is not ten characters of the alphabet.
  public func decode(_ text: some Collection<UInt8>) -> Int64? {
    guard text.count == 10 else { return nil }
    var halves: [UInt64] = [0, 0]
    for (index, byte) in text.enumerated() {
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = byte - UInt8(ascii: "A") + 10
      case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = byte - UInt8(ascii: "a") + 36
      default: return nil
      }
      halves[index / 5] = halves[index / 5] * 62 + UInt64(digit)
    }
    var (left, right) = (halves[0], halves[1])
    for round in (0..<Self.rounds).reversed() {
      (left, right) = ((right + Self.half - mix(round, left)) % Self.half, left)
    }
    return Int64(left * Self.half + right)
  }

  private func mix(_ round: UInt64, _ value: UInt64) -> UInt64 {
    prf.hash(round << 32 | value) % Self.half
  }
}

/// SipHash-2-4 of one 8-byte message (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). The standard
/// library's hasher is keyed anew in every process, so it cannot name what is stored.
struct SipHash: Sendable {
  let k0: UInt64
  let k1: UInt64

  func hash(_ message: UInt64) -> UInt64 {
    var v0 = k0 ^ 0x736f_6d65_7073_6575
    var v1 = k1 ^ 0x646f_7261_6e64_6f6d
    var v2 = k0 ^ 0x6c79_6765_6e65_7261
    var v3 = k1 ^ 0x7465_6462_7974_6573
    func rotate(_ x: UInt64, _ by: UInt64) -> UInt64 { x << by | x >> (64 - by) }
    func round() {
      v0 = v0 &+ v1
      v1 = rotate(v1, 13) ^ v0
      v0 = rotate(v0, 32)
      v2 = v2 &+ v3
      v3 = rotate(v3, 16) ^ v2
      v0 = v0 &+ v3
      v3 = rotate(v3, 21) ^ v0
      v2 = v2 &+ v1
      v1 = rotate(v1, 17) ^ v2
      v2 = rotate(v2, 32)
    }
    for block in [message, 8 << 56] {  // the last block holds the length, 8, in its top byte
      v3 ^= block
      round()
      round()
      v0 ^= block
    }
    v2 ^= 0xff
    for _ in 0..<4 { round() }
    return v0 ^ v1 ^ v2 ^ v3
  }
}
