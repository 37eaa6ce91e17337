import Fairness
import Ledger
import Testing

/// A ledger of dictionaries: what a store's tables hold, and nothing clever.
struct MemoryLedger: Sendable {
  var liveKeys: Set<KeyID> = []
  /// Whose each key is, revoked or not.
  var keyOwners: [KeyID: AccountID] = [:]
  /// Each account's daily quota.
  var accounts: [AccountID: Int?] = [:]
  private(set) var chains: [ChainKey: SeedChain] = [:]
  private(set) var outcomes: [Outcome] = []
  private(set) var testOutcomes: [TestDrawID: Outcome] = [:]
  private(set) var records: [IdempotencyScope: IdempotencyRecord] = [:]
  private(set) var usage: [UsageKey: Int] = [:]
  /// Each account's enabled endpoints.
  var webhooks: [AccountID: [WebhookEndpointID]] = [:]
  private(set) var deliveries: [NewDelivery] = []
  private var numbers: [Place: Int] = [:]

  struct Place: Hashable {
    let chain: Int64
    let cursor: Int64
    let nonce: Int64
  }

  mutating func addAccount(_ account: Int64, dailyQuota: Int?) { accounts[AccountID(account)] = .some(dailyQuota) }

  mutating func addKey(_ key: Int64, account: Int64) {
    liveKeys.insert(KeyID(key))
    keyOwners[KeyID(key)] = AccountID(account)
  }

  func outcome(_ key: ChainKey, cursor: Int64, nonce: Int64) -> Outcome? {
    chains[key].flatMap { numbers[Place(chain: $0.id, cursor: cursor, nonce: nonce)] }.map { outcomes[$0] }
  }

  /// What `needs` names and nothing else, so that a decision that looks further goes wrong.
  func snapshot(_ needs: Needs, now: Milliseconds) -> Snapshot {
    var snapshot = Snapshot(
      now: now, nextOutcome: Int64(outcomes.count + testOutcomes.count) + 1, nextChain: Int64(chains.count) + 1)
    snapshot.keys = liveKeys.intersection(needs.keys)
    for account in needs.accounts {
      guard let quota = accounts[account] else { continue }
      let used = Endpoint.allCases.reduce(0) {
        $0 + usage[UsageKey(account: account, day: Day(of: now), endpoint: $1), default: 0]
      }
      snapshot.accounts[account] = AccountStanding(dailyQuota: quota, usedToday: used)
    }
    for key in needs.chains { snapshot.chains[key] = chains[key] }
    for scope in needs.claims { snapshot.records[scope] = records[scope] }
    for id in needs.testDraws { snapshot.testOutcomes[id] = testOutcomes[id] }
    for account in needs.webhookAccounts { snapshot.webhooks[account] = webhooks[account] }
    return snapshot
  }

  /// Stores what was decided. Whatever a database's own constraints would refuse is an issue.
  mutating func apply(_ changes: Changes) {
    for chain in changes.movedChains {
      let before = chains.updateValue(chain, forKey: chain.key)
      if before?.id != chain.id || before?.active.seed != chain.active.seed {
        Issue.record("chain \(chain.id) moved before it was made")
      }
    }
    for chain in changes.newChains where chains.updateValue(chain, forKey: chain.key) != nil {
      Issue.record("chain \(chain.id) made twice")
    }
    for outcome in changes.outcomes {
      let place = Place(chain: outcome.chain, cursor: outcome.cursor, nonce: outcome.nonce)
      if numbers.updateValue(outcomes.count, forKey: place) != nil { Issue.record("\(place) used twice") }
      outcomes.append(outcome)
    }
    for (id, outcome) in changes.testOutcomes where testOutcomes.updateValue(outcome, forKey: id) != nil {
      Issue.record("test outcome \(outcome.id) recorded twice")
    }
    for record in changes.records { records[record.scope] = record }
    for (key, count) in changes.usage { usage[key, default: 0] += count }
    deliveries += changes.deliveries
  }

  /// What must have been made for `outcomes`, which were drawn just now: one for each enabled endpoint of whose key it was.
  func deliveries(for outcomes: [Outcome]) -> [NewDelivery] {
    let owners = Dictionary(uniqueKeysWithValues: chains.values.map { ($0.id, $0.key.owner) })
    return outcomes.flatMap { outcome -> [NewDelivery] in
      let account = owners[outcome.chain].flatMap { keyOwners[KeyID($0.rawValue)] }
      return (account.flatMap { webhooks[$0] } ?? []).map {
        NewDelivery(endpoint: $0, outcome: outcome.id, created: outcome.created)
      }
    }
  }

  /// Checks what must hold of any ledger, however it came about.
  func audit(defaultQuota: Int) {
    // Row numbers, and with them short ids: all different, none left out.
    let ids = outcomes.map(\.id) + testOutcomes.values.map(\.id)
    #expect(ids.sorted() == Array(1..<(Int64(ids.count) + 1)))
    #expect(Set(ids.map(shortIDs.encode)).count == ids.count)

    // Coordinates: each chain's nonces run 0…n−1 in the order of its outcomes, its cursor only grows, and it stands
    // after its last outcome. One seed each.
    var positions: [Int64: (cursor: Int64, nonce: Int64)] = [:]
    let byID = Dictionary(uniqueKeysWithValues: chains.values.map { ($0.id, $0) })
    #expect(Set(chains.values.map { $0.active.seed.description }).count == chains.count)
    var used: [UsageKey: Int] = [:]
    for outcome in outcomes {
      guard let chain = byID[outcome.chain] else {
        Issue.record("outcome \(outcome.id) is of no chain")
        continue
      }
      let last = positions[chain.id] ?? (cursor: 0, nonce: -1)
      if outcome.nonce != last.nonce + 1 || outcome.cursor < last.cursor {
        Issue.record("chain \(chain.id) goes from \(last) to \((outcome.cursor, outcome.nonce))")
      }
      positions[chain.id] = (outcome.cursor, outcome.nonce)
      if outcome.serverHash != chain.active.hash || outcome.clientSeed != chain.key.clientSeed {
        Issue.record("outcome \(outcome.id) was not drawn from its chain")
      }
      let owner = chain.key.owner
      let account = owner == .anonymous ? .anonymous : keyOwners[KeyID(owner.rawValue)] ?? AccountID(-1)
      used[UsageKey(account: account, day: Day(of: outcome.created), endpoint: outcome.endpoint), default: 0] += 1
    }
    for chain in chains.values {
      let last = positions[chain.id] ?? (cursor: 0, nonce: -1)
      if chain.nonce != last.nonce + 1 || chain.cursor < last.cursor {
        Issue.record("chain \(chain.id) stands at \((chain.cursor, chain.nonce)) after \(last)")
      }
    }

    // Usage is what was drawn, and within the quota.
    #expect(used == usage)
    var daily: [[Int64]: Int] = [:]
    for (key, count) in usage where key.account != .anonymous {
      daily[[key.account.rawValue, key.day.number], default: 0] += count
    }
    for (key, count) in daily {
      let quota = (accounts[AccountID(key[0])] ?? 0) ?? defaultQuota
      if count > quota { Issue.record("account \(key[0]) drew \(count) of \(quota) on day \(key[1])") }
    }
  }
}
