// Quotas: what is drawn is counted, refused once a quota is spent, and what is left is told.

extension Decider {
  /// Records a live outcome, and tells its account if that was the last that it may draw today.
  func record(_ outcome: Outcome, for caller: Caller, in draft: inout Draft) {
    draft.record(outcome, for: caller.account)
    if case .key(let key, let account, _) = caller { draft.count(key, of: account) }
    guard caller != .anonymous, let state = draft.snapshot.accounts[caller.account] else { return }
    let quota = state.dailyQuota ?? defaultDailyQuota
    if state.usedToday == quota {
      draft.tell(.quotaReached, to: caller.account, Self.quotaReached(quota, on: Day(of: outcome.created)))
    }
  }

  private static func quotaReached(_ quota: Int, on day: Day) -> [UInt8] {
    Array("{\"date\":\"\(day)\",\"quota\":\(quota),\"resetsAt\":\"\(day.end.iso8601)\"}".utf8)
  }

  /// The refusal of a caller whose quota is spent; nil if there is some left.
  func quotaRefusal(for caller: Caller, in draft: Draft) -> Refusal? {
    switch (caller, caller.mode) {
    case (_, .test): return nil
    case (.anonymous, .live):
      guard let anonymousDailyQuota, draft.used(by: .anonymous) >= anonymousDailyQuota else { return nil }
      return .anonymousQuotaExceeded(at: draft.snapshot.now, quota: anonymousDailyQuota)
    case (.key, .live), (.holder, .live):
      let state = draft.snapshot.accounts[caller.account]
      let quota = state.map { $0.dailyQuota ?? defaultDailyQuota } ?? 0
      guard let state, state.usedToday < quota else { return .quotaExceeded(at: draft.snapshot.now, quota: quota) }
      guard case .key(let key, _, _) = caller, let own = draft.snapshot.keyQuotas[key],
        own.usedToday >= own.dailyQuota
      else { return nil }
      return .keyQuotaExceeded(at: draft.snapshot.now, quota: own.dailyQuota)
    }
  }

  /// What is left to a caller with a live key who asked for draws.
  func quotaLeft(after reply: Reply, to caller: Caller, in draft: Draft) -> QuotaLeft? {
    guard case .key(let key, let account, .live) = caller, reply.isDrawn, let state = draft.snapshot.accounts[account]
    else {
      return nil
    }
    return QuotaLeft(
      daily: max(0, (state.dailyQuota ?? defaultDailyQuota) - state.usedToday),
      key: draft.snapshot.keyQuotas[key].map { max(0, $0.dailyQuota - $0.usedToday) })
  }
}
