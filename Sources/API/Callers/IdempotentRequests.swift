import Fairness
import HTTPTypes
import Ledger

/// The requests that idempotency keys work on, by the numbers that stores keep them under: see
/// ``IdempotencyClaim/request``. What a number stands for never changes.
package enum IdempotentRequests {
  /// A request's number is twice its address's, and one more for a POST.
  private static let addresses: [String: Int64] = {
    var addresses: [String: Int64] = [
      "/api/batch": 101, "/api/reveal": 102, "/api/commit": 103, "/api/rotate": 104, "/api/incrementCursor": 105,
      "/dashboard/outcomes/rotate": 106, "/api/webhooks": 107,
    ]
    for endpoint in Endpoint.allCases { addresses["/api/\(endpoint.name)"] = Int64(endpoint.rawValue) }
    return addresses
  }()
  private static let names = Dictionary(uniqueKeysWithValues: addresses.map { ($1, $0) })

  /// 0 for a request that has no number.
  package static func number(_ method: HTTPRequest.Method, _ path: String) -> Int64 {
    addresses[path].map { 2 * $0 + (method == .post ? 1 : 0) } ?? 0
  }

  static func request(_ number: Int64) -> (method: HTTPRequest.Method, path: String)? {
    names[number >> 1].map { (number & 1 == 1 ? .post : .get, $0) }
  }
}
