/// For how long the answers under idempotency keys are kept.
public struct IdempotencyRetention: Sendable, Equatable {
  /// Nil is for ever.
  public let lifetime: Milliseconds?

  /// - Parameter lifetime: ``shortest`` to ``longest``; nil is for ever.
  public init?(_ lifetime: Milliseconds?) {
    if let lifetime, !(Self.shortest...Self.longest).contains(lifetime) { return nil }
    self.lifetime = lifetime
  }

  private init(kept lifetime: Milliseconds?) { self.lifetime = lifetime }

  private static let hour: Milliseconds = 3_600_000

  /// A day: clients have been told that they may retry for so long.
  public static let shortest = 24 * hour
  /// A hundred years.
  public static let longest = 36_500 * 24 * hour

  public static let week = IdempotencyRetention(kept: 7 * 24 * hour)
  public static let forever = IdempotencyRetention(kept: nil)

  /// Until when what was kept at `created` is; nil for ever.
  public func end(of created: Milliseconds) -> Milliseconds? { lifetime.map { created + $0 } }

  /// Whether what was kept at `created` has expired.
  public func isOver(_ created: Milliseconds, at now: Milliseconds) -> Bool {
    lifetime.map { now - created >= $0 } ?? false
  }

  /// What was kept until then has expired by `now`; nil if nothing ever does.
  public func limit(at now: Milliseconds) -> Milliseconds? { lifetime.map { now - $0 } }
}
