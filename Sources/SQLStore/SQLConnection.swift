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
  package func rows(_ statement: SQLStatement) throws -> [SQLRow] { try run([statement])[0].rows }

  package func row(_ statement: SQLStatement) throws -> SQLRow? { try rows(statement).first }

  /// - Returns: how many rows it changed.
  @discardableResult
  package func execute(_ statement: SQLStatement) throws -> Int { try run([statement])[0].changed }
}
