import HTTPTypes
import Hummingbird

/// Some addresses and what answers them.
protocol Routes {
  /// Every address added, with the methods it answers.
  static var paths: [Route] { get }
  func add(to router: some RouterMethods<FairdrawContext>)
}

struct Route: Sendable {
  let path: String
  let methods: [HTTPRequest.Method]

  init(_ path: String, _ methods: HTTPRequest.Method...) {
    self.path = path
    self.methods = methods
  }
}
