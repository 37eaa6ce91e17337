import API
import Ledger

/// Idempotency keys: what is taken is taken byte for byte, and once.
struct IdempotencySubject: Subject {
  let name = "idempotency"
  let tokens = ["\"", "\\", "\\\"", ",", " ", "\t", "é", "round-1", "\u{7f}", String(repeating: "k", count: 200)]

  func check(_ input: [UInt8]) throws -> Bool {
    let header = String(decoding: input, as: UTF8.self)
    let key = try? IdempotencyKey.read([header])
    func mayBe(_ text: some Collection<UInt8>) -> Bool {
      (1...255).contains(text.count) && text.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
    if header.utf8.first != UInt8(ascii: "\"") {
      try expect((key != nil) == mayBe(header.utf8), "a good key is refused, or a bad one taken")
      if let key { try expect(key.elementsEqual(header.utf8), "a key is taken for another") }
    } else if let key {
      try expect(mayBe(key), "a bad key is taken")
    }
    // In quotes it is the same key.
    let escaped = header.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    let quoted = try? IdempotencyKey.read(["\"\(escaped)\""])
    try expect((quoted != nil) == mayBe(header.utf8), "a good key in quotes is refused, or a bad one taken")
    if let quoted { try expect(quoted.elementsEqual(header.utf8), "a key in quotes is taken for another") }
    for headers in [[header, header], ["a", header]] {
      try expect((try? IdempotencyKey.read(headers)) == nil, "a request with two keys is taken")
    }
    return key != nil
  }
}
