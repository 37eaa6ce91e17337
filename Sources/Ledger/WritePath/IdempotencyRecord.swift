import Fairness

/// The answer kept under an idempotency key.
public struct IdempotencyRecord: Sendable, Equatable {
  public let scope: IdempotencyScope
  public let fingerprint: [UInt8]
  /// See ``IdempotencyClaim/request``.
  public let request: Int64
  public let reply: Reply
  public let created: Milliseconds

  public init(_ claim: IdempotencyClaim, reply: Reply, created: Milliseconds) {
    self.init(claim.scope, claim.fingerprint, request: claim.request, reply: reply, created: created)
  }

  fileprivate init(
    _ scope: IdempotencyScope, _ fingerprint: [UInt8], request: Int64, reply: Reply, created: Milliseconds
  ) {
    self.scope = scope
    self.fingerprint = fingerprint
    self.request = request
    self.reply = reply
    self.created = created
  }
}

/// An idempotency record as a store's columns hold it.
public struct StoredRecord: Sendable {
  public let scope: IdempotencyScope
  private let fingerprint: [UInt8]
  private let request: Int64
  private let status: Int
  private let created: Milliseconds
  /// Nil if nobody needs it.
  public let answer: StoredAnswer?

  /// - Throws: a ``StoreFailure`` if the columns are none that this program wrote.
  public init(
    _ scope: IdempotencyScope, fingerprint: [UInt8], request: Int64, status: Int64, created: Milliseconds,
    answer: [UInt8]?
  ) throws(StoreFailure) {
    guard (200...499).contains(status), created.isPlausible else {
      throw .damaged("an idempotency record of account \(scope.account.rawValue) is damaged")
    }
    self.scope = scope
    self.fingerprint = fingerprint
    self.request = request
    self.status = Int(status)
    self.created = created
    if let answer { self.answer = try StoredAnswer(answer) } else { self.answer = nil }
  }

  /// - Parameters:
  ///   - outcomes: those of the answer, by their numbers.
  ///   - rendering: the answer's, if it has one.
  /// - Throws: what ``StoredAnswer/reply(status:with:_:_:)`` throws.
  public func record(
    with outcomes: [Int64: Outcome], _ rendering: Rendering?, _ shortIDs: ShortIDs
  ) throws(StoreFailure) -> IdempotencyRecord {
    var reply = Reply(status: status, body: [])
    if let answer { reply = try answer.reply(status: status, with: outcomes, rendering, shortIDs) }
    return IdempotencyRecord(scope, fingerprint, request: request, reply: reply, created: created)
  }
}
