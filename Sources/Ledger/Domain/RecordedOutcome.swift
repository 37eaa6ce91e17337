import Fairness

/// An outcome, and what has become of the server seed it was drawn from.
public struct RecordedOutcome: Sendable, Equatable {
  public let outcome: Outcome
  public let standing: SeedStanding

  public init(outcome: Outcome, standing: SeedStanding) {
    self.outcome = outcome
    self.standing = standing
  }
}

/// What may be known of the server seed of an outcome.
public enum SeedStanding: Sendable, Equatable {
  /// The chain has not been rotated since: it draws from a seed of this hash.
  case inUse(ServerHash)
  case revealed(RevealedSeed)
  /// The outcome is a test outcome, recorded under this id.
  case rehearsal(TestDrawID)
}
