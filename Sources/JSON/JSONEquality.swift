extension JSONValue {
  /// Whether both stand for the same value, however each is written: strings by their characters, members in any order,
  /// numbers by value.
  ///
  /// Numbers that are written as integers are compared digit for digit, others as doubles: a program that reads and
  /// writes JSON may print `1e-7` as `1.0e-07`, and must not be able to change an identifier of twenty digits unnoticed.
  public func isSame(as other: JSONValue) -> Bool {
    guard kind == other.kind else { return false }
    switch kind {
    case .null: return true
    case .bool: return raw.elementsEqual(other.raw)
    case .number: return Self.areSame(raw, other.raw)
    case .string:
      // What has no characters (an unpaired surrogate) is the same only as itself.
      return string.flatMap { own in other.string.map { own == $0 } } ?? raw.elementsEqual(other.raw)
    case .array:
      let (a, b) = (elements() ?? [], other.elements() ?? [])
      return a.count == b.count && zip(a, b).allSatisfy { $0.isSame(as: $1) }
    case .object:
      let (a, b) = (sortedMembers, other.sortedMembers)
      return a.count == b.count && zip(a, b).allSatisfy { $0.name == $1.name && $0.value.isSame(as: $1.value) }
    }
  }

  private static func areSame(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Bool {
    if a.elementsEqual(b) { return true }
    func isInteger(_ text: ArraySlice<UInt8>) -> Bool {
      text.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "-") }
    }
    func double(_ text: ArraySlice<UInt8>) -> Double? { Double(String(decoding: text, as: UTF8.self)) }
    guard let x = double(a), let y = double(b), x == y, x.isFinite else { return false }
    // JSON's integers have no leading zeros, so those that differ in their digits differ; but for minus nought.
    return isInteger(a) && isInteger(b) ? x == 0 : true
  }

  /// Every member by name, those of one name in their order. A name that has no characters is kept as it is written.
  private var sortedMembers: [(name: [UInt8], value: JSONValue)] {
    let found = (places ?? []).map { place in
      let name = JSONValue(text: text, start: place.name.lowerBound, end: place.name.upperBound)
      return (name: name.string ?? Array(name.raw), value: value(of: place))
    }
    return found.enumerated().sorted { a, b in
      a.element.name == b.element.name
        ? a.offset < b.offset : a.element.name.lexicographicallyPrecedes(b.element.name)
    }.map(\.element)
  }
}
