import Accounts
import Ledger
import SQLStore

/// A ledger being written into an empty PostgreSQL database from end to end. What was begun can be gone on with, and until
/// it is finished no server starts on the database.
public final class PostgresImport {
  private let session: PostgresSession

  /// Makes the tables if they are not there.
  ///
  /// - Throws: ``MasterKeyMismatch``; ``NotEmpty`` if the database has a ledger that this import did not begin;
  ///   ``StoreFailure``.
  public init(into target: ConnectionTarget, masterKey: MasterKey) throws {
    session = PostgresSession(
      target: target,
      settings: SessionSettings(changing: ["statement_timeout": "0", "idle_in_transaction_session_timeout": "0"]))
    do {
      try PostgresStore.checkEncoding(session)
      try PostgresSchema.migrate(session)
      try PostgresStore.check(masterKey, session)
      try begin()
    } catch let failure as PostgresFailure {
      throw StoreFailure(failure)
    }
  }

  private func begin() throws {
    try session.transaction { connection in
      if try connection.run([Query(.importMark)])[0].count > 0 { return }
      for table in LedgerTable.all {
        let rows = try connection.run([Query("SELECT 1 FROM \(table.name) LIMIT 1")])[0]
        guard rows.count == 0 else { throw NotEmpty() }
      }
      try connection.run([Query(.markImport)])
    }
  }

  /// How many rows of the table are there already.
  public func count(_ table: LedgerTable) throws -> Int {
    try failing { session in
      try session.use {
        Int(
          try $0.run(
            [Query("SELECT count(*) FROM \(table.name)")],
            timeout: .seconds(3600))[0].integer(0, 0))
      }
    }
  }

  /// Adds rows, in one transaction.
  public func append(_ rows: [[SQLValue]], to table: LedgerTable) throws {
    let names = table.columns.map(\.name) + (table.name == "usage" ? ["slot"] : [])
    let arrays = table.columns.enumerated().map { "$\($0.offset + 1)::\($0.element.kind.sqlType)[]" }
    let selected =
      "SELECT " + arrays.map { "unnest(\($0))" }.joined(separator: ", ") + (table.name == "usage" ? ", 0" : "")
    let statement: PostgresStatement = "INSERT INTO \(table.name) (\(names.joined(separator: ", "))) \(selected)"
    try failing { session in
      try session.transaction { connection in
        _ = try connection.run(
          [
            Query(statement) { parameters in
              for (index, column) in table.columns.enumerated() {
                switch column.kind {
                case .integer: parameters.bind(rows.map { $0[index].integer })
                case .bytes: parameters.bind(rows.map { $0[index].bytes })
                case .text: parameters.bind(texts: rows.map { $0[index].text })
                case .uuid: parameters.bind(uuids: rows.map { $0[index].bytes ?? [] })
                }
              }
            }
          ], timeout: .seconds(300))
      }
    }
  }

  /// Begins to read the rows of a table, in the table's order.
  public func reader(of table: LedgerTable) throws -> Reader {
    let columns = table.columns.map(\.name).joined(separator: ", ")
    let order = table.order.joined(separator: ", ")
    try failing { session in
      try session.use { connection in
        _ = try connection.run([
          Query(.begin),
          Query(
            "DECLARE all_\(table.name) NO SCROLL CURSOR FOR SELECT \(columns) FROM \(table.name) ORDER BY \(order)"),
        ])
      }
    }
    return Reader(source: self, table: table)
  }

  /// Rows of one table.
  public struct Reader {
    fileprivate let source: PostgresImport
    fileprivate let table: LedgerTable

    /// The next rows, so many of them; none at the end.
    public func next(_ count: Int) throws -> [[SQLValue]] {
      let fetch: PostgresStatement = "FETCH \(count) FROM all_\(table.name)"
      return try source.failing { session in
        let found = try session.use { try $0.run([Query(fetch)], timeout: .seconds(3600))[0] }
        return try (0..<found.count).map { row in
          try table.columns.indices.map { try found.value(row, $0) }
        }
      }
    }

    public func close() throws {
      try source.failing { session in try session.use { _ = try $0.run([Query(.commit)]) } }
    }
  }

