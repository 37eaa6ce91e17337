import Crypto
import Fairness
import JSON

/// What makes two test draws the same one: account, client seed and parameters. SHA-256 over them.
public struct TestDrawID: Hashable, Sendable {
  public let account: AccountID
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
}

/// Makes the server seeds of test mode: the same for the same account and client seed, and of no use for a live one.
public struct TestSeeds: Sendable {
  private let key: SymmetricKey

  public init(masterKey: MasterKey) { key = masterKey.subkey("test-seeds") }

  public func seed(account: AccountID, clientSeed: ClientSeed) -> ActiveSeed {
    var message: [UInt8] = []
    message.append(integer: account.rawValue)
    message.append(json: ":")
    message.append(contentsOf: clientSeed.bytes)
    let code = Array(HMAC<SHA256>.authenticationCode(for: message, using: key))
    return ActiveSeed(ServerSeed(bytes: code))
  }
}
