import Fairness
import Foundation

/// The public name of a commitment: a random UUID (RFC 9562, version 4).
public struct CommitID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The UUID's 16 bytes.
  public let bytes: [UInt8]

  /// - Precondition: there are 16 bytes.
  public init(bytes: [UInt8]) {
    precondition(bytes.count == 16)
    self.bytes = bytes
  }

  /// The UUID that `text` spells, in either case; nil for anything else.
  public init?(_ text: String) {
    guard let uuid = UUID(uuidString: text) else { return nil }
    bytes = withUnsafeBytes(of: uuid.uuid) { Array($0) }
  }

  init(using generator: inout some RandomNumberGenerator) {
    var bytes: [UInt8] = []
    for _ in 0..<2 {
      withUnsafeBytes(of: UInt64.random(in: .min ... .max, using: &generator)) { bytes.append(contentsOf: $0) }
    }
    bytes[6] = bytes[6] & 0x0F | 0x40
    bytes[8] = bytes[8] & 0x3F | 0x80
    self.init(bytes: bytes)
  }

  /// Lowercase, with hyphens.
  public var description: String {
    let uuid = bytes.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
    return uuid.uuidString.lowercased()
  }

  public static func < (a: Self, b: Self) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

/// A server seed that its caller may use for one draw and then sees: commit–reveal.
///
/// When it is revealed it becomes a chain of a single outcome, which nobody can draw from again.
public struct Commitment: Sendable {
  public let id: CommitID
  /// The number set aside for the chain it becomes.
  public let chain: Int64
  /// Who made it, and alone may reveal it.
  public let owner: ChainOwner
  public let active: ActiveSeed
  public let created: Milliseconds
  public let expires: Milliseconds
  /// What became of it; nil as long as it was not revealed.
  public var use: Use?

  /// The one draw that a commitment is good for.
  public struct Use: Sendable, Equatable {
    public let outcome: Int64
    public let clientSeed: ClientSeed
    public let revealed: Milliseconds

    public init(outcome: Int64, clientSeed: ClientSeed, revealed: Milliseconds) {
      self.outcome = outcome
      self.clientSeed = clientSeed
      self.revealed = revealed
    }
  }

  public init(
    id: CommitID, chain: Int64, owner: ChainOwner, active: ActiveSeed, created: Milliseconds, expires: Milliseconds,
    use: Use? = nil
  ) {
    self.id = id
    self.chain = chain
    self.owner = owner
    self.active = active
    self.created = created
    self.expires = expires
    self.use = use
  }

  /// A commitment as a store's columns hold it.
  ///
  /// - Throws: a ``StoreFailure`` if they are none that this program wrote.
  public init(
    id: CommitID, chain: Int64, owner: Int64, sealedSeed: [UInt8], created: Milliseconds, expires: Milliseconds,
    outcome: Int64?, clientSeed: [UInt8]?, revealed: Milliseconds?, vault: Vault
  ) throws(StoreFailure) {
    let damage = StoreFailure.damaged("the row of the commitment of chain \(chain) is damaged")
    guard chain > 0, created.isPlausible, expires.isPlausible else { throw damage }
    var use: Use?
    switch (outcome, clientSeed, revealed) {
    case (nil, nil, nil): break
    case (let outcome?, let clientSeed?, let revealed?):
      guard ShortIDs.numbers.contains(outcome), revealed.isPlausible else { throw damage }
      do { use = Use(outcome: outcome, clientSeed: try ClientSeed(clientSeed), revealed: revealed) } catch {
        throw damage
      }
    default: throw damage
    }
    self.init(
      id: id, chain: chain, owner: ChainOwner(owner), active: try vault.openSeed(sealedSeed, chain: chain),
      created: created, expires: expires, use: use)
  }

  /// How long one that was never revealed is kept after it expired, to be told from one that never was.
  public static let afterlife: Milliseconds = 24 * 3600 * 1000

  public func isExpired(at now: Milliseconds) -> Bool { now >= expires }

  /// The chain it becomes when it is revealed with `clientSeed`.
  func chain(clientSeed: ClientSeed) -> SeedChain {
    SeedChain(
      id: chain, key: ChainKey(owner: .nobody(chain: chain), clientSeed: clientSeed), era: 0, epoch: 0,
      active: active, cursor: 0, nonce: 0, created: created)
  }
}
