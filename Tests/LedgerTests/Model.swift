import Fairness
import Ledger

/// What the ledger has to do, one submission after another and with none of its machinery: the specification that the
/// simulation holds it to.
struct Model {
  enum Part {
    case drawn(ChainKey, cursor: Int64, nonce: Int64, DrawRequest)
    case rehearsed(AccountID, DrawRequest)
    case refused(Int, code: String?, error: String? = nil)
  }

  enum Answer {
    case single(Part)
    case batch([Part])
    /// A chain's commitment; of test mode if there is no key.
    case chain(ChainKey?, ClientSeed, cursor: Int64, nonce: Int64, moved: Bool)
    /// What this submission was answered.
    case again(Int)
  }

  var revoked: Set<KeyID> = []
  let quota: [AccountID: Int]
  private(set) var next: [ChainKey: (cursor: Int64, nonce: Int64)] = [:]
  private(set) var used: [AccountID: [Day: Int]] = [:]
  private(set) var drawn = 0
  /// How often a claim's request has run.
  private(set) var runs = 0
  private var kept: [IdempotencyScope: (fingerprint: [UInt8], answer: Int, at: Milliseconds)] = [:]

  init(quota: [AccountID: Int]) { self.quota = quota }

  /// - Parameter number: what to call the submission in ``Answer/again(_:)``.
  mutating func answer(_ submission: Submission, number: Int, now: Milliseconds) -> Answer {
    if case .key(let key, _, _) = submission.caller, revoked.contains(key) {
      return .single(.refused(401, code: "invalid_api_key"))
    }
    guard let claim = submission.claim else { return run(submission, now) }
    if let kept = kept[claim.scope], now - kept.at < day {
      if kept.fingerprint == claim.fingerprint { return .again(kept.answer) }
      return .single(.refused(409, code: "idempotency_replay"))
    }
    let answer = run(submission, now)
    if case .single(.refused(let status, _, _)) = answer, status == 429 || status == 403 { return answer }
    runs += 1
    kept[claim.scope] = (claim.fingerprint, number, now)
    return answer
  }

  private mutating func run(_ submission: Submission, _ now: Milliseconds) -> Answer {
    let caller = submission.caller
    switch submission.operation {
    case .draw(let request): return .single(draw(request, caller, now))
    case .batch(let entries):
      return .batch(
        entries.map { entry in
          switch entry {
          case .draw(let request): draw(request, caller, now)
          case .refused(let error): isSpent(caller, now) ? Self.quotaExceeded : .refused(400, code: nil, error: error)
          }
        })
    case .seed(let clientSeed):
      guard caller.mode == .live else { return .chain(nil, clientSeed, cursor: 0, nonce: 0, moved: false) }
      let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      let (cursor, nonce) = next[key, default: (0, 0)]
      next[key] = (cursor, nonce)
      return .chain(key, clientSeed, cursor: cursor, nonce: nonce, moved: false)
    case .incrementCursor(let clientSeed):
      guard caller.mode == .live else { return .single(.refused(403, code: "test_mode_forbidden")) }
      let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      guard let (cursor, nonce) = next[key] else { return .single(.refused(400, code: nil)) }
      next[key] = (cursor + 1, nonce)
      return .chain(key, clientSeed, cursor: cursor + 1, nonce: nonce, moved: true)
    case .refuse(let refusal): return .single(.refused(refusal.status, code: refusal.code, error: refusal.error))
    }
  }

  private mutating func draw(_ request: DrawRequest, _ caller: Caller, _ now: Milliseconds) -> Part {
    guard caller.mode == .live else { return .rehearsed(caller.account, request) }
    guard !isSpent(caller, now) else { return Self.quotaExceeded }
    used[caller.account, default: [:]][Day(of: now), default: 0] += 1
    drawn += 1
    let key = ChainKey(owner: caller.chainOwner, clientSeed: request.clientSeed)
    let (cursor, nonce) = next[key, default: (0, 0)]
    next[key] = (cursor, nonce + 1)
    return .drawn(key, cursor: cursor, nonce: nonce, request)
  }

  private func isSpent(_ caller: Caller, _ now: Milliseconds) -> Bool {
    guard case .key(_, let account, .live) = caller else { return false }
    return used[account]?[Day(of: now)] ?? 0 >= quota[account] ?? 0
  }

  private static let quotaExceeded = Part.refused(429, code: "quota_exceeded")
}
