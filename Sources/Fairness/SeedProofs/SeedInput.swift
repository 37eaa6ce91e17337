/// The inputs of a server seed besides the key: the chain, and the number of the seed in that chain.
public struct SeedInput: Hashable, Sendable {
  public var scope: SeedScope
  /// The installation's era: 0, and one more each time its database is restored to an earlier state.
  public var era: UInt64
  /// How often the chain was rotated.
  public var epoch: UInt64
  public var clientSeed: ClientSeed

  public init(scope: SeedScope, era: UInt64, epoch: UInt64, clientSeed: ClientSeed) {
    self.scope = scope
    self.era = era
    self.epoch = epoch
    self.clientSeed = clientSeed
  }

  /// The bytes that go into the function: `fairdraw/seed/v1`, scope, era and epoch, a line each that ends in
  /// a line feed, then the client seed as it is. No two inputs have the same.
  public var alpha: [UInt8] { Array("fairdraw/seed/v1\n\(scope)\n\(era)\n\(epoch)\n".utf8) + clientSeed.bytes }
}
