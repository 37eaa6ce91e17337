/// The parameters of one query in PostgreSQL's binary format, in one buffer.
///
/// Formats: https://www.postgresql.org/docs/15/protocol-overview.html and the `…_send` functions of each type: integers
/// are big-endian; an array is its number of dimensions, a flag for nulls, its element type, its length and lower
/// bound, and then each element after its length in bytes.
struct Parameters {
  private(set) var buffer: [UInt8] = []
  /// Where each parameter lies in the buffer; nil for NULL.
  private(set) var ranges: [Range<Int>?] = []

  /// Element types of arrays, by the numbers PostgreSQL gives its built-in types.
  private enum ElementType: Int32 {
    case bytea = 17
    case int8 = 20
    case int2 = 21
    case text = 25
    case uuid = 2950
  }

  mutating func removeAll() {
    buffer.removeAll(keepingCapacity: true)
    ranges.removeAll(keepingCapacity: true)
  }

  mutating func bind(_ integer: Int64) {
    parameter { $0.append(bigEndian: integer) }
  }

  mutating func bind(_ integer: Int64?) {
    if let integer { bind(integer) } else { ranges.append(nil) }
  }

  mutating func bind(_ bytes: [UInt8]) {
    parameter { $0.append(contentsOf: bytes) }
  }

  mutating func bind(_ bytes: [UInt8]?) {
    if let bytes { bind(bytes) } else { ranges.append(nil) }
  }

  mutating func bind(text: String) {
    parameter { $0.append(contentsOf: text.utf8) }
  }

  mutating func bind(text: String?) {
    if let text { bind(text: text) } else { ranges.append(nil) }
  }

  /// `bigint[]`
  mutating func bind(_ integers: some Collection<Int64>) {
    array(of: .int8, count: integers.count) {
      for integer in integers {
        $0.append(bigEndian: Int32(8))
        $0.append(bigEndian: integer)
      }
    }
  }

  /// `bigint[]` with nulls in it.
  mutating func bind(_ integers: some Collection<Int64?>) {
    array(of: .int8, count: integers.count) {
      for integer in integers {
        $0.append(bigEndian: Int32(integer == nil ? -1 : 8))
        if let integer { $0.append(bigEndian: integer) }
      }
    }
  }

  /// `text[]`, of UTF-8, with nulls in it.
  mutating func bind(texts: some Collection<[UInt8]?>) {
    array(of: .text, count: texts.count) {
      for text in texts { $0.append(element: text) }
    }
  }

  /// `smallint[]`
  mutating func bind(_ integers: some Collection<Int16>) {
    array(of: .int2, count: integers.count) {
      for integer in integers {
        $0.append(bigEndian: Int32(2))
        $0.append(bigEndian: integer)
      }
    }
  }

  /// `bytea[]`
  mutating func bind(_ strings: some Collection<[UInt8]>) {
    array(of: .bytea, count: strings.count) {
      for string in strings { $0.append(element: string) }
    }
  }

  /// `bytea[]` with nulls in it.
  mutating func bind(_ strings: some Collection<[UInt8]?>) {
    array(of: .bytea, count: strings.count) {
      for string in strings { $0.append(element: string) }
    }
  }

  /// `uuid[]`, of 16 bytes each.
  mutating func bind(uuids: some Collection<[UInt8]>) {
    array(of: .uuid, count: uuids.count) {
      for uuid in uuids { $0.append(element: uuid) }
    }
  }

  private mutating func array(of type: ElementType, count: Int, _ elements: (inout [UInt8]) -> Void) {
    parameter {
      $0.append(bigEndian: Int32(count == 0 ? 0 : 1))  // dimensions
      $0.append(bigEndian: Int32(0))  // nulls are found by their length; the flag is a hint
      $0.append(bigEndian: type.rawValue)
      guard count > 0 else { return }
      $0.append(bigEndian: Int32(count))
      $0.append(bigEndian: Int32(1))
      elements(&$0)
    }
  }

  private mutating func parameter(_ body: (inout [UInt8]) -> Void) {
    let start = buffer.count
    body(&buffer)
    ranges.append(start..<buffer.count)
  }
}

extension [UInt8] {
  fileprivate mutating func append(bigEndian integer: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: integer.bigEndian) { append(contentsOf: $0) }
  }

  fileprivate mutating func append(element: [UInt8]?) {
    append(bigEndian: Int32(element?.count ?? -1))
    if let element { append(contentsOf: element) }
  }
}
