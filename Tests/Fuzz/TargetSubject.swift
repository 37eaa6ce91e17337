import API

/// Request targets: the path's one form is a fixed point, and the query is left as it was sent.
struct TargetSubject: Subject {
  let name = "target"
  let tokens = ["/", "//", "/api/ints", "%2F", "%2f", "%69", "%", "?", "#", "..", "%C3%A9", "é", "/o/", "*"]

  func check(_ input: [UInt8]) throws -> Bool {
    let text = String(decoding: input, as: UTF8.self)
    if let form = Target.originForm(text) {
      try expect(form.hasPrefix("/"), "\(form) is no path")
      try expect(Target.originForm(form) == nil, "\(form) has a host still")
    }
    guard text.hasPrefix("/") else { return false }
    let target = Target(text)
    try expect(Target(target.path).path == target.path, "\(target.path) has another form")
    if target.path.matches(of: /%(?![0-9A-Fa-f]{2})/).isEmpty {
      try expect(!target.path.contains("//"), "\(target.path) has an empty segment")
      try expect(target.path == "/" || !target.path.hasSuffix("/"), "\(target.path) ends with a slash")
    }
    let sent = text.utf8.prefix { $0 != UInt8(ascii: "#") }
    let query = sent.firstIndex(of: UInt8(ascii: "?")).map { sent[$0...].dropFirst() }
    try expect(query.map { target.query.elementsEqual($0) } ?? target.query.isEmpty, "the query is another")
    return true
  }
}
