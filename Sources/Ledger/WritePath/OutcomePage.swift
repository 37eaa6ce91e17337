import Fairness

/// Where a list of outcomes begins, the newest being first.
public enum OutcomeListStart: Sendable {
  case newest
  /// With the newest that is older than these coordinates.
  case before(cursor: Int64, nonce: Int64)
  /// With the one that follows the outcome of this ``Outcome/id``. A list that does not have it is empty.
  case after(Int64)
  /// The same, for the outcome of this name.
  case afterShortID([UInt8])
}

/// Some of a list of outcomes: so many as were asked for, or fewer where they are large.
public struct OutcomePage: Sendable {
  public private(set) var outcomes: [Outcome] = []
  /// Whether the list goes on after them.
  public var hasMore = false
  /// What ``outcomes`` take in memory, about.
  public private(set) var bytes = 0
  private let limit: Int

  /// A page takes no further outcome when it has so many bytes.
  public static let maximumBytes = 512 << 10

  /// - Parameter limit: the most outcomes; 1 or more.
  public init(limit: Int) {
    precondition(limit > 0)
    self.limit = limit
  }

  /// One list of two, newest first; of outcomes that were drawn at the same time, those of `drawn` first.
  public init(merging drawn: OutcomePage, _ revealed: OutcomePage) {
    self.init(limit: drawn.limit)
    var (a, b) = (drawn.outcomes[...], revealed.outcomes[...])
    while !isFull {
      // What comes next where a page has ended is not known.
      if a.isEmpty && drawn.hasMore || b.isEmpty && revealed.hasMore { break }
      guard let next = a.first?.created ?? .min >= b.first?.created ?? .min ? a.popFirst() : b.popFirst() else { break }
      append(next)
    }
    hasMore = !a.isEmpty || !b.isEmpty || drawn.hasMore || revealed.hasMore
  }

  /// The first of them, as long as `isIn`: where one is not, the list is over.
  public func prefix(while isIn: (Outcome) -> Bool) -> OutcomePage {
    var page = OutcomePage(limit: limit)
    for outcome in outcomes.prefix(while: isIn) { page.append(outcome) }
    page.hasMore = hasMore && page.outcomes.count == outcomes.count
    return page
  }

  public var isFull: Bool { outcomes.count >= limit || bytes >= Self.maximumBytes }

  public mutating func append(_ outcome: Outcome) {
    bytes += outcome.bytes
    outcomes.append(outcome)
  }
}

extension LedgerStore {
  /// Hands a caller's recorded outcomes of one client seed to `body`, newest first, reading a page at a time.
  ///
  /// - Parameters:
  ///   - limit: the most outcomes; 1 or more.
  ///   - most: how many to read at once, at most.
  ///   - withReveals: whether those that were revealed from commitments are among them.
  ///   - reserve: called before a page is read; what it returns is held as long as the page is in memory.
  public func forEachOutcome(
    of caller: Caller, clientSeed: ClientSeed, from start: OutcomeListStart = .newest, limit: Int = .max,
    page most: Int = 1000, withReveals: Bool = true,
    reserve: () async throws -> MemoryBudget.Reservation? = { nil },
    _ body: (Outcome) async throws -> Void
  ) async throws {
    var start = start
    var left = limit
    while true {
      let reservation = try await reserve()
      let page = try await outcomes(
        of: caller, clientSeed: clientSeed, from: start, limit: min(left, most), withReveals: withReveals)
      reservation?.shrink(to: 2 * page.bytes)
      for outcome in page.outcomes { try await body(outcome) }
      withExtendedLifetime(reservation) {}
      left -= page.outcomes.count
      guard page.hasMore, left > 0, let last = page.outcomes.last else { return }
      start = .after(last.id)
    }
  }
}
