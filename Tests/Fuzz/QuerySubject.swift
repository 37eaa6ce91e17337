import API
import Fairness
import JSON
import Ledger

/// Query strings: pairs that are encoded are read as the same pairs; and draws that they ask for can be verified.
struct QuerySubject: Subject {
  let name = "query"
  let tokens = [
    "&", "=", "%", "+", "%00", "%C3%A9", "%F0%9F%98%80", "clientSeed=", "count=", "min=", "max=", "items=", "weights=",
    "notation=", "encoding=base64",
    "distribution=poisson", "mean=", "stddev=", "lambda=", "[1,2]", "a,b", "1e3", "-1", "9007199254740991", "0.5",
    "3d6",
  ]

  private let seed: ServerSeed?
  private let hash: [UInt8]

  init() {
    seed = try? ServerSeed(hex: String(repeating: "5e", count: 32).utf8)
    hash = seed?.hash.hex ?? []
  }

  func check(_ input: [UInt8]) throws -> Bool {
    guard let pairs = try? QueryString.pairs(in: input[...]) else { return false }
    var encoded: [UInt8] = []
    for pair in pairs {
      if !encoded.isEmpty { encoded.append(UInt8(ascii: "&")) }
      for byte in pair.name { append(byte, to: &encoded) }
      encoded.append(UInt8(ascii: "="))
      for byte in pair.value { append(byte, to: &encoded) }
    }
    guard let again = try? QueryString.pairs(in: encoded[...]) else {
      throw Finding("pairs cannot be read when they were encoded")
    }
    try expect(isSame(again, pairs), "pairs are others when they were encoded")
    let doubled = try? QueryString.pairs(in: (input + [UInt8(ascii: "&")] + encoded)[...])
    try expect(doubled.map { isSame($0, pairs + pairs) } == true, "pairs change what is beside them")
    for pair in pairs {
      for text in [pair.name, pair.value] {
        try expect(UTF8Check.isValid(Array(text)) && !text.contains(0), "a pair is not UTF-8, or has a NUL")
      }
    }
    let parameters = Parameters(query: pairs)
    for endpoint in Endpoint.allCases {
      let request: DrawRequest
      do throws(Refusal) {
        request = try DrawRequest(endpoint: endpoint, parameters: parameters)
      } catch {
        try expect(error.status == 400, "a refusal with the status \(error.status)")
        continue
      }
      try verify(request, endpoint)
    }
    return true
  }

  private func isSame(_ a: [QueryPair], _ b: [QueryPair]) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { $0.name.elementsEqual($1.name) && $0.value.elementsEqual($1.value) }
  }

  private func append(_ byte: UInt8, to output: inout [UInt8]) {
    let digits = Array("0123456789ABCDEF".utf8)
    output += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
  }

  /// Draws, and checks the record of that as its receiver would.
  private func verify(_ request: DrawRequest, _ endpoint: Endpoint) throws {
    guard let seed else { return }
    let drawn = request.run(key: StreamKey(seed), cursor: 3, nonce: 5)
    var record: [UInt8] = []
    record.append(json: "{\"cursor\":3,\"nonce\":5,\"endpoint\":")
    record.append(jsonString: endpoint.name)
    record.append(json: ",\"clientSeed\":")
    record.append(jsonString: request.clientSeed.bytes)
    record.append(json: ",\"serverHash\":")
    record.append(jsonString: hash)
    record.append(json: ",\"outcome\":")
    record += drawn.value + [UInt8(ascii: ",")] + drawn.fields
    if let items = request.items {
      record.append(json: ",\"items\":[")
      record += items.text
      record.append(json: "]")
    }
    record.append(json: "}")
    guard let json = try? JSONText(record).root else {
      throw Finding("a record is not JSON: \(String(decoding: record, as: UTF8.self))")
    }
    let report = OutcomeReport(checking: json, serverSeed: seed.description)
    try expect(
      report.isVerified, "a draw cannot be verified: \(String(decoding: record, as: UTF8.self)) \(report.checks)")
  }
}
