import Fairness
import JSON

/// What a caller is answered, and, under an idempotency key, what is stored: the same bytes.
public struct Reply: Sendable, Equatable {
  public let status: Int
  private let text: Text
  /// The outcome's short id, for the header; nil unless the answer is a single outcome.
  public let shortID: [UInt8]?
  /// Seconds after which a retry makes sense, for the header.
  public let retryAfter: Int?
  /// Whether this was answered before, and is being said again.
  public let isReplay: Bool
  /// What happened, for whoever in this process has to know. Nobody reads ``body`` again for it.
  public let content: Content
  /// Whether the ledger stored something for this answer and nobody's quota paid for it. It is not stored with an answer.
  public var wroteWithoutCost = false
  /// What is left of the caller's quotas; nil for who has none, and in a replay.
  public internal(set) var quotaLeft: QuotaLeft?
  /// Why it, or an entry of a batch, met a fault; for the log alone.
  public let fault: StoreFailure?

  private enum Text: Sendable {
    case bytes([UInt8])
    case drawn(DrawnBody)
  }

  /// What happened.
  public enum Content: Sendable {
    /// A draw was made, alone or from a commitment; with the coordinates of its outcome.
    case outcome(cursor: Int64, nonce: Int64)
    case batch
    /// A chain as it is, or as it is after its cursor moved.
    case chain
    indirect case rotation(Rotation)
    case commitment
    indirect case refusal(Refusal)
    /// An answer that was given earlier, of which the store has the bytes alone.
    case recalled
  }

  /// An answer that a store kept.
  public init(status: Int, body: [UInt8], shortID: [UInt8]? = nil, isReplay: Bool = false) {
    self.init(.recalled, status: status, body: body, shortID: shortID, isReplay: isReplay)
  }

  init(
    _ content: Content, status: Int = 200, body: [UInt8], shortID: [UInt8]? = nil, retryAfter: Int? = nil,
    isReplay: Bool = false, fault: StoreFailure? = nil
  ) {
    self.content = content
    self.status = status
    text = .bytes(body)
    self.shortID = shortID
    self.retryAfter = retryAfter
    self.isReplay = isReplay
    self.fault = fault
  }

  /// An answer that tells of outcomes just drawn.
  init(_ content: Content, drawn: DrawnBody, shortID: [UInt8]? = nil, fault: StoreFailure? = nil) {
    self.content = content
    status = 200
    text = .drawn(drawn)
    self.shortID = shortID
    retryAfter = nil
    isReplay = false
    self.fault = fault
  }

  /// JSON, whole.
  public var body: [UInt8] {
    switch text {
    case .bytes(let bytes): bytes
    case .drawn(let drawn): drawn.rendered.bytes
    }
  }

  /// Where outcomes stand in the body; of those drawn just now alone.
  var references: BodyReferences { if case .drawn(let drawn) = text { drawn.rendered.references } else { .none } }

  /// - Parameter requestID: of the request that is refused; told if it is a fault, so that it can be found in the log.
  public init(_ refusal: Refusal, requestID: String? = nil) {
    let body = refusal.body(requestID: refusal.status >= 500 ? requestID : nil)
    self.init(
      .refusal(refusal), status: refusal.status, body: body, retryAfter: refusal.retryAfter, fault: refusal.fault)
  }

  /// Whether a client sees the same.
  public static func == (a: Reply, b: Reply) -> Bool {
    a.status == b.status && a.body == b.body && a.shortID == b.shortID && a.retryAfter == b.retryAfter
      && a.isReplay == b.isReplay
  }

  var replayed: Reply { Reply(content, status: status, body: body, shortID: shortID, isReplay: true) }

  /// Why the caller was turned down; nil if it was not, or if that is not known any more.
  public var refusal: Refusal? { if case .refusal(let refusal) = content { refusal } else { nil } }

  /// The rotation that was answered, also if it was answered earlier.
  public var rotation: Rotation? {
    switch content {
    case .rotation(let rotation): rotation
    case .recalled: Rotation(answer: body)
    default: nil
    }
  }

  /// Whether draws were made, or a batch of them tried, just now.
  var isDrawn: Bool {
    switch content {
    case .outcome, .batch: !isReplay
    default: false
    }
  }

  /// Whether an idempotency key keeps this answer. What a later retry may turn into a success is not kept.
  var isFinal: Bool { status < 500 && ![401, 403, 413, 429].contains(status) }
}

/// A request turned down: nothing changed.
public struct Refusal: Error, Sendable, Equatable {
  public let status: Int
  /// A sentence for a person; names the parameter if one is at fault.
  public let error: String
  /// A word for a program; nil for what only pages are answered with.
  public let code: Code?
  /// The parameter at fault; nil if it is none or no single one.
  public let parameter: String?
  /// Seconds.
  public let retryAfter: Int?
  /// The failure of the store's that it comes from; for the log alone.
  public let fault: StoreFailure?
  /// What this program itself has to tell apart.
  public let kind: Kind
  /// The limit that is used up, if it is one with a name.
  public let policy: RateLimitPolicy?

