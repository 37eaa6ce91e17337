import Fairness

/// An outcome as a store's columns hold it, before it is known to make sense.
public struct OutcomeRow: Sendable {
  private let id, chain, epoch, cursor, nonce, endpoint: Int64
  private let value, fields: [UInt8]
  private let items: [UInt8]?
  private let created: Milliseconds
  private let clientSeed: [UInt8]
  private let serverHash: [UInt8]?

  /// - Parameter serverHash: nil when neither the chain nor the revealed seeds have it.
  public init(
    id: Int64, chain: Int64, epoch: Int64, cursor: Int64, nonce: Int64, endpoint: Int64, value: [UInt8],
    fields: [UInt8], items: [UInt8]?, created: Milliseconds, clientSeed: [UInt8], serverHash: [UInt8]?
  ) {
    self.id = id
    self.chain = chain
    self.epoch = epoch
    self.cursor = cursor
    self.nonce = nonce
    self.endpoint = endpoint
    self.value = value
    self.fields = fields
    self.items = items
    self.created = created
    self.clientSeed = clientSeed
    self.serverHash = serverHash
  }

  /// - Throws: ``StoreFailure`` if the row is not one that this program wrote; ``InvalidParameter`` if its seed or hash is
  ///   none.
  public func outcome(mode: Mode) throws -> Outcome {
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
