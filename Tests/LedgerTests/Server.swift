import Ledger
import LedgerSimulation

/// A ledger that is decided on and stored, group by group.
struct Server {
  var ledger = MemoryLedger()
  var now = newYear
  var entropy = SplitMix64(state: 1)

  init() {
    ledger.addAccount(1, dailyQuota: 3)
    ledger.addKey(1, account: 1)
    ledger.addKey(2, account: 1)
    ledger.addKey(3, account: 1)
    ledger.addAccount(2, dailyQuota: 3)
    ledger.addKey(4, account: 2)
  }

  mutating func decide(_ group: Submission...) -> (replies: [Reply], changes: Changes) {
    let decision = decider.decide(group, snapshot: ledger.snapshot(Needs(of: group), now: now), entropy: &entropy)
    ledger.apply(decision.changes)
    return (decision.replies, decision.changes)
  }

  mutating func answer(_ submission: Submission) -> Reply { decide(submission).replies[0] }
}
