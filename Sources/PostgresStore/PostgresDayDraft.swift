import Fairness
import Ledger
import SQLStore
import Synchronization

/// A day's leaves, sorted by PostgreSQL and read through a cursor, on a connection and in a transaction of their own.
/// Their places are kept in a temporary table of that transaction until they go into the log.
final class PostgresDayDraft: SQLDayDraft {
  let store: PostgresStore
  let day: Day
  private let state: Mutex<State>
  /// Ends what the connection is doing.
  private let canceller: Canceller?
  private let isInterrupted = Mutex(false)

  private struct State {
    let session: PostgresSession
    var hasBegun = false
    var isAtEnd = false
    /// Leaves that were read and not given yet.
    var ready: [Leaf] = []
    /// Those of the same coordinates, whose order is not known before all of them are there.
    var equals: [Leaf] = []
    var given: Int64 = 0
    var arePlacesSorted = false
  }

  private struct Leaf {
    let outcome: Int64
    let leaf: LogLeaf
  }

  private static let rowsAtOnce: Int64 = 5_000
  private static let placesAtOnce: Int64 = 4_000
  /// Sorting a large day takes its time.
  private static let timeout = Duration.seconds(3600)

  init(store: PostgresStore, day: Day) throws {
    self.store = store
    self.day = day
    let session = PostgresSession(
      target: store.target,
      settings: SessionSettings(changing: [
        "statement_timeout": "0", "idle_in_transaction_session_timeout": "1h", "enable_seqscan": "on",
        "enable_hashjoin": "on", "plan_cache_mode": "force_custom_plan",
      ]))
    canceller = try session.open().canceller()
    state = Mutex(State(session: session))
  }

  func nextLeaves(limit: Int) throws(StoreFailure) -> [LogLeaf] {
    try failing { state, connection in
      if !state.hasBegun {
        let dialect = Dialect.postgres
        try connection.run([
          Query(.begin),
          Query("CREATE TEMPORARY TABLE draft_places (outcome_id bigint, leaf bigint) ON COMMIT DROP"),
          Query(
            PostgresStatement(
              name: "declare-leaves",
              sql: """
                DECLARE leaves NO SCROLL CURSOR FOR
                SELECT \(dialect.leafColumns.text) FROM \(SQLStatement.outcomesByTime.text)
                  LEFT JOIN \(dialect.chainOfOutcome.text)
                WHERE u.created >= \(day.start) AND u.created < \(day.end)
                ORDER BY c.client_seed, o.cursor, o.nonce
                """)),
        ])
        state.hasBegun = true
      }
      while state.ready.count < limit, !state.isAtEnd { try read(&state, connection) }
      let next = Array(state.ready.prefix(limit))
      state.ready.removeFirst(next.count)
      if !next.isEmpty {
        let given = state.given
        try connection.run([
          Query("INSERT INTO draft_places SELECT * FROM unnest($1::bigint[], $2::bigint[])") {
            $0.bind(next.map(\.outcome))
            $0.bind(given..<(given + Int64(next.count)))
          }
        ])
        state.given += Int64(next.count)
      }
      return next.map(\.leaf)
    }
  }

  private func read(_ state: inout State, _ connection: Connection) throws {
    let rows = try connection.run(
      [Query("FETCH \(Self.rowsAtOnce) FROM leaves")], timeout: Self.timeout)[0]
    for row in 0..<rows.count {
      let leaf = Leaf(outcome: rows.integer(row, 0), leaf: try LogLeaf(rows.columns(row)))
      if let first = state.equals.first, !Self.sameCoordinates(first.leaf, leaf.leaf) { settle(&state) }
      state.equals.append(leaf)
    }
    if rows.count < Self.rowsAtOnce {
      settle(&state)
      state.isAtEnd = true
      try connection.run([Query("CLOSE leaves")])
    }
  }

  /// Different callers may have used the same client seed: then short ids decide.
  private func settle(_ state: inout State) {
    let shortIDs = store.shortIDs
    state.ready += state.equals.map { (ShortIDs.numbers.contains($0.outcome) ? shortIDs.encode($0.outcome) : [], $0) }
      .sorted { $0.0.lexicographicallyPrecedes($1.0) }.map(\.1)
    state.equals = []
  }

  private static func sameCoordinates(_ a: LogLeaf, _ b: LogLeaf) -> Bool {
    a.nonce == b.nonce && a.cursor == b.cursor && a.clientSeed == b.clientSeed
  }

  func keepPlaces() throws(StoreFailure) -> Bool {
    try failing { state, connection in
      if !state.arePlacesSorted {
        // In the order of the ids: the index then grows at its end.
        try connection.run(
          [
            Query(
              """
              DECLARE places NO SCROLL CURSOR FOR SELECT outcome_id, leaf FROM draft_places ORDER BY outcome_id
              """)
          ], timeout: Self.timeout)
        state.arePlacesSorted = true
      }
      let places = try connection.run([Query("FETCH \(Self.placesAtOnce) FROM places")], timeout: Self.timeout)[0]
      guard places.count > 0 else {
        try connection.run([Query(.commit)])
        return false
      }
      try self.store.care { connection in
        _ = try connection.run([
          Query(.insertPlaces) {
            $0.bind((0..<places.count).map { places.integer($0, 0) }, (0..<places.count).map { places.integer($0, 1) })
            $0.bind(self.day.number)
          }
        ])
      }
      return true
    }
  }

  func interrupt() {
    isInterrupted.withLock { $0 = true }
    canceller?.cancel()
  }

  /// Runs `body` on the draft's own connection. That is not made anew: what it has sorted would be gone.
  private func failing<Result: Sendable>(
    _ body: (inout State, Connection) throws -> Result
  ) throws(StoreFailure) -> Result {
    do {
      return try state.withLock { state in
        guard !isInterrupted.withLock({ $0 }) else { throw StoreFailure("the publication was interrupted") }
        guard state.session.isOpen else { throw StoreFailure("the connection that had the day's leaves is lost") }
        let session = state.session
        return try session.use { try body(&state, $0) }
      }
    } catch {
      throw StoreFailure(error)
    }
  }
}

extension PostgresStatement {
  fileprivate static let insertPlaces: PostgresStatement = """
    INSERT INTO merkle_leaves (outcome_id, leaf)
    SELECT * FROM (SELECT unnest($1::bigint[]), unnest($2::bigint[])) places
    WHERE NOT EXISTS (SELECT 1 FROM merkle_days WHERE day = $3::bigint AND published IS NOT NULL)
    ON CONFLICT (outcome_id) DO UPDATE SET leaf = excluded.leaf
    """
}
