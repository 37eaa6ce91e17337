import CPQ
import SQLStore

/// What a query gave: rows of columns in PostgreSQL's binary format. Indices count from 0.
package final class QueryResult {
  private let handle: OpaquePointer?

  /// Takes over the libpq result.
  package init(taking handle: OpaquePointer?) { self.handle = handle }

  deinit { PQclear(handle) }

  package var count: Int { Int(PQntuples(handle)) }

  var columnCount: Int { Int(PQnfields(handle)) }

  func name(_ column: Int) -> String { PQfname(handle, Int32(column)).map { String(cString: $0) } ?? "" }

  /// The number of a column's type.
  func type(_ column: Int) -> UInt32 { PQftype(handle, Int32(column)) }

  /// How many rows an INSERT, UPDATE or DELETE has written.
  var affected: Int { Int(String(cString: PQcmdTuples(handle))) ?? 0 }

  /// The command's name, as PostgreSQL reports it: `ROLLBACK` where a COMMIT found its transaction failed.
  var command: String { String(cString: PQcmdStatus(handle)) }

  package func isNull(_ row: Int, _ column: Int) -> Bool { PQgetisnull(handle, Int32(row), Int32(column)) == 1 }

  /// A `smallint`, `integer` or `bigint`; 0 for NULL.
  package func integer(_ row: Int, _ column: Int) -> Int64 {
    guard let start = PQgetvalue(handle, Int32(row), Int32(column)) else { return 0 }
    let bytes = UnsafeRawPointer(start)
    return switch PQgetlength(handle, Int32(row), Int32(column)) {
    case 8: Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))
    case 4: Int64(Int32(bigEndian: bytes.loadUnaligned(as: Int32.self)))
    case 2: Int64(Int16(bigEndian: bytes.loadUnaligned(as: Int16.self)))
    default: 0
    }
  }

  package func optionalInteger(_ row: Int, _ column: Int) -> Int64? {
    isNull(row, column) ? nil : integer(row, column)
  }

  /// A `bytea`; none for NULL.
  package func bytes(_ row: Int, _ column: Int) -> [UInt8] {
    guard let start = PQgetvalue(handle, Int32(row), Int32(column)) else { return [] }
    return Array(UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(handle, Int32(row), Int32(column)))))
  }

  package func optionalBytes(_ row: Int, _ column: Int) -> [UInt8]? {
    isNull(row, column) ? nil : bytes(row, column)
  }

  package func text(_ row: Int, _ column: Int) -> String { String(decoding: bytes(row, column), as: UTF8.self) }

  /// The columns of a row, from `first` on.
  func columns(_ row: Int, from first: Int = 0) -> Columns { Columns(result: self, row: row, first: first) }

  struct Columns: PlacedColumns {
    fileprivate let result: QueryResult
    fileprivate let row: Int
    fileprivate let first: Int

    func isNull(_ column: Int) -> Bool { result.isNull(row, first + column) }
    func integer(_ column: Int) -> Int64 { result.integer(row, first + column) }
    func bytes(_ column: Int) -> [UInt8] { result.bytes(row, first + column) }
  }
}
