/// The texts whose digests are the log's entries: lines of which each ends with a line break, written in one way.
///
/// Only the digests are published. A text holds a server's hash or seed, so that nobody can guess it from its digest.
public enum LogText {
  /// What an outcome's entry stands for: everything that was answered.
  ///
  /// - Parameters:
  ///   - shortID: the outcome's, in ASCII.
  ///   - created: in milliseconds since 1970 UTC.
  ///   - endpoint: the generator's name, such as `ints`.
  ///   - clientSeedDigest: the client seed's, if it is known.
  ///   - items: the JSON array of what a shuffle or pick was made of, as it is recorded (`["a","b"]`); nil for other
  ///     generators.
  ///   - parameters: a JSON object of the outcome's own members, in the order and spelling answered
  ///     (`{"min":1,"max":100}`), without spaces; `{}` if there are none.
  ///   - value: the JSON text of `outcome`, as it was answered.
  public static func outcome(
    shortID: [UInt8], created: Int64, endpoint: String, serverHash: ServerHash, cursor: Int64, nonce: Int64,
    clientSeed: ClientSeed, clientSeedDigest: LogDigest? = nil, items: [UInt8]?, parameters: [UInt8], value: [UInt8]
  ) -> [UInt8] {
    var text = begin("fairdraw/outcome/v1", capacity: 320 + parameters.count + value.count)
    text.append(line: shortID)
    text.append(line: created)
    text.append(line: endpoint.utf8)
    text.append(hexLine: serverHash.bytes)
    text.append(line: cursor)
    text.append(line: nonce)
    text.append(line: clientSeedDigest ?? LogDigest(of: clientSeed.bytes))
    if let items { text.append(digestLine: items) } else { text.append(line: EmptyCollection()) }
    text.append(line: parameters)
    text.append(line: value)
    return text
  }

  /// What a commitment's entry stands for.
  ///
  /// - Parameters:
  ///   - commitID: the commitment's, in ASCII.
  ///   - created: in milliseconds since 1970 UTC, as `expiresAt` is.
  public static func commitment(
    commitID: [UInt8], serverHash: ServerHash, created: Int64, expiresAt: Int64
  ) -> [UInt8] {
    var text = begin("fairdraw/commitment/v1", capacity: 192)
    text.append(line: commitID)
    text.append(hexLine: serverHash.bytes)
    text.append(line: created)
    text.append(line: expiresAt)
    return text
  }

  /// What the entry of a revealed server seed stands for.
  ///
  /// - Parameters:
  ///   - cursor: the place of the seed's last outcome, as `nonce` is.
  ///   - revealed: when it was revealed, in milliseconds since 1970 UTC.
  public static func reveal(
    serverHash: ServerHash, serverSeed: ServerSeed, clientSeed: ClientSeed, cursor: Int64, nonce: Int64,
    revealed: Int64
  ) -> [UInt8] {
    var text = begin("fairdraw/reveal/v1", capacity: 288)
    text.append(hexLine: serverHash.bytes)
    text.append(line: serverSeed.ascii)
    text.append(digestLine: clientSeed.bytes)
    text.append(line: cursor)
    text.append(line: nonce)
    text.append(line: revealed)
    return text
  }

  private static func begin(_ kind: StaticString, capacity: Int) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(capacity)
    text.append(line: UnsafeBufferPointer(start: kind.utf8Start, count: kind.utf8CodeUnitCount))
    return text
  }
}

extension [UInt8] {
  fileprivate mutating func append(line: some Collection<UInt8>) {
    append(contentsOf: line)
    append(UInt8(ascii: "\n"))
  }

  fileprivate mutating func append(line integer: Int64) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
      var start = digits.count
      var rest = integer.magnitude
      repeat {
        start -= 1
        digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
      if integer < 0 { append(UInt8(ascii: "-")) }
      append(contentsOf: digits[start...])
    }
    append(UInt8(ascii: "\n"))
  }

  fileprivate mutating func append(hexLine bytes: [UInt8]) {
    bytes.withUnsafeBytes { append(hex: $0) }
    append(UInt8(ascii: "\n"))
  }

  fileprivate mutating func append(digestLine bytes: [UInt8]) { append(line: LogDigest(of: bytes)) }

  fileprivate mutating func append(line digest: LogDigest) {
    digest.appendHex(to: &self)
    append(UInt8(ascii: "\n"))
  }
}
