import Fairness
import Foundation
import JSON
import Ledger
import LedgerSimulation

extension DrawRequest {
  static func ints(_ clientSeed: String, count: Int = 1) -> DrawRequest {
    DrawRequest(clientSeed: seed(clientSeed), generator: .ints(count: count, min: 1, max: 100))
  }
}

/// The members of a JSON object, by name.
func object(_ body: [UInt8]) throws -> [String: JSONValue] {
  let members = try JSONText(body).root.members ?? []
  return Dictionary(uniqueKeysWithValues: members.map { (text($0.name), $0.value) })
}

/// The outcomes an answer carries: one, or those of a batch.
func outcomes(in reply: Reply) throws -> [[String: JSONValue]] {
  let body = try object(reply.body)
  guard let results = body["results"]?.elements() else { return body["outcome"] == nil ? [] : [body] }
  return try results.compactMap { result in
    try object(Array(result.raw))["outcome"].map { try object(Array($0.raw)) }
  }
}
