import GRDBSQLite
import SQLStore

/// A prepared statement, used through SQLite's own handle: on the write path GRDB's conversion of arguments costs as
/// much as the inserts themselves.
///
/// Confined to the connection's writer, like everything that holds one.
final class SQLiteStatement {
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
    _ bind: (inout Parameters) -> Void = { _ in }, read: (Columns) throws -> Row
  ) throws -> Row? {
    defer { sqlite3_reset(handle) }
    var parameters = Parameters(handle: handle)
    bind(&parameters)
    return try step() ? try read(Columns(handle: handle)) : nil
  }

  /// Runs the statement and hands each of its rows to `read`.
  func all<Row>(
    _ bind: (inout Parameters) -> Void = { _ in }, read: (Columns) throws -> Row
  ) throws -> [Row] {
    defer { sqlite3_reset(handle) }
    var parameters = Parameters(handle: handle)
    bind(&parameters)
    var rows: [Row] = []
    while try step() { rows.append(try read(Columns(handle: handle))) }
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

    mutating func bind(_ value: some Bindable) {
      place += 1
      let code = value.bind(handle, place)
      precondition(code == SQLITE_OK)
    }

    mutating func bind(_ a: some Bindable, _ b: some Bindable) {
      bind(a)
      bind(b)
    }

    mutating func bind(_ a: some Bindable, _ b: some Bindable, _ c: some Bindable) {
      bind(a, b)
      bind(c)
    }

    mutating func bind(_ a: some Bindable, _ b: some Bindable, _ c: some Bindable, _ d: some Bindable) {
      bind(a, b)
      bind(c, d)
    }
  }

  /// The row a statement stands on. It is not to be kept.
  struct Columns: PlacedColumns {
    fileprivate let handle: OpaquePointer

    func integer(_ column: Int) -> Int64 { sqlite3_column_int64(handle, Int32(column)) }

    func isNull(_ column: Int) -> Bool { sqlite3_column_type(handle, Int32(column)) == SQLITE_NULL }

    func bytes(_ column: Int) -> [UInt8] {
      guard let start = sqlite3_column_blob(handle, Int32(column)) else { return [] }
      return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, Int32(column)))))
    }
  }
}

/// What can be bound to a parameter.
protocol Bindable {
  /// - Returns: SQLite's result code.
  func bind(_ handle: OpaquePointer, _ place: Int32) -> Int32
}

extension Int64: Bindable {
  func bind(_ handle: OpaquePointer, _ place: Int32) -> Int32 { sqlite3_bind_int64(handle, place, self) }
}

extension Int: Bindable {
  func bind(_ handle: OpaquePointer, _ place: Int32) -> Int32 { sqlite3_bind_int64(handle, place, Int64(self)) }
}

extension [UInt8]: Bindable {
  func bind(_ handle: OpaquePointer, _ place: Int32) -> Int32 {
    isEmpty
      ? sqlite3_bind_zeroblob(handle, place, 0)
      : sqlite3_bind_blob64(handle, place, self, UInt64(count), SQLiteStatement.transient)
  }
}

extension Optional: Bindable where Wrapped: Bindable {
  func bind(_ handle: OpaquePointer, _ place: Int32) -> Int32 {
    self?.bind(handle, place) ?? sqlite3_bind_null(handle, place)
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