  /// Sets the counters behind what is there, and lets servers start.
  ///
  /// - Parameter cell: the cell that the ledger is, if it is one.
  public func finish(cell: CellName?) throws {
    try failing { session in
      try session.transaction { connection in
        _ = try connection.run(
          PostgresStatement.finishCounters.map { Query($0) }
            + (cell.map { cell in [Query(.nameCell) { $0.bind(Array(cell.description.utf8)) }] } ?? [])
            + [
              Query(.finishRuns), Query(.finishDeliveries), Query(.finishQueue), Query(.finishImports),
              Query(.unmarkImport),
            ],
          timeout: .seconds(3600))
      }
      try session.use { _ = try $0.run([Query("ANALYZE")], timeout: .seconds(3600)) }
    }
  }

  fileprivate func failing<Result>(_ body: (PostgresSession) throws -> Result) throws -> Result {
    do {
      return try body(session)
    } catch let failure as PostgresFailure {
      throw StoreFailure(failure)
    }
  }

  /// The target has a ledger of its own.
  public struct NotEmpty: Error, Sendable, CustomStringConvertible {
    public var description: String { "it has a ledger already; make a new database to move into" }
  }
}

/// A ledger is being moved into the database.
struct UnfinishedImport: Error, CustomStringConvertible {
  var description: String { "a ledger is being moved into it: let `fairdraw migrate` finish first" }
}

extension PostgresStatement {
  static let importMark: PostgresStatement = "SELECT value FROM meta WHERE name = 'import'"

  fileprivate static let markImport: PostgresStatement = "INSERT INTO meta (name, value) VALUES ('import', ''::bytea)"

  fileprivate static let nameCell: PostgresStatement =
    "INSERT INTO meta (name, value) VALUES ('cell', $1::bytea) ON CONFLICT (name) DO NOTHING"

  fileprivate static let unmarkImport: PostgresStatement = "DELETE FROM meta WHERE name = 'import'"

  /// Numbers rise with time in the file, or nearly; where they do not, a run just has others' outcomes between its own.
  fileprivate static let finishRuns: PostgresStatement = """
    INSERT INTO outcome_runs (created, first, last) SELECT created, min(id), max(id) FROM outcomes GROUP BY created
    ON CONFLICT (created, first) DO UPDATE SET last = excluded.last
    """

  fileprivate static let finishDeliveries: PostgresStatement = """
    SELECT setval(pg_get_serial_sequence('deliveries', 'id'), greatest(max(id), 1), max(id) IS NOT NULL) FROM deliveries
    """

  fileprivate static let finishQueue: PostgresStatement = """
    SELECT setval(pg_get_serial_sequence('log_queue', 'id'), greatest(max(id), 1), max(id) IS NOT NULL) FROM log_queue
    """

  fileprivate static let finishImports: PostgresStatement = """
    SELECT setval(pg_get_serial_sequence('imported_outcomes', 'id'), greatest(max(id), 1), max(id) IS NOT NULL)
    FROM imported_outcomes
    """

  fileprivate static let finishCounters = [
    ("accounts", "SELECT max(id) FROM accounts"), ("api_keys", "SELECT max(id) FROM api_keys"),
    ("chains", "SELECT greatest((SELECT max(id) FROM chains), (SELECT max(chain_id) FROM commitments))"),
    ("outcomes", "SELECT greatest((SELECT max(id) FROM outcomes), (SELECT max(id) FROM test_outcomes))"),
    ("webhook_endpoints", "SELECT max(id) FROM webhook_endpoints"),
  ].map { name, last -> PostgresStatement in
    "UPDATE counters SET next = greatest(next, coalesce((\(last)), 0) + 1) WHERE name = '\(name)'"
  }
}

extension LedgerTable.Kind {
  fileprivate var sqlType: String {
    switch self {
    case .integer: "bigint"
    case .bytes: "bytea"
    case .text: "text"
    case .uuid: "uuid"
    }
  }
}

extension SQLValue {
  fileprivate var integer: Int64? { if case .integer(let integer) = self { integer } else { nil } }
  fileprivate var text: String? { if case .text(let text) = self { text } else { nil } }
  fileprivate var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }
}
