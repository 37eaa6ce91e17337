import Ledger

/// The changes of a group, held against the chains they were decided from: what every store makes sure of before it writes.
///
/// A chain moves by what is drawn from it and by nothing else, so no coordinate is used twice and no nonce is skipped,
/// whoever decided the group.
public struct GroupStorage: Sendable {
  public let changes: Changes
  /// What the rows of the outcomes say of those before them: one for each outcome.
  public let links: [OutcomeTrail.Links]
  private let chains: [Int64: StoredChain]
  private let vault: Vault

  /// - Parameter chains: the chains that were there, as they are stored, by their numbers.
  /// - Throws: a ``StoreFailure`` if an outcome does not follow on what its chain holds.
  public init(_ changes: Changes, over chains: [Int64: StoredChain], _ vault: Vault) throws(StoreFailure) {
    var chains = chains
    for chain in changes.newChains { chains[chain.id] = StoredChain(new: chain) }
    var links: [OutcomeTrail.Links] = []
    links.reserveCapacity(changes.outcomes.count)
    for outcome in changes.outcomes {
      guard let found = chains[outcome.chain]?.append(outcome) else {
        throw StoreFailure("outcome \(outcome.id) does not follow on what its chain holds")
      }
      links.append(found)
    }
    self.changes = changes
    self.links = links
    self.chains = chains
    self.vault = vault
  }

  /// A new or changed chain as it was, with the trail it has now.
  ///
  /// - Throws: a ``StoreFailure`` unless what was drawn from it leads to where it stands.
  public func before(_ chain: SeedChain) throws(StoreFailure) -> StoredChain {
    guard let known = chains[chain.id], known.leads(to: chain) else {
      throw StoreFailure("chain \(chain.id) has not moved by what was drawn from it")
    }
    return known
  }

  /// The trail of a chain as the group leaves it.
  public func trail(of chain: Int64) -> OutcomeTrail? { chains[chain]?.trail }

  public func owner(of chain: Int64) throws(StoreFailure) -> Int64 {
    guard let stored = chains[chain] else { throw StoreFailure("chain \(chain) has changed and was not asked for") }
    return stored.chain.key.owner.rawValue
  }

  /// The commitment's server seed as its row holds it.
  public func seal(_ commitment: Commitment) throws -> [UInt8] {
    try vault.seal(commitment.active.seed, chain: commitment.chain)
  }
}

/// The time that groups are recorded at. It never goes back: a clock that is set back, or a standby's that is behind, must
/// not put an outcome before its predecessor or into a day that is sealed.
public struct RecordedTime: Sendable {
  private var latest: Milliseconds = 0

  public init() {}

  /// The time now: `moment`, unless it was later before.
  public mutating func reach(_ moment: Milliseconds) -> Milliseconds {
    latest = max(latest, moment)
    return latest
  }
}
