import Fairness

/// An outcome, and what has become of the server seed it was drawn from.
public struct RecordedOutcome: Sendable, Equatable {
  public let outcome: Outcome
  public let state: SeedState
  /// What its chain draws next; nil for an outcome that has no chain which goes on.
  public let next: NextDraw?
  /// Whose its chain is; nil for a test outcome.
  public let owner: ChainOwner?

  public init(outcome: Outcome, state: SeedState, next: NextDraw? = nil, owner: ChainOwner? = nil) {
    self.owner = owner
    self.outcome = outcome
    self.state = state
    self.next = next
  }
}

/// What is told of a chain's next draw beforehand.
public struct NextDraw: Sendable, Equatable {
  public let serverHash: ServerHash
  public let cursor: Int64
  public let nonce: Int64

  public init(serverHash: ServerHash, cursor: Int64, nonce: Int64) {
    self.serverHash = serverHash
    self.cursor = cursor
    self.nonce = nonce
  }
}

/// What may be known of the server seed of an outcome.
public enum SeedState: Sendable, Equatable {
  /// The chain has not been rotated since: it draws from a seed of this hash.
  case inUse(ServerHash)
  case revealed(RevealedSeed)
  /// The outcome is a test outcome, recorded under this id.
  case rehearsal(TestDrawID)
  /// The outcome was imported, with its server seed or without.
  case imported(ServerSeed?)
}
