import Accounts
import Ledger
import SQLStore

extension PostgresStore: SQLDatabase {
  public func query<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result {
    try await reading.read { [clock] connection in
      let result = try apart { try body(PostgresConnection(connection: connection, clock: clock)) }
      if concernsGroups { try connection.waitUntilSeenIsDurable() }
      return result
    }.get()
  }

  public func transact<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result {
    try await transact(body, on: administering)
  }

  public func transactDeliveries<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result {
    try await transact(body, on: delivering)
  }

  private func transact<Result: Sendable>(
    _ body: @escaping @Sendable (any SQLConnection) throws -> Result, on sessions: Readers
  ) async throws -> Result {
    try await sessions.perform { [clock] session in
      try apart { try session.transaction { try body(PostgresConnection(connection: $0, clock: clock)) } }
    }.get()
  }

  public func transactBlocking<Result>(_ body: (any SQLConnection) throws -> Result) throws(StoreFailure) -> Result {
    do {
      return try caring.withSession { session in
        try session.transaction { try body(PostgresConnection(connection: $0, clock: clock)) }
      }
    } catch {
      throw StoreFailure(error)
    }
  }

  public func queryBlocking<Result>(_ body: (any SQLConnection) throws -> Result) throws(StoreFailure) -> Result {
    do {
      return try caring.withSession { session in
        try session.use { connection in
          let result = try body(PostgresConnection(connection: connection, clock: clock))
          try connection.waitUntilSeenIsDurable()
          return result
        }
      }
    } catch {
      throw StoreFailure(error)
    }
  }
}

/// What `body` returns or, apart from failures of the database, what it refuses.
private func apart<Result>(_ body: () throws -> Result) throws -> Swift.Result<Result, AdministrationError> {
  do {
    return .success(try body())
  } catch let error as AdministrationError {
    return .failure(error)
  }
}

/// A connection, as the statements common to all databases use it.
struct PostgresConnection: SQLConnection {
  let connection: Connection
  let clock: (@Sendable () -> Milliseconds)?

  var dialect: Dialect { .postgres }

  func now() throws -> Milliseconds {
    if let clock { return clock() }
    return try connection.run([Query("SELECT \(PostgresStatement.now)")])[0].integer(0, 0)
  }

  func nextNumber(in table: NumberedTable) throws -> Int64 {
    try connection.run([
      Query(.reserve) {
        $0.bind(text: table.rawValue)
        $0.bind(1)
      }
    ])[0].integer(0, 0)
  }

  func run(_ statements: [SQLStatement]) throws -> [SQLResult] {
    guard !statements.isEmpty else { return [] }
    do {
      let queries = statements.map { statement in
        let (text, values) = statement.rendered(in: dialect)
        return Query(PostgresStatement(stringLiteral: text)) { parameters in
          for value in values { parameters.bind(value) }
        }
      }
      return try connection.run(queries).map { try SQLResult($0) }
    } catch let failure as PostgresFailure where failure.state == "23505" {
      throw UniqueViolation(failure.description)
    }
  }
}

extension Dialect {
  static let postgres = Dialect(
    placeholder: { number, type in
      switch type {
      case .integer: "$\(number)::bigint"
      case .text: "$\(number)::text"
      case .bytes: "$\(number)::bytea"
      }
    }, forUpdate: " FOR UPDATE", skippingLocked: " FOR UPDATE SKIP LOCKED",
    usageSlot: (column: ", slot", value: ", 0"), bytesOfUUID: { "uuid_send(\($0))" },
    uuidOfBytes: { "CAST(encode(\($0), 'hex') AS uuid)" }, namesOwners: true,
    version: "'PostgreSQL ' || current_setting('server_version')")
}

extension PostgresParameters {
  fileprivate mutating func bind(_ value: SQLValue) {
    switch value {
    case .null: bind(nil as Int64?)
    case .integer(let integer): bind(integer)
    // PostgreSQL's text has no NUL.
    case .text(let text): bind(text: text.replacing("\0", with: " "))
    case .bytes(let bytes): bind(bytes)
    }
  }
}

extension SQLResult {
  fileprivate init(_ result: QueryResult) throws {
    let names = (0..<result.columnCount).map(result.name)
    let columns = Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let rows = try (0..<result.count).map { row in
      SQLRow(columns: columns, values: try names.indices.map { try result.value(row, $0) })
    }
    self.init(rows: rows, changed: result.affected)
  }
}

extension QueryResult {
  func value(_ row: Int, _ column: Int) throws -> SQLValue {
    if isNull(row, column) { return .null }
    // By the numbers PostgreSQL gives its built-in types: https://www.postgresql.org/docs/15/catalog-pg-type.html
    switch type(column) {
    case 20, 21, 23: return .integer(integer(row, column))
    case 25: return .text(text(row, column))
    case 16: return .integer(bytes(row, column) == [1] ? 1 : 0)
    case 17, 2950: return .bytes(bytes(row, column))
    case let type: throw StoreFailure("a column is of type \(type), which is not used")
    }
  }
}
