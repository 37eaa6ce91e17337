import Ledger

/// A connection inside a transaction, used by one thread at a time.
public protocol SQLConnection {
  var dialect: Dialect { get }

  /// The time, in Unix milliseconds: the database's own where several servers share it.
  func now() throws -> Milliseconds

  /// The next number for a row of `table`. No number is given out twice, whatever is deleted meanwhile.
  func nextNumber(in table: NumberedTable) throws -> Int64

  /// Runs statements one after the other, in one round trip, up to the first that fails.
  ///
  /// - Returns: one result for each.
  /// - Throws: ``UniqueViolation``, or what the database reports.
  func run(_ statements: [SQLStatement]) throws -> [SQLResult]
}

/// Tables whose rows are numbered.
public enum NumberedTable: String, Sendable {
  case accounts
  case keys = "api_keys"
  case webhooks = "webhook_endpoints"
}

/// A row with this key is there already.
public struct UniqueViolation: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

extension SQLConnection {
  func rows(_ statement: SQLStatement) throws -> [SQLRow] { try run([statement])[0].rows }

  func row(_ statement: SQLStatement) throws -> SQLRow? { try rows(statement).first }

  /// - Returns: how many rows it changed.
  @discardableResult
  func execute(_ statement: SQLStatement) throws -> Int { try run([statement])[0].changed }
}

/// A relational database that holds the ledger. What is said to all of them in the same words is said in extensions of this
/// protocol; a store adds its driver, its schema and the statements of the hot path.
public protocol SQLDatabase: AccountStore {
  var vault: Vault { get }

  /// Reads, beside whoever writes.
  ///
  /// - Throws: ``StoreFailure``, or the ``AdministrationError`` that `body` throws.
  func query<Result: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> Result) async throws -> Result

  /// Reads and writes in one transaction; nothing of it stays if `body` throws.
  ///
  /// - Parameter concernsGroups: whether it may change what groups are decided from: accounts, keys, webhooks.
  /// - Throws: as ``query(_:)``.
  func transact<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result
}
