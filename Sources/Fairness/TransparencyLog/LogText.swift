/// The texts whose digests are the log's entries: lines of which each ends with a line break, written in one way.
///
/// Only the digests are published. A text holds a server's hash or seed, so that nobody can guess it from its digest.
public enum LogText {
  /// Appends what an outcome's entry stands for: everything that was answered.
  ///
  /// - Parameters:
  ///   - shortID: the outcome's, in ASCII.
  ///   - created: in milliseconds since 1970 UTC.
  ///   - endpoint: the generator's name, such as `ints`.
  ///   - clientSeedDigest: the client seed's, if it is known.
  ///   - items: the JSON array of what a shuffle or pick was made of, as it is recorded (`["a","b"]`); nil for other
  ///     generators.
  ///   - fields: the outcome's own members, in the order and spelling answered (`"min":1,"max":100,"count":1`), without
  ///     spaces and braces.
  ///   - count: where among them the count is, which the text leaves out, with the comma that goes with it.
  ///   - value: the JSON text of `outcome`, as it was answered.
  public static func append(
    outcome shortID: [UInt8], created: Int64, endpoint: String, serverHash: ServerHash, cursor: Int64, nonce: Int64,
    clientSeed: ClientSeed, clientSeedDigest: LogDigest? = nil, items: [UInt8]?, fields: [UInt8], count: Range<Int>,
    value: [UInt8], to text: inout [UInt8]
  ) {
    let room = 96 + shortID.count + endpoint.utf8.count + (items == nil ? 0 : 64) + fields.count + value.count
    append(linesOf: "fairdraw/outcome/v1", room: room + 2 * 64 + 3 * 20, to: &text) { text in
      text.append(shortID)
      text.append(created)
      text.append(endpoint)
      text.append(hex: serverHash.bytes)
      text.append(cursor)
      text.append(nonce)
      text.append(clientSeedDigest ?? LogDigest(of: clientSeed.bytes))
      if let items { text.append(LogDigest(of: items)) } else { text.append([]) }
      fields.withUnsafeBytes { text.append(object: $0, without: count) }
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
    var text: [UInt8] = []
    append(linesOf: "fairdraw/commitment/v1", room: 192 + commitID.count, to: &text) { text in
      text.append(commitID)
      text.append(hex: serverHash.bytes)
      text.append(created)
      text.append(expiresAt)
    }
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
    var text: [UInt8] = []
    append(linesOf: "fairdraw/reveal/v1", room: 192 + 64 + serverSeed.ascii.count, to: &text) { text in
      text.append(hex: serverHash.bytes)
      text.append(serverSeed.ascii)
      text.append(LogDigest(of: clientSeed.bytes))
      text.append(cursor)
      text.append(nonce)
      text.append(revealed)
    }
    return text
  }

  /// - Parameter room: at least as many bytes as the text takes.
  private static func append(
    linesOf kind: StaticString, room: Int, to text: inout [UInt8], _ body: (inout LineWriter) -> Void
  ) {
    let start = text.count
    text.append(contentsOf: repeatElement(0, count: room))
    let count = text.withUnsafeMutableBytes { bytes in
      var lines = LineWriter(bytes: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
      kind.withUTF8Buffer { lines.append(UnsafeRawBufferPointer($0)) }
      lines.endLine()
      body(&lines)
      return lines.count
    }
    text.removeLast(room - count)
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

  /// Appends some of the members of a JSON object, as one.
  mutating func append(object members: UnsafeRawBufferPointer, without range: Range<Int>) {
    append(UInt8(ascii: "{"))
    append(UnsafeRawBufferPointer(rebasing: members[..<range.lowerBound]))
    append(UnsafeRawBufferPointer(rebasing: members[range.upperBound...]))
    append(UInt8(ascii: "}"))
    endLine()
  }

  mutating func append(_ line: String) {
    var line = line
    line.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    endLine()
  }

  mutating func append(_ integer: Int64) {
    if integer < 0 { append(UInt8(ascii: "-")) }
    let magnitude = integer.magnitude
    var (length, power) = (1, UInt64(10))
    while length < 19, magnitude >= power { (length, power) = (length + 1, power &* 10) }
    precondition(length <= bytes.count - count)
    var rest = magnitude
    for place in (count..<(count + length)).reversed() {
      bytes[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
    count += length
    endLine()
  }

  mutating func append(hex line: [UInt8]) { line.withUnsafeBytes { append(hex: $0) } }

  mutating func append(_ line: LogDigest) { line.withBytes { append(hex: $0) } }

  private mutating func append(hex part: UnsafeRawBufferPointer) {
    Hex.write(part, to: UnsafeMutableRawBufferPointer(rebasing: bytes[count...]))
    count += 2 * part.count
    endLine()
  }
}
