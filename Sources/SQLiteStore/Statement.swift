import GRDBSQLite

/// A prepared statement, used through SQLite's own handle: on the write path GRDB's conversion of arguments costs as
/// much as the inserts themselves.
///
/// Confined to the connection's writer, like everything that holds one.
final class Statement {
  private let handle: OpaquePointer
  private let connection: OpaquePointer

  /// SQLite's SQLITE_TRANSIENT: have it copy what is bound.
  fileprivate static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

  init(_ connection: OpaquePointer, _ sql: String) throws(SQLiteFailure) {
    var handle: OpaquePointer?
    let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
    guard code == SQLITE_OK, let handle else { throw SQLiteFailure(connection, code) }
    self.handle = handle
    self.connection = connection
  }

  deinit { sqlite3_finalize(handle) }

  /// Binds parameters, runs the statement to its end, and leaves it ready to be run again.
  func run(_ bind: (inout Parameters) -> Void = { _ in }) throws(SQLiteFailure) {
    defer { sqlite3_reset(handle) }
    var parameters = Parameters(handle: handle)
    bind(&parameters)
    while try step() {}
  }

  /// Runs the statement and hands its first row, if there is one, to `read`.
  func first<Row>(
    _ bind: (inout Parameters) -> Void = { _ in }, read: (borrowing Columns) -> Row
  ) throws(SQLiteFailure) -> Row? {
    defer { sqlite3_reset(handle) }
    var parameters = Parameters(handle: handle)
    bind(&parameters)
    return try step() ? read(Columns(handle: handle)) : nil
  }

  /// Runs the statement and hands each of its rows to `read`.
  func all<Row>(
    _ bind: (inout Parameters) -> Void = { _ in }, read: (borrowing Columns) -> Row
  ) throws(SQLiteFailure) -> [Row] {
    defer { sqlite3_reset(handle) }
    var parameters = Parameters(handle: handle)
    bind(&parameters)
    var rows: [Row] = []
    while try step() { rows.append(read(Columns(handle: handle))) }
    return rows
  }

  private func step() throws(SQLiteFailure) -> Bool {
    switch sqlite3_step(handle) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    case let code: throw SQLiteFailure(connection, code)
    }
  }

  /// Binds values to a statement's parameters, one after the other.
  ///
  /// The statements are fixed and the sizes bounded long before, so a value can fail to bind by our own mistake alone.
  struct Parameters: ~Copyable {
    fileprivate let handle: OpaquePointer
    private var place: Int32 = 0  // of the parameter bound last, from 1

    fileprivate init(handle: OpaquePointer) { self.handle = handle }

    mutating func bind(_ integer: Int64) {
      place += 1
      let code = sqlite3_bind_int64(handle, place, integer)
      precondition(code == SQLITE_OK)
    }

    mutating func bind(_ integer: Int) { bind(Int64(integer)) }

    mutating func bind(_ bytes: [UInt8]) {
      place += 1
      let code =
        bytes.isEmpty
        ? sqlite3_bind_zeroblob(handle, place, 0)
        : sqlite3_bind_blob64(handle, place, bytes, UInt64(bytes.count), Statement.transient)
      precondition(code == SQLITE_OK)
    }

    mutating func bind(_ bytes: [UInt8]?) {
      if let bytes { return bind(bytes) }
      place += 1
      let code = sqlite3_bind_null(handle, place)
      precondition(code == SQLITE_OK)
    }
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
