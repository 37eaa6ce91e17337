import Accounts
import Foundation
import GRDB
import Ledger
import SQLStore

extension SQLiteStore: SQLDatabase {
  public func query<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result {
    try await reporting { try await pool.read { [self] in try reading($0, body) } }
  }

  public func transact<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result {
    try await reporting {
      let result = try await pool.writeWithoutTransaction { [self] db in
        // What the group writer remembers may change under it.
        defer { if concernsGroups { forgetGroups() } }
        return try writing(db, body)
      }
      try await log.durable()
      return result
    }
  }

  public func transactDeliveries<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result {
    try await transact(concernsGroups: concernsGroups, body)
  }

  public func transactBlocking<Result>(_ body: (any SQLConnection) throws -> Result) throws(StoreFailure) -> Result {
    try failing {
      let result = try pool.writeWithoutTransaction { try writing($0, body) }
      try log.waitUntilDurable()
      return result
    }
  }

  public func queryBlocking<Result>(_ body: (any SQLConnection) throws -> Result) throws(StoreFailure) -> Result {
    try failing { try pool.read { try reading($0, body) } }
  }

  private func writing<Result>(_ db: Database, _ body: (any SQLConnection) throws -> Result) throws -> Result {
    var result: Result?
    try log.writing {
      try db.inTransaction(.immediate) {
        result = try body(SQLiteConnection(db: db, clock: clock))
        return .commit
      }
    }
    guard let result else { throw StoreFailure("a transaction was given up") }
    return result
  }

  /// What was read is durable when this returns.
  private func reading<Result>(_ db: Database, _ body: (any SQLConnection) throws -> Result) throws -> Result {
    let result = try body(SQLiteConnection(db: db, clock: clock))
    try log.waitUntilSeenIsDurable()
    return result
  }

  func failing<Result>(_ body: () throws -> Result) throws(StoreFailure) -> Result {
    do {
      return try body()
    } catch {
      throw StoreFailure(error)
    }
  }

  private func reporting<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
      return try await body()
    } catch let error as AdministrationError {
      throw error
    } catch {
      throw StoreFailure(error)
    }
  }
}

/// GRDB's connection, as the statements common to all databases use it.
struct SQLiteConnection: SQLConnection {
  let db: Database
  let clock: @Sendable () -> Milliseconds

  var dialect: Dialect { .sqlite }

  func now() -> Milliseconds { clock() }

  /// Rows of these tables are never deleted, and there is one writer.
  func nextNumber(in table: NumberedTable) throws -> Int64 {
    let last = try Int64.fetchOne(db, sql: "SELECT max(id) FROM \(table.rawValue)") ?? 0
    return max(last, Era.lastNumber(before: try SQLiteSchema.era(db))) + 1
  }

  func run(_ statements: [SQLStatement]) throws -> [SQLResult] {
    do {
      return try statements.map(run)
    } catch let error as DatabaseError
      where [.SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_PRIMARYKEY].contains(error.extendedResultCode)
    {
      throw UniqueViolation(error.message ?? "")
    }
  }

  private func run(_ statement: SQLStatement) throws -> SQLResult {
    let (text, values) = statement.rendered(in: dialect)
    let prepared = try db.cachedStatement(sql: text)
    let arguments = StatementArguments(values.map { $0.databaseValue })
    guard prepared.columnCount > 0 else {
      try prepared.execute(arguments: arguments)
      return SQLResult(rows: [], changed: db.changesCount)
    }
    let columns = Dictionary(
      prepared.columnNames.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let cursor = try Row.fetchCursor(prepared, arguments: arguments)
    var rows: [SQLRow] = []
    while let row = try cursor.next() {
      rows.append(SQLRow(columns: columns, values: try row.databaseValues.map(SQLValue.init)))
    }
    return SQLResult(rows: rows, changed: rows.count)
  }
}

extension Dialect {
  static let sqlite = Dialect(
    placeholder: { _, _ in "?" }, forUpdate: "", skippingLocked: "", usageSlot: (column: "", value: ""),
    bytesOfUUID: { $0 }, uuidOfBytes: { $0 }, namesOwners: false, version: "'SQLite ' || sqlite_version()")
}

extension SQLValue {
  init(_ value: DatabaseValue) throws {
    switch value.storage {
    case .null: self = .null
    case .int64(let integer): self = .integer(integer)
    case .string(let text): self = .text(text)
    case .blob(let data): self = .bytes(Array(data))
    case .double: throw StoreFailure.damaged("a column holds a fraction")
    }
  }

  fileprivate var databaseValue: DatabaseValue {
    switch self {
    case .null: .null
    case .integer(let integer): integer.databaseValue
    case .text(let text): text.databaseValue
    case .bytes(let bytes): Data(bytes).databaseValue
    }
  }
}
