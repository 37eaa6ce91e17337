import Fairness

/// A server seed that is no secret any more: its chain was rotated, or it was committed to and revealed.
public struct RevealedSeed: Sendable, Equatable {
  public let chain: Int64
  /// Whose the chain is.
  public let owner: ChainOwner
  /// See ``SeedChain/era``.
  public let era: Int64
  /// Which of the chain's server seeds it is: see ``SeedChain/epoch``.
  public let epoch: Int
  public let seed: ServerSeed
  /// What was published of it before.
  public let hash: ServerHash
  /// Where the chain stood when it was revealed: no draw at or after this was made from it.
  public let cursor: Int64
  public let nonce: Int64
  public let revealed: Milliseconds

  public init(
    chain: Int64, owner: ChainOwner, era: Int64, epoch: Int, seed: ServerSeed, hash: ServerHash, cursor: Int64,
    nonce: Int64, revealed: Milliseconds
  ) {
    self.chain = chain
    self.owner = owner
    self.era = era
    self.epoch = epoch
    self.seed = seed
    self.hash = hash
    self.cursor = cursor
    self.nonce = nonce
    self.revealed = revealed
  }

  init(_ chain: SeedChain, at now: Milliseconds) {
    self.init(
      chain: chain.id, owner: chain.key.owner, era: chain.era, epoch: chain.epoch, seed: chain.active.seed,
      hash: chain.active.hash, cursor: chain.cursor, nonce: chain.nonce, revealed: now)
  }
}
