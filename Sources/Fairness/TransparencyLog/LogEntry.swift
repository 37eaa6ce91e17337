/// An entry of the continuous log: one line of ASCII, without a line break.
public enum LogEntry: Hashable, Sendable {
  /// The first entry of an era: the public key of the server seeds' function, and the Ed25519 key that signs the daily
  /// roots; 32 bytes each.
  case keys(era: UInt64, vrf: [UInt8], daily: [UInt8])
  /// A commitment was created: the digest of ``LogText/commitment(commitID:serverHash:created:expiresAt:)``.
  case commit(LogDigest)
  /// An outcome was drawn: the digest of its text.
  case draw(LogDigest)
  /// A server seed was revealed: the digest of its text.
  case reveal(LogDigest)
  /// A day's root was published: the UTC date as `YYYY-MM-DD`, the root and the number of leaves; nil and 0 for a day
  /// without outcomes.
  case root(date: String, root: MerkleHash?, leafCount: Int)

  /// The most bytes a line has.
  public static let longest = 256

  /// The line, in ASCII. What is logged is its ``MerkleHash/leaf(_:)``.
  public var bytes: [UInt8] {
    var line: [UInt8] = []
    line.reserveCapacity(72)
    append(to: &line)
    return line
  }

  /// Appends ``bytes``.
  public func append(to line: inout [UInt8]) {
    switch self {
    case .keys(let era, let vrf, let daily):
      line.append(contentsOf: "keys era=\(era) vrf=".utf8)
      vrf.withUnsafeBytes { line.append(hex: $0) }
      line.append(contentsOf: " daily=".utf8)
      daily.withUnsafeBytes { line.append(hex: $0) }
    case .commit(let digest):
      line.append(contentsOf: "commit ".utf8)
      digest.appendHex(to: &line)
    case .draw(let digest):
      line.append(contentsOf: "draw ".utf8)
      digest.appendHex(to: &line)
    case .reveal(let digest):
      line.append(contentsOf: "reveal ".utf8)
      digest.appendHex(to: &line)
    case .root(let date, let root, let leafCount):
      line.append(contentsOf: "root \(date) ".utf8)
      if let root { root.bytes.withUnsafeBytes { line.append(hex: $0) } } else { line.append(UInt8(ascii: "-")) }
      line.append(contentsOf: " \(leafCount)".utf8)
    }
  }

  /// Appends the hash of the leaf of an entry that is a word and a digest, such as ``draw(_:)``.
  ///
  /// - Parameters:
  ///   - word: with the space behind it.
  ///   - digest: 32 bytes.
  package static func append(
    leafOf word: StaticString, _ digest: UnsafeRawBufferPointer, to hashes: inout [UInt8]
  ) {
    let start = 1 + word.utf8CodeUnitCount
    withUnsafeTemporaryAllocation(byteCount: start + 2 * digest.count, alignment: 1) { text in
      text[0] = 0
      word.withUTF8Buffer { text[1..<start].copyBytes(from: $0) }
      Hex.write(digest, to: UnsafeMutableRawBufferPointer(rebasing: text[start...]))
      LogDigest(of: UnsafeRawBufferPointer(text)).append(to: &hashes)
    }
  }

  /// - Returns: nil for a line that ``bytes`` does not write.
  public init?(_ line: some Collection<UInt8>) {
    guard line.count <= Self.longest else { return nil }
    let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    switch (words.count, String(decoding: words[0], as: UTF8.self)) {
    case (2, "commit"):
      guard let digest = try? LogDigest(hex: words[1]) else { return nil }
      self = .commit(digest)
    case (2, "draw"):
      guard let digest = try? LogDigest(hex: words[1]) else { return nil }
      self = .draw(digest)
    case (2, "reveal"):
      guard let digest = try? LogDigest(hex: words[1]) else { return nil }
      self = .reveal(digest)
    case (4, "keys"):
      guard words[1].starts(with: "era=".utf8), let era = Int(decimal: words[1].dropFirst(4)),
        words[2].starts(with: "vrf=".utf8), let vrf = Self.key(words[2].dropFirst(4)),
        words[3].starts(with: "daily=".utf8), let daily = Self.key(words[3].dropFirst(6))
      else { return nil }
      self = .keys(era: UInt64(era), vrf: vrf, daily: daily)
    case (4, "root"):
      guard Self.isDate(words[1]), let leafCount = Int(decimal: words[3]) else { return nil }
      let date = String(decoding: words[1], as: UTF8.self)
      if words[2].elementsEqual("-".utf8) {
        guard leafCount == 0 else { return nil }
        self = .root(date: date, root: nil, leafCount: 0)
      } else {
        guard leafCount > 0, let bytes = Self.key(words[2]), let root = try? MerkleHash(bytes: bytes) else {
          return nil
        }
        self = .root(date: date, root: root, leafCount: leafCount)
      }
    default: return nil
    }
  }

  /// 32 bytes from 64 lowercase digits.
  private static func key(_ hex: some Collection<UInt8>) -> [UInt8]? {
    hex.count == 64 ? Hex.decodeLowercase(hex) : nil
  }

  /// Whether a word is a date of the Gregorian calendar, as `2026-11-26`.
  private static func isDate(_ word: some Collection<UInt8>) -> Bool {
    let parts = word.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard parts.map(\.count) == [4, 2, 2],
      parts.joined().allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
    else { return false }
    let numbers = parts.map { $0.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } }
    let (year, month, day) = (numbers[0], numbers[1], numbers[2])
    guard (1...12).contains(month) else { return false }
    let isLeap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0
    let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return (1...days[month - 1]).contains(day)
  }
}
