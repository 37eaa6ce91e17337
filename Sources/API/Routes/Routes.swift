import HTTPTypes
import Hummingbird
import Ledger

/// Some addresses and what answers them.
public protocol Routes: Sendable {
  var routes: [Route] { get }
}

/// One address.
public struct Route: Sendable {
  public typealias Handler = @Sendable (Request, FairdrawContext) async throws -> Response

  /// A segment in braces, `{date}`, stands for any one segment; its text is in ``FairdrawContext/captures``.
  let path: String
  /// What answers each method; the order is the one that `Allow` is written in.
  let handlers: [(method: HTTPRequest.Method, handler: Handler)]
  /// Whether callers are told apart by their keys, and counted against the rate limit.
  let readsKey: Bool
  /// The scopes that a key must have.
  let needs: KeyScopes

  /// - Parameter isHeadable: whether a GET only reads, so that a HEAD is answered as well.
  public init(
    _ path: String, _ methods: HTTPRequest.Method..., readsKey: Bool = true, needs: KeyScopes = [],
    isHeadable: Bool = true,
    handler: @escaping Handler
  ) {
    self.init(
      path, methods: isHeadable ? Self.withHead(methods) : methods, readsKey: readsKey, needs: needs, handler: handler)
  }

  init(
    _ path: String, methods: [HTTPRequest.Method], readsKey: Bool = true, needs: KeyScopes = [],
    handler: @escaping Handler
  ) {
    self.path = path
    handlers = methods.map { ($0, handler) }
    self.readsKey = readsKey
    self.needs = needs
  }

  /// An address that takes no parameters, and refuses those that it is sent.
  static func withoutParameters(
    _ path: String, _ methods: HTTPRequest.Method..., readsKey: Bool = true, needs: KeyScopes = [],
    handler: @escaping Handler
  ) -> Route {
    let none = ParameterNames(of: path)
    return Route(path, methods: withHead(methods), readsKey: readsKey, needs: needs) { request, context in
      try Parameters(query: try QueryString.pairs(in: context.target.query)).check(none)
      return try await handler(request, context)
    }
  }

  private static func withHead(_ methods: [HTTPRequest.Method]) -> [HTTPRequest.Method] {
    methods.flatMap { $0 == .get ? [.get, .head] : [$0] }
  }

  var methods: [String] { handlers.map(\.method.rawValue) }
}

/// Finds the route of a path.
///
/// Hummingbird's router does not tell a wrong method from a wrong path, which a client must be told; and it takes
/// several `async` calls to reach a handler, each a hand-over between executors, where this takes a look into a table.
struct RouteTable: Sendable {
  private let exact: [String: Route]
  /// The routes with braces, by how many segments they have.
  private let patterns: [Int: [(segments: [Substring], route: Route)]]

  init(_ routes: [Route]) {
    exact = Dictionary(uniqueKeysWithValues: routes.filter { !$0.path.contains("{") }.map { ($0.path, $0) })
    patterns = Dictionary(
      grouping: routes.filter { $0.path.contains("{") }.map { (segments: Self.segments($0.path), route: $0) },
      by: \.segments.count)
  }

  /// The route of a ``Target/path`` and what its braces stand for, percent-decoding left to the handler. An exact route
  /// comes before one with braces.
  func route(at path: String) -> (route: Route, captures: [String: Substring])? {
    if let route = exact[path] { return (route, [:]) }
    let segments = Self.segments(path)
    for candidate in patterns[segments.count] ?? [] {
      if let captures = Self.match(segments, candidate.segments) { return (candidate.route, captures) }
    }
    return nil
  }

  private static func segments(_ path: String) -> [Substring] { path.split(separator: "/") }

  private static func match(_ segments: [Substring], _ pattern: [Substring]) -> [String: Substring]? {
    var captures: [String: Substring] = [:]
    for (segment, part) in zip(segments, pattern) {
      if part.hasPrefix("{") {
        captures[String(part.dropFirst().dropLast())] = segment
      } else if !segment.utf8.elementsEqual(part.utf8) {
        return nil
      }
    }
    return captures
  }
}
