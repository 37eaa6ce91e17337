import Foundation

/// A raffle, as the file beside its report keeps it, so that it is drawn once however often the command is run.
struct RaffleState: Codable {
  /// A server seed that the server has promised by its hash.
  struct Commitment: Codable {
    let commitId: String
    let serverHash: String
    /// In Unix milliseconds, as the server said.
    let expiresAt: Int
    /// When the server had answered, by this machine's clock, in Unix milliseconds.
    let received: Int
  }

  let title: String
  let winners: Int
  let reserves: Int
  let listName: String
  let listHash: String
  let entries: Int
  let rule: String
  let server: String
  let isRehearsal: Bool
  /// What will be put into the client seed, as it was announced; nil if the client seed follows from the list alone.
  let announced: String?
  /// What it turned out to be.
  var value: String?
  var commitment: Commitment
  /// Commitments that expired before anything was drawn from them.
  var expired: [Commitment] = []
  /// The draw, as the server answered it.
  var outcome: String?
  /// The draw's log proof, and the key of the log.
  var proof: String?
  var logKey: String?

  /// It names the list and the raffle, and holds the announced value.
  var clientSeed: String { Self.clientSeed(listHash, title, announced == nil ? nil : value ?? "<the value>") }

  static func clientSeed(_ listHash: String, _ title: String, _ value: String?) -> String {
    "raffle:\(listHash):\(title)" + (value.map { ":\($0)" } ?? "")
  }

  /// A retry of the draw has the same key.
  var idempotencyKey: String { "raffle-\(commitment.commitId)" }

  var drawn: Int { winners + reserves }

  /// What is asked of the server.
  var request: [UInt8] {
    var body: [UInt8] = []
    body.append(json: "{\"commitId\":")
    body.append(jsonString: commitment.commitId)
    body.append(json: ",\"clientSeed\":")
    body.append(jsonString: clientSeed)
    body.append(json: ",\"endpoint\":\"sample\",\"params\":{\"count\":")
    body.append(integer: drawn)
    body.append(json: ",\"min\":1,\"max\":")
    body.append(integer: entries)
    body.append(json: "}}")
    return body
  }

  /// How the raffle that is asked for differs from this one, in words; nil if it is the same.
  func difference(from other: RaffleState) -> String? {
    let parts: [(String, String, String)] = [
      ("the SHA-256 of the list", listHash, other.listHash), ("the title", title, other.title),
      ("the number of winners", "\(winners)", "\(other.winners)"),
      ("the number of reserves", "\(reserves)", "\(other.reserves)"),
      ("the number of entries", "\(entries)", "\(other.entries)"), ("the reading of the list", rule, other.rule),
      ("the server", server, other.server),
      ("the key", isRehearsal ? "a test key" : "no test key", other.isRehearsal ? "a test key" : "no test key"),
    ]
    return parts.first { $0.1 != $0.2 }.map {
      "\($0.0) was \(Terminal.printable($0.1)), and is \(Terminal.printable($0.2)) now"
    }
  }
}
