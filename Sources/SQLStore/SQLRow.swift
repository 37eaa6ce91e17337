import Ledger

/// A row that a statement returned. Columns are read by name.
///
/// Reading throws ``StoreFailure`` where the row is not what this program wrote: a column of another type, a NULL where
/// none may be, a number out of range.
public struct SQLRow: Sendable {
  private let columns: [String: Int]
  private let values: [SQLValue]

  /// - Parameter columns: the place in `values` of each column.
  public init(columns: [String: Int], values: [SQLValue]) {
    self.columns = columns
    self.values = values
  }

  private func value(_ column: String) throws(StoreFailure) -> SQLValue {
    guard let place = columns[column] else { throw StoreFailure("a row has no column \(column)") }
    return values[place]
  }

  private func unexpected(_ column: String) -> StoreFailure { .damaged("column \(column) is damaged") }

  public func optionalInteger(_ column: String) throws(StoreFailure) -> Int64? {
    switch try value(column) {
    case .integer(let integer): return integer
    case .null: return nil
    case .text, .bytes: throw unexpected(column)
    }
  }

  public func integer(_ column: String) throws(StoreFailure) -> Int64 {
    guard let integer = try optionalInteger(column) else { throw unexpected(column) }
    return integer
  }

  /// A number that counts something: 0 or more, and within the range of `Int32` where `Int` is small.
  public func count(_ column: String) throws(StoreFailure) -> Int {
    guard let count = Int(exactly: try integer(column)), count >= 0 else { throw unexpected(column) }
    return count
  }

  /// A truth value, which databases without such a type give as 0 or 1.
  public func flag(_ column: String) throws(StoreFailure) -> Bool { try integer(column) != 0 }

  public func optionalText(_ column: String) throws(StoreFailure) -> String? {
    switch try value(column) {
    case .text(let text): return text
    case .null: return nil
    case .integer, .bytes: throw unexpected(column)
    }
  }

  public func text(_ column: String) throws(StoreFailure) -> String {
    guard let text = try optionalText(column) else { throw unexpected(column) }
    return text
  }

  public func optionalBytes(_ column: String) throws(StoreFailure) -> [UInt8]? {
    switch try value(column) {
    case .bytes(let bytes): return bytes
    case .null: return nil
    case .integer, .text: throw unexpected(column)
    }
  }

  public func bytes(_ column: String) throws(StoreFailure) -> [UInt8] {
    guard let bytes = try optionalBytes(column) else { throw unexpected(column) }
    return bytes
  }
}

/// What a statement did.
public struct SQLResult: Sendable {
  public let rows: [SQLRow]
  /// How many rows an INSERT, UPDATE or DELETE changed.
  public let changed: Int

  public init(rows: [SQLRow], changed: Int) {
    self.rows = rows
    self.changed = changed
  }
}
