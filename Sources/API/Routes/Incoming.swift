import Fairness
import HTTPTypes
import Hummingbird
import Ledger

/// A request, read: all that its parameters and its fingerprint are made from.
struct Incoming {
  let method: HTTPRequest.Method
  let target: Target
  /// Empty for a GET, which has none as far as this API is concerned.
  let body: [UInt8]
  let caller: Caller

  init(method: HTTPRequest.Method, target: Target, body: [UInt8], caller: Caller) {
    self.method = method
    self.target = target
    self.body = body
    self.caller = caller
  }

  /// - Throws: what ``BodyReader/read(_:)`` throws.
  init(_ request: Request, _ context: FairdrawContext) async throws(Refusal) {
    self.init(
      method: request.method, target: context.target,
      body: request.method.hasBody ? try await BodyReader.read(request) : [], caller: context.caller)
    if context.headers.announcedLength == 0 { context.admission?.charge(body.count, to: caller, context.record) }
  }

  /// The parameters, all of them among `known`.
  func parameters(_ known: ParameterNames) throws(Refusal) -> Parameters {
    let parameters = try parameters()
    try parameters.check(known)
    return parameters
  }

  /// The parameters of the query and, for a POST or a PATCH, of the JSON object in the body. One given in both is given twice.
  func parameters() throws(Refusal) -> Parameters {
    let query = try QueryString.pairs(in: target.query)
    var parameters =
      body.isEmpty ? Parameters(query: []) : try Parameters(json: try BodyReader.json(body), what: "The body")
    parameters.add(query)
    if caller == .anonymous { parameters.longestLists = Parameters.longestAnonymousLists }
    return parameters
  }

  /// The first half of a SHA-256 over what makes two requests the same: method, path, decoded query pairs in any order, body
  /// bytes. Every part goes in with its length, so that no two different requests run together.
  func fingerprint() -> [UInt8] {
    var parts: [UInt8] = []
    parts.reserveCapacity(target.bytes.count + body.count + 96)
    func add(_ bytes: some Collection<UInt8>) {
      withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { parts.append(contentsOf: $0) }
      parts.append(contentsOf: bytes)
    }
    add(method.rawValue.utf8)
    add(target.path.utf8)
    // A query that cannot be decoded is one pair, as it came.
    let pairs = (try? QueryString.pairs(in: target.query)) ?? [QueryPair(name: target.query, value: [])]
    for pair in pairs.sorted(by: Self.precedes) {
      add(pair.name)
      add(pair.value)
    }
    add(body)
    return LogDigest(of: parts).prefix(16)
  }

  private static func precedes(_ a: QueryPair, _ b: QueryPair) -> Bool {
    a.name == b.name ? a.value.lexicographicallyPrecedes(b.value) : a.name.lexicographicallyPrecedes(b.name)
  }
}

extension HTTPRequest.Method {
  /// Whether a request's body counts.
  var hasBody: Bool { self == .post || self == .patch }
}
