/// A store that could not do what was asked. The reason is for the log, never for a client.
public struct StoreFailure: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: String, Sendable, CaseIterable {
    /// It may go away: a lock, a lost connection, a database that restarts. A retry makes sense.
    case passing
    /// The whole store stays as it is until its operator acts: the disk is full, the file is gone.
    case permanent
    /// The database has gone back to an earlier state: see ``LogHistory``. Nothing may be recorded.
    case rolledBack
    /// The system's random source has failed a test: see ``RandomSource``. Nothing may be drawn.
    case entropy
    /// What was asked for is damaged, and every retry finds it so. Everything else is served.
    case damaged
  }

  public let description: String
  public let kind: Kind
  /// Whether every group would have met it, whatever was in it. Else it may be about a single row.
  public let isOfWholeStore: Bool
  /// Whether the changes may have become durable all the same: a connection may break after a commit was sent.
  public let mayBeStored: Bool

  public init(
    _ description: String, kind: Kind = .passing, isOfWholeStore: Bool = false, mayBeStored: Bool = false
  ) {
    self.description = description
    self.kind = kind
    self.isOfWholeStore = isOfWholeStore || [.permanent, .rolledBack, .entropy].contains(kind)
    self.mayBeStored = mayBeStored
  }

  /// `error`, if it is a store's failure; else a failure that says what it says.
  public init(wrapping error: any Error) { self = error as? StoreFailure ?? .damaged("\(error)") }

  /// What the log says, which kind of failure it is included.
  public var logged: String { "\(kind.rawValue) failure: \(description)" }

  /// - Parameter description: names chain, account or endpoint by its number, never a client seed.
  public static func damaged(_ description: String) -> StoreFailure { StoreFailure(description, kind: .damaged) }
}

extension Refusal {
  /// What a client is told of a failure of the store's.
  public init(_ failure: StoreFailure) {
    switch failure.kind {
    case .passing:
      self.init(
        503, "The database could not be used; retry, with the same Idempotency-Key if there was one.",
        code: .unavailable, retryAfter: 1, fault: failure)
    case .permanent:
      self.init(
        503, "The server's storage has failed; its operator must repair it. Earlier responses are not affected.",
        code: .storageFailed, fault: failure)
    case .rolledBack:
      self.init(
        503,
        "The server's database has gone back to an earlier state. Nothing is drawn until its operator has begun a new era. "
          + "Earlier responses are not affected.",
        code: .logRolledBack, fault: failure)
    case .entropy:
      self.init(
        503,
        "The server's random source has failed a health test. Nothing is drawn until its operator has started the server "
          + "again. Earlier responses are not affected.",
        code: .entropyFailed, fault: failure)
    case .damaged:
      self.init(
        500, "A stored record that this request needs is damaged. Only the server's operator can repair it.",
        code: .damaged, fault: failure)
    }
  }
}
