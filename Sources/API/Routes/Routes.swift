import HTTPTypes
import Hummingbird

/// Some addresses and what answers them.
protocol Routes {
  var routes: [Route] { get }
}

/// One address.
struct Route: Sendable {
  typealias Handler = @Sendable (Request, FairdrawContext) async throws -> Response

  let path: String
  /// What answers each method; the order is the one that `Allow` is written in.
  let handlers: [(method: HTTPRequest.Method, handler: Handler)]
  /// Whether callers are told apart by their keys, and counted against the rate limit.
  let readsKey: Bool

  init(_ path: String, _ methods: HTTPRequest.Method..., readsKey: Bool = true, handler: @escaping Handler) {
    self.path = path
    handlers = methods.map { ($0, handler) }
    self.readsKey = readsKey
  }

  var methods: [String] { handlers.map(\.method.rawValue) }
}

/// Finds the route of a path.
///
/// Hummingbird's router does not tell a wrong method from a wrong path, which a client must be told; and it takes
/// several `async` calls to reach a handler, each a hand-over between executors, where this takes a look into a table.
struct RouteTable: Sendable {
  private let routes: [String: Route]

  init(_ routes: [Route]) {
    self.routes = Dictionary(uniqueKeysWithValues: routes.map { ($0.path, $0) })
  }

  /// Slashes doubled or at the end make no other address.
  func route(at path: String) -> Route? {
    routes[path] ?? routes["/" + path.split(separator: "/").joined(separator: "/")]
  }
}