  public enum Kind: Sendable {
    /// Too much is waiting; the same may be asked for again soon.
    case overload
    /// A quota is spent.
    case quota
    /// The idempotency key belongs to another request.
    case conflict
    case other
  }

  public init(
    _ status: Int, _ error: String, code: Code? = nil, parameter: String? = nil, retryAfter: Int? = nil,
    fault: StoreFailure? = nil, kind: Kind = .other, policy: RateLimitPolicy? = nil
  ) {
    self.kind = kind
    self.policy = policy
    self.status = status
    self.error = error
    self.code = code
    self.parameter = parameter
    self.retryAfter = retryAfter
    self.fault = fault
  }

  /// The JSON a refusal is answered with; `requestID` is added to faults, so that they can be found in the log.
  public func body(requestID: String? = nil) -> [UInt8] {
    var body: [UInt8] = []
    body.append(json: "{")
    appendReason(to: &body)
    if let retryAfter {
      body.append(json: ",\"retryAfter\":")
      body.append(integer: retryAfter)
    }
    if let requestID {
      body.append(json: ",\"requestId\":")
      body.append(jsonString: requestID)
    }
    body.append(json: "}")
    return body
  }

  /// Appends the members that say what is wrong.
  func appendReason(to body: inout [UInt8]) {
    body.append(json: "\"error\":")
    body.append(jsonString: error)
    if let code {
      body.append(json: ",\"code\":")
      body.append(jsonString: code.rawValue)
    }
    if let parameter {
      body.append(json: ",\"parameter\":")
      body.append(jsonString: parameter)
    }
  }

  /// A 503 for too much that waits or runs.
  public static func overloaded(_ error: String, retryAfter: Int) -> Refusal {
    Refusal(503, error, code: .overloaded, retryAfter: retryAfter, kind: .overload)
  }

  /// A 400; `parameter` is the one at fault, if it is one.
  public static func badRequest(_ error: String, parameter: String? = nil) -> Refusal {
    Refusal(400, error, code: parameter == nil ? .invalidRequest : .invalidParameter, parameter: parameter)
  }

  /// A 400 for one parameter; `reason` is worded to follow its name.
  public static func invalid(
    _ parameter: some CustomStringConvertible, _ reason: String, code: Code = .invalidParameter
  ) -> Refusal {
    Refusal(400, "\(parameter) \(reason)", code: code, parameter: parameter.description)
  }

  public static let invalidAPIKey = Refusal(401, "The API key is unknown or has been revoked.", code: .invalidAPIKey)

  public static let idempotencyConflict = Refusal(
    409, "This Idempotency-Key was already used for a different request.", code: .idempotencyReplay,
    kind: .conflict)

  static let quotaSpent = "The account's daily quota is spent; it renews at midnight UTC."

  static func quotaExceeded(at now: Milliseconds, quota: Int) -> Refusal {
    Refusal(
      429, quotaSpent, code: .quotaExceeded, retryAfter: Day.secondsLeft(at: now), kind: .quota,
      policy: .daily(quota: quota))
  }

  static func keyQuotaExceeded(at now: Milliseconds, quota: Int) -> Refusal {
    Refusal(
      429, "The API key's daily quota is spent; it renews at midnight UTC.", code: .quotaExceeded,
      retryAfter: Day.secondsLeft(at: now), kind: .quota, policy: .key(quota: quota))
  }

  static let anonymousOff = Refusal(
    403, "This server requires an API key.", code: .apiKeyRequired)

  static func anonymousQuotaExceeded(at now: Milliseconds, quota: Int) -> Refusal {
    Refusal(
      429,
      "The daily quota for draws without an API key is spent; it renews at midnight UTC.",
      code: .quotaExceeded, retryAfter: Day.secondsLeft(at: now), kind: .quota,
      policy: .daily(quota: quota))
  }

  static let aborted = Refusal(400, "Nothing was drawn: another draw of this atomic batch failed.", code: .aborted)

  static let nothingToRotate = Refusal(
    404, "clientSeed has no outcome yet, so there is no server seed to reveal.",
    code: .nothingToRotate)

  static let unknownCommitment = Refusal(404, "There is no commitment with this commitId.", code: .unknownCommitment)

  static let foreignCommitment = Refusal(
    403, "The commitment belongs to another caller: reveal it with a key of the account and mode that made it.",
    code: .commitmentNotYours)

  static let usedCommitment = Refusal(
    409, "The commitment is already revealed; it gives only one outcome.", code: .commitmentUsed)

  static let expiredCommitment = Refusal(
    410, "The commitment has expired; make a new one.", code: .commitmentExpired)

  static let testModeForbidden = Refusal(
    403, "A test key has no seed chain to change; use a live key.", code: .testModeForbidden)
}
