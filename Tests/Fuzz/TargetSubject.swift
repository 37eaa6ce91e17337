import API

/// Request targets: the path's one form is a fixed point, and the query is left as it was sent.
struct TargetSubject: Subject {
  let name = "target"
  let tokens = ["/", "//", "/api/ints", "%2F", "%2f", "%69", "%", "?", "#", "..", "%C3%A9", "é", "/o/", "*"]

  func check(_ input: [UInt8]) throws -> Bool {
    let text = String(decoding: input, as: UTF8.self)
    if let form = Target.originForm(text) {
      try expect(form.utf8.first == UInt8(ascii: "/"), "\(form) is no path")
      try expect(Target.originForm(form) == nil, "\(form) has a host still")
    }
    guard text.utf8.first == UInt8(ascii: "/") else { return false }
    let target = Target(text)
    try expect(Target(target.path).path.utf8.elementsEqual(target.path.utf8), "\(target.path) has another form")
    // Bytes throughout: a mark that combines with what stands before it would hide that from a search of characters.
    let bytes = Array(target.path.utf8)
    let isWellEncoded = bytes.indices.allSatisfy { index in
      bytes[index] != UInt8(ascii: "%")
        || bytes[(index + 1)...].prefix(2).count(where: { Character(Unicode.Scalar($0)).isHexDigit }) == 2
    }
    if isWellEncoded {
      let slash = UInt8(ascii: "/")
      try expect(!zip(bytes, bytes.dropFirst()).contains { $0 == (slash, slash) }, "\(bytes) has an empty segment")
      try expect(bytes == [slash] || bytes.last != slash, "\(bytes) ends with a slash")
    }
    let sent = text.utf8.prefix { $0 != UInt8(ascii: "#") }
    let query = sent.firstIndex(of: UInt8(ascii: "?")).map { sent[$0...].dropFirst() }
    try expect(query.map { target.query.elementsEqual($0) } ?? target.query.isEmpty, "the query is another")
    return true
  }
}
