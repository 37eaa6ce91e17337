import Fairness
import Foundation
import JSON
import Ledger
import LedgerSimulation

/// Draws again what `outcome` records, as a player could, and compares.
func rederive(_ outcome: Outcome, of request: DrawRequest, from serverSeed: ServerSeed) throws {
  let values = try Verification(
    serverSeed: serverSeed, serverHash: outcome.serverHash, clientSeed: request.clientSeed,
    cursor: UInt64(outcome.cursor), nonce: UInt64(outcome.nonce), generator: request.generator
  ).values()
  let recorded = try JSONText(outcome.value).root
  let fields = try object(Array("{".utf8) + outcome.fields + Array("}".utf8))
  func field(_ name: String) -> String? { fields[name].map { text($0.raw) } }

  let agrees: Bool
  switch values {
  case .floats(let numbers), .samples(let numbers):
    let read = recorded.elements()?.map { $0.number.flatMap(Double.init)?.bitPattern }
    agrees = read == numbers.map(\.bitPattern) && field("count") == "\(numbers.count)"
  case .ints(let numbers):
    agrees = recorded.elements()?.map(\.number) == numbers.map { "\($0)" } && field("count") == "\(numbers.count)"
  case .permutation(let order):
    let items = order.map { request.items!.text(at: $0) }
    agrees =
      recorded.elements()?.map { Array($0.raw) } == items.map(Array.init) && field("count") == "\(order.count)"
      && outcome.items == request.items?.text
  case .index(let index):
    agrees =
      outcome.value == Array(request.items!.text(at: index)) && field("index") == "\(index)" && field("count") == "1"
      && outcome.items == request.items?.text
  case .bytes(let bytes, let encoding):
    let written =
      switch encoding {
      case .hex: bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      case .base64: Data(bytes).base64EncodedString()
      }
    agrees = recorded.string == Array(written.utf8) && field("count") == "\(bytes.count)"
  case .rolls(let rolls, _, let total):
    let members = try object(outcome.value)
    agrees =
      members["rolls"]?.elements()?.map(\.number) == rolls.map { "\($0)" } && members["total"]?.number == "\(total)"
      && field("count") == "\(rolls.count)"
  }
  try check(agrees, "outcome \(outcome.id) records \(text(outcome.value)), which is not \(values)")
}
