import API

/// Origins that a key may be used from: each allows its own pages, and none of a host that only begins like it.
struct RefererSubject: Subject {
  let name = "referer"
  let tokens = [
    "https://", "http://", "*.", "example.com", ":443", ":80", "[::1]", "/", "?", "#", "@", "EXAMPLE", ".", ":",
  ]

  func check(_ input: [UInt8]) throws -> Bool {
    let text = String(decoding: input, as: UTF8.self)
    // Whatever is sent as a referer is read without harm.
    _ = RefererPattern("https://*.example.com")?.allows(text)
    guard let pattern = RefererPattern(text) else { return false }
    let page = text.replacing("*.", with: "sub.", maxReplacements: 1)
    for end in ["", "/", "/path?query#fragment", "?q", "#f"] {
      try expect(pattern.allows(page + end), "does not allow \(page + end)")
    }
    try expect(pattern.allows(page.uppercased() + "/x"), "is another origin in capitals")
    if !text.contains("[") {
      let mark = page.range(of: "://")?.upperBound ?? page.startIndex
      let host = page[mark...].prefix { $0 != ":" }
      let other = String(page[..<mark]) + host + ".evil.test" + page[mark...].dropFirst(host.count)
      try expect(!pattern.allows(other + "/"), "allows \(other)/")
      try expect(
        !pattern.allows(String(page[..<mark]) + "evil.test/" + page[mark...]), "allows a path that looks like it")
      try expect(
        !pattern.allows(String(page[..<mark]) + "evil.test?" + page[mark...]), "allows a query that looks like it")
    }
    if let port = page.split(separator: ":").last, text.split(separator: ":").count == 3, !text.contains("[") {
      try expect(port.utf8.allSatisfy { (0x30...0x39).contains($0) }, "has the port \(port)")
    }
    return true
  }
}
