import Fairness
import Ledger

/// What the ledger has to do, one submission after another and with none of its machinery: the specification that the
/// simulation holds it to.
struct Model {
  enum Part {
    case drawn(ChainKey, Position, DrawRequest)
    case rehearsed(AccountID, DrawRequest)
    case refused(Int, code: String?, error: String? = nil)
  }

  enum Answer {
    case single(Part)
    case batch([Part])
    /// A chain's commitment; of test mode if there is no key.
    case chain(ChainKey?, ClientSeed, Position, moved: Bool)
    /// The chain stood there, in the epoch whose seed is told now.
    case rotated(ChainKey, Position)
    /// A commitment under a new name; tell ``learn(_:of:now:)`` which.
    case committed
    case revealed(CommitID, DrawRequest)
    /// What this submission was answered.
    case again(Int)
  }

  struct Position {
    var epoch = 0
    var cursor: Int64 = 0
    var nonce: Int64 = 0
  }

  private struct Promise {
    let owner: ChainOwner
    let expires: Milliseconds
    var isUsed = false
  }

  var revoked: Set<KeyID> = []
  let quota: [AccountID: Int]
  private(set) var next: [ChainKey: Position] = [:]
  private var promises: [CommitID: Promise] = [:]
  /// How many commitments have become chains, and test outcomes.
  private(set) var revealed: [Mode: Int] = [:]
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
      guard caller.mode == .live else { return .chain(nil, clientSeed, Position(), moved: false) }
      let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      let position = next[key, default: Position()]
      next[key] = position
      return .chain(key, clientSeed, position, moved: false)
    case .incrementCursor(let clientSeed):
      guard caller.mode == .live else { return .single(.refused(403, code: "test_mode_forbidden")) }
      let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      guard var position = next[key] else { return .single(.refused(400, code: nil)) }
      position.cursor += 1
      next[key] = position
      return .chain(key, clientSeed, position, moved: true)
    case .rotate(let clientSeed):
      guard caller.mode == .live else { return .single(.refused(403, code: "test_mode_forbidden")) }
      let key = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      guard let position = next[key], position.nonce > 0 else { return .single(.refused(404, code: nil)) }
      next[key]?.epoch += 1
      return .rotated(key, position)
    case .commit: return .committed
    case .reveal(let id, let request):
      guard let promise = promises[id] else { return .single(.refused(404, code: "unknown_commitment")) }
      guard promise.owner == caller.chainOwner else { return .single(.refused(403, code: "commitment_not_yours")) }
      guard !promise.isUsed else { return .single(.refused(409, code: "commitment_used")) }
      guard now < promise.expires else { return .single(.refused(410, code: "commitment_expired")) }
      guard !isSpent(caller, now) else { return .single(Self.quotaExceeded) }
      promises[id]?.isUsed = true
      revealed[caller.mode, default: 0] += 1
      if caller.mode == .live { count(caller, now) }
      return .revealed(id, request)
    case .refuse(let refusal): return .single(.refused(refusal.status, code: refusal.code, error: refusal.error))
    }
  }

  private mutating func draw(_ request: DrawRequest, _ caller: Caller, _ now: Milliseconds) -> Part {
    guard caller.mode == .live else { return .rehearsed(caller.account, request) }
    guard !isSpent(caller, now) else { return Self.quotaExceeded }
    count(caller, now)
    let key = ChainKey(owner: caller.chainOwner, clientSeed: request.clientSeed)
    let position = next[key, default: Position()]
    next[key, default: Position()].nonce += 1
    return .drawn(key, position, request)
  }

  private mutating func count(_ caller: Caller, _ now: Milliseconds) {
    used[caller.account, default: [:]][Day(of: now), default: 0] += 1
    drawn += 1
  }

  /// What a commitment that was just made is called.
  mutating func learn(_ id: CommitID, of caller: Caller, now: Milliseconds) {
    promises[id] = Promise(owner: caller.chainOwner, expires: now + 600_000)
  }

  private func isSpent(_ caller: Caller, _ now: Milliseconds) -> Bool {
    guard case .key(_, let account, .live) = caller else { return false }
    return used[account]?[Day(of: now)] ?? 0 >= quota[account] ?? 0
  }

  private static let quotaExceeded = Part.refused(429, code: "quota_exceeded")
}
