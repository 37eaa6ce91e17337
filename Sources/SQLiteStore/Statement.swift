import GRDBSQLite

/// A prepared statement, used through SQLite's own handle: on the write path GRDB's conversion of arguments costs as
/// much as the inserts themselves.
///
/// Confined to the connection's writer, like everything that holds one.
final class Statement {
  private let handle: OpaquePointer
  private let connection: OpaquePointer

  /// SQLite's SQLITE_TRANSIENT: have it copy what is bound.
  private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

  init(_ connection: OpaquePointer, _ sql: String) throws(SQLiteFailure) {
    var handle: OpaquePointer?
    let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
    guard code == SQLITE_OK, let handle else { throw SQLiteFailure(connection, code) }
    self.handle = handle
    self.connection = connection
  }

  deinit { sqlite3_finalize(handle) }

  /// Binds `values` to the parameters in order, runs the statement to its end, and leaves it ready to be run again.
  func run(_ values: Value...) throws(SQLiteFailure) {
    defer { sqlite3_reset(handle) }
    bind(values)
    while try step() {}
  }

  /// Runs the statement and hands its first row, if there is one, to `read`.
  func first<Row>(_ values: Value..., read: (borrowing Columns) -> Row) throws(SQLiteFailure) -> Row? {
    defer { sqlite3_reset(handle) }
    bind(values)
    return try step() ? read(Columns(handle: handle)) : nil
  }

  private func step() throws(SQLiteFailure) -> Bool {
    switch sqlite3_step(handle) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    case let code: throw SQLiteFailure(connection, code)
    }
  }

  private func bind(_ values: [Value]) {
    for (index, value) in values.enumerated() {
      let place = Int32(index + 1)
      let code =
        switch value {
        case .null: sqlite3_bind_null(handle, place)
        case .integer(let integer): sqlite3_bind_int64(handle, place, integer)
        case .blob([]): sqlite3_bind_zeroblob(handle, place, 0)
        case .blob(let bytes): sqlite3_bind_blob64(handle, place, bytes, UInt64(bytes.count), Self.transient)
        }
      // The statements are fixed and the sizes bounded long before: a bind can only fail by our own mistake.
      precondition(code == SQLITE_OK, "cannot bind parameter \(place)")
    }
  }

  enum Value {
    case null
    case integer(Int64)
    case blob([UInt8])

    static func blob(_ bytes: [UInt8]?) -> Value { bytes.map { .blob($0) } ?? .null }
  }

  /// The row a statement stands on.
  struct Columns: ~Copyable {
    fileprivate let handle: OpaquePointer

    func integer(_ index: Int32) -> Int64 { sqlite3_column_int64(handle, index) }

    func isNull(_ index: Int32) -> Bool { sqlite3_column_type(handle, index) == SQLITE_NULL }

    func bytes(_ index: Int32) -> [UInt8] {
      guard let start = sqlite3_column_blob(handle, index) else { return [] }
      return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, index))))
    }
  }
}

/// What SQLite said when it could not do something.
struct SQLiteFailure: Error, CustomStringConvertible {
  let code: Int32
  let description: String

  init(_ connection: OpaquePointer, _ code: Int32) {
    self.code = code
    description = "SQLite error \(code): \(String(cString: sqlite3_errmsg(connection)))"
  }
}
