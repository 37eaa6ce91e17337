import API
import Ledger

/// Idempotency keys: what is taken is taken byte for byte, and once.
struct IdempotencySubject: Subject {
  let name = "idempotency"
  let tokens = ["\"", ",", " ", "\t", "é", "round-1", "\u{7f}", String(repeating: "k", count: 200)]

  func check(_ input: [UInt8]) throws -> Bool {
    let header = String(decoding: input, as: UTF8.self)
    let key = try? IdempotencyKey.read([header])
    let mayBe = (1...255).contains(header.utf8.count) && header.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    try expect((key != nil) == mayBe, mayBe ? "a good key is refused" : "a bad key is taken")
    if let key { try expect(key.elementsEqual(header.utf8), "a key is taken for another") }
    for headers in [[header, header], ["a", header]] {
      try expect((try? IdempotencyKey.read(headers)) == nil, "a request with two keys is taken")
    }
    return key != nil
  }
}
