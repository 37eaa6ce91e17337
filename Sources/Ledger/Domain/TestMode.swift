import Crypto
import Fairness
import JSON

/// What makes two test draws the same one: account, client seed and parameters, by a SHA-256 over them; or, for what was
/// revealed from a commitment, the commitment.
public struct TestDrawID: Hashable, Sendable {
  public let account: AccountID
  /// 32 bytes, or the 16 of a ``CommitID``.
  public let digest: [UInt8]

  public init(account: AccountID, digest: [UInt8]) {
    self.account = account
    self.digest = digest
  }

  init(account: AccountID, draw: DrawRequest) {
    var hash = SHA256()
    var head: [UInt8] = []
    head.append(integer: account.rawValue)
    head.append(json: ":")
    head.append(text: draw.generator.endpoint.name)
    head.append(json: ":")
    head.append(jsonString: draw.clientSeed.bytes)  // quoted, so that where it ends cannot be mistaken
    head.append(contentsOf: draw.fields)
    hash.update(data: head)
    if let items = draw.items { hash.update(data: items.text) }
    self.init(account: account, digest: Array(hash.finalize()))
  }

  init(account: AccountID, commitment: CommitID) { self.init(account: account, digest: commitment.bytes) }

  /// The commitment it was revealed from, if it was.
  var commitment: CommitID? { digest.count == 16 ? CommitID(bytes: digest) : nil }
}

/// Makes the server seeds of test mode: the same for the same account and client seed, and of no use for a live one.
public struct TestSeeds: Sendable {
  private let key, commitmentKey: SymmetricKey

  public init(masterKey: MasterKey) {
    key = masterKey.subkey("test-seeds")
    commitmentKey = masterKey.subkey("test-commitments")
  }

  public func seed(account: AccountID, clientSeed: ClientSeed) -> ActiveSeed {
    var message: [UInt8] = []
    message.append(integer: account.rawValue)
    message.append(json: ":")
    message.append(contentsOf: clientSeed.bytes)
    return Self.seed(message, key)
  }

  /// The seed of a commitment made with a test key.
  public func seed(account: AccountID, commitment: CommitID) -> ActiveSeed {
    var message: [UInt8] = []
    message.append(integer: account.rawValue)
    message.append(json: ":")
    message.append(contentsOf: commitment.bytes)
    return Self.seed(message, commitmentKey)
  }

  private static func seed(_ message: [UInt8], _ key: SymmetricKey) -> ActiveSeed {
    ActiveSeed(ServerSeed(bytes: Array(HMAC<SHA256>.authenticationCode(for: message, using: key))))
  }
}
