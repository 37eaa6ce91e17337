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
    let room = 96 + shortID.count + endpoint.utf8.count + (items == nil ? 0 : 64) + parameters.count + value.count
    return lines(of: "fairdraw/outcome/v1", room: room + 2 * 64 + 3 * 20) { text in
      text.append(shortID)
      text.append(created)
      text.append(endpoint)
      text.append(hex: serverHash.bytes)
      text.append(cursor)
      text.append(nonce)
      text.append(clientSeedDigest ?? LogDigest(of: clientSeed.bytes))
      if let items { text.append(LogDigest(of: items)) } else { text.append([]) }
      text.append(parameters)
      text.append(value)
    }
  }

  /// What a commitment's entry stands for.
  ///
  /// - Parameters:
  ///   - commitID: the commitment's, in ASCII.
  ///   - created: in milliseconds since 1970 UTC, as `expiresAt` is.
  public static func commitment(
    commitID: [UInt8], serverHash: ServerHash, created: Int64, expiresAt: Int64
  ) -> [UInt8] {
    lines(of: "fairdraw/commitment/v1", room: 192 + commitID.count) { text in
      text.append(commitID)
      text.append(hex: serverHash.bytes)
      text.append(created)
      text.append(expiresAt)
    }
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
    lines(of: "fairdraw/reveal/v1", room: 192 + 64 + serverSeed.ascii.count) { text in
      text.append(hex: serverHash.bytes)
      text.append(serverSeed.ascii)
      text.append(LogDigest(of: clientSeed.bytes))
      text.append(cursor)
      text.append(nonce)
      text.append(revealed)
    }
  }

  /// - Parameter room: at least as many bytes as the text takes.
  private static func lines(of kind: StaticString, room: Int, _ body: (inout LineWriter) -> Void) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: room) { bytes, count in
      var text = LineWriter(bytes: UnsafeMutableRawBufferPointer(bytes))
      kind.withUTF8Buffer { text.append(UnsafeRawBufferPointer($0)) }
      text.endLine()
      body(&text)
      count = text.count
    }
  }
}

/// Writes lines into memory that has room for them: every draw's text is written, and nothing is to be moved for it.
private struct LineWriter {
  let bytes: UnsafeMutableRawBufferPointer
  private(set) var count = 0

  mutating func append(_ part: UnsafeRawBufferPointer) {
    precondition(part.count <= bytes.count - count)
    UnsafeMutableRawBufferPointer(rebasing: bytes[count...]).copyMemory(from: part)
    count += part.count
  }

  private mutating func append(_ byte: UInt8) {
    precondition(count < bytes.count)
    bytes[count] = byte
    count += 1
  }

  mutating func endLine() { append(UInt8(ascii: "\n")) }

  mutating func append(_ line: [UInt8]) {
    line.withUnsafeBytes { append($0) }
    endLine()
  }

  mutating func append(_ line: String) {
    var line = line
    line.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    endLine()
  }

  mutating func append(_ integer: Int64) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
      var start = digits.count
      var rest = integer.magnitude
      repeat {
        start -= 1
        digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
      if integer < 0 { append(UInt8(ascii: "-")) }
      append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[start...]))
    }
    endLine()
  }

  mutating func append(hex line: [UInt8]) { line.withUnsafeBytes { append(hex: $0) } }

  mutating func append(_ line: LogDigest) { line.withBytes { append(hex: $0) } }

  private mutating func append(hex part: UnsafeRawBufferPointer) {
    precondition(2 * part.count <= bytes.count - count)
    var place = count
    for byte in part {
      bytes[place] = Hex.digit(byte >> 4)
      bytes[place + 1] = Hex.digit(byte & 15)
      place += 2
    }
    count = place
    endLine()
  }
}
