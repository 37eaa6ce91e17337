/// An outcome as a day's Merkle tree holds it.
///
/// What was drawn is not in it: that follows from the server seed behind ``serverHash``, the client seed and the
/// coordinates.
public struct LogLeaf: Sendable, Equatable {
  public let clientSeed: ClientSeed
  public let cursor: Int64
  public let nonce: Int64
  /// The commitment the outcome was drawn under.
  public let serverHash: ServerHash
  /// When it was drawn, in milliseconds since 1970 UTC.
  public let created: Int64

  public init(clientSeed: ClientSeed, cursor: Int64, nonce: Int64, serverHash: ServerHash, created: Int64) {
    self.clientSeed = clientSeed
    self.cursor = cursor
    self.nonce = nonce
    self.serverHash = serverHash
    self.created = created
  }

  /// `clientSeed:cursor:nonce`
  public var outcomeID: [UInt8] { clientSeed.outcomeID(cursor: cursor, nonce: nonce) }

  /// `clientSeed:cursor:nonce|serverHash|clientSeed|created`: what is hashed.
  ///
  /// No two different leaves have the same text, whatever colons and bars their client seeds contain: the hash between
  /// the bars has 64 digits, and no cursor or nonce is long enough to be taken for a part of it.
  public var canonical: [UInt8] {
    var text = outcomeID
    text.append(UInt8(ascii: "|"))
    text.append(contentsOf: serverHash.hex)
    text.append(UInt8(ascii: "|"))
    text.append(contentsOf: clientSeed.bytes)
    text.append(UInt8(ascii: "|"))
    text.append(decimal: created)
    return text
  }

  public var hash: MerkleHash { .leaf(canonical) }
}

extension ClientSeed {
  /// `clientSeed:cursor:nonce`, the name of an outcome outside its server.
  public func outcomeID(cursor: Int64, nonce: Int64) -> [UInt8] {
    var text = bytes
    text.reserveCapacity(2 * bytes.count + 128)  // what a leaf's text adds too
    text.append(UInt8(ascii: ":"))
    text.append(decimal: cursor)
    text.append(UInt8(ascii: ":"))
    text.append(decimal: nonce)
    return text
  }
}

extension [UInt8] {
  fileprivate mutating func append(decimal number: Int64) { append(contentsOf: String(number).utf8) }
}
