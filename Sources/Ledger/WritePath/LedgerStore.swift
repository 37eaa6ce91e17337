import Fairness

/// Where the ledger lives.
///
/// The methods that write are synchronous, and are called from threads that have nothing else to do: all but
/// ``apply(_:overlapping:deciding:)`` block their thread until what they did is durable. The ones that only read may be
/// called from anywhere, at any time, beside a writer. What they show is durable.
public protocol LedgerStore: Sendable {
  /// The server seeds of its chains.
  var seeds: ChainSeeds { get }

  /// How many groups it can work on at once; ``LedgerWriter`` has as many threads. 1 for a store with a single writer.
  var concurrentGroups: Int { get }

  /// Loads what `needs` names, asks `decide`, stores what changed: one transaction.
  ///
  /// When it returns, the changes are applied: whatever is loaded afterwards rests on them. They are durable, so that
  /// they outlive the process and the power, when ``flush(_:)`` has returned, and nobody may be told of them, or of
  /// anything that the snapshot shows, before that. Between load and commit nothing that the snapshot shows can change.
  /// `decide` is called once, or again from a fresh snapshot if the database made the transaction start over; only the
  /// last decision counts.
  ///
  /// What cannot be loaded, a damaged row say, is in ``Snapshot/failures`` and fails nobody but who needs it.
  ///
  /// - Parameter overlapping: whether the next group is applied while this one is flushed. Else a store may wait for the
  ///   disk in here, where that takes less.
  /// - Returns: the decision, with its ``Decision/group``.
  /// - Throws: ``StoreFailure`` when nothing was stored, or when whether it was is not known.
  func apply(
    _ needs: Needs, overlapping: Bool, deciding decide: (Snapshot) -> Decision
  ) throws(StoreFailure) -> Decision

  /// Makes what was applied durable. Groups may be applied meanwhile.
  ///
  /// - Throws: ``StoreFailure`` when it is not known whether it is.
  func flush(_ applied: Decision) throws(StoreFailure)

  /// Deletes what has expired, a bounded number of each: idempotency records, and commitments that were never revealed
  /// and whose ``Commitment/afterlife`` is over.
  ///
  /// - Parameter retention: for how long idempotency records are kept.
  /// - Returns: whether there may be more.
  func sweepExpiredRecords(keeping retention: IdempotencyRetention) throws(StoreFailure) -> Bool

  /// Writes something small and makes it durable, to find out whether it can.
  func probe() throws(StoreFailure)

  /// Finds out, without writing, whether what is stored still goes where the store was opened; called every second.
  func checkPlace() throws(StoreFailure)

  /// The key with this SHA-256, revoked or not.
  func key(hash: [UInt8]) async throws(StoreFailure) -> APIKeyRecord?

  /// A page of a caller's recorded outcomes of one client seed, newest first. It ends early where outcomes are large: see
  /// ``OutcomePage/maximumBytes``. Beyond a page, nothing is read into memory.
  ///
  /// - Parameters:
  ///   - limit: 1 or more.
  ///   - withReveals: whether those that were revealed from commitments, and imported ones, are among them; those of test
  ///     mode never are. Coordinates then do not name one place in the list; ``OutcomeListStart/afterShortID(_:)`` does.
  func outcomes(
    of caller: Caller, clientSeed: ClientSeed, from start: OutcomeListStart, limit: Int, withReveals: Bool
  ) async throws(StoreFailure) -> OutcomePage

  /// A page of all outcomes of a caller's account, of its live keys or its test keys, whatever their client seeds.
  ///
  /// - Parameters:
  ///   - caller: not an anonymous one.
  ///   - endpoint: only outcomes of this endpoint; nil for all.
  ///   - limit: 1 or more.
  func outcomes(
    of caller: Caller, _ side: OutcomeSide, endpoint: Endpoint?, limit: Int
  ) async throws(StoreFailure) -> AccountOutcomePage

  /// The row numbers of a caller's outcomes of one client seed that are newer than some coordinates, the oldest first. Of
  /// more than `limit`, the newest.
  func outcomeNumbers(
    of caller: Caller, clientSeed: ClientSeed, newerThan last: (cursor: Int64, nonce: Int64), limit: Int
  ) async throws(StoreFailure) -> [Int64]

  /// One recorded outcome of a caller's: drawn here, or else imported.
  func outcome(
    of caller: Caller, clientSeed: ClientSeed, cursor: Int64, nonce: Int64
  ) async throws(StoreFailure) -> Outcome?

  /// A page of the outcomes that were drawn from the server seed of this hash with a client seed, whosever they are, newest
  /// first; nil if there is no such chain.
  ///
  /// - Parameters:
  ///   - nonce: leaves out those with this nonce and later ones.
  ///   - limit: 1 or more.
  func outcomes(
    drawnFrom serverHash: ServerHash, clientSeed: ClientSeed, before nonce: Int64, limit: Int
  ) async throws(StoreFailure) -> OutcomePage?

  /// The outcome of this row number, anyone's, live or test, with what has become of its server seed; nil if there is none.
  ///
  /// - Parameter id: any number at all.
  func recordedOutcome(id: Int64) async throws(StoreFailure) -> RecordedOutcome?

  /// The outcome of this name: as ``recordedOutcome(id:)``, or else one that was imported.
  ///
  /// - Parameter shortID: any text at all.
  func recordedOutcome(shortID: [UInt8]) async throws(StoreFailure) -> RecordedOutcome?

  /// Whether any chain of this client seed has drawn or draws from a server seed of this hash, or any test outcome or
  /// imported outcome did.
  func isKnown(_ serverHash: ServerHash, clientSeed: ClientSeed) async throws(StoreFailure) -> Bool

  /// How many accounts there are that are not deleted, and live outcomes ever.
  func totals() async throws(StoreFailure) -> (accounts: Int, liveOutcomes: Int)

  /// The record of an idempotency key, expired or not, with its answer; nil if there is none.
  func idempotencyRecord(_ scope: IdempotencyScope) async throws(StoreFailure) -> IdempotencyRecord?

  /// How many bytes the whole database takes, about.
  func size() async throws(StoreFailure) -> Int64

  /// Reads something small, for a health check.
  func ping() async throws(StoreFailure)
}

extension LedgerStore {
  /// Applies a group and makes it durable.
  package func commit(_ needs: Needs, deciding decide: (Snapshot) -> Decision) throws(StoreFailure) -> Decision {
    let decision = try apply(needs, overlapping: false, deciding: decide)
    try flush(decision)
    return decision
  }

  public func flush(_ applied: Decision) throws(StoreFailure) {}

  public func checkPlace() throws(StoreFailure) {}
}
