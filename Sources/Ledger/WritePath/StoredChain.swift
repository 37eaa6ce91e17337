/// A chain as a store has it, and how its outcomes are linked.
public struct StoredChain: Sendable {
  public let chain: SeedChain
  public private(set) var trail: OutcomeTrail
  /// The nonce that the next outcome must have, and the least cursor: no coordinate is used twice, no nonce skipped.
  private var next: (cursor: Int64, nonce: Int64)

  public init(_ chain: SeedChain, _ trail: OutcomeTrail) {
    self.chain = chain
    self.trail = trail
    next = (chain.cursor, chain.nonce)
  }

  /// A chain that does not exist yet, where every chain begins.
  public init(new chain: SeedChain) {
    var chain = chain
    (chain.cursor, chain.nonce) = (0, 0)
    self.init(chain, OutcomeTrail())
  }

  /// What the outcome's row is to say of those before it; nil if it does not follow on them.
  public mutating func append(_ outcome: Outcome) -> OutcomeTrail.Links? {
    guard outcome.nonce == next.nonce, outcome.cursor >= next.cursor else { return nil }
    next = (outcome.cursor, outcome.nonce + 1)
    return trail.append(outcome.id)
  }

  /// Whether what was appended leads to where `moved` stands: a chain moves by what is drawn from it, and its cursor by
  /// itself.
  public func leads(to moved: SeedChain) -> Bool { next.nonce == moved.nonce && next.cursor <= moved.cursor }
}
