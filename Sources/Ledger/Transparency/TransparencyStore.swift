import Fairness

/// Where the daily log lives: beside the ledger, in the same database.
///
/// How a day gets into the log:
///
/// 1. ``openDay(_:)`` seals it. From then on no outcome of that day, or of an earlier one, can be recorded.
/// 2. Its leaves are read and its tiles and places written, in many small steps. All of that follows from the outcomes
///    alone. So a publication that was cut short is simply done again, and two servers that publish the same day at the
///    same time write the same things twice. Nothing of it can be read yet.
/// 3. ``DayDraft/publish(_:)`` makes the day visible, whole, in one transaction that is the first to do so; whoever comes
///    later is given what the first one published. A published day never changes.
///
/// Days are published in order and without a gap, from the first that has an outcome.
public protocol TransparencyStore: Sendable {
  // MARK: Publishing. These methods block, and are called from a thread that has nothing else to do.

  /// The day whose turn it is: the one after the last that is published; before any is, the day of the first outcome;
  /// nil if there is none.
  func nextDay() throws(StoreFailure) -> Day?

  /// Seals a day and begins its draft.
  ///
  /// Once this returns, no outcome whose `created` is before the end of the day can become durable any more, in no server
  /// of this database, whatever their clocks do, and also after a restart. (A store whose groups overlap waits here for
  /// those that have taken their time from before.)
  ///
  /// - Throws: ``DayNotOver``, by the database's clock; ``StoreFailure``.
  func openDay(_ day: Day) throws -> any DayDraft

  // MARK: Reading. From anywhere, at any time. Only what is published is seen.

  /// Published days, newest first.
  ///
  /// - Parameters:
  ///   - before: leaves out this day and later ones.
  ///   - limit: 1 or more.
  func publishedDays(before: Day?, limit: Int) async throws(StoreFailure) -> [PublishedDay]

  func publishedDay(_ day: Day) async throws(StoreFailure) -> PublishedDay?

  /// Finds a live outcome and, if its day is published, what its proof is made from.
  func find(_ reference: OutcomeReference) async throws(StoreFailure) -> FoundOutcome?

  /// The first outcome of a day, in the order of its tree, that was drawn with a client seed at some coordinates, whoever
  /// drew it; nil if there is none, or the day is not published.
  func first(
    of clientSeed: ClientSeed, cursor: Int64, nonce: Int64, on day: Day
  ) async throws(StoreFailure) -> FoundOutcome?

  /// Tiles of leaf hashes of a published day, from number `first` on: as many as `limit`, or fewer at the end.
  func leafTiles(of day: Day, first: Int, limit: Int) async throws(StoreFailure) -> [MerkleTile]

  /// An account's own live outcomes of a published day, in the order they were drawn, a bounded number at a time.
  ///
  /// - Parameter after: where to go on: what the call before returned as `next`; nil at first.
  /// - Returns: some of them, none perhaps, and where to go on; nil if that was all.
  func leaves(
    of account: AccountID, on day: Day, after: Int64?
  ) async throws(StoreFailure) -> (leaves: [PlacedLeaf], next: Int64?)
}

/// A sealed day on its way into the log. Used by one thread, but for ``interrupt()``.
public protocol DayDraft: AnyObject, Sendable {
  /// The next leaves of the day, in the order of the tree: by the bytes of the client seed, cursor, nonce, and short id.
  ///
  /// - Returns: up to `limit` of them; none when all have been given.
  /// - Throws: ``StoreFailure``, also after ``interrupt()``, and for an outcome whose server hash is not to be found.
  func nextLeaves(limit: Int) throws(StoreFailure) -> [LogLeaf]

  /// Keeps some tiles, in one transaction: a few dozen at a time, so that draws are not held up. Does nothing if the day is
  /// published already.
  func keep(_ tiles: [MerkleTile]) throws(StoreFailure)

  /// Keeps the places in the tree of some of the day's outcomes, in a transaction as short. Called until it returns false,
  /// after all leaves have been given.
  ///
  /// - Returns: whether there are more.
  func keepPlaces() throws(StoreFailure) -> Bool

  /// Makes the day visible, unless it is already: asks `make` what to publish, given the root of the day before, and stores
  /// that in the same transaction.
  ///
  /// - Returns: the day as it is published, be it by this call or by another one before.
  /// - Throws: ``StoreFailure``, also if the day before is not published and this is not the first of all.
  func publish(_ make: (_ previousRoot: MerkleHash?) throws -> PublishedDay) throws(StoreFailure) -> PublishedDay

  /// Makes what is running end soon, by throwing. May be called from any thread.
  func interrupt()
}

/// A day cannot be published before it is over.
public struct DayNotOver: Error, Sendable, Equatable, CustomStringConvertible {
  public let day: Day
  public init(_ day: Day) { self.day = day }
  public var description: String { "\(day) is not over yet (days end at midnight UTC)" }
}
