import Fairness
import JSON

/// What a rotation revealed, and what the chain goes on with.
public struct Rotation: Sendable {
  public let serverSeed: ServerSeed
  public let serverHash: ServerHash
  /// The hash of the next draw's server seed.
  public let nextHash: ServerHash

  init(_ revealed: RevealedSeed, next: ActiveSeed) {
    serverSeed = revealed.seed
    serverHash = revealed.hash
    nextHash = next.hash
  }

  /// Reads the rotation from an answer that was kept; nil if it is none.
  init?(answer: [UInt8]) {
    guard let root = try? JSONText(answer).root, let seed = root["revealed"]?["serverSeed"]?.string,
      let next = root["next"]?["serverHash"]?.string, let serverSeed = try? ServerSeed(hex: seed),
      let nextHash = try? ServerHash(hex: String(decoding: next, as: UTF8.self))
    else { return nil }
    self.serverSeed = serverSeed
    self.serverHash = serverSeed.hash
    self.nextHash = nextHash
  }
}
