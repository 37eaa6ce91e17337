import Fairness
import JSON

/// A request that may change state. Everything that does comes through here.
public struct Submission: Sendable {
  public let caller: Caller
  /// Makes a retry harmless; nil when the caller sent no idempotency key, or is anonymous.
  public let claim: IdempotencyClaim?
  public let operation: Operation

  /// - Precondition: an anonymous caller has no claim: there is no account to keep it under.
  public init(caller: Caller, claim: IdempotencyClaim? = nil, operation: Operation) {
    precondition(claim == nil || caller != .anonymous)
    self.caller = caller
    self.claim = claim
    self.operation = operation
  }

  /// How much work it is, in draws.
  public var weight: Int {
    if case .batch(let entries, _) = operation { max(entries.count, 1) } else { 1 }
  }

  /// How much memory it takes until it is answered, about: what it holds, what is decided from it, and its answer.
  public var bytes: Int {
    switch operation {
    case .draw(let draw), .reveal(_, let draw): Self.baseBytes + draw.bytes
    case .batch(let entries, _):
      entries.reduce(Self.baseBytes) { sum, entry in
        switch entry {
        case .draw(let draw, let id): sum + Self.baseBytes + draw.bytes + 2 * (id?.count ?? 0)
        case .refused(let refusal, let id): sum + 2 * (refusal.error.utf8.count + (id?.count ?? 0))
        }
      }
    case .refuse(let refusal): Self.baseBytes + 2 * refusal.error.utf8.count
    case .seed, .incrementCursor, .rotate, .commit: Self.baseBytes
    }
  }

  /// What the smallest submission takes.
  static let baseBytes = 1024
}

public enum Operation: Sendable {
  case draw(DrawRequest)
  /// An atomic batch draws all of its entries or none.
  case batch([BatchEntry], isAtomic: Bool = false)
  /// The commitment for the next draw; makes the chain if it is new.
  case seed(ClientSeed)
  case incrementCursor(ClientSeed)
  /// Reveals a chain's server seed and gives it the next one.
  case rotate(ClientSeed)
  /// Makes a commitment.
  case commit
  /// The one draw from a commitment, at cursor 0 and nonce 0.
  case reveal(CommitID, DrawRequest)
  /// A request found bad before it got here, but sent under an idempotency key: its refusal is kept like any answer.
  case refuse(Refusal)
}

/// One place in a batch: a draw, or why there is none; with the id that the caller gave it.
public enum BatchEntry: Sendable {
  case draw(DrawRequest, id: [UInt8]? = nil)
  case refused(Refusal, id: [UInt8]? = nil)

  /// The longest id, in bytes.
  public static let longestID = 64
}

/// The most draws one batch may hold.
public let maximumBatchSize = 50

/// Where an idempotency key means something: one account, one mode.
public struct IdempotencyScope: Hashable, Comparable, Sendable {
  public let account: AccountID
  public let mode: Mode
  /// The key's bytes: 1 to 255 of visible ASCII.
  public let key: [UInt8]
  /// 16 bytes that stand for all three: the head of a SHA-256, which nobody can make two scopes share. Stores index
  /// records by it, since a short index of one column takes half the time of one with whole keys.
  public let digest: [UInt8]

  public init(account: AccountID, mode: Mode, key: [UInt8]) {
    self.account = account
    self.mode = mode
    self.key = key
    var text: [UInt8] = []
    text.reserveCapacity(key.count + 24)
    text.append(integer: account.rawValue)
    text.append(json: ":")
    text.append(integer: mode.rawValue)
    text.append(json: ":")
    text.append(contentsOf: key)
    digest = LogDigest(of: text).prefix(16)
  }

  public static func == (a: Self, b: Self) -> Bool { a.digest == b.digest }

  public func hash(into hasher: inout Hasher) {
    digest.withUnsafeBytes { hasher.combine(bytes: $0) }
  }

  public static func < (a: Self, b: Self) -> Bool { a.digest.lexicographicallyPrecedes(b.digest) }
}

/// An idempotency key and the request it was sent with.
public struct IdempotencyClaim: Hashable, Sendable {
  public let scope: IdempotencyScope
  /// A digest of what makes two requests the same.
  public let fingerprint: [UInt8]
  /// A number that tells whoever looks the key up what was asked for; the ledger does not know what it means.
  public let request: Int64

  public init(scope: IdempotencyScope, fingerprint: [UInt8], request: Int64 = 0) {
    self.scope = scope
    self.fingerprint = fingerprint
    self.request = request
  }
}
