/// The parameters of one query in PostgreSQL's binary format, in one buffer.
///
/// Formats: https://www.postgresql.org/docs/15/protocol-overview.html and the `…_send` functions of each type: integers
/// are big-endian; an array is its number of dimensions, a flag for nulls, its element type, its length and lower
/// bound, and then each element after its length in bytes.
struct PostgresParameters {
  private(set) var buffer: [UInt8] = []
  /// Where each parameter lies in the buffer; nil for NULL.
  private(set) var ranges: [Range<Int>?] = []

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

  /// An array of the type that goes with its elements.
  mutating func bind<Element: ArrayElement>(_ elements: some Collection<Element>) {
    array(of: Element.type, elements)
  }

  mutating func bind<A: ArrayElement, B: ArrayElement>(_ a: some Collection<A>, _ b: some Collection<B>) {
    bind(a)
    bind(b)
  }

  mutating func bind<A: ArrayElement, B: ArrayElement, C: ArrayElement>(
    _ a: some Collection<A>, _ b: some Collection<B>, _ c: some Collection<C>
  ) {
    bind(a, b)
    bind(c)
  }

  /// `text[]`, with nulls in it.
  mutating func bind(texts: some Collection<String?>) { array(of: 25, texts.map { $0.map { Array($0.utf8) } }) }

  /// `uuid[]`, of 16 bytes each.
  mutating func bind(uuids: some Collection<[UInt8]>) { array(of: 2950, uuids) }

  private mutating func array(of type: Int32, _ elements: some Collection<some ArrayElement>) {
    parameter {
      $0.append(bigEndian: Int32(elements.isEmpty ? 0 : 1))  // dimensions
      $0.append(bigEndian: Int32(0))  // nulls are found by their length; the flag is a hint
      $0.append(bigEndian: type)
      guard !elements.isEmpty else { return }
      $0.append(bigEndian: Int32(elements.count))
      $0.append(bigEndian: Int32(1))
      for element in elements { element.append(to: &$0) }
    }
  }

  private mutating func parameter(_ body: (inout [UInt8]) -> Void) {
    let start = buffer.count
    body(&buffer)
    ranges.append(start..<buffer.count)
  }
}

/// What arrays may hold.
protocol ArrayElement {
  /// The number that PostgreSQL gives the type: https://www.postgresql.org/docs/15/catalog-pg-type.html
  static var type: Int32 { get }
  /// Appends its length in bytes, or -1 for NULL, and its bytes.
  func append(to buffer: inout [UInt8])
}

extension Int64: ArrayElement {
  static var type: Int32 { 20 }
  func append(to buffer: inout [UInt8]) {
    buffer.append(bigEndian: Int32(8))
    buffer.append(bigEndian: self)
  }
}

extension Int16: ArrayElement {
  static var type: Int32 { 21 }
  func append(to buffer: inout [UInt8]) {
    buffer.append(bigEndian: Int32(2))
    buffer.append(bigEndian: self)
  }
}

extension [UInt8]: ArrayElement {
  static var type: Int32 { 17 }
  func append(to buffer: inout [UInt8]) {
    buffer.append(bigEndian: Int32(count))
    buffer.append(contentsOf: self)
  }
}

extension Optional: ArrayElement where Wrapped: ArrayElement {
  static var type: Int32 { Wrapped.type }
  func append(to buffer: inout [UInt8]) {
    if let self { self.append(to: &buffer) } else { buffer.append(bigEndian: Int32(-1)) }
  }
}

extension [UInt8] {
  fileprivate mutating func append(bigEndian integer: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: integer.bigEndian) { append(contentsOf: $0) }
  }
}
