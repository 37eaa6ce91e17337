import Fairness
import Ledger

/// An outcome as its columns hold it, before it is known to make sense.
struct OutcomeRow {
  var id, chain, epoch, cursor, nonce, endpoint: Int64
  var value, fields: [UInt8]
  var items: [UInt8]?
  var created: Int64
  var clientSeed: [UInt8]
  /// Nil when neither the chain nor the revealed seeds have it.
  var serverHash: [UInt8]?

  /// - Throws: ``StoreFailure`` if the row is not one that this program wrote.
  func outcome(mode: Mode) throws -> Outcome {
    guard let endpoint = UInt8(exactly: endpoint).flatMap(Endpoint.init(rawValue:)) else {
      throw StoreFailure("outcome \(id) is of an unknown endpoint, \(endpoint)")
    }
    guard let serverHash else { throw StoreFailure("the server seed of outcome \(id), epoch \(epoch), is missing") }
    return Outcome(
      id: id, chain: chain, mode: mode, clientSeed: try ClientSeed(clientSeed),
      serverHash: try ServerHash(bytes: serverHash), epoch: Int(epoch), cursor: cursor, nonce: nonce,
      endpoint: endpoint, value: value, fields: fields, items: items, created: created)
  }
}
