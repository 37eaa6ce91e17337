import Crypto
import Fairness
import HTTPTypes
import Hummingbird
import Ledger

/// A request, read: all that its parameters and its fingerprint are made from.
struct Incoming {
  let method: HTTPRequest.Method
  let path: String
  let query: Substring
  /// Empty for a GET, which has none as far as this API is concerned.
  let body: [UInt8]

  init(_ request: Request) async throws {
    method = request.method
    let target = request.uri.string
    let mark = target.firstIndex(of: "?")
    path = String(target[..<(mark ?? target.endIndex)])
    query = mark.map { target[target.index(after: $0)...].prefix { $0 != "#" } } ?? ""
    body = method == .post ? try await RequestBody.read(request) : []
  }

  /// The parameters of the query and, for a POST, of the JSON object in the body. One given in both is given twice.
  func parameters() throws(Refusal) -> Parameters {
    var parameters = Parameters(query: try QueryString.pairs(in: query))
    if !body.isEmpty { parameters.add(try Parameters(json: try RequestBody.json(body), what: "The body")) }
    return parameters
  }

  /// SHA-256 over what makes two requests the same: method, path, decoded query pairs in any order, body bytes. Every
  /// part goes in with its length, so that no two different requests run together.
  func fingerprint() -> [UInt8] {
    var hash = SHA256()
    func absorb(_ bytes: [UInt8]) {
      withUnsafeBytes(of: UInt64(bytes.count).bigEndian) { hash.update(bufferPointer: $0) }
      hash.update(data: bytes)
    }
    absorb(Array(method.rawValue.utf8))
    absorb(Array(path.utf8))
    // A query that cannot be decoded is one pair, as it came.
    let pairs = (try? QueryString.pairs(in: query)) ?? [(Array(query.utf8), [])]
    for (name, value) in pairs.sorted(by: { ($0.name, $0.value) < ($1.name, $1.value) }) {
      absorb(name)
      absorb(value)
    }
    absorb(body)
    return Array(hash.finalize())
  }
}

private func < (a: ([UInt8], [UInt8]), b: ([UInt8], [UInt8])) -> Bool {
  a.0 == b.0 ? a.1.lexicographicallyPrecedes(b.1) : a.0.lexicographicallyPrecedes(b.0)
}
