import CPQ
import PostgresStore

/// Rows as PostgreSQL sends them: each value is what was sent, whatever its length.
struct ReplySubject: Subject {
  let name = "reply"
  let tokens = ["\u{0}\u{0}\u{0}\u{1}", "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}"]

  /// Bytes up to a 0xFF are a value; a 0xFE alone is NULL.
  func check(_ input: [UInt8]) throws -> Bool {
    let values = input.split(separator: 0xFF, omittingEmptySubsequences: false).map { $0 == [0xFE] ? nil : Array($0) }
    guard values.count <= 32, let handle = PQmakeEmptyPGresult(nil, PGRES_TUPLES_OK) else { return false }
    let result = QueryResult(taking: handle)
    var column = Array("c".utf8CString)
    let isMade = column.withUnsafeMutableBufferPointer { name in
      var attributes = values.map { _ in
        PGresAttDesc(name: name.baseAddress, tableid: 0, columnid: 0, format: 1, typid: 17, typlen: -1, atttypmod: -1)
      }
      return PQsetResultAttrs(handle, Int32(values.count), &attributes) == 1
    }
    try expect(isMade, "no result could be made")
    for (place, value) in values.enumerated() {
      var bytes = (value ?? []).map { CChar(bitPattern: $0) } + [0]
      try expect(
        PQsetvalue(handle, 0, Int32(place), &bytes, value.map { Int32($0.count) } ?? -1) == 1, "no value could be set")
    }
    try expect(result.count == 1, "there are \(result.count) rows")
    for (column, value) in values.enumerated() {
      try expect(result.isNull(0, column) == (value == nil), "column \(column) is NULL, or is not")
      try expect(result.bytes(0, column) == value ?? [], "column \(column) has other bytes")
      try expect(result.optionalBytes(0, column) == value, "column \(column) has other bytes, or is NULL")
      let number = (value ?? []).reduce(into: UInt64(0)) { $0 = $0 << 8 | UInt64($1) }
      let expected: Int64? =
        switch value?.count {
        case nil: nil
        case 8?: Int64(bitPattern: number)
        case 4?: Int64(Int32(bitPattern: UInt32(number)))
        case 2?: Int64(Int16(bitPattern: UInt16(number)))
        default: 0
        }
      try expect(result.optionalInteger(0, column) == expected, "column \(column) is another number")
      _ = result.text(0, column)
    }
    return true
  }
}
