import Fairness

/// Entries of the continuous log as stores hold them, one after the other.
///
/// An entry that is a digest takes 33 bytes: a byte that says what it is of, and the SHA-256. Others take a zero, a byte with
/// their length, and their line.
public struct LogEntries: Sendable, Equatable {
  public private(set) var bytes: [UInt8] = []
  public private(set) var count = 0

  public init() {}

  public init(_ entry: LogEntry) { append(entry) }

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

  /// Moves on through the entries by up to `count` of them.
  ///
  /// - Parameter place: how many of ``bytes`` were passed before, and then how many are passed with these.
  package func next(_ count: Int, from place: inout Int) -> LogEntries {
    let start = place
    var part = LogEntries()
    while part.count < count, let end = Self.end(of: place, in: bytes) {
      place = end
      part.count += 1
    }
    part.bytes = Array(bytes[start..<place])
    return part
  }

  package mutating func append(_ others: LogEntries) {
    bytes += others.bytes
    count += others.count
  }

  /// Appends the hashes of the leaves that the entries are in the log's tree, 32 bytes each.
  ///
  /// - Throws: a ``StoreFailure`` for a text that is no entry.
  package func appendLeaves(to hashes: inout [UInt8]) throws(StoreFailure) {
    hashes.reserveCapacity(hashes.count + count * MerkleHash.size)
    var place = 0
    while let end = Self.end(of: place, in: bytes) {
      let word: StaticString
      switch bytes[place] {
      case 1: word = "commit "
      case 2: word = "draw "
      case 3: word = "reveal "
      default:
        guard let entry = Self.entry(bytes[place..<end]) else { throw .damaged("an entry of the log is damaged") }
        hashes += MerkleHash.leaf(entry.bytes).bytes
        place = end
        continue
      }
      bytes.withUnsafeBytes {
        LogEntry.append(leafOf: word, UnsafeRawBufferPointer(rebasing: $0[(place + 1)..<end]), to: &hashes)
      }
      place = end
    }
  }

  /// The hashes of the leaves that the entries are.
  ///
  /// - Throws: as ``appendLeaves(to:)``.
  package func leaves() throws(StoreFailure) -> [UInt8] {
    var hashes: [UInt8] = []
    try appendLeaves(to: &hashes)
    return hashes
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
  package func logText(_ shortID: [UInt8]) -> [UInt8] {
    var text: [UInt8] = []
    append(logText: shortID, to: &text)
    return text
  }

  /// Appends ``logText(_:)``.
  ///
  /// - Parameter clientSeedDigest: the client seed's, if it is known.
  func append(logText shortID: [UInt8], clientSeedDigest: LogDigest? = nil, to text: inout [UInt8]) {
    LogText.append(
      outcome: shortID, created: created, endpoint: endpoint.name, serverHash: serverHash, cursor: cursor, nonce: nonce,
      clientSeed: clientSeed, clientSeedDigest: clientSeedDigest,
      items: items.map { [UInt8(ascii: "[")] + $0 + [UInt8(ascii: "]")] }, fields: fields, count: placeOfCount,
      value: value, to: &text)
  }

  /// Where the count is in ``fields``, with a comma beside it.
  private var placeOfCount: Range<Int> {
    // No field's text has such a name in it: what texts there are, encodings and notations, are the program's own.
    let name: StaticString = "\"count\":"
    return fields.withUnsafeBytes { fields in
      let sought = UnsafeRawPointer(name.utf8Start).loadUnaligned(as: UInt64.self)  // it has eight bytes
      // It is the last one of most generators.
      var start = fields.count - 8
      while start >= 0, fields.loadUnaligned(fromByteOffset: start, as: UInt64.self) != sought { start -= 1 }
      guard start >= 0 else { return 0..<0 }
      var end = start + 8
      while end < fields.count, (0x30...0x39).contains(fields[end]) { end += 1 }
      // The comma before it goes with it, or else the one after it.
      if start > 0 { return start - 1..<end }
      return start..<min(end + 1, fields.count)
    }
  }
}
