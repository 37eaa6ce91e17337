import Fairness

/// Entries of the continuous log as stores hold them, one after the other.
///
/// An entry that is a digest takes 33 bytes: a byte that says what it is of, and the SHA-256. Others take a zero, a byte with
/// their length, and their line.
public struct LogEntries: Sendable, Equatable {
  public private(set) var bytes: [UInt8] = []
  public private(set) var count = 0

  public init() {}

  /// - Throws: a ``StoreFailure`` if `bytes` are no whole entries.
  public init(bytes: [UInt8]) throws(StoreFailure) {
    var place = 0
    while place < bytes.count {
      guard let end = Self.end(of: place, in: bytes) else { throw .damaged("entries of the log are damaged") }
      place = end
      count += 1
    }
    self.bytes = bytes
  }

  public var isEmpty: Bool { count == 0 }

  /// Makes room for so many entries that are digests.
  mutating func reserveCapacity(_ count: Int) { bytes.reserveCapacity(33 * count) }

  public mutating func append(_ entry: LogEntry) {
    count += 1
    switch entry {
    case .commit(let digest): append(1, digest)
    case .draw(let digest): append(2, digest)
    case .reveal(let digest): append(3, digest)
    case .keys, .root:
      let line = entry.bytes
      bytes.append(0)
      bytes.append(UInt8(line.count))
      bytes.append(contentsOf: line)
    }
  }

  private mutating func append(_ kind: UInt8, _ digest: LogDigest) {
    bytes.append(kind)
    digest.append(to: &bytes)
  }

  /// The entries, one after the other.
  ///
  /// - Throws: a ``StoreFailure`` for a text that is no entry, and what `body` throws.
  public func forEachEntry(_ body: (LogEntry) throws -> Void) throws {
    var place = 0
    while let end = Self.end(of: place, in: bytes) {
      guard let entry = Self.entry(bytes[place..<end]) else {
        throw StoreFailure.damaged("an entry of the log is damaged")
      }
      try body(entry)
      place = end
    }
  }

  /// The number of the entry of a draw; nil if it is not among them.
  public func firstIndex(ofDraw digest: LogDigest) -> Int? {
    let sought = digest.bytes
    var place = 0
    var number = 0
    while let end = Self.end(of: place, in: bytes) {
      if bytes[place] == 2, bytes[(place + 1)..<end].elementsEqual(sought) { return number }
      place = end
      number += 1
    }
    return nil
  }

  private static func entry(_ stored: ArraySlice<UInt8>) -> LogEntry? {
    guard let kind = stored.first else { return nil }
    if kind == 0 { return LogEntry(stored.dropFirst(2)) }
    guard let digest = try? LogDigest(bytes: stored.dropFirst()) else { return nil }
    return kind == 1 ? .commit(digest) : kind == 2 ? .draw(digest) : .reveal(digest)
  }

  /// Where the entry at `place` ends; nil if there is no whole one.
  private static func end(of place: Int, in bytes: [UInt8]) -> Int? {
    guard place < bytes.count, bytes[place] <= 3 else { return nil }
    guard bytes[place] == 0 else { return place + 33 <= bytes.count ? place + 33 : nil }
    guard place + 1 < bytes.count, bytes[place + 1] > 0 else { return nil }
    let end = place + 2 + Int(bytes[place + 1])
    return end <= bytes.count ? end : nil
  }
}

extension Commitment {
  package var logDigest: LogDigest {
    LogDigest(
      of: LogText.commitment(
        commitID: Array(id.description.utf8), serverHash: active.hash, created: created, expiresAt: expires))
  }
}

extension RevealedSeed {
  package func logDigest(_ clientSeed: ClientSeed) -> LogDigest {
    LogDigest(
      of: LogText.reveal(
        serverHash: hash, serverSeed: seed, clientSeed: clientSeed, cursor: cursor, nonce: nonce, revealed: revealed))
  }
}

extension Outcome {
  /// What the outcome's entry in the log is the digest of: see ``LogText``.
  ///
  /// - Parameter clientSeedDigest: the client seed's, if it is known.
  package func logText(_ shortID: [UInt8], clientSeedDigest: LogDigest? = nil) -> [UInt8] {
    LogText.outcome(
      shortID: shortID, created: created, endpoint: endpoint.name, serverHash: serverHash, cursor: cursor, nonce: nonce,
      clientSeed: clientSeed, clientSeedDigest: clientSeedDigest,
      items: items.map { [UInt8(ascii: "[")] + $0 + [UInt8(ascii: "]")] }, parameters: logParameters, value: value)
  }

  /// ``fields`` without the count, as a JSON object.
  private var logParameters: [UInt8] {
    // No field's text has such a name in it: what texts there are, encodings and notations, are the program's own.
    let name: StaticString = "\"count\":"
    return fields.withUnsafeBytes { fields in
      let sought = UnsafeRawPointer(name.utf8Start).loadUnaligned(as: UInt64.self)  // it has eight bytes
      let isCount = { fields.loadUnaligned(fromByteOffset: $0, as: UInt64.self) == sought }
      var start = (0..<max(0, fields.count - 7)).first(where: isCount) ?? fields.count
      var end = min(start + 8, fields.count)
      while end < fields.count, (0x30...0x39).contains(fields[end]) { end += 1 }
      // The comma before it goes with it, or else the one after it.
      if start > 0, end > start { start -= 1 } else if end < fields.count { end += 1 }
      var object: [UInt8] = [UInt8(ascii: "{")]
      object.reserveCapacity(fields.count + 2)
      object.append(contentsOf: UnsafeRawBufferPointer(rebasing: fields[..<start]))
      object.append(contentsOf: UnsafeRawBufferPointer(rebasing: fields[end...]))
      object.append(UInt8(ascii: "}"))
      return object
    }
  }
}
