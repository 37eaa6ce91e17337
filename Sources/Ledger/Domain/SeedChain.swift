import Fairness

/// Whose chains and commitments: an account's, the ones that all anonymous callers share, or nobody's, which commitments
/// become when they are revealed.
public struct ChainOwner: Hashable, Comparable, Sendable {
  public let rawValue: Int64
  public init(_ rawValue: Int64) { self.rawValue = rawValue }
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  public static let anonymous = ChainOwner(0)

  /// All live keys of an account share its chains. Test keys have none, and their commitments are apart: under the
  /// account's number with its sign turned.
  public init(_ account: AccountID, _ mode: Mode) {
    self.init(mode == .live ? account.rawValue : -account.rawValue)
  }

  /// The owner of the chain that a commitment becomes: nobody, so that nobody draws from it again.
  static func nobody(chain: Int64) -> ChainOwner { ChainOwner(-chain) }
  public var isNobody: Bool { rawValue < 0 }
}

/// What a chain is found by. Identity is bytes: client seeds that only look alike are different chains.
public struct ChainKey: Hashable, Comparable, Sendable {
  public let owner: ChainOwner
  public let clientSeed: ClientSeed

  public init(owner: ChainOwner, clientSeed: ClientSeed) {
    self.owner = owner
    self.clientSeed = clientSeed
  }

  public static func < (a: Self, b: Self) -> Bool {
    a.owner != b.owner ? a.owner < b.owner : a.clientSeed < b.clientSeed
  }
}

/// A server seed in use, with what every draw from it needs worked out once: its hash and its keyed HMAC.
public final class ActiveSeed: Sendable {
  public let seed: ServerSeed
  public let hash: ServerHash
  public let streamKey: StreamKey

  public init(_ seed: ServerSeed) {
    self.seed = seed
    hash = seed.hash
    streamKey = StreamKey(seed)
  }
}

/// A secret server seed and the coordinates its next draw will use.
///
/// No (chain, cursor, nonce) is used twice and no nonce is skipped: a draw takes the nonce and moves it on by one,
/// in the transaction that records the outcome.
///
/// A group of draws hands chains on from one to the next all the time. What a draw does not change is shared by all copies.
public struct SeedChain: Sendable {
  private final class Fixed: Sendable {
    let id: Int64
    let key: ChainKey
    let clientSeedDigest: LogDigest
    let era: Int64
    let epoch: Int
    let active: ActiveSeed
    let created: Milliseconds

    init(
      _ id: Int64, _ key: ChainKey, _ clientSeedDigest: LogDigest, era: Int64, epoch: Int, _ active: ActiveSeed,
      _ created: Milliseconds
    ) {
      (self.id, self.key, self.clientSeedDigest) = (id, key, clientSeedDigest)
      (self.era, self.epoch, self.active, self.created) = (era, epoch, active, created)
    }
  }

  private var fixed: Fixed
  public var cursor: Int64
  public var nonce: Int64

  public var id: Int64 { fixed.id }
  public var key: ChainKey { fixed.key }
  /// What the log says of the client seed.
  var clientSeedDigest: LogDigest { fixed.clientSeedDigest }
  /// The installation's era in which its server seed came into use.
  public var era: Int64 { fixed.era }
  /// How often the chain was rotated: 0 for its first server seed.
  public var epoch: Int { fixed.epoch }
  public var active: ActiveSeed { fixed.active }
  public var created: Milliseconds { fixed.created }

  /// The most that a cursor, a nonce or an epoch can be: what JSON numbers hold exactly. Nobody counts that far, so a row
  /// that says more is damaged.
  public static let largestCoordinate: Int64 = 1 << 53 - 1

  public init(
    id: Int64, key: ChainKey, era: Int64, epoch: Int, active: ActiveSeed, cursor: Int64, nonce: Int64,
    created: Milliseconds
  ) {
    fixed = Fixed(id, key, LogDigest(of: key.clientSeed.bytes), era: era, epoch: epoch, active, created)
    self.cursor = cursor
    self.nonce = nonce
  }

  /// Gives the chain its next server seed. Its coordinates go on, so that none is ever used twice.
  mutating func rotate(with seeds: ChainSeeds) {
    cursor = Era.cursor(cursor, from: era, to: seeds.era)
    let seed = seeds.seed(of: key, era: seeds.era, epoch: epoch + 1)
    fixed = Fixed(id, key, clientSeedDigest, era: seeds.era, epoch: epoch + 1, seed, created)
  }
}
