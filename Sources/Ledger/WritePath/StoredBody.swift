/// What a store keeps of the body of an answer under an idempotency key: the values of large outcomes are left out, since
/// they are kept with their outcomes, which are never deleted.
///
/// Nothing else is told from elsewhere: where the server is reached, for example, may change, and the body stays as it was.
public struct StoredBody: Sendable, Equatable {
  /// The body without what was left out.
  public let rest: [UInt8]
  /// What was left out: the length of the whole body, and then of each part where it begins and the row number of its
  /// outcome, as four, four and eight bytes, the most significant first. Nil if nothing was.
  public let parts: [UInt8]?

  /// Shorter values are not worth a look-up.
  static let shortestPart = 1024

  public init(rest: [UInt8], parts: [UInt8]?) {
    self.rest = rest
    self.parts = parts
  }

  public init(_ reply: Reply) {
    guard !reply.references.isEmpty else {
      rest = reply.body
      parts = nil
      return
    }
    var rest: [UInt8] = []
    var parts: [UInt8] = []
    parts.append(bigEndian: UInt32(reply.body.count))
    var end = 0
    for reference in reply.references {
      rest.append(contentsOf: reply.body[end..<reference.range.lowerBound])
      end = reference.range.upperBound
      parts.append(bigEndian: UInt32(reference.range.lowerBound))
      parts.append(bigEndian: UInt64(bitPattern: reference.outcome))
    }
    rest.append(contentsOf: reply.body[end...])
    self.rest = rest
    self.parts = parts
  }

  /// The outcomes whose values were left out, in order.
  public var outcomes: [Int64] { entries.map(\.outcome) }

  /// The body, byte for byte.
  ///
  /// - Parameter values: the values of ``outcomes``.
  /// - Throws: ``StoreFailure`` if one is not there, or they do not fit.
  public func body(with values: [Int64: [UInt8]]) throws(StoreFailure) -> [UInt8] {
    guard let parts else { return rest }
    let length = parts.count >= 4 ? Int(parts.bigEndian(at: 0, count: 4)) : 0
    var body: [UInt8] = []
    body.reserveCapacity(length)
    var taken = 0
    for entry in entries {
      let gap = entry.offset - body.count
      guard gap >= 0, taken + gap <= rest.count, let value = values[entry.outcome] else {
        throw StoreFailure("an answer cannot be put together: outcome \(entry.outcome) is missing or damaged")
      }
      body.append(contentsOf: rest[taken..<(taken + gap)])
      taken += gap
      body.append(contentsOf: value)
    }
    body.append(contentsOf: rest[taken...])
    guard body.count == length else {
      throw StoreFailure("an answer cannot be put together: its outcomes have changed")
    }
    return body
  }

  private var entries: [(offset: Int, outcome: Int64)] {
    guard let parts else { return [] }
    return stride(from: 4, through: parts.count - 12, by: 12).map { place in
      (
        Int(parts.bigEndian(at: place, count: 4)),
        Int64(bitPattern: parts.bigEndian(at: place + 4, count: 8))
      )
    }
  }
}

/// Where in a body the value of an outcome stands.
public struct BodyReference: Sendable, Equatable {
  let range: Range<Int>
  let outcome: Int64

  /// Nil for a value that is kept in the body.
  ///
  /// - Parameter start: where in the body the outcome's JSON begins.
  init?(_ outcome: Outcome, at start: Int) {
    guard outcome.value.count >= StoredBody.shortestPart else { return nil }
    let begin = start + OutcomeRenderer.valueOffset
    range = begin..<(begin + outcome.value.count)
    self.outcome = outcome.id
  }
}

extension [UInt8] {
  fileprivate mutating func append(bigEndian number: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: number.bigEndian) { append(contentsOf: $0) }
  }

  fileprivate func bigEndian(at place: Int, count: Int) -> UInt64 {
    self[place..<(place + count)].reduce(0) { $0 << 8 | UInt64($1) }
  }
}
